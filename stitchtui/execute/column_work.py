"""What a column takes: its images, times the share of each network's FLOPs that they pass, and what is made of them."""

import math
from collections.abc import Sequence

import torch

from stitchtui.execute.calibration import Calibration, Line, shape
from stitchtui.measure.baselines import ProbeColumn, TailColumn
from stitchtui.measure.column import Column
from stitchtui.measure.columns import StitchColumn
from stitchtui.measure.feed import pixels
from stitchtui.measure.loaded import Loaded
from stitchtui.measure.measurer import Measurer
from stitchtui.measure.places import Place, chains, cuts_of
from stitchtui.measure.session import Session
from stitchtui.measure.similarity_cache import CKA_BATCH
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.spec.plan import Task
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.memory import SAMPLES, saved_by, step_costs
from stitchtui.stitching.probe import ITERATIONS
from stitchtui.stitching.stitches import parameter_count

EXAMPLES = 2
UPDATED = 3
"""A training step of a stitch in its forward passes: the gradients take one or two more."""
OPERATIONS = 24
"""Of a stitch, its loss and its update in a training step, however small they are."""
LEARNT = 1.5
"""Layers whose weights learn take so many times the FLOPs of frozen ones that are gone back through."""
NUMBER, DOUBLE = 4, 8
"""Bytes, in float32 and in float64."""


class ColumnWork:
    """Counts the work of a session's columns; what an earlier one has paid for costs later ones nothing."""

    def __init__(self, session: Session, calibration: Calibration) -> None:
        self.session, self.calibration = session, calibration
        self.columns = Measurer(session)
        self._paid: set[tuple[object, ...]] = set()
        self._depths: dict[tuple[object, ...], list[float]] = {}
        self._beside: dict[tuple[object, ...], int] = {}

    def of(self, task: Task) -> tuple[int, float, int]:
        """Cells, seconds and bytes of one task."""
        column = self.columns.column(task)
        places = [p for p in column.places if column.misfit(p) is None]
        if not places:
            return len(column.places), 0.0, 0
        work = _Work(self, column, places)
        cuts = ((p.bottom.name, p.top.name) for p in places)
        ends = shape(column.ends.bottom), shape(column.ends.top)
        key = (*ends, task.control, task.family, task.objective, task.recipe, *cuts)
        if key not in self._beside:
            self._beside[key] = work.beside()
        return len(column.places), work.seconds(), self._beside[key]

    def depths(self, loaded: Loaded, chain: Chain) -> list[float]:
        """The share of the network's FLOPs before each boundary, from 0 at the input to 1; noise has none."""
        if not chain.segments:
            return [0.0] * (len(chain.cuts) + 1)
        key = (shape(loaded), *(cut.name for cut in chain.cuts))
        if key not in self._depths:
            images = pixels(self.session.dataset.train.images[:EXAMPLES])
            self._depths[key] = [0.0, *(facts.depth for facts in chain.facts(images)), 1.0]
        return self._depths[key]

    def unpaid(self, *what: object) -> bool:
        """Whether no earlier column has paid for this; from now on one has."""
        before = what in self._paid
        self._paid.add(what)
        return not before


class _Work:
    """That of one column, whose cells are at `places`."""

    def __init__(self, of: ColumnWork, column: Column, places: Sequence[Place]) -> None:
        self.of, self.column, self.places, self.session = of, column, places, of.session
        self.both, ends = chains(of.session, column.ends, cuts_of(places)), column.ends
        below, above = of.depths(ends.bottom, self.both.bottom), of.depths(ends.top, self.both.top)
        self.deepest = max(below[low] for low, _ in self.both.ends)
        self.tails = [1 - above[high] for _, high in self.both.ends]  # of each cell, in shares of the top
        self.itself = ends.bottom is ends.top  # which runs once for both
        self.bottom = of.calibration.speed(ends.bottom).forward if ends.noise is None else Line(0.0, 0.0)
        speed = of.calibration.speed(ends.top)
        self.top, self.back = speed.forward, speed.back
        self.train, self.test = len(column.material.dataset.train), len(of.session.dataset.test)

    def seconds(self) -> float:
        column = self.column
        if isinstance(column, ProbeColumn):
            channels = sum(p.bottom.channels for p in self.places)
            flops = 6 * ITERATIONS * self.train * channels * len(self.session.dataset.classes)
            return self._pass(self.train + self.test, self.bottom, self.deepest) + flops * self.of.calibration.flop
        if isinstance(column, TailColumn):
            return self._learning(column)
        assert isinstance(column, StitchColumn)
        took = self._matching(column) + self._likeness()
        known = column.fits_map and column.task.start == "least_squares" and FAMILIES[column.task.family].closed_form
        took += self._scoring() * (1 if known or not column.trains else 2)
        return took + (self._training(column) if column.trains else 0.0)

    def beside(self) -> int:
        """The most bytes that a pass or a step holds beside the networks."""
        cuts, cells = [*self.both.bottom.cuts, *self.both.top.cuts], len(self.places)
        size = self._batch
        scored = NUMBER * size * (sum(map(_numel, cuts)) + cells * max(map(_numel, cuts)))
        column = self.column
        if isinstance(column, TailColumn):
            return max(scored, self._learning_bytes(column))
        if not isinstance(column, StitchColumn) or not (tried := column.try_out()):
            return scored
        both, started = tried
        fitted = 2 * DOUBLE * sum(_inputs(column, p) ** 2 for p in self.places) if column.fits_map else 0
        if not column.trains:
            return max(scored, fitted)
        recipe = column.recipe(column.steps)
        images, _ = next(column.material.training(self._step_images, column.task.seed, both.bottom))
        step = step_costs(both.bottom, both.top, started, images, column.task.objective).within(recipe.memory)
        return max(scored, fitted, step)

    @property
    def _batch(self) -> int:
        """Images of a batch of a pass."""
        cuts = [*self.both.bottom.cuts, *self.both.top.cuts]
        return min(self.test, self.session.evaluation_batch(cuts, len(self.places)))

    @property
    def _step_images(self) -> int:
        return min(self.column.stitch.batch_size, self.train)

    def _pass(self, images: int, speed: Line, share: float = 1.0) -> float:
        """Seconds of so many images through a share of a network, forward."""
        return share * speed.seconds(images, images / self._batch)

    def _both(self, images: int) -> float:
        """Seconds of so many images through the bottom, as deep as a cell is, and through all of the top."""
        return self._pass(images, self.top) + (0.0 if self.itself else self._pass(images, self.bottom, self.deepest))

    def _scoring(self) -> float:
        """Seconds of a pass that says what the cells answer."""
        return self._both(self.test) + self._pass(self.test, self.top, sum(self.tails)) + self._stitches(self.test)

    def _stitches(self, images: int) -> float:
        """Seconds of so many images through each stitch, forward."""
        column = self.column
        assert isinstance(column, StitchColumn)
        weights = (parameter_count(column.build(p)) * _positions(p.top) for p in self.places)
        return 2 * images * sum(weights) * self.of.calibration.flop

    def _matching(self, column: StitchColumn) -> float:
        """Seconds of the pass that closed forms come from, and of finding them."""
        wanted = (*column.ends.names, column.task.place, column.kernel, column.material.digest)
        if not column.fits_map or not self.of.unpaid("matching", *wanted):
            return 0.0
        own = {(p.bottom.name, p.top.positions): _inputs(column, p) ** 2 * _positions(p.top) for p in self.places}
        both = sum(_inputs(column, p) * p.top.channels * _positions(p.top) for p in self.places)
        solved = sum(_inputs(column, p) ** 3 for p in self.places) * self.of.calibration.cubed
        return self._both(self.train) + 2 * self.train * (sum(own.values()) + both) * self.of.calibration.flop + solved

    def _likeness(self) -> float:
        """Seconds of what is said of the two networks without a stitch, and of the top by itself."""
        ends, place, took = self.column.ends, self.column.task.place, 0.0
        cubes = sum(p.top.channels**3 for p in self.places) * self.of.calibration.cubed
        if self.of.unpaid("own", ends.names[1], place):
            took += self._pass(self.train, self.top) + cubes
        if ends.noise is None and not self.itself and self.of.unpaid("alike", frozenset(ends.names), place):
            experiment = self.session.experiment
            others = min(self.test, experiment.cka_images if experiment.cka == "exact" else CKA_BATCH)
            cuts = {*self.both.bottom.cuts, *self.both.top.cuts}
            products = 2 * self.test * others * sum(map(_numel, cuts))
            took += self._both(self.test) + products * self.of.calibration.flop + 2 * cubes
        return took

    def _training(self, column: StitchColumn) -> float:
        """Seconds of the training steps: the bottom forward, the top's tails forward and back, and the stitches."""
        size, best_of = self._step_images, column.stitch.best_of
        turns = len(self.places) if column.alone else 1  # each with a pass of both networks
        own = (
            self.top.seconds(size)
            if column.task.objective in OBJECTIVES and OBJECTIVES[column.task.objective].needs_top
            else 0.0
        )
        tails = turns * max(self.tails) * self.back.fixed + best_of * sum(self.tails) * self.back.each * size
        stitches = UPDATED * self._stitches(size) + len(self.places) * OPERATIONS * self.of.calibration.operation
        below = self.bottom.seconds(size) * self.deepest
        return column.steps * (turns * (below + own) + tails + best_of * stitches)

    def _learning(self, column: TailColumn) -> float:
        """Seconds of training each cell's tail by itself, and of a pass of each."""
        size, cells = self._step_images, len(self.places)
        tails = LEARNT * sum(self.tails) * self.back.seconds(size)
        steps = column.steps * (cells * self.bottom.seconds(size) * self.deepest + tails)
        passes = cells * self._pass(self.test, self.bottom, self.deepest)
        return steps + passes + self._pass(self.test, self.top, sum(self.tails))

    def _learning_bytes(self, column: TailColumn) -> int:
        """What a step of training the longest tail holds: what its backward pass needs, gradients and momentum."""
        longest = max(range(len(self.places)), key=self.tails.__getitem__)
        tail = column.tail(chains(self.session, column.ends, cuts_of(self.places[longest:][:1])), self.places[longest])
        with torch.no_grad():
            images = pixels(self.session.dataset.train.images[: max(SAMPLES)])
            x = self.both.bottom.features(images, self.both.ends[longest][0])[-1]
        saved = saved_by(lambda count: tail.layers(x[:count]), self._step_images)
        return saved + 2 * NUMBER * parameter_count(tail.layers)


def _numel(cut: Cut) -> int:
    return math.prod(cut.shape)


def _positions(cut: Cut) -> int:
    return math.prod(cut.positions)


def _inputs(column: StitchColumn, place: Place) -> int:
    return place.bottom.channels * column.kernel**2
