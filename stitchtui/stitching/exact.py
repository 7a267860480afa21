"""What of a network's graph is torch's own and nothing more, so that it may be rewritten."""

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules import module as every_module

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_HOOKS_OF_ALL = tuple(f"_global{kind}" for kind in _HOOKS)


def is_exactly(layer: Any, *kinds: type[nn.Module]) -> bool:
    """Whether a layer computes what one of torch's `kinds` does, and nothing else.

    A subclass may compute something else, and so may a layer with hooks, with parametrisations (which make it a
    subclass; the older ones of weights are hooks) or with a forward() that was set on the instance.
    """
    if type(layer) not in kinds or any(getattr(every_module, name, None) for name in _HOOKS_OF_ALL):
        return False
    hooked = any(getattr(layer, name) for name in _HOOKS)
    changed = any(callable(value) for value in vars(layer).values())
    return not hooked and not changed


def calls(node: fx.Node, name: str) -> bool:
    """Whether a node calls torch's function or a tensor's method of this name."""
    if node.op == "call_method":
        return node.target == name
    return node.op == "call_function" and node.target in [getattr(m, name, None) for m in (torch, F, operator)]
