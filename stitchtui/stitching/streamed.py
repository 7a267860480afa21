"""Per-image features of a representation, and their means and covariances summed batch by batch."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from stitchtui.stitching.chain import Chain


def double(tensor: Tensor) -> Tensor:
    """The tensor in float64, on the CPU where its device (Apple's MPS) has no float64."""
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()


def channel_axis(chain: Chain, boundary: int) -> int:
    """Where the tensor at `boundary` of `chain` has its channels: 1 for images, -1 for class scores, or the cut's."""
    if boundary == 0:
        return 1
    return -1 if boundary == chain.output else chain.cuts[boundary - 1].channel_axis


def pooled(features: Tensor, axis: int) -> Tensor:
    """One vector per image: the mean over positions (pixels, or tokens with the class token); [batch, channels]."""
    last = features.movedim(axis, -1)
    return last.flatten(1, -2).mean(1) if last.dim() > 2 else last


@torch.no_grad()
def pooled_batches(chain: Chain, boundaries: Sequence[int], batches: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    """For each batch of images the pooled features [batch, channels] at `boundaries`, from one pass of `chain`."""
    axes = [channel_axis(chain, boundary) for boundary in boundaries]
    for images in batches:
        found = chain.features(images, max(boundaries))
        yield [pooled(found[boundary], axis) for boundary, axis in zip(boundaries, axes, strict=True)]


class Covariances:
    """Means of several representations, and covariances of chosen pairs of them, over rows that come in batches.

    Sums are kept in float64 around the first batch's means, so that features far from zero lose no digits.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        """`pairs` of indices into what `add` gets; every representation that occurs also has its own covariance."""
        listed = list(pairs)
        self.pairs = sorted({*listed, *((k, k) for pair in listed for k in pair)})
        self.kept = sorted({k for pair in self.pairs for k in pair})
        self.rows = 0
        self._pilots: dict[int, Tensor] = {}
        self._sums: dict[int, Tensor] = {}
        self._products: dict[tuple[int, int], Tensor] = {}

    def add(self, features: Sequence[Tensor]) -> None:
        """One batch: for each representation [rows, channels], the same rows in all."""
        rows = {k: double(features[k]) for k in self.kept}
        if not self._pilots:
            self._pilots = {k: x.mean(0) for k, x in rows.items()}
        rows = {k: x - self._pilots[k] for k, x in rows.items()}
        for k, x in rows.items():
            self._sums[k] = self._sums.get(k, 0) + x.sum(0)
        for a, b in self.pairs:
            self._products[a, b] = self._products.get((a, b), 0) + rows[a].T @ rows[b]
        self.rows += len(rows[self.kept[0]])

    def mean(self, k: int) -> Tensor:
        """The mean of representation `k`: float64 [channels]."""
        return self._pilots[k] + self._sums[k] / self.rows

    def covariance(self, a: int, b: int) -> Tensor:
        """The covariance of representations `a` and `b`, divided by the rows: float64 [channels of a, of b]."""
        means = self._sums[a] / self.rows, self._sums[b] / self.rows
        return self._products[a, b] / self.rows - means[0][:, None] * means[1]
