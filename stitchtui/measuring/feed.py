"""Batches of images and labels: endless and augmented for training, each image once in order otherwise."""

from collections.abc import Iterator

import torch
from torch import Tensor

from stitchtui.data.batches import augment, order, split
from stitchtui.data.dataset import Dataset, Part, white


def training_batches(
    dataset: Dataset, batch_size: int, seed: int, among: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Epoch after epoch without end; order and augmentation come from `seed`, drawn on the CPU. Whole batches only.

    With `among` only the training images of these numbers are there.
    """
    generator = torch.Generator().manual_seed(seed)
    part, count = dataset.train, len(dataset.train) if among is None else len(among)
    size = min(batch_size, count)
    while True:
        shuffled = order(count, generator)
        for first in range(0, count - size + 1, size):
            chosen = shuffled[first : first + size].to(part.images.device)
            chosen = chosen if among is None else among[chosen]
            yield pixels(augment(part.images[chosen], dataset.augment, generator)), part.labels[chosen]


def steps_in(epochs: float, images: int, batch_size: int) -> int:
    """How many steps `epochs` take, at least one."""
    return max(1, round(epochs * max(1, images // batch_size)))


def in_order(part: Part, batch_size: int, among: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image once; with `among` only those of these numbers."""
    if among is not None:
        for chosen in split(among, batch_size):
            yield pixels(part.images[chosen]), part.labels[chosen]
        return
    for images, labels in zip(split(part.images, batch_size), split(part.labels, batch_size), strict=True):
        yield pixels(images), labels


def pixels(images: Tensor) -> Tensor:
    """Stored [batch, channels, height, width] as float32 anew, bytes in [0, 1] and floats as they are.

    Channels last, which convolutions run faster in.
    """
    return (images.float() / white(images)).contiguous(memory_format=torch.channels_last)
