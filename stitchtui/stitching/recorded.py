"""Calls that torch.fx would run, or fail at, while it traces a network, put into the graph as they are instead.

New tensors whose size is read off another one; how many images there are; and autograd functions, whose backward
pass would be lost if their forward pass were looked into.
"""

import builtins
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch
from torch import fx, nn

_NEW = (
    *("arange", "as_tensor", "empty", "eye", "finfo", "full", "iinfo", "linspace", "logspace", "ones", "rand"),
    *("randint", "randn", "randperm", "scalar_tensor", "tensor", "tril_indices", "triu_indices", "zeros"),
)


_len = len


class AutogradFunction:
    """Calls a subclass of torch.autograd.Function; fx wants something with a name of its own."""

    def __init__(self, kind: type[torch.autograd.Function]) -> None:
        self.kind, self.__name__, self.__module__ = kind, kind.__name__, kind.__module__

    def __call__(self, *args: Any) -> Any:
        """What the function makes of the tensors, with its own backward pass."""
        return self.kind.apply(*args)


@contextmanager
def recorded() -> Iterator[None]:
    """While open, such calls go into the graph of the symbolic values that they are given."""
    with ExitStack() as stack:
        for name in _NEW:
            function = getattr(torch, name)
            stack.enter_context(patch.object(torch, name, _or_node(function, function)))
        stack.enter_context(patch.object(builtins, "len", _length))
        for kind in _autograd_functions():
            with_context = kind.setup_context is torch.autograd.Function.setup_context
            forward = _or_node(kind.forward, AutogradFunction(kind), 1 if with_context else 0)
            stack.enter_context(patch.object(kind, "forward", staticmethod(forward)))
            if not with_context:
                prepare = _unless_symbolic(kind.setup_context)
                stack.enter_context(patch.object(kind, "setup_context", staticmethod(prepare)))
        yield


@contextmanager
def unmarked(network: nn.Module) -> Iterator[None]:
    """On leaving, no module of `network` holds a symbolic value that its forward() has put there."""
    held = [(d, dict(d)) for module in network.modules() for d in (vars(module), module._buffers)]
    try:
        yield
    finally:
        for now, before in held:
            for key in [key for key, value in now.items() if isinstance(value, fx.Proxy)]:
                if key in before:
                    now[key] = before[key]
                else:
                    del now[key]


def _length(of: Any) -> Any:
    try:
        return _len(of)
    except RuntimeError:  # of a symbolic value, such as a batch, whose length isn't always the same
        if isinstance(of, fx.Proxy):
            return of.tracer.create_proxy("call_function", _len, (of,), {})
        raise


def _or_node(function: Callable[..., Any], target: Callable[..., Any], hidden: int = 0) -> Callable[..., Any]:
    """`function`, which for symbolic arguments leaves a call of `target` without the `hidden` first ones."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        proxies = _proxies((args, kwargs))
        if not proxies:
            return function(*args, **kwargs)
        return proxies[0].tracer.create_proxy("call_function", target, args[hidden:], kwargs)

    return call


def _unless_symbolic(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: None if _proxies((args, kwargs)) else function(*args, **kwargs)


def _proxies(arguments: Any) -> list[fx.Proxy]:
    found: list[fx.Proxy] = []
    fx.node.map_aggregate(arguments, lambda a: found.append(a) if isinstance(a, fx.Proxy) else None)
    return found


def _autograd_functions() -> list[type[torch.autograd.Function]]:
    """Those that are not torch's own, of which checkpointing has to be looked into."""
    found: dict[type[torch.autograd.Function], None] = {}
    waiting = [torch.autograd.Function]
    while waiting:
        fresh = [kind for kind in waiting.pop().__subclasses__() if kind not in found]
        found.update(dict.fromkeys(fresh))
        waiting += fresh
    return [kind for kind in found if not kind.__module__.startswith("torch.")]
