"""The architectures of this package, and of those installed beside it, by name. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from stitchtui.base.registry import Registry

Option = bool | int | float | str


@dataclass(frozen=True)
class Architecture:
    """How to build a network, and the options it takes with their defaults.

    `build` is named as `module:object`; it is called with the number of classes, one image's shape [channels, height,
    width] and the width, with `fixed` and the options by name, and gives an untrained module from torch's own seed.
    """

    name: str
    build: str
    fixed: Mapping[str, int] = field(default_factory=dict)
    options: Mapping[str, Option] = field(default_factory=dict)


_RESNET = "stitchtui.networks.resnet"
_VIT_OPTIONS: Mapping[str, Option] = {"patch": 4, "depth": 6, "heads": 6, "dim": 192, "mlp_ratio": 4.0, "pool": "mean"}

ARCHITECTURES = Registry(
    "architectures",
    Architecture,
    (
        Architecture("resnet18", f"{_RESNET}:resnet18"),
        Architecture("resnet20", f"{_RESNET}:basic_resnet", {"blocks": 3}),
        Architecture("resnet56", f"{_RESNET}:basic_resnet", {"blocks": 9}),
        Architecture("resnet110", f"{_RESNET}:basic_resnet", {"blocks": 18}),
        Architecture("resnet164", f"{_RESNET}:bottleneck_resnet", {"blocks": 18}),
        Architecture("myrtle5", "stitchtui.networks.myrtle:myrtle5"),
        Architecture("vit", "stitchtui.networks.vit:vit", options=_VIT_OPTIONS),
        Architecture("digits_cnn", "stitchtui.networks.digits:digits_cnn"),
    ),
)
"""Every architecture that is built here; torchvision's, timm's and a user's own are asked for where they are."""
