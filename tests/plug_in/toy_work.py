"""How what `toy` declares is computed; imported only where it is."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.raw import Raw
from stitchtui.data.subsets import generator, random_subset
from stitchtui.measuring.computed import Evaluated
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.closed_forms import AffineMap, Moments, affine_map
from stitchtui.stitching.families import Stitch


class Shift(Stitch):
    """Each channel as it is and a number more."""

    def __init__(self, channels: int, _top_channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.bias = nn.Parameter(torch.zeros(channels))

    def map(self, x: Tensor) -> Tensor:
        return x + self.bias[(..., *[None] * (x.dim() - 2 if self.channel_axis == 1 else 0))]

    def start_at_random(self, generator: torch.Generator) -> None:
        self.bias.copy_(torch.randn(len(self.bias), generator=generator))

    def start_as_identity(self) -> None:
        self.bias.zero_()

    def start_from_map(self, m: AffineMap) -> None:
        if not torch.equal(m.weight, torch.eye(len(self.bias)).to(m.weight)):
            raise Misfit("a map that mixes channels can't start a shift")
        self.bias.copy_(m.bias)

    def units(self, _read: Any, y: Tensor, /) -> dict[str, Tensor]:
        return {"bias": y}

    def matrix(self) -> Tensor:
        return torch.eye(len(self.bias), dtype=torch.float64)


def best_shift(m: Moments, _ridge: float, _rank: int | None) -> AffineMap:
    return affine_map(torch.eye(len(m.mean_y)).to(m.mean_y), m.mean_y - m.x.mean, m.x.mean, m.x.covariance)


def half(dataset: Dataset, seed: int) -> tuple[Dataset, str]:
    count = len(dataset.train) // 2
    chosen = random_subset(len(dataset.train), count, generator("half", seed))
    part = Part(dataset.train.images[chosen], dataset.train.labels[chosen])
    return replace(dataset, train=part), f"half of the images {seed}"


def classes_said(cell: Evaluated) -> float:
    return float(len(cell.measured.scores.predicted.unique()))


def stripes(_name: str) -> Raw:
    return Raw(_part(200, 0), _part(100, 1), ("across", "down"))


def _part(count: int, seed: int) -> Part:
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    across = (torch.arange(8)[:, None] % 2 * 160).expand(8, 8)
    images = torch.where(labels[:, None, None] == 0, across, across.T)
    noisy = images + torch.randint(0, 90, (count, 8, 8), generator=draws)
    return Part(noisy[:, None].to(torch.uint8), labels)
