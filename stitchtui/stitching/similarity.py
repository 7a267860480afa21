"""Similarity of representations without training: linear CKA, exact over many images in bounded memory."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

Features = Callable[[int, int], Sequence[Tensor]]
"""Features(first, end): for images first to end - 1, one tensor [images, ...] per representation."""


def linear_cka(features: Features, images: int, pairs: Sequence[tuple[int, int]], block: int) -> list[float]:
    """Linear CKA of each pair of representations, over `images` images.

    |cov(x, y)|^2 / (|cov(x, x)| |cov(y, y)|) (Frobenius norms, features flattened), by way of the images' Gram
    matrices: two blocks of `block` images' centred features are held at a time, and each pair of blocks is visited
    once. A representation that does not vary has CKA 0 with everything; one that is not finite has NaN.
    """
    means = _means(features, images, block)
    wanted = sorted({(min(p), max(p)) for p in pairs} | {(k, k) for p in pairs for k in p})
    totals = dict.fromkeys(wanted, 0.0)
    for rows, columns in _block_pairs(features, means, images, block):
        weight = 1 if rows is columns else 2  # the Gram matrix is symmetric: blocks off the diagonal count twice
        grams = [r @ c.T for r, c in zip(rows, columns, strict=True)]
        for a, b in wanted:
            totals[a, b] += weight * float((grams[a] * grams[b]).sum(dtype=torch.float64))
    return [_ratio(totals[min(p), max(p)], totals[p[0], p[0]], totals[p[1], p[1]]) for p in pairs]


def _ratio(cross: float, first: float, second: float) -> float:
    scale = (first * second) ** 0.5
    if not math.isfinite(cross + scale):
        return math.nan
    return min(1.0, max(0.0, cross / scale)) if scale > 0 else 0.0


def _means(features: Features, images: int, block: int) -> list[Tensor]:
    sums: list[Tensor] = []
    for first in range(0, images, block):
        parts = [f.flatten(1).sum(0, dtype=torch.float64) for f in features(first, min(images, first + block))]
        sums = [s + p for s, p in zip(sums, parts, strict=True)] if sums else parts
    return [(s / images).float() for s in sums]


def _block_pairs(
    features: Features, means: Sequence[Tensor], images: int, block: int
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    def centred(first: int) -> list[Tensor]:
        tensors = features(first, min(images, first + block))
        return [f.flatten(1) - m for f, m in zip(tensors, means, strict=True)]

    for first in range(0, images, block):
        rows = centred(first)
        yield rows, rows
        for second in range(first + block, images, block):
            yield rows, centred(second)
