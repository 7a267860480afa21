"""Batches of images in [0, 1] and labels: endless and augmented for training, each image once in order otherwise."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stitchtui.data.batches import augment, order, split
from stitchtui.data.dataset import Dataset, Part


def training_batches(dataset: Dataset, batch_size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch without end; order and augmentation come from `seed`, drawn on the CPU. Whole batches only."""
    generator = torch.Generator().manual_seed(seed)
    part, size = dataset.train, min(batch_size, len(dataset.train))
    while True:
        shuffled = order(len(part), generator)
        for first in range(0, len(part) - size + 1, size):
            chosen = shuffled[first : first + size].to(part.images.device)
            yield pixels(augment(part.images[chosen], dataset.augment, generator)), part.labels[chosen]


def steps_in(epochs: float, images: int, batch_size: int) -> int:
    """How many steps `epochs` take, at least one."""
    return max(1, round(epochs * max(1, images // batch_size)))


def in_order(part: Part, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once."""
    for images, labels in zip(split(part.images, batch_size), split(part.labels, batch_size), strict=True):
        yield pixels(images), labels


def pixels(images: Tensor) -> Tensor:
    """uint8 [batch, channels, height, width] to float32 in [0, 1], channels last, which convolutions run faster in."""
    return (images.float() / 255).contiguous(memory_format=torch.channels_last)
