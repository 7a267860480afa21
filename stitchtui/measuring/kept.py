"""Trained stitches as files: what a run leaves for those who want to look inside."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import nn

from stitchtui.base.files import write_atomically
from stitchtui.spec.plan import Task


def keep(folder: Path, task: Task, trained: Mapping[str, nn.Module]) -> None:
    """Write a task's trained stitches, by row, into one file."""
    tensors = {f"{cut}/{name}": value for cut, s in trained.items() for name, value in s.state_dict().items()}
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    path = folder / f"{_file_name(task)}.safetensors"
    path.parent.mkdir(exist_ok=True)
    facts = {key: str(value) for key, value in task.as_dict().items()}
    write_atomically(path, safetensors.torch.save(contiguous, facts))


def _file_name(task: Task) -> str:
    words = (task.control or "pair", task.bottom, "to", task.top, task.family, f"seed{task.seed}")
    readable = "".join(c if c.isalnum() or c in "-_." else "_" for c in "-".join(words))
    return f"{readable}-{hashlib.sha256(task.id.encode()).hexdigest()[:6]}"  # "a b" and "a_b" are two networks
