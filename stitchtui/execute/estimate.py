"""What a plan will take: a few real steps of each kind of task are timed on this device, now, and multiplied."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from stitchtui.base.device import peak_memory, pick
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.loading import load_dataset
from stitchtui.execute.column_timer import TIMED_STEPS, ColumnTimer
from stitchtui.execute.timing import FEWEST, SHORT, timed
from stitchtui.measure.classes import check_tops
from stitchtui.measure.feed import pixels
from stitchtui.measure.loaded import Loaded
from stitchtui.measure.session import Session
from stitchtui.networks import architectures, linear_heads
from stitchtui.networks.frozen import all_but, start_from
from stitchtui.networks.heads import last_linear, linear, put
from stitchtui.networks.making import naming, own_data
from stitchtui.networks.network import Network, freeze, weight_digest
from stitchtui.networks.obtain import at_hand, from_file, from_name, obtain, training_order
from stitchtui.networks.own import whole
from stitchtui.networks.self_supervised import put_task_head
from stitchtui.networks.training import Job, train
from stitchtui.spec.experiment import Experiment, NetworkSpec, Normalisation
from stitchtui.spec.network_seeds import in_every_seed
from stitchtui.spec.plan import plan
from stitchtui.stitching.memory import saved_by

Row = dict[str, Any]
"""{"task": id, "cells": how many, "seconds": float, "bytes": int}"""

HARMLESS = 1e-9
"""A learning rate at which a network that is trained on a few images for its timing doesn't diverge."""


def estimate(experiment: Experiment, device_name: str) -> list[Row]:
    """One row per network and per column, in the plan's order; nothing is written, and nothing trained to an end.

    Networks that would have to be trained are stood in for by untrained ones of the same shape. Where a step is long it
    is timed on fewer images. Bytes are the most memory that this process has held so far, with what a whole step saves
    where only a shorter one was tried. Raises BadInput as a run would.
    """
    with torch.random.fork_rng():  # building and training stand-ins draws numbers
        return _rows(in_every_seed(experiment), pick(device_name))


def _rows(experiment: Experiment, device: torch.device) -> list[Row]:
    check_tops(experiment)
    session = _Rough(experiment, device, load_dataset(experiment.data).to(device))
    tasks = plan(experiment)
    names = training_order((end for t in tasks for end in (t.bottom, t.top)), experiment.networks)
    networks = _NetworkTimer(session)
    rows = [networks.row(name) for name in names]
    timer = ColumnTimer(session)
    return rows + [timer.row(task) for task in tasks]


class _Rough(Session):
    """A session whose random networks are good for timing only: calibrated and scored on a few images."""

    def _calibration_batches(self) -> list[torch.Tensor]:
        return [batch[:FEWEST] for batch in super()._calibration_batches()[:1]]

    def _own_test(self, loaded: Loaded) -> Part:
        return _few(super()._own_test(loaded))


def _few(part: Part) -> Part:
    return Part(part.images[:FEWEST], part.labels[:FEWEST])


class _NetworkTimer:
    """Times a step of training per kind of network and reuses the figure; knows how far earlier trainings got."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.reached: dict[str, int] = {}  # epochs, by the training that an earlier network ended a part of
        self.known: dict[str, float] = {}
        self.untried = 0  # bytes of the largest step of which only a shorter one was tried

    def row(self, name: str) -> Row:
        """The estimate for one network, which is in the session then, or one of its shape is."""
        networks, data, device = self.session.experiment.networks, self.session.dataset, self.session.device
        spec = networks[name]
        if spec.head == linear_heads.TRAIN:
            with naming(name):
                seconds = self._with_head(name, spec)
        elif not spec.made_here:
            few = replace(data, test=_few(data.test))
            self.session.add(obtain(name, spec, few, device, lambda _: None, lambda: False))
            seconds = self._scoring(name, len(data.test))
        elif not spec.untrained and at_hand(name, networks, data, device):
            self.session.add(obtain(name, spec, data, device, lambda _: None, lambda: False, networks))
            seconds = 0.0
        else:
            with naming(name):
                seconds = self._stand_in(name, spec)
        return {"task": f"network {name}", "cells": 0, "seconds": seconds, "bytes": peak_memory(device) + self.untried}

    def _with_head(self, name: str, spec: NetworkSpec) -> float:
        """Add a given network with a head of random weights; returns how long the features for one would take."""
        data = own_data(spec, self.session.dataset)
        if spec.checkpoint is not None:
            module = from_file(spec, data.shape, len(data.classes))[0]
        else:
            module = from_name(spec, data.shape, len(data.classes))[0]
        self._add(name, module.to(self.session.device), data)
        return self._scoring(name, len(data.train) + len(data.test))

    def _scoring(self, name: str, images: int) -> float:
        """Seconds in which the network sees so many images."""
        loaded, part = self.session.loaded[name], self.session.dataset.test
        size = min(len(part), self.session.experiment.evaluation_batch)
        chain = self.session.chain(loaded, [])  # as it is scored: a view() of its own may not take channels last

        def score(count: int) -> None:
            with torch.no_grad():
                chain.features(pixels(part.images[:count]))

        return timed(score, size, self.session.device).seconds * images / size

    def _stand_in(self, name: str, spec: NetworkSpec) -> float:
        """Add an untrained network of this shape; returns how long its training would take."""
        data, architecture = own_data(spec, self.session.dataset), spec.architecture or ""
        module = architectures.build(architecture, len(data.classes), data.shape, spec.width, spec.options)
        module = module.to(self.session.device)
        if spec.start_from is not None:
            start_from(module, self.session.loaded[spec.start_from].network.module, spec.start_from)
        seconds = 0.0 if spec.untrained else self._training_seconds(module, spec, data)
        self._add(name, module, data)
        return seconds

    def _add(self, name: str, module: nn.Module, data: Dataset) -> None:
        network = Network(
            name=name,
            module=freeze(module),
            mean=data.mean,
            std=data.std,
            digest=weight_digest(module),
            architecture=self.session.experiment.networks[name].architecture or "",
            error=0.0,
            source="random",
            classes=len(data.classes),
        )
        self.session.add(network)

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
            self.known[key] = self._step(module, job, size)
        return self.known[key] * max(1, len(job.part) // size)

    def _step(self, module: nn.Module, job: Job, size: int) -> float:
        """Seconds of a step on so many images."""

        def steps(images: int, count: int = TIMED_STEPS) -> None:
            few = Part(job.part.images[:images], job.part.labels[:images])
            change = {"epochs": count, "stop_epoch": None, "batch_size": images, "learning_rate": HARMLESS}
            recipe = job.recipe.model_copy(update=change)
            train(module, replace(job, recipe=recipe, part=few), None, lambda _: None, lambda: False)

        tried = timed(steps, size, self.session.device)
        if tried.images < size:
            self.untried = max(self.untried, saved_by(lambda images: steps(images, 1), size))
        if tried.seconds > SHORT:
            return tried.seconds / TIMED_STEPS
        # Beside so short a step what a training sets up counts for much.
        begun = timed(lambda images: steps(images, 1), size, self.session.device)
        return max(tried.seconds - begun.seconds, 0.0) / (TIMED_STEPS - 1) or tried.seconds / TIMED_STEPS
