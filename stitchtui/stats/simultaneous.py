"""Limits and p values of several numbers that hold together, by the joint law of their errors over the test images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal, NamedTuple

from stitchtui.stats.contrast import Contrast, contrast_of
from stitchtui.stats.crossed import Crossed
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
    That value is max-T's where all numbers say what they rest on, on the same images, else Bonferroni's.
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
    size, own = interval.half_width, _quantile(ONE_TAIL, interval.degrees)
    away = ((interval.high + interval.low) / 2 - limit) * own
    if size == 0:
        return PValues(*(float(side) for side in (away <= 0, away >= 0)))
    return PValues(_tail(away / size, interval.degrees), _tail(-away / size, interval.degrees))


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
    factor = _quantile(level, interval.degrees) / _quantile(ONE_TAIL, interval.degrees)
    centre, half = (interval.low + interval.high) / 2, interval.half_width * factor
    low, high = min(interval.low, centre - half), max(interval.high, centre + half)
    return Interval(interval.value, low, high, interval.degrees)


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
    from a seed that is always the same. With several seeds it is divided by what Student's t divides by, for each
    number with its own degrees of freedom, so that all limits are as wide as their p value says (min-P: Westfall and
    Young, 1993), and what seeds add is taken as independent between numbers: from a few seeds nobody can tell, and
    numbers that move together are then all the more sure to lie within their limits (Slepian's inequality; Sidak's).
    """
    contrasts = [contrast for interval in intervals if (contrast := contrast_of(interval)) is not None]
    if len(contrasts) < len(intervals) or len({(c.images, c.values.shape[1]) for c in contrasts}) != 1:
        return None
    import numpy as np
    from scipy.special import stdtr

    rng, degrees = np.random.default_rng(0), np.array([interval.degrees for interval in intervals])
    drawn = rng.standard_normal((DRAWS, len(intervals))) @ np.linalg.cholesky(_correlation(contrasts)).T
    few = np.isfinite(degrees)
    drawn[:, few] /= np.sqrt(rng.chisquare(degrees[few], (DRAWS, few.sum())) / degrees[few])
    if tails == 2:
        np.negative(np.abs(drawn), drawn)
    if len({*degrees}) == 1:  # the least p value is that of the least number
        drawn, degrees = drawn.min(1, keepdims=True), degrees[:1]
    least = np.sort(stdtr(degrees, drawn).min(1))
    least.flags.writeable = False
    return least


def _correlation(contrasts: Sequence[Contrast]) -> NDArray[np.float64]:
    """How the numbers' errors go together; two images imagined for each, as Bonett and Price do, keep it definite."""
    import numpy as np

    means = np.array([contrast.values.mean(0) for contrast in contrasts])  # [numbers, images]
    n = means.shape[1]
    away = means.sum(1) / (n + 2)
    of_images = ((means @ means.T + 2 * np.eye(len(means))) / (n + 2) - np.outer(away, away)) / (n + 2)
    tables = [contrast.values for contrast in contrasts]
    covariance = of_images + np.diag([Crossed.of(table).excess if len(table) > 1 else 0.0 for table in tables])
    size = np.sqrt(np.diag(covariance))
    return np.asarray(covariance / np.outer(size, size))


def _quantile(level: float, degrees: float) -> float:
    """How many standard errors leave so much on one side."""
    if math.isinf(degrees):
        return _NORMAL.inv_cdf(1 - level)
    from scipy.special import stdtrit

    return float(stdtrit(degrees, 1 - level))


def _tail(away: float, degrees: float) -> float:
    """The chance to lie so many standard errors or more above."""
    if math.isinf(degrees):
        return _NORMAL.cdf(-away)
    from scipy.special import stdtr

    return float(stdtr(degrees, -away))
