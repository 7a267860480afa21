"""The last linear layer of a network: found, and replaced by a head for another task."""

from torch import nn

from stitchtui.base.errors import BadInput


def last_linear(module: nn.Module) -> str:
    """The name of the last linear layer, which gives the class scores. Raises BadInput where there is none."""
    names = [name for name, layer in module.named_modules() if name and isinstance(layer, nn.Linear)]
    if not names:
        raise BadInput("has no linear layer at its end that a head for another task could replace")
    return names[-1]


def linear(module: nn.Module, name: str) -> nn.Linear:
    """The linear layer called `name`."""
    layer = module.get_submodule(name)
    if not isinstance(layer, nn.Linear):
        raise TypeError(f"{name} is a {type(layer).__name__}, not a linear layer")
    return layer


def put(module: nn.Module, name: str, head: nn.Module) -> None:
    """Put `head` where the layer called `name` is, on its device."""
    parent, _, last = name.rpartition(".")
    device = next(module.get_submodule(name).parameters()).device
    setattr(module.get_submodule(parent), last, head.to(device))
