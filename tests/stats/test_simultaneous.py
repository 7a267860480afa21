"""Limits that hold together: between a number's own and Bonferroni's, as wide as the numbers' errors go apart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.contrast import PairableInterval, SeedAnswers, contrast_of
from stitchtui.stats.paired_difference import paired
from stitchtui.stats.penalty import ONE_TAIL, Errors, Interval
from stitchtui.stats.simultaneous import Tails, bonferroni, p_value, p_values, simultaneous

numbers = st.builds(
    lambda value, half, errors: Interval(value, value - half, value + half, errors),
    st.floats(-50, 50),
    st.floats(0.1, 10),
    st.none()
    | st.builds(Errors, st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0.01, 1), st.sampled_from([1, 2, 4])),
).filter(lambda number: number.errors is None or bonferroni([number] * 2)[0].half_width > number.half_width)
tails = st.sampled_from([1, 2])


def measured(rng: np.random.Generator, shared: np.ndarray, apart: float, seeds: int = 1) -> PairableInterval:
    """A penalty of which `shared` images are wrong but for a share of `apart` that is drawn anew."""
    n = len(shared)
    cells = [np.where(rng.random(n) < apart, rng.random(n) < 0.3, shared) for _ in range(seeds)]
    base = AnswerBits.of(rng.random(n) < 0.2)
    found = paired(tuple(SeedAnswers("top", (AnswerBits.of(cell),), (base,), "images") for cell in cells))
    assert found is not None
    return found


def column(apart: float, cuts: int = 8, seeds: int = 1) -> list[Interval]:
    rng = np.random.default_rng(1)
    shared = rng.random(2000) < 0.3
    return [measured(rng, shared, apart, seeds) for _ in range(cuts)]


@given(numbers, tails)
def test_one_number_has_its_own_interval(number: Interval, tails: Tails) -> None:
    assert simultaneous([number], tails) == [number]


@given(st.lists(numbers, min_size=2, max_size=5), tails)
def test_limits_of_numbers_that_share_no_images_are_bonferronis(found: list[Interval], tails: Tails) -> None:
    together = simultaneous(found, tails)
    assert together == bonferroni(found)
    for one, wide in zip(found, together, strict=True):
        assert wide.low <= one.low <= one.value <= one.high <= wide.high


@pytest.mark.parametrize("tails", [1, 2])
def test_limits_over_seeds_are_bonferronis(tails: Tails) -> None:
    found = column(0.3, seeds=3)
    assert simultaneous(found, tails) == bonferroni(found)


@pytest.mark.parametrize("tails", [1, 2])
def test_limits_are_the_wider_the_less_errors_go_together(tails: Tails) -> None:
    def growth(found: list[Interval], limits: list[Interval]) -> float:
        return sum(limit.half_width / one.half_width for one, limit in zip(found, limits, strict=True)) / len(found)

    near, far = column(0.05), column(1.0)
    grown = [growth(found, simultaneous(found, tails)) for found in (near, far)]
    assert 1 < grown[0] < grown[1] <= growth(far, bonferroni(far))


def test_numbers_that_are_the_same_need_no_wider_limits() -> None:
    one = column(0.5, cuts=1)[0]
    (found, _) = simultaneous([one, one], 2)
    # the images that Bonett and Price imagine are each number's own
    assert found.half_width == pytest.approx(one.half_width, rel=0.03)


@given(numbers, st.floats(-60, 60))
def test_a_p_value_is_small_just_where_the_limit_lies_beyond(number: Interval, limit: float) -> None:
    above, below = p_value(number, limit)
    assert above + below == pytest.approx(1)
    if min(abs(number.low - limit), abs(number.high - limit)) > 1e-6:
        assert (above <= ONE_TAIL) == (number.low >= limit)
        assert (below <= ONE_TAIL) == (number.high <= limit)


@settings(max_examples=20)
@given(st.floats(0.1, 1.0), st.floats(-2, 12), tails)
def test_adjusted_p_values_say_what_the_limits_say(apart: float, limit: float, tails: Tails) -> None:
    found = column(apart, cuts=4)
    limits = simultaneous(found, tails)
    for p, raw, one in zip(
        p_values(found, [limit] * 4, tails), (p_value(each, limit) for each in found), limits, strict=True
    ):
        assert raw.above <= p.above <= 4 * raw.above
        if min(abs(one.low - limit), abs(one.high - limit)) > 0.02:
            assert (p.above <= ONE_TAIL) == (one.low >= limit)
            assert (p.below <= ONE_TAIL) == (one.high <= limit)


def test_a_contrast_says_of_every_image_what_the_number_is_the_mean_of() -> None:
    cells = [AnswerBits.of([True, True, False]), AnswerBits.of([True, False, False])]
    base = AnswerBits.of([False, True, True])
    both = tuple(SeedAnswers("top", (cell,), (base,), "images") for cell in cells)
    networks, stitches = paired(both), paired((SeedAnswers("top", tuple(cells), (base,), "images"),))
    assert networks is not None and stitches is not None
    for number in (networks, stitches):
        found = contrast_of(number)
        assert found is not None
        assert found.values.tolist() == [[1, 0, -1], [1, -1, -1]]
        assert number.value == pytest.approx(100 * found.values.mean())
    averaged = paired((*both, SeedAnswers("top", tuple(cells), (base,), "images")))
    assert averaged is not None
    found = contrast_of(averaged)
    assert found is not None
    assert found.values[2].tolist() == [1, -0.5, -1]


def test_a_number_that_does_not_say_what_it_rests_on_has_no_contrast() -> None:
    cell = AnswerBits.of([True, False])
    plain = Interval(1.0, 0.0, 2.0)
    unknown = PairableInterval(1.0, 0.0, 2.0, answers=(SeedAnswers("top", (cell,), (), "images"),))
    assert contrast_of(plain) is contrast_of(unknown) is None
