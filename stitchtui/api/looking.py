"""Where a network can be cut."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.api.asking import Source
from stitchtui.base import device as devices
from stitchtui.base.errors import BadInput
from stitchtui.execute.network_facts import cut_rows
from stitchtui.networks.in_memory import borrowed
from stitchtui.networks.obtain import Looked, from_file, from_name
from stitchtui.spec.experiment import NetworkSpec
from stitchtui.spec.presets import network_said


@dataclass(frozen=True)
class Place:
    """A cut of a network: a place where one tensor carries everything from input to output."""

    name: str  # what `cuts` of `stitch` takes
    shape: tuple[int, ...]  # of the tensor there, for one image
    depth: float  # the share of the network's FLOPs before it
    parameters: int  # of the layers before it
    block: bool  # whether a block of the network ends there


def cuts(
    model: Source, example: Any = None, *, every: bool = False, leaves: Sequence[str] = (), classes: int = 10
) -> list[Place]:
    """Return the places where a network can be cut, from input to output.

    Args:
        model: A module, a checkpoint's path, a name as the command line takes it, or a preset's table of a network.
        example: A batch of images [n, channels, height, width] as the network takes them, or one image's shape
            (channels, height, width). A module needs one; others have their own, or else (3, 32, 32).
        every: Whether to return all, and not those alone where a block ends.
        leaves: Layers, by path or class, to take whole where the network can't be traced inside.
        classes: How many a named network has, where nothing says it.

    Raises:
        BadInput: The network can't be read, can't be traced, or doesn't take such images.
    """
    torchs = devices.Settings()
    with torchs.in_force():
        module, shape = _network(model, example, classes)
        rows, _ = cut_rows(module, shape, tuple(leaves))
    places = [Place(r["name"], tuple(r["shape"]), r["depth"], r["parameters"], r["block"]) for r in rows]
    return [place for place in places if every or place.block]


def _network(model: Source, example: Any, classes: int) -> tuple[nn.Module, tuple[int, int, int]]:
    shape = None if example is None else _shape(example)
    if isinstance(model, nn.Module):
        if shape is None:
            raise BadInput.at("example", "expected a batch of images, or one image's shape: a module doesn't say it")
        device = next((weights.device for weights in model.parameters()), torch.device("cpu"))
        return borrowed(model, device, torch.rand(2, *shape, device=device)), shape
    module, shape, _ = _named(model, shape, classes)
    return module, shape


def _named(model: Any, shape: tuple[int, int, int] | None, classes: int) -> Looked:
    if isinstance(model, str | os.PathLike):
        name = os.fspath(model)
        is_file = Path(name).exists() or name.endswith((".pt", ".pth", ".safetensors", ".bin"))
        model = network_said(name, None) if is_file or ":" in name else {"architecture": name}
    spec = NetworkSpec.model_validate(model)
    return from_file(spec, shape, classes) if spec.checkpoint is not None else from_name(spec, shape, classes)


def _shape(example: Any) -> tuple[int, int, int]:
    said = tuple(example.shape)[1:] if hasattr(example, "shape") else tuple(example)
    if len(said) != 3 or not all(isinstance(size, int) and size > 0 for size in said):
        raise BadInput.at("example", f"expected images [n, channels, height, width] or three sizes, got {list(said)}")
    return said[0], said[1], said[2]
