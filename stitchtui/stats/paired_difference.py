"""How far two numbers lie apart: image by image where both are of one top, else as if independent; no torch here."""

import math
from dataclasses import replace

from stitchtui.stats.contrast import PairableInterval, SeedAnswers, contrast_of
from stitchtui.stats.crossed import crossed_interval
from stitchtui.stats.penalty import Interval, difference


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
    return PairableInterval(found.value, found.low, found.high, found.degrees, answers)
