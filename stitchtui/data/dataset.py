"""What every dataset is once loaded: images and labels as tensors, with what must be known about them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stitchtui.spec.datasets import Augmentation


@dataclass(frozen=True)
class Part:
    """Images and their labels, on one device."""

    images: Tensor  # uint8 or float32 [n, channels, height, width]
    labels: Tensor  # int64 [n]

    def __len__(self) -> int:
        return self.images.shape[0]

    def to(self, device: torch.device) -> "Part":
        """The same part on `device`."""
        return Part(self.images.to(device), self.labels.to(device))


def white(images: Tensor) -> int:
    """Return the stored number that networks are to read as 1: 255 of bytes, 1 of floats, which stay as they are."""
    return 1 if images.is_floating_point() else 255


@dataclass(frozen=True)
class Dataset:
    """A training part, a test part, and the facts that go into a record: classes, normalisation, digest."""

    name: str
    train: Part
    test: Part
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of pixel / white over the whole training part
    std: tuple[float, ...]
    augment: Augmentation  # of networks that are trained on it; stitches see their networks' own
    digest: str  # SHA-256 over both parts' shapes and bytes
    notes: tuple[str, ...] = ()  # what a person should know of how it was read, and of what is odd in it

    @property
    def shape(self) -> tuple[int, int, int]:
        """One image's [channels, height, width]."""
        channels, height, width = self.train.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device) -> "Dataset":
        """The same dataset on `device`."""
        return replace(self, train=self.train.to(device), test=self.test.to(device))
