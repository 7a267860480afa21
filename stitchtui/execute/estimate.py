"""What a plan will take: images, FLOPs and bytes counted on networks without numbers, times how fast this device is.

About right is enough: within a factor of three on an idle machine, before a run has an ETA of its own.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.base.device import held_memory, memory_budget, pick
from stitchtui.base.errors import BadInput
from stitchtui.base.files import stamp
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.execute.calibration import Calibration, Speed
from stitchtui.execute.meta_build import MetaBuild, ShapesOnly
from stitchtui.execute.task_costs import LEARNT, NUMBER, TaskCosts
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.session import EXAMPLE_IMAGES, Session
from stitchtui.networks import by_name, linear_heads
from stitchtui.networks.frozen import frozen, start_from
from stitchtui.networks.heads import last_linear
from stitchtui.networks.making import naming, own_data
from stitchtui.networks.network import Network, freeze
from stitchtui.networks.obtain import at_hand, from_file, from_name
from stitchtui.spec.experiment import DataSpec, Experiment, NetworkSpec
from stitchtui.spec.plan import Plan, resolve
from stitchtui.spec.training_order import whole
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.memory import saved_by
from stitchtui.stitching.stitches import parameter_count

Row = dict[str, Any]
"""{"task": id, "cells": how many, "seconds": float, "bytes": int}"""

META, CPU = torch.device("meta"), torch.device("cpu")
MOST_KNOWN = 16
_KNOWN: dict[tuple[object, ...], Loaded] = {}
"""Networks without numbers that an estimate has looked at, by what they are made of: the next asks for the same."""
SEEN = {"classify": 1, "rotation": 1, "simclr": 2}
"""How often a step of each task runs the network for an image."""


def estimate(experiment: Experiment, device_name: str) -> list[Row]:
    """One row per network and per column, in the plan's order; nothing is written, and nothing trained.

    Networks that would have to be trained are stood in for by untrained ones of the same shape. Bytes are what this
    process holds by then, and what a step or a pass takes beside it. Raises BadInput as a run would.
    """
    with torch.random.fork_rng(), ShapesOnly():  # building stand-ins draws numbers
        return _rows(resolve(experiment), pick(device_name))


def _rows(plan: Plan, device: torch.device) -> list[Row]:
    experiment = plan.experiment
    session = _Shapes(experiment, META, _dataset(experiment.data.model_dump_json()), memory=memory_budget(device, None))
    names = [unit.network for unit in plan.networks]
    calibration = Calibration(session, device)
    networks, costs = _NetworkWork(session, calibration), TaskCosts(session, calibration)
    rows = [_row(f"network {name}", 0, *networks.of(name)) for name in names]
    rows += [_row(task.id, *costs.of(task)) for task in plan.tasks]
    held = held_memory(device) + sum(_bytes(loaded) for loaded in session.loaded.values())
    return [{**row, "bytes": held + row["bytes"]} for row in rows]


def check_cuts(plan: Plan, dataset: Dataset) -> None:
    """Raise BadInput where cuts are named that a network which has to be trained won't have, or that can't be joined.

    They are looked for in networks of the same shapes without numbers; one that can't be had so says it in its turn.
    """
    networks, named = plan.experiment.networks, (not isinstance(r.stitch.cuts, str) for r in plan.experiment.requests)
    made = [unit.network for unit in plan.networks if networks[unit.network].made_here]
    if not any(named) or all(at_hand(name, networks, dataset, CPU) for name in made):
        return
    with torch.random.fork_rng([]), ShapesOnly():
        session = _Shapes(plan.experiment, META, dataset)
        for name in made:
            with suppress(Exception):  # such as a comparison of tensors without numbers
                session.have(name)
        for loaded in session.loaded.values():
            session.cuts_of(loaded)
        for task in plan.tasks:
            if not task.control and {task.bottom, task.top} <= session.loaded.keys():
                session.column_cuts(task)


def _row(task: str, cells: int, seconds: float, beside: int) -> Row:
    return {"task": task, "cells": cells, "seconds": seconds, "bytes": beside}


@lru_cache(maxsize=2)
def _dataset(spec: str) -> Dataset:
    """The images that an experiment is about: read once, however often what is asked about them changes."""
    return load_dataset(DataSpec.model_validate_json(spec))


def _bytes(loaded: Loaded) -> int:
    module = loaded.network.module
    return sum(tensor.nbytes for tensor in (*module.parameters(), *module.buffers()))


class _Shapes(Session):
    """A session whose networks have shapes and no numbers, so that running them takes next to nothing."""

    def _example(self, normalise: Normalise) -> torch.Tensor:
        return normalise(torch.empty(EXAMPLE_IMAGES, *self.dataset.shape, device=self.device))

    def add(self, network: Network, origin: str | None = None) -> Loaded:
        """Trace it, but for its graph's digest, which goes by numbers."""
        loaded = super().add(network, origin)
        loaded.graph_digest = ""
        return loaded

    def _randomised(self, trained: Loaded, name: str) -> Loaded:
        loaded = replace(trained, network=replace(trained.network, name=name))
        loaded.graph_digest = ""
        return loaded

    def chain(self, loaded: Loaded, cuts: Sequence[Cut]) -> Chain:
        """The network cut at `cuts`; one of another precision counts as if it were of this."""
        return Chain(loaded.traced, cuts, loaded.normalise)

    def have(self, name: str) -> Dataset:
        """Take up the network called `name`, or where it is made here one of its shape; return the data it is for."""
        spec = self.experiment.networks[name]
        with naming(name):
            own = own_data(spec, self.dataset)
            self._take(name, self._stand_in if spec.made_here else _looked_at, own)
        return own

    def _stand_in(self, spec: NetworkSpec, data: Dataset) -> nn.Module:
        """An untrained network of this shape, with the beginning that it would have."""
        module = _without_numbers(
            lambda: by_name.build(spec.architecture or "", len(data.classes), data.shape, spec.width, spec.options)
        )
        if spec.start_from is not None:
            start_from(module, self.loaded[spec.start_from].network.module, spec.start_from)
        if spec.task != "classify":
            last_linear(module)  # which the task's own head would replace
        with frozen(module, spec.frozen):
            return module

    def _take(self, name: str, build: Callable[[NetworkSpec, Dataset], nn.Module], data: Dataset) -> None:
        spec = self.experiment.networks[name]
        files = [spec.checkpoint, (spec.architecture or "").rpartition(":")[0]]
        key = (spec.model_dump_json(), data.shape, len(data.classes), *(stamp(Path(file)) for file in files if file))
        if key in _KNOWN and spec.start_from is None:
            known = _KNOWN[key]
            self.loaded[name] = replace(known, network=replace(known.network, name=name), origin=name)
            self.loaded[name].graph_digest = ""
            return
        network = Network(
            name=name,
            module=freeze(build(spec, data)),
            mean=data.mean,
            std=data.std,
            digest=name,
            architecture=spec.architecture or "",
            error=0.0,
            source="random",
            classes=len(data.classes),
        )
        if len(_KNOWN) >= MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[key] = self.add(network)


class _NetworkWork:
    """What it takes to have each network; knows how far earlier trainings got."""

    def __init__(self, session: _Shapes, calibration: Calibration) -> None:
        self.session, self.calibration = session, calibration
        self.reached: dict[str, int] = {}  # epochs, by the training that an earlier network ended a part of

    def of(self, name: str) -> tuple[float, int]:
        """Seconds and bytes for one network, which is in the session then, or one of its shape is."""
        networks, data = self.session.experiment.networks, self.session.dataset
        spec, images = networks[name], len(data.test)  # its chain is scored, wherever it comes from
        own = self.session.have(name)
        trains = spec.made_here and not spec.untrained and not at_hand(name, networks, data, CPU)
        if not spec.made_here:
            images += len(own.train) + len(own.test) if spec.head == linear_heads.TRAIN else len(data.test)
        loaded = self.session.loaded[name]
        speed = self.calibration.speed(loaded)
        scored = speed.forward.seconds(images, images / self.session.experiment.evaluation_batch)
        if not trains:
            return scored, 0
        size = min(spec.train.batch_size, len(own.train)) * SEEN[spec.task]
        return scored + self._training(spec, len(own.train), speed), self._training_bytes(loaded, size)

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


def _looked_at(spec: NetworkSpec, data: Dataset) -> nn.Module:
    """A network that comes with its weights, once these were found to fit. Raises BadInput."""
    build = from_name if spec.checkpoint is None else from_file
    return build(spec, data.shape, len(data.classes))[0].to(META)


def _without_numbers(build: Callable[[], nn.Module]) -> nn.Module:
    """The network that is built, without numbers from the start where that works: large ones take long to fill."""
    try:
        with MetaBuild():
            return build().to(META)
    except BadInput:
        raise
    except Exception:  # such as a layer that computes with its weights while it is made
        return build().to(META)
