"""Stitches as files: what a run leaves for those who want to look inside, and to use them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from stitchtui.base.files import write_atomically
from stitchtui.run.records import TaskState
from stitchtui.spec.plan import Task

Tensors = dict[str, dict[str, Tensor]]
"""The tensors of stitches by their names, by the stitches' rows."""


def keep(folder: Path, task: Task, stitches: Mapping[str, nn.Module]) -> None:
    """Write a task's stitches, by row, into one file."""
    path = folder / file_name(task)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, packed({row: s.state_dict() for row, s in stitches.items()}, task.as_dict()))


def packed(stitches: Mapping[str, Mapping[str, Tensor]], facts: Mapping[str, object]) -> bytes:
    """What such a file holds; `facts` say of which task."""
    tensors = {f"{row}/{name}": value for row, each in stitches.items() for name, value in each.items()}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return safetensors.torch.save(contiguous, {key: str(value) for key, value in facts.items()})


def unpacked(data: bytes) -> Tensors:
    """The stitches of such a file."""
    found: Tensors = {}
    for key, tensor in safetensors.torch.load(data).items():
        row, _, name = key.rpartition("/")
        found.setdefault(row, {})[name] = tensor
    return found


def file_name(task: Task | TaskState) -> str:
    """What the file of a task's stitches is called."""
    words = (task.control or "pair", task.bottom, "to", task.top, task.family, f"seed{task.seed}")
    readable = "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(words))
    return f"{readable}-{hashlib.sha256(task.id.encode()).hexdigest()[:6]}.safetensors"  # "a b" and "a_b" are two
