"""The size of images that a network is for, as those say it who publish it, and as it says it itself."""

from collections.abc import Mapping
from typing import Any

from torch import nn

Shape = tuple[int, int, int]
USUAL: Shape = (3, 32, 32)
"""One image's shape where nothing says any."""


def own(module: nn.Module) -> Shape | None:
    """What the network says of its images: an attribute `image_size` or `img_size`, or timm's `default_cfg`."""
    settings = getattr(module, "default_cfg", None)
    if isinstance(settings, Mapping) and settings.get("input_size"):
        return from_size(settings["input_size"])
    size = getattr(module, "image_size", None) or getattr(module, "img_size", None)
    return from_size(size, getattr(module, "in_chans", None) or getattr(module, "in_channels", None) or USUAL[0])


def from_size(size: Any, channels: Any = USUAL[0]) -> Shape | None:
    """A shape from a side, two sides, or all three numbers; None from whatever else stands there."""
    sides = [size] if isinstance(size, int) else list(size) if isinstance(size, list | tuple) else []
    if len(sides) == 3:
        channels, *sides = sides
    if not sides or not all(isinstance(side, int) and side > 0 for side in (channels, *sides)):
        return None
    return channels, sides[0], sides[-1]


def spelled(shape: Shape) -> str:
    """`shape` as a person reads it: 3x32x32."""
    return "x".join(map(str, shape))
