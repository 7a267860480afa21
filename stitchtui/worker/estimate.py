"""What a plan will take: a few real steps of each kind of task are timed on this device, now, and multiplied."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.loading import load_dataset
from stitchtui.device import peak_memory, pick
from stitchtui.experiment import Experiment, NetworkSpec, Normalisation
from stitchtui.networks import architectures
from stitchtui.networks.network import Network, freeze, weight_digest
from stitchtui.networks.obtain import cache_path, obtain
from stitchtui.networks.training import Job, train
from stitchtui.run.plan import Task, plan
from stitchtui.stitching.evaluate import column_scores
from stitchtui.worker.columns import Column
from stitchtui.worker.feed import in_order
from stitchtui.worker.likeness import Likeness
from stitchtui.worker.recorder import Recorder
from stitchtui.worker.session import Session

Row = dict[str, Any]
"""{"task": id, "cells": how many, "seconds": float, "bytes": int}"""

TIMED_STEPS = 2
CKA_SAMPLE = 256


def estimate(experiment: Experiment, device_name: str) -> list[Row]:
    """One row per network and per column, in the plan's order; nothing is written, and nothing trained to an end.

    Networks that would have to be trained are stood in for by untrained ones of the same shape. Bytes are the most
    memory that this process has held so far, a training step of the column included. Raises BadInput as a run would.
    """
    with torch.random.fork_rng():  # building and training stand-ins draws numbers
        return _rows(experiment, pick(device_name))


def _rows(experiment: Experiment, device: torch.device) -> list[Row]:
    session = Session(experiment, device, load_dataset(experiment.data).to(device))
    tasks = plan(experiment)
    names = dict.fromkeys(end for t in tasks for end in (t.bottom, t.top))
    rows = [_network_row(session, name) for name in names]
    timer = _ColumnTimer(session)
    return rows + [timer.row(task) for task in tasks]


def _network_row(session: Session, name: str) -> Row:
    spec = session.experiment.networks[name]
    if spec.checkpoint is None and spec.weights is None and not cache_path(spec, session.dataset).is_file():
        seconds = _stand_in(session, name, spec)
    else:
        session.add(obtain(name, spec, session.dataset, session.device, lambda _: None, lambda: False))
        seconds = 0.0
    return {"task": f"network {name}", "cells": 0, "seconds": seconds, "bytes": peak_memory(session.device)}


def _stand_in(session: Session, name: str, spec: NetworkSpec) -> float:
    """Add an untrained network of this shape; returns how long its training would take."""
    data, architecture = session.dataset, spec.architecture or ""
    module = architectures.build(architecture, len(data.classes), data.shape, spec.width, spec.options)
    module = module.to(session.device)
    seconds = _training_seconds(module, spec, data)
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
    session.add(network)
    return seconds


def _training_seconds(module: torch.nn.Module, spec: NetworkSpec, data: Dataset) -> float:
    size = min(spec.train.batch_size, len(data.train))
    part = Part(data.train.images[:size], data.train.labels[:size])

    def steps(count: int) -> None:
        recipe = spec.train.model_copy(update={"epochs": count, "batch_size": size})
        scale = Normalisation(mean=data.mean, std=data.std)
        job = Job(recipe, part, scale, data.augment, 0)
        train(module, job, Path("/dev/null/nothing-is-saved-here"), lambda _: None, lambda: False)

    steps(1)  # the first step also pays for what is set up once
    each = _seconds(lambda: steps(TIMED_STEPS)) / TIMED_STEPS
    images = spec.subset.train_size if spec.subset and spec.subset.train_size else len(data.train)
    return each * spec.train.epochs * max(1, images // size)


class _ColumnTimer:
    """Times one column per pair of networks and reuses the figures for its other tasks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.likeness = Likeness(session)
        self.known: dict[tuple[str, ...], tuple[float, float, float]] = {}

    def row(self, task: Task) -> Row:
        """The estimate for one task."""
        silent = Recorder(lambda *_, **__: None)
        column = Column(self.session, self.likeness, task, silent, reuse=lambda _: None, keep=lambda *_: None)
        cells = len(self.session.column_cuts(task))
        key = task.bottom, task.top, task.family, task.objective, task.place
        if key not in self.known:
            self.known[key] = self._figures(column)
        step, scoring, cka = self.known[key]
        passes = scoring * len(self.session.dataset.test)
        fitting = scoring * len(self.session.dataset.train) if task.start == "least_squares" else 0.0
        seconds = fitting + passes * (2 if column.trains else 1) + cka
        if column.trains:
            seconds += step * column.steps * (cells if column.stitch.frozen_bn == "batch" else 1)
        return {"task": task.id, "cells": cells, "seconds": seconds, "bytes": peak_memory(self.session.device)}

    def _figures(self, column: Column) -> tuple[float, float, float]:
        """Seconds per training step, per image scored, and for CKA."""
        tried = column.try_out()
        if tried is None:
            return 0.0, 0.0, 0.0
        both, cells = tried
        bottom, top = both.bottom, both.top
        test = self.session.dataset.test
        size = self.session.evaluation_batch(top.cuts, len(cells))
        sample = Part(test.images[:size], test.labels[:size])

        def score() -> None:
            column_scores(bottom, top, cells, in_order(sample, size, lambda _: None))

        score()
        scoring = _seconds(score) / len(sample)
        step = 0.0
        if column.trains:
            column.train(bottom, top, cells, 1)
            step = _seconds(lambda: column.train(bottom, top, cells, TIMED_STEPS)) / TIMED_STEPS
        images = self.likeness.images
        few = min(images, CKA_SAMPLE)
        cka = _seconds(lambda: self.likeness.measured(both, few, lambda _: None)) * (images / few) ** 2
        return step, scoring, cka


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
