"""What a number says of every test image in every seed: what its interval, and limits that hold together, rest on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SeedAnswers:
    """In one network seed: what a number's cells get wrong, one for each stitch seed, and what is subtracted.

    Two numbers with the same `less` are errors less that of the same network on the same images. `base` is what that
    network gets wrong, or of a difference of two numbers what the other's cells get wrong; empty where nobody says.
    """

    less: str  # that network and the test images, by whatever tells them from all others
    cells: tuple[AnswerBits, ...]
    base: tuple[AnswerBits, ...] = ()
    images: str = ""  # the test images, by whatever tells them from all others


@dataclass(frozen=True)
class PairableInterval(Interval):
    """An estimate with its interval and what it rests on, a network seed after the other."""

    answers: tuple[SeedAnswers, ...] = ()


@dataclass(frozen=True, eq=False)
class Contrast:
    """What a number says of every test image in every seed; its mean is the number, as a share."""

    values: NDArray[np.float64]  # [seeds, images], each from -1 to 1
    images: str  # the test images, by whatever tells them from all others


def contrast_of(interval: Interval) -> Contrast | None:
    """Return what `interval` rests on; None where it doesn't say so for every image.

    Each row is a network seed, the mean over its stitch seeds. Where there is one network seed, the stitch seeds take
    the rows: they are then what differs from one repetition to the next.
    """
    answers = interval.answers if isinstance(interval, PairableInterval) else ()
    sides = [(seed.cells, seed.base) for seed in answers]
    images = {bits.images for side in sides for cells in side for bits in cells}
    if len(images) != 1 or len({seed.images for seed in answers}) != 1 or not all(base for _, base in sides):
        return None
    import numpy as np  # imported late: a run's list and a run of one seed do without

    if len(sides) == 1:
        sides = rows_of_one(*sides[0])
    rows = [np.mean([c.array for c in cells], 0) - np.mean([b.array for b in base], 0) for cells, base in sides]
    return Contrast(np.array(rows), answers[0].images)


Side = tuple[AnswerBits, ...]


def rows_of_one(cells: Side, base: Side) -> list[tuple[Side, Side]]:
    """The stitch seeds of one network seed one by one; all in one where they have no partners."""
    count = max(len(cells), len(base))
    if not {len(cells), len(base)} <= {1, count}:
        return [(cells, base)]
    return [((cells[k % len(cells)],), (base[k % len(base)],)) for k in range(count)]


def negated(interval: Interval) -> Interval:
    """The number with its sign turned round, and what it rests on with it."""
    ends = (-interval.value, -interval.high, -interval.low, interval.errors)
    if not isinstance(interval, PairableInterval) or not all(seed.base for seed in interval.answers):
        return Interval(*ends)
    answers = tuple(replace(seed, cells=seed.base, base=seed.cells) for seed in interval.answers)
    return PairableInterval(*ends, answers)
