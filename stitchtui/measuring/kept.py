"""Stitches as files: what a run leaves for those who want to look inside, and to use them."""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import safetensors.torch
from torch import Tensor

from stitchtui.base.files import write_atomically
from stitchtui.measuring.history import Known
from stitchtui.run.events import PlannedTask
from stitchtui.run.records import TaskState
from stitchtui.spec.plan import Task

Tensors = dict[str, dict[str, Tensor]]
"""The tensors of stitches by their names, by the stitches' rows."""


def keep(folder: Path, task: Task, stitches: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Write a task's stitches, by row, into one file."""
    path = folder / file_name(task)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, packed(stitches, task.as_dict()))


def take_over(folder: Path, task: Task, cells: Mapping[str, Known]) -> Tensors:
    """Keep the stitches of a task's cells that other runs measured, and return those that are still there.

    The other run may go, or be written over: the file is this run's own, if only by another name for the same bytes.
    Where it can't be made the run goes on without.
    """
    read = cache(_read)
    firsts = {row: next((p for p in known.kept if p[1] in read(p[0])), None) for row, known in cells.items()}
    places = {row: place for row, place in firsts.items() if place}
    found = {row: read(path)[name] for row, (path, name) in places.items()}
    sources = {path for path, _ in places.values()}
    alike = len(sources) == 1 and all(row == name for row, (_, name) in places.items())
    if found and not (alike and _linked(sources.pop(), folder / file_name(task))):
        with contextlib.suppress(OSError):
            keep(folder, task, found)
    return found


def _linked(source: Path, target: Path) -> bool:
    """Give the file a second name by a hard link; False where that can't be."""
    try:
        target.parent.mkdir(exist_ok=True)
        target.unlink(missing_ok=True)
        os.link(os.path.realpath(source), target)  # else the link of a symbolic link would be one
    except OSError:
        return False
    return True


def _read(path: Path) -> Tensors:
    try:
        return unpacked(path.read_bytes())
    except OSError:
        return {}


def packed(stitches: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, object]) -> bytes:
    """What such a file holds; `facts` say of which task."""
    tensors = {f"{row}/{name}": value for row, each in stitches.items() for name, value in each.items()}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return safetensors.torch.save(contiguous, {key: str(value) for key, value in facts.items()})


def unpacked(data: bytes) -> Tensors:
    """The stitches of such a file; none of one that is damaged, such as cut off."""
    found: Tensors = {}
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError:
        return found
    for key, tensor in tensors.items():
        row, _, name = key.rpartition("/")
        found.setdefault(row, {})[name] = tensor
    return found


def file_name(task: Task | TaskState | PlannedTask) -> str:
    """What the file of a task's stitches is called."""
    words = (task.control or "pair", task.bottom, "to", task.top, task.family, f"seed{task.seed}")
    readable = "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(words))
    return f"{readable}-{hashlib.sha256(task.id.encode()).hexdigest()[:6]}.safetensors"  # "a b" and "a_b" are two
