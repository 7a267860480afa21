"""Direct matching in closed form: streamed moments of bottom and top features, and the least-squares map from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchtui.stitching.chain import Chain


@dataclass(frozen=True)
class Moments:
    """Means and (co)variances over all images and positions of bottom features x and top features y; float64."""

    rows: int
    mean_x: Tensor  # [bottom channels]
    mean_y: Tensor  # [top channels]
    cov_xx: Tensor  # [bottom channels, bottom channels]
    cov_yx: Tensor  # [top channels, bottom channels]


class _Sums:
    """Running sums around a pilot mean, so that float32 products of features far from zero lose no digits."""

    def __init__(self) -> None:
        self.rows = 0
        self.pilot: tuple[Tensor, Tensor] | None = None
        self.totals: list[Tensor] = []

    def add(self, x: Tensor, y: Tensor) -> None:
        """`x` [rows, bottom channels] and `y` [rows, top channels], float32."""
        if self.pilot is None:
            self.pilot = x.mean(0), y.mean(0)
        x, y = x - self.pilot[0], y - self.pilot[1]
        products = [x.sum(0), y.sum(0), x.T @ x, y.T @ x]
        products = [_double(p) for p in products]
        self.totals = [t + p for t, p in zip(self.totals, products, strict=True)] if self.totals else products
        self.rows += x.shape[0]

    def moments(self) -> Moments:
        assert self.pilot is not None, "moments of no images"
        x, y, xx, yx = (t / self.rows for t in self.totals)
        return Moments(
            self.rows, _double(self.pilot[0]) + x, _double(self.pilot[1]) + y, xx - x[:, None] * x, yx - y[:, None] * x
        )


def _double(tensor: Tensor) -> Tensor:
    # Apple's MPS has no float64; there the sums are kept on the CPU.
    return tensor.cpu().double() if tensor.device.type == "mps" else tensor.double()


def rows_of(features: Tensor, channel_axis: int) -> Tensor:
    """Features as [batch * positions, channels]."""
    last = features.movedim(1, -1) if channel_axis == 1 else features
    return last.flatten(0, -2)


@torch.no_grad()
def moments(bottom: Chain, top: Chain, cells: Sequence[tuple[int, int]], batches: Iterable[Tensor]) -> list[Moments]:
    """The moments for each (bottom boundary, top boundary) of `cells`, from one pass of both networks."""
    sums = [_Sums() for _ in cells]
    for images in batches:
        xs = bottom.features(images, max(i for i, _ in cells))
        ys = xs if bottom is top else top.features(images, max(j for _, j in cells))
        for total, (i, j) in zip(sums, cells, strict=True):
            total.add(rows_of(xs[i], bottom.cuts[i - 1].channel_axis), rows_of(ys[j], top.cuts[j - 1].channel_axis))
    return [total.moments() for total in sums]


@dataclass(frozen=True)
class AffineMap:
    """y = weight x + bias, with the means and variances of what it was fitted on, before and after; float64."""

    weight: Tensor  # [top channels, bottom channels]
    bias: Tensor  # [top channels]
    mean_in: Tensor  # [bottom channels]
    variance_in: Tensor
    mean_out: Tensor  # [top channels], of weight x + bias
    variance_out: Tensor


def least_squares(m: Moments, ridge: float) -> AffineMap:
    """The affine map that minimises |weight x + bias - y|^2. Raises FloatingPointError for features not finite.

    `ridge` is relative: it is added to the covariance's diagonal as a fraction of its mean, after an eigenvalue
    cut-off at float32 noise; directions in which the bottom's features do not vary get weight 0.
    """
    if not all(bool(t.isfinite().all()) for t in (m.cov_xx, m.cov_yx, m.mean_x, m.mean_y)):
        raise FloatingPointError("features on the training images are not finite")
    values, vectors = torch.linalg.eigh(m.cov_xx)  # ascending
    scale = values.clamp_min(0).mean()
    kept = values > max(float(values[-1]) * 1e-9, 1e-30)
    inverse = torch.where(kept, 1 / torch.where(kept, values + ridge * scale, 1), 0)
    weight = ((m.cov_yx @ vectors) * inverse) @ vectors.T
    return affine_map(weight, m.mean_y - weight @ m.mean_x, m.mean_x, m.cov_xx)


def affine_map(weight: Tensor, bias: Tensor, mean: Tensor, covariance: Tensor) -> AffineMap:
    """The map y = weight x + bias on features x of this mean and covariance."""
    variance_out = ((weight @ covariance) * weight).sum(1)
    return AffineMap(weight, bias, mean, covariance.diagonal().clone(), weight @ mean + bias, variance_out)
