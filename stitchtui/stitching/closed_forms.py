"""The best map of each family for direct matching, in closed form, from the moments of bottom and top features."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from stitchtui.base.registry import load
from stitchtui.spec.families import FAMILIES, start_family

LEAST_SCALE = 1e-6  # a scaled permutation's scales are positive; where the best would be 0 or less, this is taken


@dataclass(frozen=True)
class Inputs:
    """Mean and covariance over all images and positions of bottom features x; float64. Cells of one bottom share it.

    For a K x K convolution the features are the bottom's channels at all K * K places around a position, 0 outside.
    """

    rows: int
    mean: Tensor  # [features]
    covariance: Tensor  # [features, features]
    kernel: int = 1

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """The covariance's eigenvalues, ascending and 0 where at float32's noise, and its eigenvectors as columns."""
        moves = self.covariance.diagonal() != 0
        still, moving = (~moves).nonzero().flatten(), moves.nonzero().flatten()
        # Features that are always the same, as most are that a large kernel sees beside a small map, would take time
        # and, where they are many, keep the decomposition from converging.
        found, basis = torch.linalg.eigh(self.covariance[moving[:, None], moving])
        values = torch.cat([found.new_zeros(len(still)), found])
        vectors = torch.zeros_like(self.covariance)
        vectors[still, torch.arange(len(still), device=still.device)] = 1
        vectors[moving, len(still) :] = basis
        return torch.where(values > max(float(values[-1]) * 1e-9, 1e-30), values, 0), vectors


@dataclass(frozen=True)
class Moments:
    """What a closed form needs to know of bottom features x and top features y at the same places; float64."""

    x: Inputs
    mean_y: Tensor  # [top channels]
    variance_y: Tensor  # [top channels]
    cov_yx: Tensor  # [top channels, features]

    @property
    def finite(self) -> bool:
        """Whether every number of it is finite."""
        tensors = self.x.mean, self.x.covariance, self.mean_y, self.variance_y, self.cov_yx
        return all(bool(t.isfinite().all()) for t in tensors)


@dataclass(frozen=True)
class AffineMap:
    """y = weight x + bias, with the means and variances of what it was fitted on, before and after; float64."""

    weight: Tensor  # [top channels, bottom channels], or [top channels, bottom channels, K, K] of a convolution
    bias: Tensor  # [top channels]
    mean_in: Tensor  # [features]
    variance_in: Tensor
    mean_out: Tensor  # [top channels], of weight x + bias
    variance_out: Tensor


Solver = Callable[[Moments, float, int | None], AffineMap]
"""The best map of a family: from the moments, a relative ridge, and the rank for a family that takes one."""


def fit_direct(family: str, m: Moments, *, ridge: float, rank: int | None = None) -> AffineMap:
    """The map of `family` that minimises |weight x + bias - y|^2; the affine one for a family without a closed form.

    `ridge`, for the families that are not a group of isometries or permutations, is relative: it is added to the
    covariance's diagonal as a fraction of its mean. `rank` is that of `low_rank`. The moments' kernel must be the
    family's. Raises Misfit where the family can't join so many channels, FloatingPointError for features not finite.
    """
    known = FAMILIES[start_family(family)]
    if m.x.kernel != known.kernel:
        raise ValueError(f"{known.name} is fitted on moments of kernel {known.kernel}, not {m.x.kernel}")
    if not m.finite:
        raise FloatingPointError("features on the training images are not finite")
    known.check_channels(m.cov_yx.shape[1] // m.x.kernel**2, m.cov_yx.shape[0])
    solver: Solver = load(known.solver)
    return solver(m, ridge, rank)


def affine_scaled(m: Moments, ridge: float, _rank: int | None = None) -> AffineMap:
    """The affine map that comes nearest among those that write every channel with the top's variance."""
    return at_variance_of(m, least_squares(m, ridge))


MOST_GAIN = 10.0
"""A channel is not amplified by more: of one of which less than a hundredth is explained, the rest would be noise."""


def at_variance_of(m: Moments, found: AffineMap) -> AffineMap:
    """A least-squares map, its output scaled channel by channel about its mean to the variance of the top's channel.

    Least squares writes a channel with the share R^2 of the target's variance, which the top's later layers take for
    a weaker signal. Among the maps with the target's variance the nearest to it is this one: with Var(w x) given,
    |w x - y|^2 is least where Cov(w x, y) is most, so that w is a multiple of the least-squares weight.
    """
    gain = (m.variance_y / found.variance_out.clamp_min(1e-30)).sqrt().clamp_max(MOST_GAIN)
    weight = found.weight.flatten(1) * gain[:, None]
    bias = found.mean_out + gain * (found.bias - found.mean_out)
    return affine_map(weight, bias, m.x.mean, m.x.covariance, m.x.kernel)


def least_squares(m: Moments, ridge: float, _rank: int | None = None) -> AffineMap:
    """The affine map, or convolution, that minimises |weight x + bias - y|^2, with a relative `ridge`.

    Directions in which the bottom's features do not vary, to float32's noise, get weight 0. Raises
    FloatingPointError for features that are not finite.
    """
    if not m.finite:
        raise FloatingPointError("features on the training images are not finite")
    return _map(m, _ridge_weight(m, ridge))


def _ridge_weight(m: Moments, ridge: float) -> Tensor:
    vectors = m.x.spectrum[1]
    return ((m.cov_yx @ vectors) * _inverse(m.x, ridge)) @ vectors.T


def _inverse(x: Inputs, ridge: float) -> Tensor:
    """The eigenvalues of the covariance's inverse with the ridge, 0 where the features do not vary."""
    values = x.spectrum[0]
    return torch.where(values > 0, 1 / torch.where(values > 0, values + ridge * values.mean(), 1), 0)


def low_rank(m: Moments, ridge: float, rank: int | None) -> AffineMap:
    """Reduced-rank regression: the best affine map of at most `rank`.

    With S the covariance and its ridge, and W the least-squares weight, |V x - y|^2 is a constant plus
    |(V - W) S^(1/2)|^2, so the best V keeps the largest singular values of W S^(1/2), not of W.
    """
    if rank is None or rank < 1:
        raise ValueError("low_rank needs a rank of 1 or more")
    seen = (m.cov_yx @ m.x.spectrum[1]) * _inverse(m.x, ridge).sqrt()  # W S^(1/2), in the eigenvectors' coordinates
    left = torch.linalg.svd(seen, full_matrices=False)[0][:, :rank]
    return _map(m, left @ (left.T @ _ridge_weight(m, ridge)))


def orthogonal(m: Moments, _ridge: float, _rank: int | None) -> AffineMap:
    """Procrustes on centred features: the best map that keeps all distances, with as many top channels or more."""
    left, _, right = torch.linalg.svd(m.cov_yx, full_matrices=False)
    return _map(m, left @ right)


def permutation(m: Moments, _ridge: float, _rank: int | None) -> AffineMap:
    """The best order of the channels, by linear sum assignment; it has no bias."""
    weight = _assigned(m.cov_yx + m.mean_y[:, None] * m.x.mean)  # E[y x], since |weight x| is the same for all
    return _map(m, weight, torch.zeros_like(m.mean_y))


def scaled_permutation(m: Moments, _ridge: float, _rank: int | None) -> AffineMap:
    """The best order of the channels with a positive scale each, by linear sum assignment; it has no bias."""
    products = m.cov_yx + m.mean_y[:, None] * m.x.mean  # E[y x]
    squares = m.x.covariance.diagonal() + m.x.mean.square()  # E[x x]
    scales = torch.where(squares > 1e-30, products / squares.clamp_min(1e-30), 1).clamp_min(LEAST_SCALE)
    gains = 2 * scales * products - scales.square() * squares  # how far a pair of channels lowers |y|^2
    return _map(m, _assigned(gains) * scales, torch.zeros_like(m.mean_y))


def identity(m: Moments, _ridge: float, _rank: int | None) -> AffineMap:
    """The map that changes nothing."""
    return _map(m, torch.eye(len(m.mean_y)).to(m.mean_y), torch.zeros_like(m.mean_y))


def _assigned(gains: Tensor) -> Tensor:
    """The permutation matrix with the largest sum of `gains` [top channels, bottom channels]."""
    from scipy.optimize import linear_sum_assignment  # imported late: most runs never need it

    _, columns = linear_sum_assignment(gains.cpu().numpy(), maximize=True)
    return torch.eye(len(gains), dtype=gains.dtype)[columns].to(gains.device)


def _map(m: Moments, weight: Tensor, bias: Tensor | None = None) -> AffineMap:
    """The map of `weight` [top channels, features]; without `bias`, of the one that meets the top's mean."""
    bias = m.mean_y - weight @ m.x.mean if bias is None else bias
    return affine_map(weight, bias, m.x.mean, m.x.covariance, m.x.kernel)


def affine_map(weight: Tensor, bias: Tensor, mean: Tensor, covariance: Tensor, kernel: int = 1) -> AffineMap:
    """The map y = weight x + bias on features x of this mean and covariance; `weight` [top channels, features]."""
    variance_out = ((weight @ covariance) * weight).sum(1)
    shaped = weight if kernel == 1 else weight.unflatten(1, (-1, kernel, kernel))
    return AffineMap(shaped, bias, mean, covariance.diagonal().clone(), weight @ mean + bias, variance_out)


def residual(m: Moments, found: AffineMap) -> float:
    """The mean over images and positions of |weight x + bias - y|^2, on what the moments were taken of."""
    weight = found.weight.flatten(1)
    spread = found.variance_out - 2 * (weight * m.cov_yx).sum(1) + m.variance_y
    return float((spread + (found.mean_out - m.mean_y).square()).sum())
