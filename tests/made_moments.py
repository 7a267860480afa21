"""Moments of tensors at hand, computed plainly, for the tests of closed forms."""

import torch
from torch import Tensor, nn

from stitchtui.stitching.closed_forms import Inputs, Moments


def moments_of(x: Tensor, y: Tensor, kernel: int = 1) -> Moments:
    """The moments of `x` [rows, features] and `y` [rows, top channels]."""
    x, y = x.double(), y.double()
    dx, dy = x - x.mean(0), y - y.mean(0)
    inputs = Inputs(len(x), x.mean(0), dx.T @ dx / len(x), kernel)
    return Moments(inputs, y.mean(0), dy.square().mean(0), dy.T @ dx / len(x))


def patch_rows(maps: Tensor, kernel: int) -> Tensor:
    """`maps` [images, channels, height, width] as [images * positions, channels * kernel * kernel], zeros around."""
    padded = nn.functional.pad(maps, [kernel // 2] * 4)
    windows = padded.unfold(2, kernel, 1).unfold(3, kernel, 1)  # [images, channels, height, width, kernel, kernel]
    return windows.permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(0, 2)


def map_rows(maps: Tensor) -> Tensor:
    """`maps` [images, channels, height, width] as [images * positions, channels]."""
    return maps.movedim(1, -1).flatten(0, -2)


def correlated(rows: int, bottom: int, top: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features x [rows, bottom] of unequal variances and means, and y [rows, top] that depend on them, in float64."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, bottom, generator=generator).double()
    x = (
        x @ torch.randn(bottom, bottom, generator=generator).double()
        + torch.randn(bottom, generator=generator).double()
    )
    y = x @ torch.randn(bottom, top, generator=generator).double() / bottom**0.5
    return x, y + torch.randn(rows, top, generator=generator).double() + 0.5
