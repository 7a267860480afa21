"""A network as a chain of segments between cuts: the one idea that everything else stands on."""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stitchtui.stitching.cuts import Cut, Traced


class Normalise(nn.Module):
    """Images as they are fed, mostly pixels in [0, 1], to what a network expects: (x - mean) / std, per channel."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, height, width] to the same."""
        return (x - self.mean) / self.std


@dataclass(frozen=True)
class CutFacts:
    """What a person wants to know about a cut before choosing it."""

    depth: float  # share of the network's FLOPs spent before it, 0 to 1
    parameters: int  # in the layers before it


class Chain:
    """Segments in order; boundary 0 is the input, 1 to len(cuts) are the cuts, len(cuts) + 1 is the output.

    `segments[i]` leads from boundary i to boundary i + 1. They share the network's own layers: nothing is copied.
    """

    def __init__(self, traced: Traced, cuts: Sequence[Cut], normalise: nn.Module | None = None) -> None:
        self.cuts = tuple(cuts)
        nodes = [traced.input, *(traced.nodes[c.name] for c in cuts), traced.output]
        segments: list[nn.Module] = [traced.segment(start, end) for start, end in itertools.pairwise(nodes)]
        if normalise is not None:
            segments[0] = nn.Sequential(normalise, segments[0])
        self.segments = nn.ModuleList(segments).eval()

    def with_segments(self, segments: Sequence[nn.Module]) -> "Chain":
        """The same cuts between other segments."""
        other = copy.copy(self)
        other.segments = nn.ModuleList(segments)
        return other

    @property
    def output(self) -> int:
        """The boundary after the last segment."""
        return len(self.segments)

    def index(self, name: str) -> int:
        """The boundary called `name`: a cut's name, `input` or `output`."""
        names = ["input", *(c.name for c in self.cuts), "output"]
        return names.index(name)

    def upto(self, boundary: int) -> nn.Sequential:
        """The network from its input to `boundary`."""
        return nn.Sequential(*self.segments[:boundary])

    def after(self, boundary: int) -> nn.Sequential:
        """The network from `boundary` to its output."""
        return nn.Sequential(*self.segments[boundary:])

    def features(self, x: Tensor, upto: int | None = None) -> list[Tensor]:
        """The tensors at boundaries 0, 1, ..., `upto` (the output if not given), from one pass."""
        tensors = [x]
        for part in self.segments[:upto]:
            tensors.append(part(tensors[-1]))
        return tensors

    def facts(self, example: Tensor) -> list[CutFacts]:
        """Depth in FLOPs (multiplications of convolutions, matrices, attention) and parameters, for each cut."""
        flops, parameters = [], []
        with torch.no_grad():
            for segment in self.segments:
                with FlopCounterMode(display=False) as counter:
                    example = segment(example)
                flops.append(counter.get_total_flops())
                parameters.append(sum(p.numel() for p in segment.parameters()))
        total = max(1, sum(flops))
        return [CutFacts(sum(flops[:i]) / total, sum(parameters[:i])) for i in range(1, len(self.segments))]
