"""Similarity of representations without training: linear CKA, Procrustes distance, mean CCA, all in bounded memory."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchtui.base.work import Pass
from stitchtui.stitching.streamed import Covariances, double

Features = Callable[[int, int], Sequence[Tensor]]
"""Features(first, end): for images first to end - 1, one tensor [images, ...] per representation."""


def linear_cka(features: Features, images: int, pairs: Sequence[tuple[int, int]], block: int) -> Pass[list[float]]:
    """Linear CKA of each pair of representations, over `images` images.

    |cov(x, y)|^2 / (|cov(x, x)| |cov(y, y)|) (Frobenius norms, features flattened), by way of the images' Gram
    matrices: two blocks of `block` images' centred features are held at a time, and each pair of blocks is visited
    once. A representation that does not vary has CKA 0 with everything; one that is not finite has NaN.
    """
    means = yield from _means(features, images, block)
    wanted = sorted({(min(p), max(p)) for p in pairs} | {(k, k) for p in pairs for k in p})
    totals = dict.fromkeys(wanted, 0.0)
    for rows, columns in _block_pairs(features, means, images, block):
        weight = 1 if rows is columns else 2  # the Gram matrix is symmetric: blocks off the diagonal count twice
        grams = [r @ c.T for r, c in zip(rows, columns, strict=True)]
        for a, b in wanted:
            totals[a, b] += weight * float((grams[a] * grams[b]).sum(dtype=torch.float64))
        yield len(columns[0])
    return [_ratio(totals[min(p), max(p)], totals[p[0], p[0]], totals[p[1], p[1]]) for p in pairs]


def _ratio(cross: float, first: float, second: float) -> float:
    scale = (first * second) ** 0.5
    if not math.isfinite(cross + scale):
        return math.nan
    return min(1.0, max(0.0, cross / scale)) if scale > 0 else 0.0


def _means(features: Features, images: int, block: int) -> Pass[list[Tensor]]:
    sums: list[Tensor] = []
    for first in range(0, images, block):
        parts = [f.flatten(1).sum(0, dtype=torch.float64) for f in features(first, min(images, first + block))]
        sums = [s + p for s, p in zip(sums, parts, strict=True)] if sums else parts
        yield min(images, first + block) - first
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


class MinibatchCka:
    """Linear CKA of pairs of representations, summed batch by batch: one pass serves every pair, a whole grid of them.

    The mean over batches of the unbiased HSIC_1 takes the place of HSIC (Nguyen, Raghu and Kornblith, 2021), so that
    the batch size only matters as noise does. Where images are few beside features, `linear_cka` is pulled up towards
    1 and this is not; of unrelated representations it can lie slightly below 0. The images must come in random
    order, since a batch of one class says nothing of the others; batches of fewer than 4 images are left out. No more
    than one batch's tensors and their Gram matrices are held.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        """`pairs` of indices into what `add` gets."""
        self.pairs = list(pairs)
        self._total: Tensor | None = None

    def add(self, features: Sequence[Tensor]) -> None:
        """One batch: one tensor [images, ...] for each representation, the same images in all."""
        if len(features[0]) >= 4:
            found = _unbiased_hsic(features)
            self._total = found if self._total is None else self._total + found

    def values(self) -> list[float]:
        """The CKA of each pair; NaN for what isn't finite or doesn't vary, and without any batch."""
        if self._total is None:
            return [math.nan] * len(self.pairs)
        values = self._total.tolist()
        return [_unbiased_ratio(values[a][b], values[a][a], values[b][b]) for a, b in self.pairs]


def _unbiased_hsic(features: Sequence[Tensor]) -> Tensor:
    """HSIC_1 of every two representations of one batch: float64 [representations, representations]."""
    n = len(features[0])
    grams = double(torch.stack([_hollow_gram(f) for f in features]))  # [representations, n, n]
    rows = grams.sum(2)
    sums = rows.sum(1)
    products = grams.flatten(1) @ grams.flatten(1).T
    return (products + sums[:, None] * sums / ((n - 1) * (n - 2)) - 2 * rows @ rows.T / (n - 2)) / (n * (n - 3))


def _hollow_gram(features: Tensor) -> Tensor:
    # HSIC_1 takes no notice of a shift of all features; without their mean, no digits are lost far from zero.
    flat = features.flatten(1)
    flat = flat - flat.mean(0)
    return (flat @ flat.T).fill_diagonal_(0)


def _unbiased_ratio(cross: float, first: float, second: float) -> float:
    return cross / math.sqrt(first * second) if first > 0 and second > 0 and math.isfinite(cross) else math.nan


@dataclass(frozen=True)
class Alignment:
    """How well one representation can be turned into another by a rotation, and by any linear map of both."""

    procrustes: float  # 0: equal but for rotation, reflection, shift and scale; 1: uncorrelated
    cca: float  # mean canonical correlation: 1 if either is an affine map of the other
    cca_by_chance: float  # at most what two unrelated representations of these sizes get from as many images


class Alignments:
    """Procrustes distance and mean CCA of pairs of representations [images, channels], summed batch by batch.

    Procrustes: 1 - |cov(x, y)|_* / sqrt(tr cov(x, x) tr cov(y, y)), half the squared distance that remains between
    centred features of unit norm after the best rotation (Ding, Denain and Steinhardt, 2021); the narrower of two is
    padded with zeros. CCA: singular values of the whitened cross-covariance, meant over the smaller rank. Its only
    truncation is of directions with less than 1e-10 of the largest variance, so that invertible affine maps change
    nothing; the price is `cca_by_chance`, near 1 where there are hardly more images than channels. NaN for features
    that aren't finite; one that doesn't vary has distance 1 and correlation 0.
    """

    def __init__(self, pairs: Sequence[tuple[int, int]]) -> None:
        """`pairs` of indices into what `add` gets."""
        self.pairs = list(pairs)
        self._sums = Covariances(self.pairs)

    def add(self, features: Sequence[Tensor]) -> None:
        """One batch: [images, channels] for each representation, the same images in all."""
        self._sums.add(features)

    def values(self) -> list[Alignment]:
        """The alignment of each pair."""
        whitenings = {k: _whitening(self._sums.covariance(k, k)) for k in self._sums.kept}
        return [_alignment(self._sums, whitenings, pair) for pair in self.pairs]


def _whitening(covariance: Tensor) -> Tensor:
    """[channels, rank]: features times this have unit covariance."""
    if not bool(covariance.isfinite().all()):
        return covariance
    values, vectors = torch.linalg.eigh(covariance)  # ascending
    kept = values > max(1e-10 * float(values[-1]), 1e-30)
    return vectors[:, kept] / values[kept].sqrt()


def _alignment(sums: Covariances, whitenings: dict[int, Tensor], pair: tuple[int, int]) -> Alignment:
    cross = sums.covariance(*pair)
    traces = [float(sums.covariance(k, k).trace()) for k in pair]
    x, y = (whitenings[k] for k in pair)
    if not all(map(math.isfinite, traces)):
        return Alignment(math.nan, math.nan, math.nan)
    ranks = x.shape[1], y.shape[1]
    if min(ranks) == 0:
        return Alignment(1.0, 0.0, 0.0)
    rotated = float(torch.linalg.svdvals(cross).sum()) / math.sqrt(traces[0] * traces[1])
    correlations = torch.linalg.svdvals(x.T @ cross @ y).clamp(0, 1)
    # Of unrelated Gaussians the mean squared canonical correlation is the larger rank over the images less one.
    chance = math.sqrt(min(1.0, max(ranks) / max(1, sums.rows - 1)))
    return Alignment(min(1.0, max(0.0, 1 - rotated)), float(correlations.mean()), chance)
