"""Where a network can be cut: the scan over its traced graph, names for the cuts, and which of them end a block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchtui.errors import not_known
from stitchtui.stitching import tracing
from stitchtui.stitching.blocks import aliases, block_ends, function_name, last_positions, names, units_of
from stitchtui.stitching.out_of_place import drop_unused, make_out_of_place

Untraceable = tracing.Untraceable
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
        expected = _own_output(network, batch)
        graph = tracing.trace(network, batch, leaves)
        self.module, self.notes, self.whole = graph.module, graph.notes, graph.whole
        make_out_of_place(self.module)
        self.live = _live_nodes(self.module.graph)
        drop_unused(self.module)
        read = _read(network, self, (batch.clone(), *graph.arguments))
        fewer = _read(network, self, (batch[:-2].clone(), *graph.arguments))
        _verify(network, (expected, read.scores, fewer.scores), read.written_over())
        shapes = {n: s for n, s in read.shapes.items() if fewer.shapes.get(n) == (len(batch) - 2, *s[1:])}
        nodes = [n for n in cut_nodes(self.live) if n in shapes and shapes[n][0] == len(batch)]
        self.input, self.output = nodes[0], self.live[-1]
        inner = [n for n in nodes[1:] if n is not self.output]
        units = units_of(network, self.live)
        ends = {last_positions(n, inner, units, shapes) for n in block_ends(network, self.live, units) if n in inner}
        named = names(inner, self.live, units)
        self.cuts: tuple[Cut, ...] = tuple(
            Cut(named[n], tuple(shapes[n][1:]), _channel_axis(self.module, n, shapes), n in ends) for n in inner
        )
        self.nodes: dict[str, fx.Node] = {named[n]: n for n in inner}
        self._aliases = aliases(inner, self.live, named)

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
        self.module.to(memory_format=torch.channels_last)
        for path in self.whole:
            layer = self.module.get_submodule(path)
            if not type(layer).__module__.startswith("timm.layers"):  # layers that take both
                layer.to(memory_format=torch.contiguous_format)
                layer.register_forward_pre_hook(_contiguous)

    @property
    def source(self) -> str:
        """The code of what is taken whole, which the graph says nothing of."""
        return tracing.source(self.module, self.whole)

    def _cut_called(self, name: str) -> str:
        if name in self.nodes:
            return name
        if name in self._aliases:
            return self._aliases[name]
        raise ValueError(f"cuts: {not_known(name, [*self.nodes, *self._aliases])}")


def _contiguous(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.contiguous() if isinstance(x, Tensor) else x for x in inputs)


def _live_nodes(graph: fx.Graph) -> list[fx.Node]:
    """The nodes that lie on a way from the input to the output, in order; the output's tensor is the last."""
    placeholder = next(n for n in graph.nodes if n.op == "placeholder")
    result = next(n for n in graph.nodes if n.op == "output").args[0]
    if not isinstance(result, fx.Node):
        kind = type(result).__name__
        raise Untraceable(f"the network returns a {kind}; expected one tensor of class scores")
    needed, waiting = {result}, [result]
    while waiting:
        for node in waiting.pop().all_input_nodes:
            if node not in needed:
                needed.add(node)
                waiting.append(node)
    fed = {placeholder}
    for node in graph.nodes:
        if any(n in fed for n in node.all_input_nodes):
            fed.add(node)
    return [n for n in graph.nodes if n in needed and n in fed]


def cut_nodes(live: Sequence[fx.Node]) -> list[fx.Node]:
    """Every node that no edge jumps over: a scan in order, with the farthest consumer seen so far."""
    position = {node: i for i, node in enumerate(live)}
    found, farthest = [], 0
    for i, node in enumerate(live):
        if farthest <= i:  # every earlier tensor has been used up by here
            found.append(node)
        farthest = max([farthest, *(position[user] for user in node.users if user in position)])
    return found


class _Reader(fx.Interpreter):
    """Runs a graph and keeps the shape of every tensor that a stitch could work on, and the tensors at the cuts."""

    def __init__(self, traced: Traced) -> None:
        super().__init__(traced.module)
        self.shapes: dict[fx.Node, torch.Size] = {}
        self.scores = torch.empty(0)
        self._cuts = set(cut_nodes(traced.live))
        self._made: dict[fx.Node, tuple[Tensor, int]] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.is_floating_point() and 2 <= value.dim() <= 4:
            self.shapes[n] = value.shape
            if n in self._cuts:
                self._made[n] = value, value._version
        return value

    def written_over(self) -> fx.Node | None:
        """The first cut whose tensor was written over once it had been handed out."""
        return next((n for n, (value, version) in self._made.items() if value._version != version), None)


def _own_output(network: nn.Module, batch: Tensor) -> Any:
    try:
        with torch.no_grad():
            return network(batch.clone())
    except Exception as error:  # whatever the network's own code raises on these images
        size = "x".join(map(str, batch.shape[1:]))
        raise Untraceable(f"{type(network).__name__} fails on images of {size}: {tracing.first_line(error)}") from error


def _read(network: nn.Module, traced: Traced, arguments: Sequence[Any]) -> _Reader:
    reader = _Reader(traced)
    try:
        with torch.no_grad():
            reader.scores = reader.run(*arguments)
    except Exception as error:  # such as a size that tracing took for a constant
        raise Untraceable(f"{type(network).__name__}: its graph can't be run: {tracing.first_line(error)}") from error
    return reader


def _verify(network: nn.Module, outputs: tuple[Tensor, Tensor, Tensor], written: fx.Node | None) -> None:
    """Raises Untraceable if the graph differs from the network, or an image's scores from its batch's company.

    `written` is a cut whose tensor was written over after it had been handed out.
    """
    expected, graph, fewer = outputs
    if expected.is_meta:  # an outline of the network, without numbers to compare
        return
    name, tolerance = type(network).__name__, 1e-3 * (1 + float(expected.abs().max()))
    if written is not None or float((graph - expected).abs().max()) > tolerance:
        where = "" if written is None else f", such as what {written.name} makes,"
        raise Untraceable(
            f"{name} writes over its own tensors (in-place operations){where} in a way that a cut would undo; "
            "set inplace=False, and write x = x + y for x += y"
        )
    if float((fewer - expected[: len(fewer)]).abs().max()) > tolerance:
        raise Untraceable(
            f"{name} mixes the images of a batch (such as BatchNorm without running statistics), "
            "so its cells would depend on each other"
        )


def _channel_axis(module: fx.GraphModule, node: fx.Node, shapes: dict[fx.Node, torch.Size]) -> int:
    """1 where the nearest layers read the channels on axis 1, -1 where on the last (vectors, tokens, Swin's maps).

    The search goes both ways through whatever keeps the tensor's shape and order; a layer that tells is one that
    the tensor goes into, or comes out of.
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
    return 1 if len(shapes[node]) == 4 else -1


def _kept_axis(module: fx.GraphModule, node: fx.Node, shapes: dict[fx.Node, torch.Size]) -> int | None:
    """Where a reshaped tensor has the channels of the one it was made from, if it left them where they were."""
    source = node.all_input_nodes[0]
    if source not in shapes:
        return None
    axis = _channel_axis(module, source, shapes)
    return axis if shapes[source][axis] == shapes[node][axis] else None


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
