"""Shapes of two tensors that a stitch is to join, and how the positions of one can be turned into the other's."""

import math
from dataclasses import dataclass
from typing import Protocol


class Misfit(ValueError):
    """Two cuts that can't be joined; its text says why in one line."""


class Shaped(Protocol):
    """A tensor's shape for one image, and which axis of a batch of them its channels are on."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Without the batch."""

    @property
    def channel_axis(self) -> int:
        """1 for [batch, channels, ...], -1 for [batch, ..., channels]."""

    @property
    def channels(self) -> int:
        """How many numbers there are at each position."""

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape of what is not channels: (height, width), (tokens,), or ()."""


@dataclass(frozen=True)
class Shape:
    """The shape alone, where nothing else is known of a cut."""

    shape: tuple[int, ...]
    channel_axis: int

    @property
    def channels(self) -> int:
        """How many numbers there are at each position."""
        return self.shape[0] if self.channel_axis == 1 else self.shape[-1]

    @property
    def positions(self) -> tuple[int, ...]:
        """The shape of what is not channels: (height, width), (tokens,), or ()."""
        return self.shape[1:] if self.channel_axis == 1 else self.shape[:-1]


@dataclass(frozen=True)
class Layout:
    """How positions lie on a grid: a map's own, or the square that tokens are read as, maybe after a class token."""

    height: int
    width: int
    tokens: bool
    class_token: bool = False

    @property
    def size(self) -> str:
        """Such as 8x8."""
        return f"{self.height}x{self.width}"


def positioned(cut: Shaped) -> tuple[tuple[int, ...], int]:
    """The positions and the axis of the channels: cuts where these are the same are joined without an adapter."""
    return cut.positions, cut.channel_axis if cut.positions else -1


def shape_text(cut: Shaped) -> str:
    """A shape in words, such as 64x8x8."""
    return "x".join(map(str, cut.shape))


def both_shapes(bottom: Shaped, top: Shaped) -> str:
    """The two shapes as a refusal says them."""
    return f"bottom {shape_text(bottom)}, top {shape_text(top)}"


def layouts(bottom: Shaped, top: Shaped) -> tuple[Layout, Layout] | None:
    """How the positions of both lie on a grid, so that one can be turned into the other; None where nothing has to.

    Tokens are a map's positions row by row, else a square, in both cases with or without a class token in front.
    Raises Misfit where tokens can't be read so, and for volumes that meet neither a vector nor one of their size.
    """
    if not bottom.positions or not top.positions or bottom.positions == top.positions:
        return None
    if max(len(bottom.positions), len(top.positions)) > 2:
        raise Misfit(f"a volume can only be joined with one of its size, or with a vector: {both_shapes(bottom, top)}")
    source, target = layout(bottom.positions, top.positions), layout(top.positions, bottom.positions)
    if source is None or target is None:
        tokens = (bottom if source is None else top).positions[0]
        raise Misfit(
            f"{tokens} tokens can't be read as a grid (a square, or one after a class token): "
            f"{both_shapes(bottom, top)}"
        )
    return source, target


def layout(positions: tuple[int, ...], beside: tuple[int, ...] = ()) -> Layout | None:
    """How `positions` lie, where tokens may lie as the map `beside` them does; None for tokens that are no grid."""
    if len(positions) == 2:
        return Layout(*positions, tokens=False)
    count = positions[0]
    if len(beside) == 2 and count - math.prod(beside) in (0, 1):
        return Layout(*beside, tokens=True, class_token=count > math.prod(beside))
    for class_token in (False, True):
        side = math.isqrt(count - class_token)
        if side and side * side == count - class_token:
            return Layout(side, side, tokens=True, class_token=class_token)
    return None
