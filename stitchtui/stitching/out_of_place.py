"""A traced network made free of in-place operations, which would change a tensor that a cut has already handed out."""

import inspect
import operator
from typing import Any

import torch
from torch import Tensor, fx

_OPERATORS = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
}


def make_out_of_place(module: fx.GraphModule) -> None:
    """Replace each in-place operation of the graph and of the layers it calls by its equal that makes a new tensor."""
    for layer in module.modules():
        if getattr(layer, "inplace", False) is True:
            layer.inplace = False  # type: ignore[assignment]
    for node in module.graph.nodes:
        if node.op == "call_function":
            node.target = _function(node.target)
            node.kwargs = {k: False if k == "inplace" else v for k, v in node.kwargs.items()}
            last = node.args[-1] if node.args else None  # a 1 is no True: group_norm(x, 1)
            if getattr(node.target, "__module__", "") == "torch.nn.functional" and last is True:
                node.args = (*node.args[:-1], _last(node))
        elif node.op == "call_method" and _is_in_place(str(node.target)):
            node.target = str(node.target)[:-1]
        if node.op == "call_method" and node.target == "view":
            node.target = "reshape"  # the same numbers, also where channels lie last in memory
    module.recompile()


def writes_for_effect(module: fx.GraphModule) -> bool:
    """Whether something is written over that is read elsewhere, too, which an operation of its own would not change."""
    return any(
        _writes(module, node) and (not node.users or len(node.all_input_nodes[0].users) > 1)
        for node in module.graph.nodes
    )


def _writes(module: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        return getattr(module.get_submodule(str(node.target)), "inplace", False) is True
    if node.op not in {"call_method", "call_function"}:
        return False
    name = str(getattr(node.target, "__name__", node.target))
    return node.kwargs.get("inplace") is True or node.target in _OPERATORS or _writes_over(name)


def drop_unused(module: fx.GraphModule) -> None:
    """Erase what leads nowhere, so that running the graph shows what a chain computes, which leaves that out."""
    for node in reversed(list(module.graph.nodes)):
        if not node.users and node.op not in {"placeholder", "output"}:
            module.graph.erase_node(node)
    module.recompile()


def _function(target: Any) -> Any:
    if target in _OPERATORS:
        return _OPERATORS[target]
    name = getattr(target, "__name__", "")
    return getattr(torch, name[:-1], target) if _is_in_place(name) else target


def _writes_over(name: str) -> bool:
    return name.endswith("_") and not name.endswith("__") and hasattr(Tensor, name)


def _is_in_place(name: str) -> bool:
    return _writes_over(name) and hasattr(Tensor, name[:-1])


def _last(node: fx.Node) -> bool:
    """The last positional argument of a functional that was called with True there: False if it means in place."""
    names = list(inspect.signature(node.target).parameters)  # type: ignore[arg-type]
    return names[len(node.args) - 1] != "inplace"
