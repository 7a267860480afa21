"""How far two numbers lie apart: image by image where both are of one top, else as if independent; no torch here."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from stitchtui.stats.contrast import PairableInterval, SeedAnswers, contrast_of
from stitchtui.stats.crossed import Crossed, crossed_interval
from stitchtui.stats.penalty import Interval, difference, over_seeds


def difference_of(first: Interval, second: Interval) -> Interval:
    """`second` less `first`, image by image where both say what they rest on and that allows it.

    Where both are errors less that of the same networks, on the same images, those networks' errors cancel out, and
    only images count that one gets wrong and the other doesn't.
    """
    found = _image_by_image(first, second)
    # A number that isn't what its answers say, as in a log that was edited, is none to be paired.
    same = found is not None and math.isclose(found.value, second.value - first.value, abs_tol=1e-6)
    return found if found is not None and same else difference(first, second)


def _image_by_image(first: Interval, second: Interval) -> Interval | None:
    if not isinstance(first, PairableInterval) or not isinstance(second, PairableInterval):
        return None
    if [seed.less for seed in first.answers] != [seed.less for seed in second.answers]:
        return None
    both = zip(first.answers, second.answers, strict=True)
    return paired(tuple(replace(theirs, base=mine.cells, less=f"apart, {theirs.less}") for mine, theirs in both))


def over(intervals: Sequence[Interval], answers: tuple[SeedAnswers, ...]) -> Interval:
    """The mean of a number over seeds, from what it says in each, with what it rests on.

    Its interval is over seeds and images where `answers` say of every image what the number is; else `over_seeds`'.
    """
    crude = over_seeds(intervals)
    if not answers:
        return crude
    found = paired(answers) if len(intervals) > 1 else None
    if found is not None and math.isclose(found.value, crude.value, abs_tol=1e-6):
        return found
    return PairableInterval(crude.value, crude.low, crude.high, crude.errors, answers)


def answers_of(intervals: Sequence[Interval]) -> tuple[SeedAnswers, ...]:
    """What the seeds' numbers rest on, one after the other; empty where one doesn't say."""
    said = [interval.answers for interval in intervals if isinstance(interval, PairableInterval)]
    return tuple(seed for each in said for seed in each) if len(said) == len(intervals) else ()


@lru_cache(maxsize=4096)
def spread_by_images(interval: Interval) -> float | None:
    """The standard deviation of a number over seeds, in points, if they differed on these test images alone.

    So much even seeds that are all as good as each other differ by, since each errs on other images (Jordan,
    "Calibrated chaos", 2023). None for one seed, and where answers aren't known.
    """
    contrast = contrast_of(interval)
    if contrast is None or len(contrast.values) < 2:
        return None
    return 100 * math.sqrt(Crossed.of(contrast.values).left / contrast.values.shape[1])


@lru_cache(maxsize=4096)
def paired(answers: tuple[SeedAnswers, ...]) -> PairableInterval | None:
    """What `answers` come to, with its interval over seeds and images; None where they don't say it of every image."""
    if [len(seed.cells) * len(seed.base) for seed in answers] == [1]:  # as in most runs, which need no numpy
        (cells,), (base,) = answers[0].cells, answers[0].base
        found = cells.less(base) if cells.images == base.images else None
    else:
        contrast = contrast_of(PairableInterval(0.0, 0.0, 0.0, answers=answers))
        found = None if contrast is None else crossed_interval(contrast.values)
    if found is None:
        return None
    return PairableInterval(found.value, found.low, found.high, found.errors, answers)
