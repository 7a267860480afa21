"""The part of a traced network between two cuts, as a module of one tensor."""

from typing import Protocol

import torch
from torch import Tensor, fx

Axes = tuple[tuple[int, int], ...]
"""How long each axis of a tensor is: (so much, so much for each image), one of which is 0."""
Edge = tuple[fx.Node, fx.Node]


class Graph(Protocol):
    """What is asked of a traced network."""

    module: fx.GraphModule
    of_sizes: set[Edge]

    def alike(self, node: fx.Node, start: fx.Node) -> tuple[tuple[int, ...], Axes, torch.dtype | None]:
        """What `stand_in` makes a tensor of, at `start`, that is as large and of the kind of the one at `node`."""


def stand_in(x: Tensor, shape: tuple[int, ...], axes: Axes, dtype: torch.dtype | None) -> Tensor:
    """Zeros as large as a tensor below the cut, for what reads its sizes above; they take no memory.

    `x` is the tensor at the cut, [batch, *shape]; `axes` are those of the tensor below, whose dtype is that of `x`
    where `dtype` is None. Raises ValueError for images of another size than were traced.
    """
    if x.shape[1:] != shape:
        expected = "x".join(map(str, shape))
        raise ValueError(f"the tensor at a cut has {list(x.shape)}; expected {expected} for each image, as traced")
    return x.new_zeros((), dtype=dtype).expand([fixed + each * len(x) for fixed, each in axes])


def segment_of(traced: Graph, start: fx.Node, end: fx.Node) -> fx.GraphModule:
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


def _needed(traced: Graph, start: fx.Node, end: fx.Node) -> tuple[set[fx.Node], list[fx.Node]]:
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
