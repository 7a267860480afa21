"""What a network is trained on: an objective turns a batch into scores and the class that each should favour."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.data import batches
from stitchtui.networks.network import logits, normalise
from stitchtui.spec.datasets import Augmentation
from stitchtui.spec.experiment import Normalisation


@dataclass(frozen=True)
class Batch:
    """Images of one step with their labels, and how to feed them to the network."""

    images: Tensor  # uint8 or float32 [b, channels, height, width]
    labels: Tensor  # int64 [b]
    scale: Normalisation
    augment: Augmentation
    draws: torch.Generator  # the CPU's, of this step alone
    memory_format: torch.memory_format = torch.contiguous_format

    def scores(self, module: nn.Module, images: Tensor) -> Tensor:
        """What `module` makes of stored images, normalised."""
        inputs = normalise(images, self.scale.mean, self.scale.std)
        return logits(module(inputs.contiguous(memory_format=self.memory_format)))


TrainingObjective = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]
"""(network, batch) -> scores [n, classes] and targets int64 [n]; training lowers their cross-entropy."""


def supervised(module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """The images' own labels."""
    return batch.scores(module, batches.augment(batch.images, batch.augment, batch.draws)), batch.labels


def rotation(module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """By how many quarter turns (0 to 3) each image was turned; drawn anew in every step. Images are square."""
    images = batches.augment(batch.images, batch.augment, batch.draws)
    turns = torch.randint(4, (len(images),), generator=batch.draws).to(images.device)
    return batch.scores(module, turned(images, turns)), turns


def turned(images: Tensor, turns: Tensor) -> Tensor:
    """Square images [b, c, s, s], each turned left by its own number of quarter turns; `turns` is int64 [b]."""
    every = torch.stack([images.rot90(quarter, (2, 3)) for quarter in range(4)])  # [4, b, c, s, s]
    return every[turns, torch.arange(len(images), device=images.device)]
