"""What every dataset is once loaded: uint8 images and labels as tensors, with what must be known about them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stitchtui.spec.datasets import Augmentation


@dataclass(frozen=True)
class Part:
    """Images and their labels, on one device."""

    images: Tensor  # uint8 [n, channels, height, width]
    labels: Tensor  # int64 [n]

    def __len__(self) -> int:
        return self.images.shape[0]

    def to(self, device: torch.device) -> "Part":
        """The same part on `device`."""
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """A training part, a test part, and the facts that go into a record: classes, normalisation, digest."""

    name: str
    train: Part
    test: Part
    classes: tuple[str, ...]
    mean: tuple[float, ...]  # per channel, of pixel / 255 over the whole training part
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
