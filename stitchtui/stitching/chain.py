"""A network as a chain of segments between cuts: the one idea that everything else stands on."""

import copy
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.utils.flop_counter import FlopCounterMode

from stitchtui.stitching.cuts import Axes, Cut, Traced


class Normalise(nn.Module):
    """Pixels in [0, 1] to what a network expects: (x - mean) / std, per channel."""

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
        segments: list[nn.Module] = [_segment(traced, start, end) for start, end in itertools.pairwise(nodes)]
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
        for segment in self.segments[:upto]:
            tensors.append(segment(tensors[-1]))
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


def stand_in(x: Tensor, shape: tuple[int, ...], axes: Axes, dtype: torch.dtype | None) -> Tensor:
    """Zeros as large as a tensor below the cut, for what reads its sizes above; they take no memory.

    `x` is the tensor at the cut, [batch, *shape]. `dtype` is
    that of `x` where it is None. Raises ValueError for images of another size than were traced.
    """
    if x.shape[1:] != shape:
        expected = "x".join(map(str, shape))
        raise ValueError(f"the tensor at a cut has {list(x.shape)}; expected {expected} for each image, as traced")
    return x.new_zeros((), dtype=dtype).expand([fixed + each * len(x) for fixed, each in axes])


def _segment(traced: Traced, start: fx.Node, end: fx.Node) -> fx.GraphModule:
    """The nodes that `end` needs, back to `start`, as a module of one tensor."""
    needed, measured = _needed(traced, start, end)
    graph = fx.Graph()
    copies = {start: graph.placeholder("x")}
    for node in measured:
        copies[node] = graph.call_function(stand_in, (copies[start], *traced.alike(node, start)))
    for node in traced.module.graph.nodes:
        if node in needed:
            copies[node] = graph.node_copy(node, lambda n: copies[n])
    graph.output(copies[end])
    return fx.GraphModule(traced.module, graph)


def _needed(traced: Traced, start: fx.Node, end: fx.Node) -> tuple[set[fx.Node], list[fx.Node]]:
    """The nodes after `start` that `end` needs, and those before it whose sizes it needs, in order."""
    needed: set[fx.Node] = set()
    measured: set[fx.Node] = set()
    waiting = [end]
    while waiting:
        node = waiting.pop()
        if node is start or node in needed:
            continue
        needed.add(node)
        for source in node.all_input_nodes:
            if (source, node) in traced.of_sizes:
                measured.add(source)
            else:
                waiting.append(source)
    return needed, [n for n in traced.module.graph.nodes if n in measured - needed - {start}]
