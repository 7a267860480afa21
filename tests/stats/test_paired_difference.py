"""Two numbers of one top are compared image by image, all others as if they were independent: the laws of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.contrast import PairableInterval, SeedAnswers
from stitchtui.stats.crossed import crossed_interval
from stitchtui.stats.paired_difference import difference_of
from stitchtui.stats.penalty import Interval, difference

intervals = st.tuples(st.floats(-50, 50), st.floats(0, 10), st.floats(0, 10)).map(
    lambda t: Interval(t[0], t[0] - t[1], t[0] + t[2])
)
wrongs = st.lists(st.booleans(), min_size=40, max_size=40).map(AnswerBits.of)
seeds = st.lists(st.tuples(wrongs, wrongs), min_size=1, max_size=3)


def error(*answers: SeedAnswers) -> Interval:
    """A number that rests on these answers; the subtracted error is left out, being the same for all."""
    known = [cell for seed in answers for cell in seed.cells]
    value = sum(100 * cell.bits.bit_count() / 40 for cell in known) / len(known)
    return PairableInterval(value, value - 1, value + 1, answers=answers)


def apart(found: list[tuple[AnswerBits, AnswerBits]]) -> tuple[float, ...]:
    """The second of every two less the first, over the table of seeds by images."""
    table = np.array([other.array.astype(float) - one.array for one, other in found])
    return ends(crossed_interval(table))


def ends(found: Interval) -> tuple[float, ...]:
    return tuple(round(end, 9) for end in (found.value, found.low, found.high))


@given(seeds)
def test_seeds_are_compared_each_with_its_own(found: list[tuple[AnswerBits, AnswerBits]]) -> None:
    first, second = [one for one, _ in found], [other for _, other in found]
    networks = difference_of(
        error(*(SeedAnswers("top", (one,)) for one in first)),
        error(*(SeedAnswers("top", (other,)) for other in second)),
    )
    stitches = difference_of(error(SeedAnswers("top", tuple(first))), error(SeedAnswers("top", tuple(second))))
    assert ends(networks) == ends(stitches) == apart(found)


@given(seeds, wrongs)
def test_one_cell_stands_beside_each_of_several_stitch_seeds(
    found: list[tuple[AnswerBits, AnswerBits]], direct: AnswerBits
) -> None:
    trained = [one for one, _ in found]
    paired = difference_of(error(SeedAnswers("t", (direct,))), error(SeedAnswers("t", tuple(trained))))
    assert ends(paired) == apart([(direct, one) for one in trained])


@given(seeds)
def test_without_answers_it_is_the_difference_of_independent_numbers(
    found: list[tuple[AnswerBits, AnswerBits]],
) -> None:
    one, other = (error(*(SeedAnswers(name, cells) for cells in found)) for name in ("a", "b"))
    plain = Interval(one.value, one.low, one.high)
    assert (
        difference_of(one, other) == difference_of(plain, other) == difference_of(one, plain) == difference(one, other)
    )


@given(intervals, intervals)
def test_a_difference_holds_its_value_and_turns_round_with_its_ends(a: Interval, b: Interval) -> None:
    turns_round(a, b)


@given(seeds)
def test_so_does_one_image_by_image(found: list[tuple[AnswerBits, AnswerBits]]) -> None:
    turns_round(*(error(*(SeedAnswers("top", (cells[side],)) for cells in found)) for side in (0, 1)))


def turns_round(a: Interval, b: Interval) -> None:
    found, back = difference_of(a, b), difference_of(b, a)
    assert found.low <= found.value <= found.high
    assert (found.value, found.low, found.high) == pytest.approx((-back.value, -back.high, -back.low))
