"""How far two numbers lie apart: image by image where both are of one top, else as if independent; no torch here."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import Interval, difference, over_seeds


@dataclass(frozen=True)
class SeedAnswers:
    """In one network seed: what a number's cells get wrong, one for each stitch seed, and whose error is subtracted."""

    less: str  # that network and the test images, by whatever tells them from all others
    cells: tuple[AnswerBits, ...]


@dataclass(frozen=True)
class PairableInterval(Interval):
    """An estimate with its interval and what it rests on, a network seed after the other."""

    answers: tuple[SeedAnswers, ...] = ()


def difference_of(first: Interval, second: Interval) -> Interval:
    """`second` less `first`, image by image where both say what they rest on and that allows it.

    Where both are errors less that of the same networks, on the same images, those networks' errors cancel out, and
    only images count that one gets wrong and the other doesn't.
    """
    paired = _paired(_answers(first), _answers(second))
    # A number that isn't what its answers say, as in a log that was edited, is none to be paired.
    same = paired is not None and math.isclose(paired.value, second.value - first.value, abs_tol=1e-6)
    return paired if paired is not None and same else difference(first, second)


def _answers(interval: Interval) -> tuple[SeedAnswers, ...]:
    return interval.answers if isinstance(interval, PairableInterval) else ()


def _paired(first: Sequence[SeedAnswers], second: Sequence[SeedAnswers]) -> Interval | None:
    if not first or [a.less for a in first] != [a.less for a in second]:
        return None
    found = []
    for mine, others in zip(first, second, strict=True):
        if len({cell.images for cell in (*mine.cells, *others.cells)}) != 1:
            return None
        counts = len(mine.cells), len(others.cells)
        if counts[0] != counts[1] and 1 not in counts:
            return None
        seeds = range(max(counts))
        found.append(over_seeds([others.cells[k % counts[1]].less(mine.cells[k % counts[0]]) for k in seeds]))
    return over_seeds(found)
