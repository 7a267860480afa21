"""What a plan will take: images and FLOPs counted, times what a short batch of each kind of network takes here.

About right is enough: within a factor of two on an idle machine, before a run has an ETA of its own.
"""

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from stitchtui.base.device import held_memory, pick
from stitchtui.base.work import finish
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.loading import load_dataset
from stitchtui.execute.calibration import Calibration, Speed
from stitchtui.execute.task_costs import LEARNT, NUMBER, TaskCosts
from stitchtui.measure.loaded import Loaded
from stitchtui.measure.session import Session
from stitchtui.networks import by_name, linear_heads
from stitchtui.networks.frozen import frozen, start_from
from stitchtui.networks.heads import last_linear
from stitchtui.networks.making import naming, own_data
from stitchtui.networks.network import Network, freeze, weight_digest
from stitchtui.networks.obtain import at_hand, from_file, from_name, obtain
from stitchtui.spec.experiment import Experiment, NetworkSpec
from stitchtui.spec.plan import Plan, resolve
from stitchtui.spec.training_order import whole
from stitchtui.stitching.memory import saved_by
from stitchtui.stitching.stitches import parameter_count

Row = dict[str, Any]
"""{"task": id, "cells": how many, "seconds": float, "bytes": int}"""

FEWEST = 4
"""Images that a network is looked at with."""
SEEN = {"classify": 1, "rotation": 1, "simclr": 2}
"""How often a step of each task runs the network for an image."""


def estimate(experiment: Experiment, device_name: str) -> list[Row]:
    """One row per network and per column, in the plan's order; nothing is written, and nothing trained.

    Networks that would have to be trained are stood in for by untrained ones of the same shape. Bytes are what this
    process holds by then, and what a step or a pass takes beside it. Raises BadInput as a run would.
    """
    with torch.random.fork_rng():  # building stand-ins draws numbers
        return _rows(resolve(experiment), pick(device_name))


def _rows(plan: Plan, device: torch.device) -> list[Row]:
    experiment = plan.experiment
    session = _Rough(experiment, device, load_dataset(experiment.data).to(device))
    names = [unit.network for unit in plan.networks]
    calibration = Calibration(session)
    networks, costs = _NetworkWork(session, calibration), TaskCosts(session, calibration)
    rows = [_row(device, f"network {name}", 0, *networks.of(name)) for name in names]
    return rows + [_row(device, task.id, *costs.of(task)) for task in plan.tasks]


def _row(device: torch.device, task: str, cells: int, seconds: float, beside: int) -> Row:
    return {"task": task, "cells": cells, "seconds": seconds, "bytes": held_memory(device) + beside}


class _Rough(Session):
    """A session whose random networks are good for their shapes only: calibrated and scored on a few images."""

    def _calibration_batches(self) -> list[torch.Tensor]:
        return [batch[:FEWEST] for batch in super()._calibration_batches()[:1]]

    def _own_test(self, loaded: Loaded) -> Part:
        return _few(super()._own_test(loaded))


def _few(part: Part) -> Part:
    return Part(part.images[:FEWEST], part.labels[:FEWEST])


class _NetworkWork:
    """What it takes to have each network; knows how far earlier trainings got."""

    def __init__(self, session: Session, calibration: Calibration) -> None:
        self.session, self.calibration = session, calibration
        self.reached: dict[str, int] = {}  # epochs, by the training that an earlier network ended a part of

    def of(self, name: str) -> tuple[float, int]:
        """Seconds and bytes for one network, which is in the session then, or one of its shape is."""
        networks, data, device = self.session.experiment.networks, self.session.dataset, self.session.device
        spec, images = networks[name], len(data.test)  # its chain is scored, wherever it comes from
        with naming(name):
            own, trains = own_data(spec, data), False
        if spec.made_here:
            trains = not spec.untrained and not at_hand(name, networks, data, device)
            with naming(name):
                self._add(name, self._stand_in(spec, own), own)
        elif spec.head == linear_heads.TRAIN:
            build = from_name if spec.checkpoint is None else from_file
            with naming(name):
                self._add(name, build(spec, own.shape, len(own.classes))[0].to(device), own)
            images += len(own.train) + len(own.test)
        else:
            few = replace(data, test=_few(data.test))
            self.session.add(finish(obtain(name, spec, few, device)))
            images += len(data.test)
        loaded = self.session.loaded[name]
        speed = self.calibration.speed(loaded)
        scored = speed.forward.seconds(images, images / self.session.experiment.evaluation_batch)
        if not trains:
            return scored, 0
        size = min(spec.train.batch_size, len(own.train)) * SEEN[spec.task]
        return scored + self._training(spec, len(own.train), speed), self._training_bytes(loaded, size)

    def _stand_in(self, spec: NetworkSpec, data: Dataset) -> nn.Module:
        """An untrained network of this shape, with the beginning that it would have."""
        architecture = spec.architecture or ""
        module = by_name.build(architecture, len(data.classes), data.shape, spec.width, spec.options)
        module = module.to(self.session.device)
        if spec.start_from is not None:
            start_from(module, self.session.loaded[spec.start_from].network.module, spec.start_from)
        if spec.task != "classify":
            last_linear(module)  # which the task's own head would replace
        with frozen(module, spec.frozen):
            return module

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

    def _training(self, spec: NetworkSpec, images: int, speed: Speed) -> float:
        """Seconds of the epochs that no earlier network's training goes through, and of a head's."""
        training, end = whole(spec).model_dump_json(), spec.train.stop_epoch or spec.train.epochs
        epochs = end - self.reached.get(training, 0)
        self.reached[training] = end
        size = min(spec.train.batch_size, images)
        steps = epochs * max(1, images // size)
        took = LEARNT * speed.back.seconds(steps * size * SEEN[spec.task], steps)
        if spec.task != "classify":  # then the head learns, on features that stay as they are
            steps = spec.probe.epochs * max(1, images // spec.probe.batch_size)
            took += speed.forward.seconds(spec.probe.epochs * images, steps)
        return took

    def _training_bytes(self, loaded: Loaded, size: int) -> int:
        """What a step of training holds: what its backward pass needs, gradients and momentum."""
        module = copy.deepcopy(loaded.network.module).requires_grad_(True).train()
        images = self.session.example(loaded)
        return saved_by(lambda count: module(images[:count]), size) + 2 * NUMBER * parameter_count(module)
