"""A column of cells, and the one pass of its top that serves them all."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain

JOINED_BYTES = 2 << 20
"""On a CPU, tensors join one batch up to this size: more saves no time there, it only takes copies."""

Features = Sequence[Tensor]
"""The bottom's tensors by boundary, as far as some cell reads them."""


@dataclass(frozen=True)
class Cell:
    """Where a stitch sits: from boundary `bottom` of the bottom's chain to boundary `top` of the top's."""

    bottom: int
    top: int
    stitch: nn.Module


@dataclass(frozen=True)
class Column:
    """The cells that lead into one top."""

    top: Chain
    cells: Sequence[Cell]


See = Callable[[int, list[int], Tensor], None]
"""Told the tensor [cells on board * batch, ...] that some cells have at a boundary below the output."""


def column_outputs(top: Chain, cells: Sequence[Cell], features: Features, see: See = lambda *_: None) -> list[Tensor]:
    """Each stitched network's class scores [batch, classes], from the bottom's features at its boundaries 0, 1, ...

    The top runs once: at each boundary the newly stitched tensors join those that already travel. Below a cell's top
    boundary nothing of the top is run.
    """
    groups: list[tuple[list[int], Tensor]] = []  # cells on board, in the order of their tensors in one batch
    for boundary in range(min(c.top for c in cells), top.output + 1):
        boarding = (([k], c) for k, c in enumerate(cells) if c.top == boundary)
        groups += [(order, cell.stitch(features[cell.bottom])) for order, cell in boarding]
        if boundary == top.output:
            break
        groups = list(_joined(groups))
        for order, tensor in groups:
            see(boundary, order, tensor)
        groups = [(order, top.segments[boundary](tensor)) for order, tensor in groups]
    outputs = {k: chunk for order, t in groups for k, chunk in zip(order, t.chunk(len(order)), strict=True)}
    return [outputs[k] for k in range(len(cells))]


def _joined(groups: Sequence[tuple[list[int], Tensor]]) -> Iterator[tuple[list[int], Tensor]]:
    """Neighbouring groups as one, as far as that saves time."""
    limit = JOINED_BYTES if groups and groups[0][1].device.type == "cpu" else math.inf
    order: list[int] = []
    parts: list[Tensor] = []
    for more, tensor in groups:
        if parts and sum(p.nbytes for p in parts) + tensor.nbytes > limit:
            yield order, _cat(parts)
            order, parts = [], []
        order, parts = order + more, [*parts, tensor]
    if parts:
        yield order, _cat(parts)


def _cat(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def numbers(top: Chain, boundary: int) -> int:
    """How many numbers there are for one image at a cut; none are counted at the input and the output."""
    inner = 1 <= boundary <= len(top.cuts)
    return torch.Size(top.cuts[boundary - 1].shape).numel() if inner else 0
