"""What a network computes in training and not in eval mode, in which it is traced and measured."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn

from stitchtui.stitching.blocks import function_name, scopes
from stitchtui.stitching.tracing import Untraceable, trace

SHOWN = 3


def training_difference(network: nn.Module, example: torch.Tensor, leaves: Sequence[str] = ()) -> str:
    """One line that names what differs between the network's graphs in training and in eval mode; "" if nothing does.

    Layers that know their mode by themselves, such as nn.Dropout and BatchNorm, look the same in both graphs.
    Raises Untraceable for a network that can't be traced in eval mode.
    """
    with _mode(network, training=False):
        evaluated = list(trace(network, example, leaves).module.graph.nodes)
    try:
        with _mode(network, training=True):
            trained = list(trace(network, example, leaves).module.graph.nodes)
    except Untraceable:
        return "in training it can't be traced; what it computes there beyond its eval mode is not known"
    more, fewer = _only(trained, evaluated), _only(evaluated, trained)
    other = [name for name in more if name in fewer]
    words = [
        f"{verb} {_listed(names)}"
        for verb, names in (
            ("also runs", [name for name in more if name not in other]),
            ("leaves out", [name for name in fewer if name not in other]),
            ("calls otherwise", other),
        )
        if names
    ]
    return f"in training, unlike here in eval mode, it {'; '.join(words)}" if words else ""


@contextmanager
def _mode(network: nn.Module, *, training: bool) -> Iterator[None]:
    before = [(module, module.training) for module in network.modules()]
    state = {name: value.clone() for name, value in network.named_buffers()}
    network.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was
        with torch.no_grad():
            for name, value in network.named_buffers():
                value.copy_(state[name])  # running statistics, if the example was run


def _only(here: Sequence[fx.Node], there: Sequence[fx.Node]) -> list[str]:
    """Names of what is in one graph only: a module that the other never enters, else the call."""
    entered = {scope for node in there for scope in scopes(node)}
    known = Counter(map(_key, there))
    found: dict[str, None] = {}
    for node in here:
        key = _key(node)
        known[key] -= 1
        if known[key] < 0 and node.op.startswith("call"):
            new = [scope for scope in scopes(node) if scope not in entered]
            found[new[0] if new else "+".join([*scopes(node)[-1:], function_name(node)])] = None
    return list(found)


def _key(node: fx.Node) -> tuple[str, str, str, str]:
    constants = fx.node.map_arg((node.args, node.kwargs), lambda _: "a tensor")
    where = "" if node.op == "placeholder" else ".".join(scopes(node)[-1:])
    return node.op, where, str(node.target), repr(constants)


def _listed(names: Iterable[Any]) -> str:
    every = list(names)
    rest = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + rest
