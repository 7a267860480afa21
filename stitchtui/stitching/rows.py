"""Features as rows of numbers, and what of them a stitch's steps are measured by."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

LEAST = 0.1
"""A channel is taken to vary at least so much, beside the root mean square of all: dead ones have no unit."""
MOST = 1 << 14
"""The most rows that a measure is taken over."""
_TURNS = 30  # of the power iteration: enough for the largest of channels' eigenvalues, which stands out


@dataclass(frozen=True)
class Rows:
    """What some weights read: float32 [rows, channels], a row for each position of each image."""

    numbers: Tensor

    @classmethod
    def of(cls, tensor: Tensor, channel_axis: int) -> Self:
        """The rows of features with their channels on `channel_axis`; of very many, some drawn from them all."""
        rows = tensor.detach().movedim(channel_axis, -1).flatten(0, -2)
        if len(rows) > MOST:
            drawn = torch.randint(len(rows), (MOST,), generator=torch.Generator().manual_seed(0))
            rows = rows[drawn.to(rows.device)]
        return cls(rows.float())

    @cached_property
    def mean(self) -> Tensor:
        """Of each channel: [channels]."""
        return self.numbers.mean(0)

    @cached_property
    def deviations(self) -> Tensor:
        """Standard deviation of each channel over images and positions: [channels], none of them near 0."""
        found = self.numbers.std(0, correction=0)
        typical = found.square().mean().sqrt()
        typical = torch.where(typical > 0, typical, torch.ones_like(typical))
        return found.clamp_min(LEAST * typical)

    @cached_property
    def coherence(self) -> Tensor:
        """How many times what one weight moves all weights of a row may move together, at the most.

        That is where each takes a step of one deviation the way of the channels' first principal component:
        sqrt(channels * largest eigenvalue of their correlations), from sqrt(channels) for independent channels to
        their number for channels that all say the same.
        """
        scaled = (self.numbers - self.mean) / self.deviations
        correlations = scaled.T @ scaled / len(scaled)
        channels = len(correlations)
        turned = torch.randn(channels, generator=torch.Generator().manual_seed(0)).to(correlations)
        for _ in range(_TURNS):
            turned = correlations @ turned
            turned = turned / turned.norm().clamp_min(torch.finfo(turned.dtype).tiny)
        largest = (correlations @ turned).norm()
        return (channels * largest).sqrt().clamp_min(1.0)
