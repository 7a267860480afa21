"""Cheap checks before a run starts, so that plain mistakes leave no run directory behind. No torch."""

import re
from collections.abc import Callable
from pathlib import Path

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.spec.datasets import IN_MEMORY, only_in_memory
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.settings import dotted


def check_device(device: str | None) -> None:
    """Raise BadInput unless `device` is spelt like one; whether it is there, only torch can say."""
    if device is not None and not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", device):
        raise BadInput.at("--device", f"'{plain(device)}' is not known; expected auto, cpu, mps, cuda or cuda:N")


def check_files(experiment: Experiment) -> None:
    """Raise BadInput for a checkpoint, a class's file or a dataset that isn't there, as none in memory is."""
    for name, network in experiment.networks.items():
        if network.checkpoint is not None:
            _file(dotted(("networks", name, "checkpoint")), network.checkpoint, "a checkpoint")
        if network.head not in (None, "train"):
            _file(dotted(("networks", name, "head")), network.head, "train, or the file of a linear head")
        where, _, _ = (network.architecture or "").rpartition(":")
        if where.endswith(".py"):
            _file(dotted(("networks", name, "architecture")), where, "a Python file")
    kind, _, place = experiment.data.name.partition(":")
    if kind == "npz":
        _file("data.name", place, "an .npz file")
    if kind == "folder" and not _is(Path.is_dir, place):
        why = "no such folder; expected one that holds a folder per class"
        raise BadInput.at("data.name", f"{plain(place)}: {why}")
    if experiment.data.name.startswith(IN_MEMORY):
        raise BadInput.at("data.name", only_in_memory(plain(experiment.data.name)))


def _file(key: str, place: str, expected: str) -> None:
    if _is(Path.is_file, place):
        return
    problem = "is a folder" if _is(Path.is_dir, place) else "no such file"
    raise BadInput.at(key, f"{plain(place)}: {problem}; expected {expected}")


def _is(kind: Callable[[Path], bool], place: str) -> bool:
    try:
        return kind(Path(place))
    except (OSError, ValueError):  # no permission on the way there, or a NUL in the name
        return False
