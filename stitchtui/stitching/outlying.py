"""How far outside its own activations a top is fed: Mahalanobis distances against its own on training images.

A stitch trained for the task may reach a low penalty by activations that the top never had of its own (Balogh and
Jelasity, 2025); the activation gap does not tell those from an ordinary error of fit, since it takes no notice of how
much the top's own activations vary in each direction.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from stitchtui.base.work import Pass
from stitchtui.stats.penalty import Z95
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.streamed import Covariances, channel_axis, double, pooled, pooled_batches

RIDGE = 1e-4
"""Added to each direction's variance, as a share of the mean variance: what a channel that never varies may stray."""
MOST_CHANNELS = 4096  # whose covariance takes 128 MiB


@dataclass(frozen=True)
class OwnActivations:
    """The mean and the whitening of a network's pooled activations at one cut."""

    mean: Tensor  # [channels]
    whitening: Tensor  # [channels, channels]: (x - mean) @ whitening has variance 1 in every direction
    axis: int  # where activations at this cut have their channels

    def distances(self, activations: Tensor) -> Tensor:
        """Each image's Mahalanobis distance [batch] of its activations [batch, ...] averaged over positions."""
        return ((pooled(activations, self.axis) - self.mean) @ self.whitening).norm(dim=1)


@dataclass(frozen=True)
class Outlying:
    """How well the distance tells what the top is fed from its own activations, on the same test images.

    `auroc` is the chance that a stitched activation lies farther out than one of the top's own: 0.5 where it lies as
    they do, 1 where it lies wholly outside, below 0.5 where it keeps nearer to the mean than they do, as what a least
    squares map predicts does.
    """

    auroc: float
    low: float  # 95 % interval
    high: float
    ratio: float | None  # median distance of stitched activations / of the top's own; None if its own never vary


def own_activations(
    top: Chain, boundaries: Sequence[int], batches: Iterable[Tensor], ridge: float = RIDGE
) -> Pass[list[OwnActivations | None]]:
    """What `top` itself has at each of `boundaries`, from one pass over batches of (training) images.

    None where that is not to be had: activations that aren't finite, or more than MOST_CHANNELS channels.
    """
    fitting = [b for b in boundaries if b in {0, top.output} or top.cuts[b - 1].channels <= MOST_CHANNELS]
    if not fitting:
        return [None] * len(boundaries)
    sums = Covariances((k, k) for k in range(len(fitting)))
    device = torch.device("cpu")
    for features in pooled_batches(top, fitting, batches):
        sums.add(features)
        device = features[0].device
        yield len(features[0])
    found = {
        boundary: _own(sums.mean(k), sums.covariance(k, k), ridge, channel_axis(top, boundary), device)
        for k, boundary in enumerate(fitting)
    }
    return [found.get(boundary) for boundary in boundaries]


def _own(mean: Tensor, covariance: Tensor, ridge: float, axis: int, device: torch.device) -> OwnActivations | None:
    if not bool(covariance.isfinite().all()):
        return None
    # A floor for a representation that never varies: there any departure counts, and rounding should not.
    floor = ridge * float(covariance.diagonal().mean()) + 1e-12 * float(mean.square().mean()) + 1e-30
    values, vectors = torch.linalg.eigh(covariance)
    whitening = vectors / (values.clamp_min(0) + floor).sqrt()
    return OwnActivations(mean.float().to(device), whitening.float().to(device), axis)


def outlying(stitched: Tensor, own: Tensor) -> Outlying | None:
    """Compare distances [images] of stitched and of the top's own activations; None if one is not finite.

    The interval is Hanley and McNeil's (Radiology, 1982) for independent samples, so a little too wide here, where
    both are of the same images.
    """
    if not bool(stitched.isfinite().all() & own.isfinite().all()):
        return None
    ordered = own.sort().values
    below = torch.searchsorted(ordered, stitched) + torch.searchsorted(ordered, stitched, right=True)
    auroc = float(double(below).mean()) / (2 * len(own))
    spread = Z95 * _standard_error(auroc, len(stitched), len(own))
    medians = float(stitched.median()), float(own.median())
    ratio = medians[0] / medians[1] if medians[1] > 0 else None
    return Outlying(auroc, max(0.0, auroc - spread), min(1.0, auroc + spread), ratio)


def _standard_error(auroc: float, stitched: int, own: int) -> float:
    both_stitched, both_own = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    spread = auroc * (1 - auroc)
    spread += (stitched - 1) * (both_stitched - auroc**2) + (own - 1) * (both_own - auroc**2)
    return math.sqrt(max(0.0, spread) / (stitched * own))
