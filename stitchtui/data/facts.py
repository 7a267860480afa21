"""What a record says of a dataset's pixels: normalisation per channel, and the digest that identifies it."""

import hashlib

import torch
from torch import Tensor

from stitchtui.data.dataset import Part

# Images counted at once: bounds the memory of counting, whatever the dataset's size.
CHUNK = 4096


def mean_and_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, the mean and population standard deviation of pixel / 255, in float64 from exact counts.

    `images` is uint8 [n, c, h, w]. A channel that never changes gets a standard deviation of 1, fit to divide by.
    """
    means, stds = zip(*map(_moments, _histograms(images)), strict=True)
    return means, tuple(std or 1.0 for std in stds)


def hardly_varies(images: Tensor) -> bool:
    """Say whether no channel's pixels deviate by as much as one of their 255 steps."""
    # The squared deviations of the first images are a part of all images' own: mostly they settle it.
    return all(
        all(len(some) / len(images) * std**2 < 255**-2 for _, std in map(_moments, _histograms(some)))
        for some in (images[:CHUNK], images)
    )


def _moments(counts: Tensor) -> tuple[float, float]:
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts.double() / counts.sum()
    mean = (share * values).sum()
    std = (share * (values - mean).square()).sum().sqrt().item()
    return mean.item(), std if (counts > 0).sum() > 1 else 0.0


def _histograms(images: Tensor) -> Tensor:
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)  # [c, 256]
    for chunk in images.split(CHUNK):
        for channel in range(images.shape[1]):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256)
    return counts


def digest(train: Part, test: Part) -> str:
    """SHA-256 over both parts' shapes and bytes, images and labels."""
    sha = hashlib.sha256()
    for part in (train, test):
        for tensor in (part.images, part.labels):
            sha.update(f"{tensor.dtype} {list(tensor.shape)}\n".encode())
            sha.update(tensor.contiguous().cpu().flatten().numpy().data)
    return sha.hexdigest()
