"""The mean of a table of seeds by images, with its interval over new seeds and new images alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stitchtui.stats.penalty import Z95, Interval, t95

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Variance:
    """The variance of a table's mean as estimated, by where it comes from, and how surely it is known."""

    images: float  # that of the test images, and of what is neither
    seeds: float  # what the seeds add; 0 where they differ by no more than images make them
    degrees: float  # of freedom, by Satterthwaite


def variance_of(values: NDArray[np.float64]) -> Variance:
    """The variance of the mean of [seeds, images] where both are drawn at random: crossed random effects.

    With the mean squares of the two-way table without replication, those of images, of seeds and of what is left,
    it is [MS_I + max(MS_S - MS_E, 0)] / (nk) (Searle, Casella and McCulloch, Variance Components, 1992), its degrees
    of freedom Satterthwaite's (Biometrics Bulletin 2, 1946), at least k - 1. Where seeds differ by no more than images
    make them, images are all there is, and degrees n - 1.
    """
    k, n = values.shape
    over_images, over_seeds, mean = values.mean(1), values.mean(0), values.mean()
    of_images = k * float(((over_seeds - mean) ** 2).sum()) / max(1, n - 1)
    if k == 1:
        return Variance(of_images / n, 0.0, max(1, n - 1))
    left = values - over_images[:, None] - over_seeds + mean
    of_seeds = n * float(((over_images - mean) ** 2).sum()) / (k - 1)
    of_rest = float((left**2).sum()) / (max(1, n - 1) * (k - 1))
    excess = of_seeds - of_rest
    if excess <= 0:
        return Variance(of_images / (n * k), 0.0, max(k - 1, n - 1))
    squares = of_images**2 / max(1, n - 1) + of_seeds**2 / (k - 1) + of_rest**2 / (max(1, n - 1) * (k - 1))
    return Variance(of_images / (n * k), excess / (n * k), max(k - 1, (of_images + excess) ** 2 / squares))


def crossed_interval(values: NDArray[np.float64]) -> Interval:
    """The mean of [seeds, images] in points with its 95 % interval.

    Where nothing varies, and for a single seed, it is Bonett and Price's for the means over seeds: two images are
    imagined beside the others, one on which all seeds say 1 and one on which all say -1.
    """
    value, found = 100 * float(values.mean()), variance_of(values)
    total = found.images + found.seeds
    if len(values) > 1 and total > 0:
        spread = 100 * t95(found.degrees) * math.sqrt(total)
        return Interval(value, max(-100.0, value - spread), min(100.0, value + spread), found.degrees)
    means, n = values.mean(0), values.shape[1]
    centre = float(means.sum()) / (n + 2)
    spread = 100 * Z95 * math.sqrt((((means**2).sum() + 2) / (n + 2) - centre**2) / (n + 2))
    low, high = min(value, 100 * centre - spread), max(value, 100 * centre + spread)
    return Interval(value, max(-100.0, low), min(100.0, high))
