"""What the cuts of a traced network are called, and which of them end a block: read off its tree of modules."""

import itertools
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import fx, nn

from stitchtui.stitching.sizes import flows

WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)


def scopes(node: fx.Node) -> list[str]:
    """The paths of the modules that `node` lies in, outermost first; a repeated call has `@1`, `@2` appended."""
    return list(node.meta.get("nn_module_stack", {}))


def _ended(inner: Sequence[fx.Node], live: Sequence[fx.Node]) -> dict[fx.Node, list[str]]:
    """For each node the composite modules whose last node it is, outermost first."""
    following = dict(itertools.pairwise(live))
    ended = {}
    for node in inner:
        after = set(scopes(following[node]))
        leaf = scopes(node)[-1:] if node.op == "call_module" else []
        ended[node] = [s for s in scopes(node) if s not in after and s not in leaf]
    return ended


def names(inner: Sequence[fx.Node], live: Sequence[fx.Node], units: dict[fx.Node, str]) -> dict[fx.Node, str]:
    """A unique name for each cut: the block or module that ends there, a layer's path, or `layer+function`."""
    ended = _ended(inner, live)
    names: dict[fx.Node, str] = {}
    module = "input"
    for node in live:
        if node.op == "call_module":
            module = scopes(node)[-1]
        if node in ended:
            plain = module if node.op == "call_module" else f"{module}+{function_name(node)}"
            own = units[node] in (module, *ended[node])  # a module taken whole is its own block
            block = [units[node]] if own else ended[node][-1:]
            names[node] = _unused([*block, plain], set(names.values()))
    return names


def _unused(candidates: Sequence[str], taken: set[str]) -> str:
    for name in candidates:
        if name not in taken:
            return name
    numbered = (f"{candidates[-1]}@{count}" for count in itertools.count(1))
    return next(name for name in numbered if name not in taken)


def function_name(node: fx.Node) -> str:
    """What a node calls: the function's or method's name, or the path of the layer."""
    return str(getattr(node.target, "__name__", node.target)).strip("_")


def aliases(inner: Sequence[fx.Node], live: Sequence[fx.Node], names: dict[fx.Node, str]) -> dict[str, str]:
    """Other ways to say a cut: every module that ends there, and the bare layer or function."""
    aliases: dict[str, str] = {}
    ended = _ended(inner, live)
    for node in inner:
        leaf = scopes(node)[-1:] if node.op == "call_module" else [node.name]
        for alias in (*ended[node], *leaf):
            aliases.setdefault(alias, names[node])
    return aliases


def block_ends(network: nn.Module, live: Sequence[fx.Node], units: dict[fx.Node, str]) -> set[fx.Node]:
    """The nodes at which a block ends.

    A module that declares `block_cuts` is taken at its word. Otherwise a block is the outermost module of a class
    whose instances branch (a residual, an attention, parallel paths); what lies outside such modules is cut before
    each layer with weights, except inside a module that holds just one of those (a stem, a transition).
    """
    declared = getattr(network, "block_cuts", None)
    if declared is not None:
        ends = {s: n for n in live for s in scopes(n)}  # the last node of a scope wins
        return {ends[name] for name in declared if name in ends}
    return {a for a, b in itertools.pairwise(live) if units[a] != units[b]}


def last_positions(
    end: fx.Node, inner: Sequence[fx.Node], units: Mapping[fx.Node, str], shapes: Mapping[fx.Node, torch.Size]
) -> fx.Node:
    """The last cut of the block before its positions were flattened away, if they were: a stitch there stays small."""
    before = [
        n for n in inner[: inner.index(end)] if units[n] == units[end] and shapes[n].numel() == shapes[end].numel()
    ]
    kept = [n for n in before if len(shapes[n]) > 2 and shapes[n][2:].numel() > 1]
    return kept[-1] if len(shapes[end]) == 2 and kept else end


def units_of(network: nn.Module, live: Sequence[fx.Node]) -> dict[fx.Node, str]:
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
    composite = scopes(node)[:-1] if node.op == "call_module" else scopes(node)
    for scope in composite:
        if type(network.get_submodule(scope.partition("@")[0])) in classes:
            return scope
    if _is_whole(network, node):
        return scopes(node)[-1]
    for scope in composite:
        if sum(weights[n] for n in live if scope in n.meta.get("nn_module_stack", {})) == 1:
            return scope
    return None


def _is_whole(network: nn.Module, node: fx.Node) -> bool:
    """Whether the node is a module that was not looked into though it holds layers with weights: a block of its own."""
    if not _has_weights(network, node):
        return False
    return not isinstance(network.get_submodule(str(node.target)), WEIGHTED)


def _has_weights(network: nn.Module, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    return any(isinstance(m, WEIGHTED) for m in network.get_submodule(str(node.target)).modules())


def _branching_classes(network: nn.Module, live: Sequence[fx.Node]) -> set[type]:
    """Classes of modules within which some tensor has several consumers that lie in no smaller module together."""
    inside = set(live)
    classes: set[type] = set()
    for node in live:
        users = [u for u in node.users if u in inside and flows(node, u)]
        if len(users) > 1 and (scope := _common_scope(users)):
            classes.add(type(network.get_submodule(scope.partition("@")[0])))
    return classes - {nn.Sequential, nn.ModuleList}


def _common_scope(nodes: Iterable[fx.Node]) -> str | None:
    stacks = [scopes(n)[:-1] if n.op == "call_module" else scopes(n) for n in nodes]
    common = None
    for level in zip(*stacks, strict=False):
        if len(set(level)) > 1:
            break
        common = level[0]
    return common
