"""The memory of a column's step: an estimate per seam, and groups of seams that fit."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.multiprocessing.reductions import StorageWeakRef

from stitchtui.spec.objectives import OBJECTIVES, TASK, is_matched_last
from stitchtui.stitching.chain import Chain

SAMPLES = 2, 4
"""Numbers of images that the estimate is measured on: what grows with them, and what doesn't, such as cast weights."""
PASSING = 3
"""How many tensors of a seam's largest size a pass holds beyond what it saves: an input, an output, a gradient."""


class _Seam(Protocol):
    @property
    def bottom(self) -> int: ...
    @property
    def top(self) -> int: ...
    @property
    def stitch(self) -> nn.Module: ...


@dataclass(frozen=True)
class Costs:
    """The most bytes that a training step holds beyond the networks: for the bottom's features, and for each seam."""

    features: int
    seams: tuple[int, ...]

    @property
    def total(self) -> int:
        """All seams in one turn."""
        return self.features + sum(self.seams)

    def within(self, budget: int | None) -> int:
        """All seams, in as many turns as fit into `budget` bytes; what doesn't fit alone is tried all the same."""
        return self.total if budget is None else min(self.total, max(budget, self.features + max(self.seams)))


def step_costs(bottom: Chain, top: Chain, seams: Sequence[_Seam], images: Tensor, objective: str = TASK.name) -> Costs:
    """What a step on a batch like `images` will take, measured on a few of them in the precision that is on.

    Networks must be in eval mode, since they are run here.
    """
    small, large = (_Measure(bottom, top, seams, images[:count], objective).all() for count in SAMPLES)
    more = (len(images) - SAMPLES[0]) / (SAMPLES[1] - SAMPLES[0])
    features, *each = (math.ceil(a + max(0.0, more * (b - a))) for a, b in zip(small, large, strict=True))
    return Costs(features, tuple(each))


def split(costs: Sequence[int], budget: int) -> list[range]:
    """Neighbouring seams in as few groups as fit into `budget` bytes each; a seam that doesn't fit is alone."""
    groups: list[range] = []
    first = 0
    for k in range(1, len(costs) + 1):
        if k == len(costs) or sum(costs[first : k + 1]) > budget:
            groups.append(range(first, k))
            first = k
    return groups


class _Measure:
    """The bytes that a step takes on a few images."""

    def __init__(self, bottom: Chain, top: Chain, seams: Sequence[_Seam], images: Tensor, objective: str) -> None:
        self.top, self.seams, self.objective = top, seams, objective
        with torch.no_grad():
            self.features = bottom.features(images, max(c.bottom for c in seams))
            self.own = top.features(images)
        self.bottom = bottom

    def all(self) -> list[int]:
        """Return the bytes of what all seams share, and of each seam."""
        tails = self._tails(min(c.top for c in self.seams))
        each = [_stitch_bytes(c.stitch, self.features[c.bottom]) + tails[c.top] for c in self.seams]
        # While the bottom runs, its largest tensors pass; while it has run, those at the cuts are held.
        inner = [_saved(segment, x) for segment, x in zip(self.bottom.segments, self.features[:-1], strict=False)]
        largest = max(f.nbytes for f in self.features)
        shared = sum(f.nbytes for f in self.features) + PASSING * max([largest, *(max(sizes) for sizes in inner)])
        return [shared + (0 if not OBJECTIVES[self.objective].needs_top else sum(f.nbytes for f in self.own)), *each]

    def _tails(self, first: int) -> dict[int, int]:
        """What one network's tail takes from each boundary of the top on."""
        saved, largest, tails = 0, self.own[-1].nbytes, {self.top.output: 0}
        for boundary in reversed(range(first, self.top.output)):
            tensor = self.own[boundary]
            sizes = _saved(self.top.segments[boundary], tensor)
            saved += sum(sizes) + self._matching(boundary)
            largest = max(largest, tensor.nbytes, *sizes)
            tails[boundary] = saved + PASSING * largest
        return tails

    def _matching(self, boundary: int) -> int:
        """The difference from the top's own tensor and its square, in float32, where the objective asks for them."""
        last = is_matched_last(OBJECTIVES[self.objective]) and boundary == self.top.output - 1
        return 8 * self.own[boundary].numel() if last or OBJECTIVES[self.objective].matches == "later" else 0


def _stitch_bytes(stitch: nn.Module, x: Tensor) -> int:
    # A copy: running a stitch in train mode may change its statistics.
    return sum(_saved(copy.deepcopy(stitch).train(), x, needs_gradient=False))


def _saved(module: nn.Module, x: Tensor, needs_gradient: bool = True) -> list[int]:
    """The bytes of each tensor that a forward pass of `module` leaves: its output, and what a backward pass needs.

    Its own weights and its input are left out.
    """
    x = x.detach().requires_grad_(needs_gradient)
    known = {_place(t) for t in (x, *module.parameters(), *module.buffers())}
    found: dict[StorageWeakRef, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if (place := _place(tensor)) not in known:
            found[place] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda tensor: tensor):
        out = module(x)
    found[_place(out)] = out.untyped_storage().nbytes()
    return [0, *(size for place, size in found.items() if place not in known)]


def _place(tensor: Tensor) -> StorageWeakRef:
    """Where a tensor's numbers are; told apart on the meta device, too, where there are none."""
    return StorageWeakRef(tensor.untyped_storage())


def saved_by(work: Callable[[int], object], images: int) -> int:
    """The bytes that a backward pass needs of `work(images)`, measured on a few; weights are among them."""
    few, more = (_saved_in(work, count) for count in SAMPLES)
    return math.ceil(more + (images - SAMPLES[1]) * max(0, more - few) / (SAMPLES[1] - SAMPLES[0]))


def _saved_in(work: Callable[[int], object], images: int) -> int:
    found: list[Tensor] = []  # held, so that no two have one place in memory after another

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        work(images)
    return sum({_place(t): t.untyped_storage().nbytes() for t in found}.values())
