"""Where a network can be cut: the scan over its traced graph, names for the cuts, and which of them end a block."""

import inspect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from stitchtui.errors import not_known
from stitchtui.stitching.out_of_place import make_out_of_place

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
CHANNELS_LAST = (nn.Linear, nn.LayerNorm)
CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


class Untraceable(ValueError):
    """A network that can't be turned into a graph; its text is one line that names the operation."""


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

    def __init__(self, network: nn.Module, example: Tensor) -> None:
        """`example` is a batch [2, channels, height, width] of what `network` takes; it is run through once."""
        defaults = _defaults(network)
        self.module = _trace(network, defaults)
        make_out_of_place(self.module)
        self.live = _live_nodes(self.module.graph)
        shapes = _shapes(network, self.module, (example, *defaults.values()))
        nodes = [n for n in cut_nodes(self.live) if n in shapes and shapes[n][0] == example.shape[0]]
        self.input, self.output = nodes[0], self.live[-1]
        inner = [n for n in nodes[1:] if n is not self.output]
        units = _units(network, self.live)
        ends = _block_ends(network, self.live, units)
        names = _names(inner, self.live, units)
        self.cuts: tuple[Cut, ...] = tuple(
            Cut(names[n], tuple(shapes[n][1:]), _channel_axis(self.module, n, shapes), n in ends) for n in inner
        )
        self.nodes: dict[str, fx.Node] = {names[n]: n for n in inner}
        self._aliases = _aliases(inner, self.live, names)

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

    def _cut_called(self, name: str) -> str:
        if name in self.nodes:
            return name
        if name in self._aliases:
            return self._aliases[name]
        raise ValueError(f"cuts: {not_known(name, [*self.nodes, *self._aliases])}")


def _defaults(network: nn.Module) -> dict[str, Any]:
    """The arguments beyond the images, which keep their defaults; tracing needs them as constants."""
    parameters = list(inspect.signature(network.forward).parameters.values())[1:]
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def _trace(network: nn.Module, defaults: dict[str, Any]) -> fx.GraphModule:
    try:
        return fx.symbolic_trace(network, concrete_args=defaults or None)
    except Exception as error:  # whatever the network's own code raises on a symbolic tensor
        raise Untraceable(f"{type(network).__name__} can't be traced by torch.fx: {_first_line(error)}") from error


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


class _ShapeReader(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.shapes: dict[fx.Node, torch.Size] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 2:
            self.shapes[n] = value.shape
        return value


def _shapes(network: nn.Module, module: fx.GraphModule, arguments: Sequence[Any]) -> dict[fx.Node, torch.Size]:
    reader = _ShapeReader(module)
    try:
        with torch.no_grad():
            reader.run(*arguments)
    except Exception as error:  # whatever the network's own code raises on these images
        size = "x".join(map(str, arguments[0].shape[1:]))
        raise Untraceable(f"{type(network).__name__} fails on images of {size}: {_first_line(error)}") from error
    return reader.shapes


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _channel_axis(module: fx.GraphModule, node: fx.Node, shapes: dict[fx.Node, torch.Size]) -> int:
    """Axis 1 for maps, -1 for vectors, tokens, and maps whose nearest layers read the channels last (Swin).

    The search goes both ways through whatever keeps the tensor's shape and order.
    """
    if len(shapes[node]) != 4:
        return -1
    waiting, seen = [node], {node}
    while waiting:
        here = waiting.pop(0)
        if here.op == "call_module":
            layer = module.get_submodule(str(here.target))
            if isinstance(layer, (*CHANNELS_LAST, *CHANNELS_FIRST)):
                return -1 if isinstance(layer, CHANNELS_LAST) else 1
        if here is not node and (_reorders(here) or shapes.get(here) != shapes[node]):
            continue
        near = [*here.all_input_nodes, *here.users]
        waiting += [n for n in near if n not in seen]
        seen.update(near)
    return 1


def _reorders(node: fx.Node) -> bool:
    return getattr(node.target, "__name__", str(node.target)) in {"permute", "transpose", "movedim", "mT"}


def _scopes(node: fx.Node) -> list[str]:
    """The paths of the modules that `node` lies in, outermost first; a repeated call has `@1`, `@2` appended."""
    return list(node.meta.get("nn_module_stack", {}))


def _ended(inner: Sequence[fx.Node], live: Sequence[fx.Node]) -> dict[fx.Node, list[str]]:
    """For each node the composite modules whose last node it is, outermost first."""
    following = dict(itertools.pairwise(live))
    ended = {}
    for node in inner:
        after = set(_scopes(following[node]))
        leaf = _scopes(node)[-1:] if node.op == "call_module" else []
        ended[node] = [s for s in _scopes(node) if s not in after and s not in leaf]
    return ended


def _names(inner: Sequence[fx.Node], live: Sequence[fx.Node], units: dict[fx.Node, str]) -> dict[fx.Node, str]:
    """A unique name for each cut: the block or module that ends there, a layer's path, or `layer+function`."""
    ended = _ended(inner, live)
    names: dict[fx.Node, str] = {}
    module = "input"
    for node in live:
        if node.op == "call_module":
            module = _scopes(node)[-1]
        if node in ended:
            plain = module if node.op == "call_module" else f"{module}+{_function(node)}"
            block = [units[node]] if units[node] in ended[node] else ended[node][-1:]
            names[node] = _unused([*block, plain], set(names.values()))
    return names


def _unused(candidates: Sequence[str], taken: set[str]) -> str:
    for name in candidates:
        if name not in taken:
            return name
    numbered = (f"{candidates[-1]}@{count}" for count in itertools.count(1))
    return next(name for name in numbered if name not in taken)


def _function(node: fx.Node) -> str:
    return str(getattr(node.target, "__name__", node.target)).strip("_")


def _aliases(inner: Sequence[fx.Node], live: Sequence[fx.Node], names: dict[fx.Node, str]) -> dict[str, str]:
    """Other ways to say a cut: every module that ends there, and the bare layer or function."""
    aliases: dict[str, str] = {}
    ended = _ended(inner, live)
    for node in inner:
        leaf = _scopes(node)[-1:] if node.op == "call_module" else [node.name]
        for alias in (*ended[node], *leaf):
            aliases.setdefault(alias, names[node])
    return aliases


def _block_ends(network: nn.Module, live: Sequence[fx.Node], units: dict[fx.Node, str]) -> set[fx.Node]:
    """The nodes at which a block ends.

    A module that declares `block_cuts` is taken at its word. Otherwise a block is the outermost module of a class
    whose instances branch (a residual, an attention, parallel paths); what lies outside such modules is cut before
    each layer with weights, except inside a module that holds just one of those (a stem, a transition).
    """
    declared = getattr(network, "block_cuts", None)
    if declared is not None:
        ends = {s: n for n in live for s in _scopes(n)}  # the last node of a scope wins
        return {ends[name] for name in declared if name in ends}
    return {a for a, b in itertools.pairwise(live) if units[a] != units[b]}


def _units(network: nn.Module, live: Sequence[fx.Node]) -> dict[fx.Node, str]:
    """Each node's block: the path of a branching or single-layer module, or a running number between them."""
    classes = _branching_classes(network, live)
    weights = {n: _has_weights(network, n) for n in live}
    count = 0
    units: dict[fx.Node, str] = {}
    for node in live:
        path = _block_of(network, node, live, classes, weights)
        if path is None:
            count += weights[node] or _leaves_a_block(units)
            path = f"#{count}"
        units[node] = path
    return units


def _leaves_a_block(units: dict[fx.Node, str]) -> bool:
    return bool(units) and not next(reversed(units.values())).startswith("#")


def _block_of(
    network: nn.Module,
    node: fx.Node,
    live: Sequence[fx.Node],
    classes: set[type],
    weights: dict[fx.Node, bool],
) -> str | None:
    composite = _scopes(node)[:-1] if node.op == "call_module" else _scopes(node)
    for scope in composite:
        if type(network.get_submodule(scope.partition("@")[0])) in classes:
            return scope
    for scope in composite:
        if sum(weights[n] for n in live if scope in n.meta.get("nn_module_stack", {})) == 1:
            return scope
    return None


def _has_weights(network: nn.Module, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(network.get_submodule(str(node.target)), WEIGHTED)


def _branching_classes(network: nn.Module, live: Sequence[fx.Node]) -> set[type]:
    """Classes of modules within which some tensor has several consumers that lie in no smaller module together."""
    inside = set(live)
    classes: set[type] = set()
    for node in live:
        users = [u for u in node.users if u in inside and not _reads_shape(u)]
        if len(users) > 1 and (scope := _common_scope(users)):
            classes.add(type(network.get_submodule(scope.partition("@")[0])))
    return classes - {nn.Sequential, nn.ModuleList}


def _reads_shape(node: fx.Node) -> bool:
    return node.target in {"size", "dim"} or (node.target is getattr and node.args[1] in {"shape", "device", "dtype"})


def _common_scope(nodes: Iterable[fx.Node]) -> str | None:
    stacks = [_scopes(n)[:-1] if n.op == "call_module" else _scopes(n) for n in nodes]
    common = None
    for level in zip(*stacks, strict=False):
        if len(set(level)) > 1:
            break
        common = level[0]
    return common
