"""Adapters: from the shape of a bottom's tensor to a top's, chosen by shape alone, with nothing to learn."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from stitchtui.spec.shapes import Layout, Shaped, layout, layouts, positioned


@dataclass(frozen=True)
class Adapter:
    """Changes the positions of a bottom's tensor, and the axis of its channels, to the top's; its channels stay.

    Every adapter is linear and treats all channels alike. A class token is fed the mean over the bottom's positions;
    a bottom's own is dropped where the top has none, and kept alone where the top takes a vector, as a network with
    a class token reads nothing else at its end.
    """

    bottom: tuple[tuple[int, ...], int]  # positions and channel axis
    top: tuple[tuple[int, ...], int]
    source: Layout | None = None  # where both have positions, and not the same
    target: Layout | None = None

    @property
    def name(self) -> str:
        """What it does, in words that no other adapter shares between the same two cuts; empty if it does nothing."""
        return ", ".join(self._steps())

    def _steps(self) -> list[str]:
        (before, axis), (after, other) = self.bottom, self.top
        if not before and after:
            return ["vector to all " + _positions(after)]
        if before and not after:
            return [
                f"class token of {_positions(before)}" if _has_class_token(before) else f"mean of {_positions(before)}"
            ]
        steps = [] if self.source is None or self.target is None else _grid_steps(self.source, self.target)
        if axis != other and len(before) == len(after):
            steps.append("channels " + ("first to last" if axis == 1 else "last to first"))
        return steps

    def __call__(self, x: Tensor) -> Tensor:
        """[batch, channels, ...] or [batch, ..., channels] with the bottom's positions to the same with the top's."""
        if self.bottom == self.top:
            return x
        (before, axis), (after, other) = self.bottom, self.top
        x = x.movedim(axis, 1)
        if before and not after:
            return x[..., 0] if _has_class_token(before) else x.flatten(2).mean(-1)
        if not before:
            x = x[(..., *[None] * len(after))].expand(*x.shape, *after)
        elif self.source is not None and self.target is not None:
            x = _regrid(x, self.source, self.target)
        return x.movedim(1, other)


def adapter(bottom: Shaped, top: Shaped) -> Adapter:
    """The adapter between two cuts, by their shapes alone. Raises Misfit where tokens can't be read as a grid.

    Spatial size: average pooling down, bilinear up, per axis. Volumes meet volumes of their size, and vectors.
    """
    return Adapter(positioned(bottom), positioned(top), *(layouts(bottom, top) or ()))


def _has_class_token(positions: tuple[int, ...]) -> bool:
    found = layout(positions) if len(positions) == 1 else None
    return found is not None and found.class_token


def _positions(positions: tuple[int, ...]) -> str:
    return f"{positions[0]} tokens" if len(positions) == 1 else "x".join(map(str, positions)) + " positions"


def _grid_steps(source: Layout, target: Layout) -> list[str]:
    steps = ["drop class token"] if source.class_token and not target.class_token else []
    if source.tokens and not target.tokens:
        steps.append("tokens to grid")
    shrinks = source.height > target.height or source.width > target.width
    grows = source.height < target.height or source.width < target.width
    if shrinks or grows:
        how = " and ".join(["pool"] * shrinks + ["bilinear"] * grows)
        steps.append(f"{how} {source.size} to {target.size}")
    if target.tokens and not source.tokens:
        steps.append("grid to tokens" + " + class token" * target.class_token)
    elif target.class_token and not source.class_token:
        steps.append("add class token")
    return steps


def _regrid(x: Tensor, source: Layout, target: Layout) -> Tensor:
    """[batch, channels, positions as `source`] to the same with positions as `target`."""
    first = x[..., :1] if source.class_token else x.flatten(2).mean(-1, keepdim=True)  # [batch, channels, 1]
    grid = x.flatten(2)[..., int(source.class_token) :].unflatten(-1, (source.height, source.width))
    grid = _resize(grid, target.height, target.width)
    if not target.tokens:
        return grid
    return torch.cat([first, grid.flatten(2)], -1) if target.class_token else grid.flatten(2)


def _resize(grid: Tensor, height: int, width: int) -> Tensor:
    """[batch, channels, h, w] to [batch, channels, height, width]: each axis pooled down or interpolated up."""
    down = min(grid.shape[2], height), min(grid.shape[3], width)
    if down != tuple(grid.shape[2:]):
        grid = F.adaptive_avg_pool2d(grid, down)
    if down != (height, width):
        grid = F.interpolate(grid, (height, width), mode="bilinear", align_corners=False)
    return grid
