"""Where a network can be cut: the scan over its traced graph, names for the cuts, and which of them end a block."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchtui.base.errors import not_known
from stitchtui.stitching import tracing
from stitchtui.stitching.blocks import aliases, block_ends, function_name, last_positions, names, units_of
from stitchtui.stitching.faithful import check_chain, check_outputs, own_outputs
from stitchtui.stitching.out_of_place import drop_unused, make_out_of_place
from stitchtui.stitching.segments import Axes, segment_of
from stitchtui.stitching.sizes import flows

Untraceable = tracing.Untraceable
Edge = tuple[fx.Node, fx.Node]
Kind = tuple[torch.Size, torch.dtype]
CHANNELS_LAST = (nn.Linear, nn.LayerNorm, nn.RMSNorm, nn.MultiheadAttention)
CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Cut:
    """A place where exactly one tensor carries everything from input to output."""

    name: str
    shape: tuple[int, ...]  # of the tensor for one image
    channel_axis: int  # 1 for [batch, channels, ...], -1 for [batch, ..., channels]
    block: bool  # whether a block ends here

    @property
    def channels(self) -> int:
        """How many numbers there are at each position."""
        return self.shape[0] if self.channel_axis == 1 else self.shape[-1]

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape of what is not channels: (height, width), (tokens,), or ()."""
        return self.shape[1:] if self.channel_axis == 1 else self.shape[:-1]


class Traced:
    """A network as a graph, with every cut in it in order from input to output."""

    def __init__(self, network: nn.Module, example: Tensor, leaves: Sequence[str] = ()) -> None:
        """`example` is a batch [n, channels, height, width] of what `network` takes; it is run through a few times.

        `leaves` are modules that are not looked into, by path or class. Raises Untraceable, also for a network whose
        graph would compute something else than it does itself.
        """
        batch = tracing.several(example)
        own = own_outputs(network, batch)
        self.scores: Tensor = own[0]  # of the network itself, for the example's first images
        graph = tracing.trace(network, batch, leaves)
        self.module, self.whole = graph.module, graph.whole
        make_out_of_place(self.module)
        drop_unused(self.module)
        self.of_sizes = _size_edges(self.module.graph)
        self.live = _live_nodes(self.module.graph, self.of_sizes)
        read = _read(network, self, (batch.clone(), *graph.arguments))
        fewer = _read(network, self, (batch[:-2].clone(), *graph.arguments))
        check_outputs(graph, own, read.scores, fewer.scores, read.written_over())
        self._kinds = read.kinds
        self._axes = _axes(read.kinds, fewer.kinds, len(batch), len(batch) - 2)
        self.of_sizes = {edge for edge in self.of_sizes if edge[0] in self._axes}
        self.live = _live_nodes(self.module.graph, self.of_sizes)
        shapes = {n: s for n, (s, dtype) in read.kinds.items() if dtype.is_floating_point and len(s) > 1}
        shapes = {n: s for n, s in shapes.items() if self._axes.get(n) == ((0, 1), *((size, 0) for size in s[1:]))}
        cut_at = cut_nodes(self.live, self.of_sizes)
        self.input, *later = [n for n in cut_at if n in shapes]  # of forward(*inputs) what is first taken from them
        self.output = self.live[-1]
        axes = {n: _channel_axis(self.module, n, shapes) for n in later if n is not self.output}
        inner = [n for n, axis in axes.items() if axis is not None]
        units = units_of(network, self.live)
        ends = {last_positions(n, inner, units, shapes) for n in block_ends(network, self.live, units) if n in inner}
        named = names(inner, self.live, units)
        self.cuts: tuple[Cut, ...] = tuple(
            Cut(named[n], tuple(shapes[n][1:]), axis, n in ends) for n, axis in axes.items() if axis is not None
        )
        self.nodes: dict[str, fx.Node] = {named[n]: n for n in inner}
        self._aliases = aliases(inner, self.live, named)
        ends_of_segments = itertools.pairwise([self.input, *inner, self.output])
        self._segments: dict[Edge, fx.GraphModule] = {}
        segments = [self.segment(*ends) for ends in ends_of_segments] if self.of_sizes else [self.module]
        chain = nn.Sequential(*segments)  # the graph itself, where no cut has to do without a tensor
        self.notes = (*graph.notes, *check_chain(network, graph, chain, batch, own[0]))

    def segment(self, start: fx.Node, end: fx.Node) -> fx.GraphModule:
        """The network from `start` to `end`, always the same module: to make one costs more than to run it on a few."""
        if (start, end) not in self._segments:
            self._segments[start, end] = segment_of(self, start, end)
        return self._segments[start, end]

    def select(self, wanted: str | Sequence[str]) -> tuple[Cut, ...]:
        """The cuts at block level (`blocks`), `all` of them, or those named, in order from the input.

        A module's path names the cut at its end. Raises ValueError, in one line, for a name that is no cut.
        """
        if wanted == "all":
            return self.cuts
        if wanted == "blocks":
            return tuple(c for c in self.cuts if c.block) or self.cuts
        names = {self._cut_called(name) for name in wanted}
        return tuple(c for c in self.cuts if c.name in names)

    def knows(self, name: str) -> bool:
        """Whether a cut is called so, or a module whose path this is ends at one."""
        return name in self.nodes or name in self._aliases

    @property
    def other_names(self) -> dict[str, tuple[str, ...]]:
        """What else `select` takes for each cut, by its name: mostly the paths of modules that end there."""
        found: dict[str, list[str]] = {}
        for alias, name in self._aliases.items():
            if alias not in self.nodes:  # else it is another cut's own name
                found.setdefault(name, []).append(alias)
        return {name: tuple(others) for name, others in found.items()}

    def lay_out_channels_last(self) -> None:
        """Lay the network's weights out channels last, where convolutions run faster.

        What is taken whole keeps the usual order: a view() in there, unlike those of the graph, may count on it.
        """
        for tensor in itertools.chain(self.module.parameters(), self.module.buffers()):
            if tensor.dim() == 4:  # module.to() would fail at tensors of five axes
                tensor.data = tensor.data.to(memory_format=torch.channels_last)
        for path in self.whole:
            layer = self.module.get_submodule(path)
            if not type(layer).__module__.startswith("timm.layers"):  # layers that take both
                layer.to(memory_format=torch.contiguous_format)
                layer.register_forward_pre_hook(_contiguous)

    @property
    def source(self) -> str:
        """The code of what is taken whole, which the graph says nothing of."""
        return tracing.source(self.module, self.whole)

    def alike(self, node: fx.Node, start: fx.Node) -> tuple[tuple[int, ...], Axes, torch.dtype | None]:
        """What `stand_in` makes a tensor of, at `start`, that is as large and of the kind of the one at `node`."""
        (shape, own), (_, dtype) = self._kinds[start], self._kinds[node]
        return tuple(shape[1:]), self._axes[node], None if dtype == own else dtype

    def _cut_called(self, name: str) -> str:
        if name in self.nodes:
            return name
        if name in self._aliases:
            return self._aliases[name]
        raise ValueError(f"cuts: {not_known(name, [*self.nodes, *self._aliases])}")


def _contiguous(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.contiguous() if isinstance(x, Tensor) else x for x in inputs)


def _live_nodes(graph: fx.Graph, of_sizes: Collection[Edge]) -> list[fx.Node]:
    """The nodes that carry the images' numbers from the input to the output, in order; the output's is the last."""
    result = next(n for n in graph.nodes if n.op == "output").args[0]
    if not isinstance(result, fx.Node):
        kind = type(result).__name__
        raise Untraceable(f"the network returns a {kind}; expected one tensor of class scores")
    fed = {next(n for n in graph.nodes if n.op == "placeholder")}
    for node in graph.nodes:
        if any(n in fed and (n, node) not in of_sizes for n in node.all_input_nodes):
            fed.add(node)
    needed, waiting = {result}, [result]
    while waiting:
        here = waiting.pop()
        near = {n for n in here.all_input_nodes if n in fed and (n, here) not in of_sizes} - needed
        needed |= near
        waiting += near
    return [n for n in graph.nodes if n in needed]


def cut_nodes(live: Sequence[fx.Node], of_sizes: Collection[Edge] = ()) -> list[fx.Node]:
    """Every node that no edge jumps over: a scan in order, with the farthest consumer seen so far.

    Edges `of_sizes` don't count: a cut can do without the tensor that they lead from.
    """
    position = {node: i for i, node in enumerate(live)}
    found, farthest = [], 0
    for i, node in enumerate(live):
        if farthest <= i:  # every earlier tensor has been used up by here
            found.append(node)
        users = (u for u in node.users if u in position and (node, u) not in of_sizes)
        farthest = max([farthest, *(position[user] for user in users)])
    return found


def _size_edges(graph: fx.Graph) -> set[Edge]:
    return {(n, user) for n in graph.nodes for user in n.users if n.op != "get_attr" and not flows(n, user)}


class _Reader(fx.Interpreter):
    """Runs a graph and keeps the shape and the dtype of every tensor, and the tensors themselves at the cuts."""

    def __init__(self, traced: Traced) -> None:
        super().__init__(traced.module)
        self.kinds: dict[fx.Node, Kind] = {}
        self.scores = torch.empty(0)
        self._cuts = set(cut_nodes(traced.live, traced.of_sizes))
        self._made: dict[fx.Node, tuple[Tensor, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.kinds[n] = value.shape, value.dtype
            if n in self._cuts:
                self._made[n] = value, value._version
        return value

    def written_over(self) -> fx.Node | None:
        """The first cut whose tensor was written over once it had been handed out."""
        return next((n for n, (value, version) in self._made.items() if value._version != version), None)


def _read(network: nn.Module, traced: Traced, arguments: Sequence[Any]) -> _Reader:
    reader = _Reader(traced)
    try:
        with torch.no_grad():
            reader.scores = reader.run(*arguments)
    except Exception as error:  # such as a size that tracing took for a constant
        raise Untraceable(f"{type(network).__name__}: its graph can't be run: {tracing.first_line(error)}") from error
    return reader


def _axes(kinds: Mapping[fx.Node, Kind], fewer: Mapping[fx.Node, Kind], many: int, few: int) -> dict[fx.Node, Axes]:
    """How long each axis of a tensor is: so much in any batch, or so much for each image; from two batches' tensors.

    A tensor with another axis is left out.
    """
    found = {}
    for node, (shape, _) in kinds.items():
        smaller = fewer[node][0] if node in fewer else ()
        axes = tuple((a, 0) if a == b else (0, a // many) for a, b in zip(shape, smaller, strict=False))
        if [fixed + each * few for fixed, each in axes] == list(smaller) and len(shape) == len(smaller):
            found[node] = axes
    return found


def _channel_axis(module: fx.GraphModule, node: fx.Node, shapes: dict[fx.Node, torch.Size]) -> int | None:
    """1 where the nearest layers read the channels on axis 1, -1 where on the last (vectors, tokens, Swin's maps).

    None for more than two axes of positions where no layer tells, such as a map that was cut into windows. The search
    goes both ways through whatever keeps the tensor's shape and order; a layer that tells is one that the tensor goes
    into, or comes out of.
    """
    if len(shapes[node]) == 2:
        return -1
    if function_name(node) in {"reshape", "view", "flatten"} and (axis := _kept_axis(module, node, shapes)):
        return axis
    waiting, seen = [node], {node}
    while waiting:
        here = waiting.pop(0)
        if (axis := _axis_of(module, here)) is not None:
            return axis
        if here is not node and shapes.get(here) != shapes[node]:
            continue
        near = [u for u in here.users if not _reorders(u)] + ([] if _reorders(here) else here.all_input_nodes)
        waiting += [n for n in near if n not in seen]
        seen.update(near)
    return {3: -1, 4: 1}.get(len(shapes[node]))


def _kept_axis(module: fx.GraphModule, node: fx.Node, shapes: dict[fx.Node, torch.Size]) -> int | None:
    """Where a reshaped tensor has the channels of the one it was made from, if it left them where they were."""
    source = node.all_input_nodes[0]
    if source not in shapes:
        return None
    axis = _channel_axis(module, source, shapes)
    return axis if axis is not None and shapes[source][axis] == shapes[node][axis] else None


def _axis_of(module: fx.GraphModule, node: fx.Node) -> int | None:
    """Where the layer or function at `node` has its channels, if it tells."""
    if node.op == "call_module":
        layer = module.get_submodule(str(node.target))
        if isinstance(layer, (*CHANNELS_LAST, *CHANNELS_FIRST)):
            return -1 if isinstance(layer, CHANNELS_LAST) else 1
    name = function_name(node)
    if node.op == "call_function" and name in {"layer_norm", "linear", "rms_norm"}:
        return -1
    return 1 if node.op == "call_function" and name.startswith(("conv", "batch_norm", "group_norm")) else None


def _reorders(node: fx.Node) -> bool:
    return function_name(node) in {"permute", "transpose", "movedim", "mT", "swapaxes"}
