"""Training with some layers frozen: their parameters and buffers stay as they are."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain


def all_but(module: nn.Module, name: str) -> tuple[str, ...]:
    """The names that freeze everything in `module` except the layer called `name` and those within it."""
    frozen: list[str] = []
    path = name.split(".")
    for depth in range(len(path)):
        parent = module.get_submodule(".".join(path[:depth]))
        frozen += [".".join([*path[:depth], child]) for child, _ in parent.named_children() if child != path[depth]]
    return tuple(frozen)


@contextmanager
def frozen(module: nn.Module, names: Sequence[str]) -> Iterator[None]:
    """The layers called `names` with all that is within them in eval mode and without gradients, inside.

    Raises BadInput for a name that is no layer of `module`, and where nothing would be left to train.
    """
    known = [name for name, _ in module.named_modules() if name]
    for name in names:
        if name not in known:
            raise BadInput(f"frozen layer {not_known(plain(name), known)}", "frozen")
    layers = [module.get_submodule(name) for name in names]
    held = [p for layer in layers for p in layer.parameters() if p.requires_grad]
    if names and all(any(p is other for other in held) for p in module.parameters() if p.requires_grad):
        raise BadInput("every layer that has parameters is frozen; nothing would be left to train", "frozen")
    for layer in layers:
        layer.eval()
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def start_from(module: nn.Module, source: nn.Module, name: str) -> None:
    """Copies the weights of `source`, a network called `name`, into `module`; BadInput if it is built otherwise."""
    own, given = module.state_dict(), source.state_dict()
    if {key: value.shape for key, value in own.items()} != {key: value.shape for key, value in given.items()}:
        raise BadInput.at("start_from", f"'{plain(name)}' is built otherwise; expected the same architecture and width")
    module.load_state_dict(given)
