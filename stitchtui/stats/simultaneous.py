"""Limits and p values of several numbers that hold together, by the joint law of their errors over the test images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

from stitchtui.stats.contrast import Contrast, contrast_of
from stitchtui.stats.penalty import ONE_TAIL, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Tails = Literal[1, 2]

DRAWS = 10_000
_NORMAL = NormalDist()


class PValues(NamedTuple):
    """One-sided p values of a number against a limit."""

    above: float  # that it is at most the limit: small where the number lies above it
    below: float  # that it is at least the limit: small where the number lies below it


def simultaneous(intervals: Sequence[Interval], tails: Tails) -> list[Interval]:
    """Return the same numbers with limits that hold together.

    With one tail all lower limits hold together with 97.5 %, and so do all upper ones; with two all limits do with
    95 %. Each limit is the number's own with a higher critical value, so that one number has just its own interval.
    That value is max-T's where all numbers say what they rest on, on the same images, else Bonferroni's; over several
    seeds it is Bonferroni's, too: from two to five seeds nobody can tell how their numbers go together.
    """
    if len(intervals) < 2:
        return list(intervals)
    level = _level(tuple(intervals), tails)
    return [_at(interval, level) for interval in intervals]


def bonferroni(intervals: Sequence[Interval]) -> list[Interval]:
    """The same numbers with limits that hold together whatever their errors have to do with each other."""
    return [_at(interval, ONE_TAIL / len(intervals)) for interval in intervals]


def p_value(interval: Interval, limit: float) -> PValues:
    """The p values that the number's own interval turns round: `above` is at most 2.5 % just where `low` >= limit."""
    away = (interval.high + interval.low) / 2 - limit
    if interval.half_width == 0:
        return PValues(*(float(side) for side in (away <= 0, away >= 0)))
    p = _tail(interval, abs(away))
    return PValues(p, 1 - p) if away > 0 else PValues(1 - p, p)


def p_values(intervals: Sequence[Interval], limits: Sequence[float], tails: Tails = 1) -> list[PValues]:
    """The p values of every number against its limit, adjusted for all of them together as `simultaneous` does it.

    Single-step, so that a p value is at most 2.5 % (with two tails: of either side, doubled, at most 5 %) just where
    the simultaneous limit says the same, up to the 10,000 draws.
    """
    raw = [p_value(interval, limit) for interval, limit in zip(intervals, limits, strict=True)]
    if len(raw) < 2:
        return raw
    least = _least(tuple(intervals), tails)
    return [PValues(*(_adjusted(p, len(raw), least, tails) for p in each)) for each in raw]


def _adjusted(p: float, count: int, least: NDArray[np.float64] | None, tails: Tails) -> float:
    """The chance that the least p value of all is at most `p`; of two tails half of it, to stand beside one of one."""
    crude = min(1.0, p * count)
    if least is None:
        return crude
    import numpy as np

    return min(crude, max(p, float(np.searchsorted(least, p, "right")) / len(least) / tails))


def _at(interval: Interval, level: float) -> Interval:
    """The interval with another level on each side; its centre and standard error are its own."""
    if level == ONE_TAIL:
        return interval
    centre, half = (interval.low + interval.high) / 2, _half(interval, level)
    low, high = min(interval.low, centre - half), max(interval.high, centre + half)
    return Interval(interval.value, low, high, interval.errors)


def _level(intervals: tuple[Interval, ...], tails: Tails) -> float:
    """The level on each side of every single limit at which all hold together."""
    least, crude = _least(intervals, tails), ONE_TAIL / len(intervals)
    if least is None:
        return crude
    import numpy as np

    return min(ONE_TAIL, max(crude, float(np.quantile(least, ONE_TAIL * tails))))


@lru_cache(maxsize=128)
def _least(intervals: tuple[Interval, ...], tails: Tails) -> NDArray[np.float64] | None:
    """The least p value of all numbers in each of many draws, sorted; None where their joint law isn't known.

    A Gaussian multiplier bootstrap over images (Chernozhukov, Chetverikov and Kato, Annals of Statistics 41, 2013)
    is, given the answers, a normal law with the covariance of what the numbers say of each image, and is drawn as that,
    from a seed that is always the same. With two tails, the least of both sides of all numbers.
    """
    contrasts = [contrast for interval in intervals if (contrast := contrast_of(interval)) is not None]
    if len(contrasts) < len(intervals) or len({(c.images, c.values.shape[1]) for c in contrasts}) != 1:
        return None
    if any(interval.errors for interval in intervals):
        return None
    import numpy as np
    from scipy.special import ndtr

    drawn = np.random.default_rng(0).standard_normal((DRAWS, len(intervals)))
    drawn = drawn @ np.linalg.cholesky(_correlation(contrasts)).T
    least = np.sort(ndtr(-np.abs(drawn).max(1) if tails == 2 else drawn.min(1)))
    least.flags.writeable = False
    return least


def _correlation(contrasts: Sequence[Contrast]) -> NDArray[np.float64]:
    """How the numbers' errors go together; two images imagined for each, as Bonett and Price do, keep it definite."""
    import numpy as np

    means = np.array([contrast.values.mean(0) for contrast in contrasts])  # [numbers, images]
    n = means.shape[1]
    away = means.sum(1) / (n + 2)
    of_images = ((means @ means.T + 2 * np.eye(len(means))) / (n + 2) - np.outer(away, away)) / (n + 2)
    size = np.sqrt(np.diag(of_images))
    return np.asarray(of_images / np.outer(size, size))


def _half(interval: Interval, level: float) -> float:
    """Half of the interval with such a level on each side.

    Over several seeds both errors by their own laws, at right angles, which holds at every level whatever their shares
    are (Hajek, 1962; `crossed.critical` is narrower, and right at its own level alone); and never narrower than for
    seeds that are alike, since of a count of images two seeds can have the very same by chance.
    """
    normal, errors = _NORMAL.inv_cdf(1 - level), interval.errors
    if errors is None:
        return interval.half_width * normal / _NORMAL.inv_cdf(1 - ONE_TAIL)
    from scipy.special import stdtrit

    both = math.hypot(normal * errors.images, float(stdtrit(errors.degrees, 1 - level)) * errors.seeds)
    return max(both, normal * errors.alike)


def _tail(interval: Interval, away: float) -> float:
    """The level, at most a half, at which the interval is so far from its centre to its end."""
    if interval.errors is None:
        return _NORMAL.cdf(-away / interval.half_width * _NORMAL.inv_cdf(1 - ONE_TAIL))
    own, wide = interval.half_width, _half(interval, ONE_TAIL)
    if own <= away <= wide:
        return ONE_TAIL
    away *= wide / own if away < own else 1.0  # beyond its own ends it goes by the wider ones
    low, high = 1e-15, 0.5
    for _ in range(60):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _half(interval, middle) > away else (low, middle)
    return high
