"""Seams into one top, and the one pass of it that serves them all."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain

JOINED_BYTES = 2 << 20
"""On a CPU, tensors join one batch up to this size: more saves no time there, it only takes copies."""

Features = Sequence[Tensor]
"""The bottom's tensors by boundary, as far as some seam reads them."""


@dataclass(frozen=True)
class Seam:
    """A stitch in its place: from boundary `bottom` of the bottom's chain to boundary `top` of the top's."""

    bottom: int
    top: int
    stitch: nn.Module


@dataclass(frozen=True)
class StitchedTop:
    """A top with the seams that lead into it: what a column trains."""

    top: Chain
    seams: Sequence[Seam]


See = Callable[[int, list[int], Tensor], None]
"""Called with a boundary below the output, the seams on board, and their tensor there [seams on board * batch, ...]."""


def column_outputs(top: Chain, seams: Sequence[Seam], features: Features, see: See = lambda *_: None) -> list[Tensor]:
    """Each stitched network's class scores [batch, classes], from the bottom's features at its boundaries 0, 1, ...

    The top runs once: at each boundary the newly stitched tensors join those that already travel. Below a seam's top
    boundary nothing of the top is run.
    """
    groups: list[tuple[list[int], Tensor]] = []  # seams on board, in the order of their tensors in one batch
    for boundary in range(min(c.top for c in seams), top.output + 1):
        boarding = (([k], c) for k, c in enumerate(seams) if c.top == boundary)
        groups += [(order, seam.stitch(features[seam.bottom])) for order, seam in boarding]
        if boundary == top.output:
            break
        groups = list(_joined(groups))
        for order, tensor in groups:
            see(boundary, order, tensor)
        groups = [(order, top.segments[boundary](tensor)) for order, tensor in groups]
    outputs = {k: chunk for order, t in groups for k, chunk in zip(order, t.chunk(len(order)), strict=True)}
    return [outputs[k] for k in range(len(seams))]


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
