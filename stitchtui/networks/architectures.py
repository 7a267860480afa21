"""Architectures by name: those of this package, torchvision's, and a user's own class."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from torch import nn

from stitchtui.errors import BadInput, not_known
from stitchtui.networks import from_torchvision, own_code
from stitchtui.networks.digits import digits_cnn
from stitchtui.networks.myrtle import myrtle5
from stitchtui.networks.reasons import reason
from stitchtui.networks.resnet import basic_resnet, bottleneck_resnet, resnet18
from stitchtui.networks.vit import vit
from stitchtui.text import plain

Option = bool | int | float | str


@dataclass(frozen=True)
class Architecture:
    """How to build a network, and the options it takes with their defaults."""

    build: Callable[..., nn.Module]
    options: Mapping[str, Option] = field(default_factory=dict)


OWN: dict[str, Architecture] = {
    "resnet18": Architecture(resnet18),
    "resnet20": Architecture(partial(basic_resnet, blocks=3)),
    "resnet56": Architecture(partial(basic_resnet, blocks=9)),
    "resnet110": Architecture(partial(basic_resnet, blocks=18)),
    "resnet164": Architecture(partial(bottleneck_resnet, blocks=18)),
    "myrtle5": Architecture(myrtle5),
    "vit": Architecture(vit, {"patch": 4, "depth": 6, "heads": 6, "dim": 192, "mlp_ratio": 4.0, "pool": "mean"}),
    "digits_cnn": Architecture(digits_cnn),
}


def names() -> list[str]:
    """Every architecture known by name, this package's own first."""
    return [*OWN, *(name for name in from_torchvision.names() if name not in OWN)]


def canonical(architecture: str, weights: str | None = None) -> str:
    """The one name of an architecture: `torchvision:NAME` for torchvision's.

    `resnet18` is in both: with `weights` it is torchvision's, without them this package's.
    Raises BadInput if the name is not known.
    """
    if own_code.is_reference(architecture) or (architecture in OWN and weights is None):
        return architecture
    name = architecture.removeprefix(from_torchvision.PREFIX)
    if name in from_torchvision.names():
        return from_torchvision.PREFIX + name
    if architecture in OWN:
        raise BadInput(f"architecture {architecture}: it has no published weights; leave `weights` out to train it")
    hint = "; a class of your own is path/to/file.py:Class"
    raise BadInput(f"architecture: {plain(not_known(name, names()))}{hint}")


def build(
    architecture: str,
    classes: int,
    shape: tuple[int, int, int],
    width: float = 1.0,
    options: Mapping[str, Option] | None = None,
    *,
    weights: str | None = None,
) -> nn.Module:
    """A network with `classes` outputs for images of `shape` [channels, height, width], from torch's global seed.

    Raises BadInput for a name, width, option or weights that can't be used.
    """
    name = canonical(architecture, weights)
    chosen = options or {}
    try:
        if name in OWN:
            return _own(name, classes, shape, width, chosen)
        if width != 1.0:
            raise BadInput(f"architecture {plain(name)}: width {width:g} can't be used, it has no width to scale")
        if not own_code.is_reference(name):
            return from_torchvision.build(name.removeprefix(from_torchvision.PREFIX), classes, chosen, weights)
        if weights is not None:
            raise BadInput(f"architecture {plain(name)}: weights are torchvision's; give a `checkpoint` instead")
        return own_code.build(name, classes, chosen)
    except (RuntimeError, MemoryError) as error:
        raise BadInput(f"architecture {plain(name)}: can't be built: {reason(error)}") from None


def _own(
    name: str, classes: int, shape: tuple[int, int, int], width: float, options: Mapping[str, Option]
) -> nn.Module:
    architecture = OWN[name]
    checked = {key: _checked(name, key, value) for key, value in options.items()}
    return architecture.build(classes, shape, width, **{**architecture.options, **checked})


def _checked(name: str, key: str, value: Option) -> Option:
    known = OWN[name].options
    if not known:
        raise BadInput(f"architecture {name}: option '{plain(key)}' is not known; it takes no options")
    if key not in known:
        raise BadInput(f"architecture {name}: option {plain(not_known(key, known))}")
    kind = type(known[key])
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (not isinstance(value, str) and value <= 0):
        expected = {int: "a positive integer", float: "a positive number"}.get(kind, "a word")
        raise BadInput(f"architecture {name}, option {key}: expected {expected}, got {plain(repr(value))}")
    return value
