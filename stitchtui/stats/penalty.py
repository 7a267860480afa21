"""The stitching penalty with its paired interval, over seeds too; no torch here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["connected", "not connected", "undecided"]
Side = Literal["below", "straddling", "above"]

Z95 = 1.959963984540054
ONE_TAIL = 0.025
"""The chance that a 95 % interval leaves on each side."""


@dataclass(frozen=True)
class Errors:
    """Where a number of several seeds has its standard error, in points: limits of other levels are made from it."""

    alike: float  # if seeds were all alike: by the images alone
    images: float  # what images add to what seeds show; well known
    seeds: float  # estimated with few degrees of freedom
    degrees: float


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval, in percentage points."""

    value: float
    low: float
    high: float
    errors: Errors | None = None  # where it is of several seeds; without them its ends are the normal law's

    @property
    def half_width(self) -> float:
        """Half the interval's length, in percentage points."""
        return (self.high - self.low) / 2


def paired_interval(images: int, only_stitched_wrong: int, only_base_wrong: int) -> Interval:
    """The penalty and its 95 % interval from the test images on which just one of two networks is wrong.

    Bonett and Price's adjusted Wald interval for a difference of paired proportions (Journal of Educational and
    Behavioral Statistics 37, 2012, 479-488): it stays honest where few images differ. Tango's score interval
    (Statistics in Medicine 17, 1998) is about the same. It is clipped to [-100, 100] and always holds the value.
    """
    value = 100 * (only_stitched_wrong - only_base_wrong) / images
    worse = (only_stitched_wrong + 1) / (images + 2)
    better = (only_base_wrong + 1) / (images + 2)
    spread = 100 * Z95 * math.sqrt((worse + better - (worse - better) ** 2) / (images + 2))
    centre = 100 * (worse - better)
    low, high = min(value, centre - spread), max(value, centre + spread)
    return Interval(value, max(-100.0, low), min(100.0, high))


def error_interval(error: float, images: int) -> Interval:
    """A test error (percent) over so many images with its 95 % interval: Wilson's, which always holds the value."""
    share, z2 = error / 100, Z95**2
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    spread = Z95 * math.sqrt(share * (1 - share) / images + z2 / (4 * images**2)) / (1 + z2 / images)
    return Interval(error, min(error, 100 * (centre - spread)), max(error, 100 * (centre + spread)))


def difference(first: Interval, second: Interval) -> Interval:
    """`second` less `first`, its interval as if the two were independent.

    Of two numbers over the same test images, which tend to move together, that is wider than need be.
    """
    value = second.value - first.value
    low = value - math.hypot(second.value - second.low, first.high - first.value)
    high = value + math.hypot(second.high - second.value, first.value - first.low)
    return Interval(value, low, high, _errors_of_two(first, second))


def _errors_of_two(first: Interval, second: Interval) -> Errors | None:
    single = [each.half_width / Z95 for each in (first, second)]
    both = zip((first, second), single, strict=True)
    known = [each.errors or Errors(error, error, 0.0, math.inf) for each, error in both]
    if first.errors is second.errors is None:
        return None
    parts = zip(*((e.alike, e.images, e.seeds) for e in known), strict=True)
    alike, images, seeds = (math.hypot(*sides) for sides in parts)
    return Errors(alike, images, seeds, min(e.degrees for e in known))


def over_seeds(intervals: Sequence[Interval]) -> Interval:
    """The mean over seeds where it isn't known which images each gets wrong, as in old logs.

    With one seed it is that seed's interval. With k, the variance among seeds enters as Student's t with k - 1
    degrees of freedom, and beside it the whole of a seed's own variance, as if all of it were that of images that are
    harder than others for every seed: their part doesn't shrink with k. How much of it is, answers would tell, and
    `stats.crossed` asks them; here the rest counts twice, so that 98 to 100 % are held.
    """
    if len(intervals) == 1:
        return intervals[0]
    k = len(intervals)
    mean = sum(i.value for i in intervals) / k
    low = sum(i.value - i.low for i in intervals) / k
    high = sum(i.high - i.value for i in intervals) / k
    error = standard_deviation([i.value for i in intervals]) / math.sqrt(k)
    ends = tuple(math.hypot(side, t95(k - 1) * error) for side in (low, high))
    errors = Errors((low + high) / 2 / Z95, (low + high) / 2 / Z95, error, k - 1) if error else None
    return Interval(mean, mean - ends[0], mean + ends[1], errors)


def standard_deviation(values: Sequence[float]) -> float:
    """The sample standard deviation; 0 for fewer than two values."""
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))


def t95(degrees: float) -> float:
    """How many standard errors hold 95 % of Student's t."""
    from scipy.special import stdtrit  # imported late: a single seed never needs it

    return float(stdtrit(degrees, 1 - ONE_TAIL))


def side(interval: Interval, epsilon: float) -> Side:
    """Whether the interval lies at or below `epsilon`, wholly above it, or on both sides of it."""
    if interval.low > epsilon:
        return "above"
    return "below" if interval.high <= epsilon else "straddling"
