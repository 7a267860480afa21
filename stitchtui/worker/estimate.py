"""What a plan will take: a few real steps of each kind of task are timed on this device, now, and multiplied."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.loading import load_dataset
from stitchtui.device import peak_memory, pick
from stitchtui.experiment import Experiment, NetworkSpec, Normalisation
from stitchtui.network_seeds import first_names, in_every_seed
from stitchtui.networks import architectures
from stitchtui.networks.frozen import all_but, start_from
from stitchtui.networks.heads import last_linear, linear, put
from stitchtui.networks.making import naming, own_data
from stitchtui.networks.network import Network, freeze, weight_digest
from stitchtui.networks.obtain import at_hand, obtain, training_order
from stitchtui.networks.own import whole
from stitchtui.networks.self_supervised import put_task_head
from stitchtui.networks.training import Job, train
from stitchtui.run.plan import Task, plan
from stitchtui.stitching.direct import moments
from stitchtui.stitching.evaluate import base_scores, column_measures
from stitchtui.stitching.fit import Cell, train_column
from stitchtui.stitching.replay import Replay, view_bytes
from stitchtui.worker.baselines import ProbeColumn, TailColumn
from stitchtui.worker.classes import check_tops
from stitchtui.worker.column import Column
from stitchtui.worker.columns import StitchColumn
from stitchtui.worker.feed import in_order
from stitchtui.worker.kinds import Columns
from stitchtui.worker.material import through
from stitchtui.worker.places import Chains, Place, chains, cuts_of
from stitchtui.worker.recorder import Recorder
from stitchtui.worker.session import Session

Row = dict[str, Any]
"""{"task": id, "cells": how many, "seconds": float, "bytes": int}"""

TIMED_STEPS = 2
CKA_SAMPLE = 256
FITTED = 32


def estimate(experiment: Experiment, device_name: str) -> list[Row]:
    """One row per network and per column, in the plan's order; nothing is written, and nothing trained to an end.

    Networks that would have to be trained are stood in for by untrained ones of the same shape. Bytes are the most
    memory that this process has held so far, a training step of the column included. Raises BadInput as a run would.
    """
    with torch.random.fork_rng():  # building and training stand-ins draws numbers
        return _rows(in_every_seed(experiment), pick(device_name))


def _rows(experiment: Experiment, device: torch.device) -> list[Row]:
    check_tops(experiment)
    session = Session(experiment, device, load_dataset(experiment.data).to(device))
    tasks = plan(experiment)
    names = training_order((end for t in tasks for end in (t.bottom, t.top)), experiment.networks)
    networks = _NetworkTimer(session)
    rows = [networks.row(name) for name in names]
    timer = _ColumnTimer(session)
    return rows + [timer.row(task) for task in tasks]


class _NetworkTimer:
    """Times a step of training per kind of network and reuses the figure; knows how far earlier trainings got."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.reached: dict[str, int] = {}  # epochs, by the training that an earlier network ended a part of
        self.known: dict[str, float] = {}

    def row(self, name: str) -> Row:
        """The estimate for one network, which is in the session then, or one of its shape is."""
        networks, data, device = self.session.experiment.networks, self.session.dataset, self.session.device
        spec, seconds = networks[name], 0.0
        if at_hand(name, networks, data, device):
            self.session.add(obtain(name, spec, data, device, lambda _: None, lambda: False, networks))
        else:
            with naming(name):
                seconds = self._stand_in(name, spec)
        return {"task": f"network {name}", "cells": 0, "seconds": seconds, "bytes": peak_memory(device)}

    def _stand_in(self, name: str, spec: NetworkSpec) -> float:
        """Add an untrained network of this shape; returns how long its training would take."""
        data, architecture = own_data(spec, self.session.dataset), spec.architecture or ""
        module = architectures.build(architecture, len(data.classes), data.shape, spec.width, spec.options)
        module = module.to(self.session.device)
        if spec.start_from is not None:
            start_from(module, self.session.loaded[spec.start_from].network.module, spec.start_from)
        seconds = self._training_seconds(module, spec, data)
        network = Network(
            name=name,
            module=freeze(module),
            mean=data.mean,
            std=data.std,
            digest=weight_digest(module),
            architecture=architecture,
            error=0.0,
            source="random",
            classes=len(data.classes),
        )
        self.session.add(network)
        return seconds

    def _training_seconds(self, module: nn.Module, spec: NetworkSpec, data: Dataset) -> float:
        training, end = whole(spec).model_dump_json(), spec.train.stop_epoch or spec.train.epochs
        epochs = end - self.reached.get(training, 0)
        self.reached[training] = end
        kind = spec.model_dump_json(include={"architecture", "width", "options", "task", "frozen"})
        scale = Normalisation(mean=data.mean, std=data.std)
        job = Job(spec.train, data.train, scale, data.augment, 0, frozen=spec.frozen)
        if spec.task == "classify":
            return epochs * self._epoch(module, job, kind)
        last = last_linear(module)
        head = linear(module, last)
        task = replace(job, lesson=put_task_head(module, last, spec.task, spec.temperature))
        first = epochs * self._epoch(module, task, kind)
        put(module, last, head)
        learned = replace(job, recipe=spec.probe, frozen=all_but(module, last))
        return first + spec.probe.epochs * self._epoch(module, learned, f"head of {kind}")

    def _epoch(self, module: nn.Module, job: Job, kind: str) -> float:
        """Seconds of an epoch."""
        size = min(job.recipe.batch_size, len(job.part))
        key = f"{kind} {size} {job.recipe.precision} {job.augment}"
        if key not in self.known:
            self.known[key] = _step_seconds(module, job, size)
        return self.known[key] * max(1, len(job.part) // size)


def _step_seconds(module: nn.Module, job: Job, size: int) -> float:
    part = Part(job.part.images[:size], job.part.labels[:size])

    def steps(count: int) -> None:
        recipe = job.recipe.model_copy(update={"epochs": count, "stop_epoch": None, "batch_size": size})
        train(module, replace(job, recipe=recipe, part=part), None, lambda _: None, lambda: False)

    steps(1)  # the first step also pays for what is set up once
    return _seconds(lambda: steps(TIMED_STEPS)) / TIMED_STEPS


@dataclass(frozen=True)
class _Figures:
    """Seconds per training step, per image scored and fitted on, for CKA, per step on kept features; their bytes."""

    step: float = 0.0
    image: float = 0.0
    fit: float = 0.0
    cka: float = 0.0
    again: float = 0.0
    kept: int = 0


class _ColumnTimer:
    """Times one column of a kind per pair of networks and reuses the figures for its other tasks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        silent = Recorder(lambda *_, **__: None)
        self.columns = Columns(session, silent, reuse=lambda _: None, keep=lambda *_: None)
        self.firsts = first_names(session.experiment.networks, session.experiment.network_seeds)
        self.known: dict[tuple[str, ...], _Figures] = {}
        self.alike: set[frozenset[str]] = set()  # pairs of networks and their cuts whose CKA is counted already
        self.fitted: set[tuple[object, ...]] = set()  # what least squares is counted for already

    def row(self, task: Task) -> Row:
        """The estimate for one task."""
        column = self.columns.column(task)
        cells = len(column.places)
        views = f"{column.replay.views} of {column.replay.steps}" if column.replay else ""
        bottom, top = (self.firsts.get(end, end) for end in (task.bottom, task.top))
        key = bottom, top, task.family, task.objective, task.place, views
        if key not in self.known:
            self.known[key] = self._figures(column)
        figures = self.known[key]
        train, test = len(column.material.dataset.train), len(self.session.dataset.test)
        passes = figures.image * test * (2 if column.trains else 1)
        fitting = 0.0 if self._fitted(column) else figures.fit * train
        seconds = fitting + passes + (0.0 if self._counted(column) else figures.cka)
        if column.trains:
            alone = isinstance(column, TailColumn) or column.stitch.frozen_bn == "batch"
            fresh = column.replay.views * column.replay.steps if column.replay else column.steps
            seconds += (figures.step * fresh + figures.again * (column.steps - fresh)) * (cells if alone else 1)
        most = peak_memory(self.session.device) + figures.kept
        return {"task": task.id, "cells": cells, "seconds": seconds, "bytes": most}

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

    def _figures(self, column: Column) -> _Figures:
        if isinstance(column, StitchColumn):
            return self._of_stitches(column)
        places = [p for p in column.places if column.misfit(p) is None]
        if not places:
            return _Figures()
        both = chains(self.session, column.ends, cuts_of(places))
        sample = self._sample(both)
        scoring = _seconds(lambda: base_scores(both.bottom, in_order(sample, len(sample), lambda _: None)))
        step = self._of_tails(column, places) if isinstance(column, TailColumn) else 0.0
        each = scoring / len(sample)
        return _Figures(step, each, each if isinstance(column, ProbeColumn) else 0.0)

    def _of_tails(self, column: TailColumn, places: Sequence[Place]) -> float:
        """Seconds per step of one tail, on average: half of what the longest takes."""
        both = chains(self.session, column.ends, cuts_of(places[:1]))
        tail = column.tail(both, places[0])
        column.train(both, tail, 1)
        return _seconds(lambda: column.train(both, tail, TIMED_STEPS)) / TIMED_STEPS / 2

    def _of_stitches(self, column: StitchColumn) -> _Figures:
        tried = column.try_out()
        if tried is None:
            return _Figures()
        both, cells = tried
        sample = self._sample(both, len(cells))

        def score() -> None:
            batches = in_order(sample, len(sample), lambda _: None)
            column_measures(both.bottom, both.top, cells, through(both.bottom, batches))

        score()
        found = _Figures(image=_seconds(score) / len(sample), cka=0.0 if column.ends.noise else self._of_cka(both))
        found = replace(found, fit=self._of_fitting(column, both))
        if not column.trains:
            return found
        _steps(column, both, cells, 1)
        step = _seconds(lambda: _steps(column, both, cells, TIMED_STEPS)) / TIMED_STEPS
        if column.replay is None:
            return replace(found, step=step)
        once = Replay(1, 1, 0)  # one step of the bottom, then others without
        again = _seconds(lambda: _steps(column, both, cells, 1 + TIMED_STEPS, once)) - step
        return replace(found, step=step, again=min(step, max(0.0, again / TIMED_STEPS)), kept=_kept(column, both))

    def _of_fitting(self, column: StitchColumn, both: Chains) -> float:
        """Seconds per training image of the pass that closed forms come from, timed on a few: kernels make it slow."""
        if not column.fits_map:
            return 0.0
        few = Part(column.material.dataset.train.images[:FITTED], column.material.dataset.train.labels[:FITTED])

        def fit() -> None:
            batches = (images for images, _ in through(both.bottom, in_order(few, len(few), lambda _: None)))
            moments(both.bottom, both.top, list(both.ends), batches, column.kernel)

        fit()
        return _seconds(fit) / len(few)

    def _of_cka(self, both: Chains) -> float:
        images = len(self.session.dataset.test)
        few = min(images, CKA_SAMPLE)
        growth = 2 if self.session.experiment.cka == "exact" else 1
        return _seconds(lambda: self.columns.likeness.measured(both, few, lambda _: None)) * (images / few) ** growth

    def _sample(self, both: Chains, cells: int = 1) -> Part:
        test = self.session.dataset.test
        size = self.session.evaluation_batch([*both.bottom.cuts, *both.top.cuts], cells)
        return Part(test.images[:size], test.labels[:size])


def _steps(column: StitchColumn, both: Chains, cells: Sequence[Cell], steps: int, replay: Replay | None = None) -> None:
    batches = column.material.training(column.stitch.batch_size, column.task.seed, both.bottom)
    train_column(both.bottom, both.top, cells, batches, column.recipe(steps), replay=replay)


def _kept(column: StitchColumn, both: Chains) -> int:
    """The bytes of all views' features, as far as there is memory for them: beyond it the column is split."""
    assert column.replay is not None
    recipe, batch = column.recipe(column.steps), min(column.stitch.batch_size, len(column.material.dataset.train))
    images = column.replay.views * column.replay.steps * batch
    needed = view_bytes(both.bottom, (low for low, _ in both.ends), images, recipe.dtype)
    return min(needed, recipe.memory or needed)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
