"""Batch order and augmentation: drawn on the CPU, so the same for every device; applied where the images are."""

import torch
from torch import Tensor
from torch.nn import functional

from stitchtui.spec.datasets import Augmentation


def order(n: int, generator: torch.Generator) -> Tensor:
    """A permutation of 0..n-1, on the CPU."""
    return torch.randperm(n, generator=generator)


def sizes(count: int, size: int) -> list[int]:
    """How many of `count` images each batch takes; a last image by itself goes with the batch before it.

    Many a network squeezes the axis of a batch of one image away.
    """
    whole, rest = divmod(count, size)
    if rest == 1 and whole:
        return [*[size] * (whole - 1), size + 1]
    return [size] * whole + [rest] * (rest > 0)


def split(tensor: Tensor, size: int) -> tuple[Tensor, ...]:
    """`tensor` [images, ...] in batches of such `sizes`."""
    return tensor.split(sizes(len(tensor), size))


def augment(images: Tensor, kind: Augmentation, generator: torch.Generator) -> Tensor:
    """The images as training sees them: [b, c, h, w] in and out, of one type; `generator` is the CPU's.

    `crop` pads by h // 8 pixels of 0 on every side and takes a random window for each image; `crop_flip` also
    mirrors each image left to right with probability one half; `none` draws nothing and returns `images`.
    """
    if kind == "none":
        return images
    count, padding = images.shape[0], images.shape[2] // 8
    down, right = torch.randint(2 * padding + 1, (2, count), generator=generator)
    images = crop(images, down.to(images.device), right.to(images.device), padding)
    if kind == "crop":
        return images
    return flip(images, torch.randint(2, (count,), generator=generator).bool().to(images.device))


def crop(images: Tensor, down: Tensor, right: Tensor, padding: int) -> Tensor:
    """Each image's own window, `down` and `right` pixels (both [b]) into the zero-padded image; [b, c, h, w]."""
    height, width = images.shape[2:]
    padded = functional.pad(images, (padding, padding, padding, padding))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [b, c, 2p + 1, 2p + 1, h, w], a view
    each = torch.arange(len(images), device=images.device)
    return windows.permute(0, 2, 3, 1, 4, 5)[each, down, right]  # [b, c, h, w]


def flip(images: Tensor, which: Tensor) -> Tensor:
    """The images [b, c, h, w] with those mirrored left to right for which `which` (bool [b]) is true."""
    return torch.where(which[:, None, None, None], images.flip(-1), images)
