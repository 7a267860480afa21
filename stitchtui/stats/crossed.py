"""The mean of a table of seeds by images, with its interval over new seeds and new images alike."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stitchtui.stats.penalty import Z95, Errors, Interval, t95

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Crossed:
    """Where a table of [seeds, images] has its variance, by the mean squares of the two-way table of single answers.

    Crossed random effects (Searle, Casella and McCulloch, Variance Components, 1992): images that are harder than
    others, seeds that are better than others, and what is left.
    """

    mean: float
    images: float  # mean squares
    seeds: float
    left: float
    size: int  # of the table

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Crossed:
        """From at least two seeds."""
        k, n = values.shape
        of_seed, of_image, mean = values.mean(1), values.mean(0), float(values.mean())
        images = k * float(((of_image - mean) ** 2).sum()) / max(1, n - 1)
        seeds = n * float(((of_seed - mean) ** 2).sum()) / (k - 1)
        rest = values - of_seed[:, None] - of_image + mean
        return cls(mean, images, seeds, float((rest**2).sum()) / (max(1, n - 1) * (k - 1)), k * n)

    @property
    def of_images(self) -> float:
        """What images add to the variance of the mean: their number makes it well known."""
        return max(0.0, self.images - self.left) / self.size

    @property
    def of_seeds(self) -> float:
        """What seeds and all that is left add to it: as well known as there are seeds."""
        return self.seeds / self.size


def critical(share: float, seeds: int) -> float:
    """How many standard errors hold 95 %, where so much of the variance is estimated from so few seeds.

    Between the normal law's and Student's with k - 1 degrees of freedom, by the share as Cochran and Cox do it
    (Experimental Designs, 1957), from three seeds on by its power of 1.5: whatever the true share is, 94 to 96 % are
    held, with two seeds 94 to 98 %. Satterthwaite's degrees of freedom hold 87 to 95 % with two and 92 to 95 % with
    three, less where seeds that happen to differ by little are taken not to differ at all.
    """
    weight: float = share ** (1.0 if seeds == 2 else 1.5)
    return Z95 + (t95(seeds - 1) - Z95) * weight


def crossed_interval(values: NDArray[np.float64]) -> Interval:
    """The mean of [seeds, images] in points with its 95 % interval; that of one seed is Bonett and Price's.

    It is never narrower than Bonett and Price's of a network and itself: answers that never differ tell no more.
    """
    seeds, images = values.shape
    nothing = 100 * Z95 * math.sqrt(2) / (images + 2)
    if seeds == 1:
        return _of_one(values)
    table = Crossed.of(values)
    value, total = 100 * table.mean, table.of_images + table.of_seeds
    times = critical(table.of_seeds / total, seeds) if total else 0.0
    spread = max(nothing, 100 * times * math.sqrt(total))
    of_images = max(nothing / Z95 if spread == nothing else 0.0, 100 * math.sqrt(table.of_images))
    alike = 100 * math.sqrt(table.images / table.size)
    errors = Errors(alike, of_images, 100 * math.sqrt(table.of_seeds), seeds - 1)
    return Interval(value, max(-100.0, value - spread), min(100.0, value + spread), errors)


def _of_one(values: NDArray[np.float64]) -> Interval:
    """Bonett and Price's interval, also where answers are means: two images are imagined that say 1 and -1."""
    images = values.shape[1]
    value, centre = 100 * float(values.mean()), float(values.sum()) / (images + 2)
    spread = 100 * Z95 * math.sqrt(((float((values**2).sum()) + 2) / (images + 2) - centre**2) / (images + 2))
    low, high = min(value, 100 * centre - spread), max(value, 100 * centre + spread)
    return Interval(value, max(-100.0, low), min(100.0, high))
