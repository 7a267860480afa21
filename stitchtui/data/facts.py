"""What a record says of a dataset's pixels: normalisation per channel, and the digest that identifies it."""

import hashlib
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from stitchtui.data.dataset import Part

# Images counted at once: bounds the memory of counting, whatever the dataset's size.
CHUNK = 4096
# Images of floats that are made doubles at once.
FLOATS = 256


def mean_and_std(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per channel, the mean and population standard deviation of pixel / white, in float64.

    `images` is [n, c, h, w]; bytes are counted exactly. A channel that never changes gets a standard deviation of 1,
    fit to divide by.
    """
    means, stds = zip(*_moments(images), strict=True)
    return means, tuple(std or 1.0 for std in stds)


def hardly_varies(images: Tensor) -> bool:
    """Say whether no channel's pixels deviate by as much as one step of 255 from black to white."""
    # The squared deviations of the first images are a part of all images' own: mostly they settle it.
    return all(
        all(len(some) / len(images) * std**2 < 255**-2 for _, std in _moments(some))
        for some in (images[:CHUNK], images)
    )


def normalised(images: Tensor) -> bool:
    """Say whether images are normalised already: floats farther from 0 to 1 than resizing pixels takes them."""
    if not images.is_floating_point():
        return False
    low, high = extremes(images)
    return low < -0.5 or high > 1.5


def extremes(images: Tensor) -> tuple[float, float]:
    """The smallest and the largest number stored; by parts, since torch copies what isn't contiguous for it."""
    lows, highs = zip(*([end.item() for end in part.aminmax()] for part in images.split(FLOATS)), strict=True)
    return min(lows), max(highs)


def _moments(images: Tensor) -> Iterator[tuple[float, float]]:
    """Each channel's mean and standard deviation; 0 exactly where it never changes."""
    return map(_of_counts, _histograms(images)) if images.dtype == torch.uint8 else _of_floats(images)


def _of_floats(images: Tensor) -> Iterator[tuple[float, float]]:
    for channel in range(images.shape[1]):
        # Moved before they are doubles, which not every device has.
        parts = [part.cpu() for part in images[:, channel].split(FLOATS)]
        first, count = parts[0].flatten()[0].item(), images[:, channel].numel()
        mean = math.fsum(part.double().sum().item() for part in parts) / count
        square = math.fsum((part.double() - mean).square().sum().item() for part in parts) / count
        yield mean, math.sqrt(square) if any(bool((part != first).any()) for part in parts) else 0.0


def _of_counts(counts: Tensor) -> tuple[float, float]:
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts.double() / counts.sum()
    mean = (share * values).sum()
    std = (share * (values - mean).square()).sum().sqrt().item()
    return mean.item(), std if (counts > 0).sum() > 1 else 0.0


def _histograms(images: Tensor) -> Tensor:
    counts = torch.zeros(images.shape[1], 256, dtype=torch.int64)  # [c, 256]
    for chunk in images.split(CHUNK):
        for channel in range(images.shape[1]):
            counts[channel] += torch.bincount(chunk[:, channel].flatten(), minlength=256).cpu()
    return counts


def digest(train: Part, test: Part) -> str:
    """SHA-256 over both parts' shapes and bytes, images and labels."""
    sha = hashlib.sha256()
    for part in (train, test):
        for tensor in (part.images, part.labels):
            sha.update(f"{tensor.dtype} {list(tensor.shape)}\n".encode())
            for chunk in tensor.split(FLOATS):  # some have to be copied for it
                sha.update(chunk.contiguous().cpu().flatten().numpy().data)
    return sha.hexdigest()
