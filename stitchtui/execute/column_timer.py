"""What a column will take: one of each kind is timed, on few images where it is slow, and multiplied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from stitchtui.base.device import peak_memory
from stitchtui.data.dataset import Part
from stitchtui.execute.timing import seconds, timed
from stitchtui.measure.baselines import ProbeColumn, TailColumn
from stitchtui.measure.column import Column
from stitchtui.measure.column_factory import Columns
from stitchtui.measure.columns import StitchColumn
from stitchtui.measure.feed import in_order
from stitchtui.measure.loaded import Loaded
from stitchtui.measure.material import through
from stitchtui.measure.places import Chains, Place, chains, cuts_of
from stitchtui.measure.recorder import Recorder
from stitchtui.measure.session import Session
from stitchtui.spec.plan import Task
from stitchtui.stitching.direct import moments
from stitchtui.stitching.evaluate import base_scores, column_measures
from stitchtui.stitching.fit import Cell, train_column
from stitchtui.stitching.memory import saved_by, step_costs
from stitchtui.stitching.stitches import parameter_count
from stitchtui.stitching.streamed import double

TIMED_STEPS = 2
CKA_SAMPLE = 256
FITTED = 32
SOLVED = 256
"""The size of a covariance whose taking apart is timed; that of a larger one grows with the third power."""


@dataclass(frozen=True)
class Figures:
    """Seconds per training step, per image scored and fitted on, for CKA; bytes beside.

    `solve` is what taking the closed forms' covariances apart takes; `untried` are the bytes of a whole step where
    only a shorter one was tried.
    """

    step: float = 0.0
    image: float = 0.0
    fit: float = 0.0
    solve: float = 0.0
    cka: float = 0.0
    untried: int = 0


class ColumnTimer:
    """Times one column of a kind and reuses the figures for all others between networks of the same shapes."""

    def __init__(self, session: Session) -> None:
        self.session = session
        silent = Recorder(lambda *_, **__: None)
        self.columns = Columns(session, silent, reuse=lambda _: None, keep=lambda *_: None)
        self.known: dict[tuple[object, ...], Figures] = {}
        self.alike: set[frozenset[str]] = set()  # pairs of networks and their cuts whose CKA is counted already
        self.fitted: set[tuple[object, ...]] = set()  # what least squares is counted for already

    def row(self, task: Task) -> dict[str, Any]:
        """The estimate for one task."""
        column = self.columns.column(task)
        key = self._kind(column)
        if key not in self.known:
            self.known[key] = self._figures(column)
        figures = self.known[key]
        train, test = len(column.material.dataset.train), len(self.session.dataset.test)
        took = figures.image * test * (2 if column.trains else 1)
        took += 0.0 if self._fitted(column) else figures.fit * train + figures.solve
        took += 0.0 if self._counted(column) else figures.cka
        cells = len(column.places)
        if column.trains:
            alone = isinstance(column, TailColumn) or column.stitch.frozen_bn == "batch"
            took += figures.step * column.steps * (cells if alone else 1)
        most = peak_memory(self.session.device) + figures.untried
        return {"task": task.id, "cells": cells, "seconds": took, "bytes": most}

    def _kind(self, column: Column) -> tuple[object, ...]:
        """What two columns have in common that take equally long for an image, and for a step."""
        task, both = column.task, column.ends
        # A network stitched to itself runs once for both ends.
        ends = (_shape(both.bottom), _shape(both.top), both.noise is None, both.bottom is both.top)
        how = (task.family, task.objective, task.start, task.recipe)
        return (type(column), *ends, *how, *((p.bottom.name, p.top.name) for p in column.places))

    def _counted(self, column: Column) -> bool:
        """Whether an earlier column has paid for the likeness that this one says: a run computes it once."""
        pair = frozenset([*column.ends.names, f"cuts: {column.task.place}"])
        before = pair in self.alike
        self.alike.add(pair)
        return before

    def _fitted(self, column: Column) -> bool:
        """Whether an earlier column has paid for the pass that this one's closed forms come from."""
        if not isinstance(column, StitchColumn):
            return False
        wanted = (*column.ends.names, column.task.place, column.kernel, column.material.digest)
        before = wanted in self.fitted
        self.fitted.add(wanted)
        return before

    def _figures(self, column: Column) -> Figures:
        if isinstance(column, StitchColumn):
            return self._of_stitches(column)
        places = [p for p in column.places if column.misfit(p) is None]
        if not places:
            return Figures()
        both = chains(self.session, column.ends, cuts_of(places))
        found = self._scored(both, lambda part: base_scores(both.bottom, in_order(part, len(part), _silent)))
        if isinstance(column, ProbeColumn):
            found = replace(found, fit=found.image)
        return self._of_tails(column, places, found) if isinstance(column, TailColumn) else found

    def _of_tails(self, column: TailColumn, places: Sequence[Place], found: Figures) -> Figures:
        """A step of one tail takes half of what one of the longest does, on average."""
        both = chains(self.session, column.ends, cuts_of(places[:1]))
        tail, size = column.tail(both, places[0]), _batch(column)
        tried = timed(lambda count: column.train(both, tail, TIMED_STEPS, count), size, self.session.device)
        found = replace(found, step=tried.seconds / TIMED_STEPS / 2)
        if tried.images < size:
            found = replace(found, untried=saved_by(lambda count: column.train(both, tail, 1, count), size))
        return found

    def _of_stitches(self, column: StitchColumn) -> Figures:
        tried = column.try_out()
        if tried is None:
            return Figures()
        both, cells = tried

        def score(part: Part) -> object:
            batches = through(both.bottom, in_order(part, len(part), _silent))
            return column_measures(both.bottom, both.top, cells, batches)

        found = self._scored(both, score, len(cells))
        if not column.ends.noise:
            found = replace(found, cka=self._of_cka(both))
        if column.fits_map:
            found = replace(found, fit=self._of_fitting(column, both), solve=self._of_solving(column))
        return self._of_training(column, both, cells, found) if column.trains else found

    def _of_training(self, column: StitchColumn, both: Chains, cells: Sequence[Cell], found: Figures) -> Figures:
        size = _batch(column)
        tried = timed(lambda count: _steps(column, both, cells, count), size, self.session.device)
        found = replace(found, step=tried.seconds / TIMED_STEPS)
        if tried.images < size:
            images, _ = next(column.material.training(size, column.task.seed, both.bottom))
            costs = step_costs(both.bottom, both.top, cells, images, column.task.objective)
            found = replace(found, untried=max(found.untried, costs.within(column.recipe(TIMED_STEPS).memory)))
        return found

    def _of_fitting(self, column: StitchColumn, both: Chains) -> float:
        """Seconds per training image of the pass that closed forms come from, timed on a few: kernels make it slow."""
        part = column.material.dataset.train
        images = min(FITTED, len(part))

        def fit(count: int) -> None:
            fed = through(both.bottom, in_order(_first(part, count), count, _silent))
            moments(both.bottom, both.top, list(both.ends), (images for images, _ in fed), column.kernel)

        return timed(fit, images, self.session.device).seconds / images

    def _of_solving(self, column: StitchColumn) -> float:
        places = [p for p in column.places if column.misfit(p) is None]
        sizes = [p.bottom.channels * column.kernel**2 for p in places]
        matrix = double(torch.randn(SOLVED, SOLVED, device=self.session.device))
        small = matrix @ matrix.T
        torch.linalg.eigh(small)
        one = seconds(lambda: torch.linalg.eigh(small), small.device)
        return one * sum((size / SOLVED) ** 3 for size in sizes)

    def _of_cka(self, both: Chains) -> float:
        images, device = len(self.session.dataset.test), self.session.device
        few = min(images, CKA_SAMPLE)
        growth = 2 if self.session.experiment.cka == "exact" else 1
        found = timed(lambda count: self.columns.likeness.measured(both, count, _silent), few, device)
        return found.seconds * (images / few) ** growth

    def _scored(self, both: Chains, score: Callable[[Part], object], cells: int = 1) -> Figures:
        """Seconds for each image that `score` sees in batches of the size that a run makes."""
        part, cuts = self.session.dataset.test, [*both.bottom.cuts, *both.top.cuts]
        size = min(len(part), self.session.evaluation_batch(cuts, cells))
        tried = timed(lambda count: score(_first(part, count)), size, self.session.device)
        whole = 4 * size * cells * max(torch.Size(c.shape).numel() for c in cuts)
        return Figures(image=tried.seconds / size, untried=whole if tried.images < size else 0)


def _shape(loaded: Loaded) -> tuple[object, ...]:
    """What networks share that take equally long."""
    return (parameter_count(loaded.network.module), *((cut.name, cut.shape) for cut in loaded.traced.cuts))


def _silent(_images: int) -> None:
    """Nobody is told of the progress."""


def _first(part: Part, count: int) -> Part:
    return Part(part.images[:count], part.labels[:count])


def _batch(column: StitchColumn | TailColumn) -> int:
    """Images of a training step."""
    return min(column.stitch.batch_size, len(column.material.dataset.train))


def _steps(column: StitchColumn, both: Chains, cells: Sequence[Cell], images: int) -> None:
    batches = column.material.training(images, column.task.seed, both.bottom)
    train_column(both.bottom, both.top, cells, batches, column.recipe(TIMED_STEPS))
