import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq

from stitchtui.stats.penalty import Z95, Interval, over_seeds, paired_interval, side


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int, int]:
    n = draw(st.integers(1, 20_000))
    worse = draw(st.integers(0, n))
    return n, worse, draw(st.integers(0, n - worse))


@given(counts())
def test_the_interval_holds_the_penalty_and_stays_within_bounds(c: tuple[int, int, int]) -> None:
    i = paired_interval(*c)
    assert -100 <= i.low <= i.value <= i.high <= 100
    assert i.value == 100 * (c[1] - c[2]) / c[0]


@given(counts())
def test_swapping_the_networks_mirrors_the_interval(c: tuple[int, int, int]) -> None:
    i, mirrored = paired_interval(*c), paired_interval(c[0], c[2], c[1])
    assert (mirrored.value, mirrored.low, mirrored.high) == pytest.approx((-i.value, -i.high, -i.low))


@given(st.integers(10, 1000), st.integers(0, 5), st.integers(0, 5))
def test_more_images_with_the_same_rates_narrow_the_interval(n: int, worse: int, better: int) -> None:
    assume(worse + better <= n)
    assert paired_interval(10 * n, 10 * worse, 10 * better).half_width < paired_interval(n, worse, better).half_width


def test_the_interval_is_bonett_and_prices() -> None:
    i = paired_interval(100, 20, 5)  # p12 = 21/102, p21 = 6/102
    spread = 1.959963984540054 * math.sqrt((27 / 102 - (15 / 102) ** 2) / 102)
    assert (i.low, i.high) == pytest.approx((100 * (15 / 102 - spread), 100 * (15 / 102 + spread)))


def test_networks_that_never_differ_have_penalty_zero_but_not_a_certain_one() -> None:
    i = paired_interval(600, 0, 0)
    assert i.value == 0
    assert 0 < i.high < 1


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    truth, hits, rounds = 100 * (0.04 - 0.02), 0, 2000
    for worse, better, _ in rng.multinomial(500, [0.04, 0.02, 0.94], rounds):
        i = paired_interval(500, int(worse), int(better))
        hits += i.low <= truth <= i.high
    assert 0.935 <= hits / rounds <= 0.98


@given(st.floats(-50, 50), st.floats(0, 10), st.integers(1, 5))
def test_seeds_that_agree_leave_the_interval_as_it_is(value: float, width: float, k: int) -> None:
    one = Interval(value, value - width, value + width)
    both = over_seeds([one] * k)
    assert (both.value, both.low, both.high) == pytest.approx((one.value, one.low, one.high))


def test_seeds_that_differ_widen_the_interval() -> None:
    a, b = Interval(1, 0, 2), Interval(3, 2, 4)
    i = over_seeds([a, b])
    spread = 12.706204736 * math.sqrt(2) / math.sqrt(2)  # Student's t with 1 degree of freedom, sd sqrt(2), k = 2
    assert i.value == 2
    assert i.high - i.value == pytest.approx(math.hypot(1, spread))


def test_an_interval_lies_below_epsilon_above_it_or_on_both_sides() -> None:
    low, across, above = Interval(1, 0, 2), Interval(2.5, 1, 4), Interval(6, 4, 8)
    assert [side(interval, 3) for interval in (low, across, above)] == ["below", "straddling", "above"]


def score_limits(images: int, worse: int, better: int) -> tuple[float, float]:
    """Tango's score interval (Statistics in Medicine 17, 1998), in points: the differences that its test accepts."""

    def score(apart: float) -> float:
        # the likeliest share of images on which only the base is wrong, where the shares differ by `apart`
        b = -worse - better + (2 * images - worse + better) * apart
        share = (math.sqrt(b * b + 8 * images * better * apart * (1 - apart)) - b) / (4 * images)
        return (worse - better - images * apart) / math.sqrt(images * (2 * share + apart * (1 - apart)))

    value = (worse - better) / images
    ends = ((-1 + 1e-9, value, -1), (value, 1 - 1e-9, 1))
    return tuple(100 * brentq(lambda d, s=sign: score(d) + s * Z95, low, high) for low, high, sign in ends)


@given(st.integers(500, 10_000), st.floats(0.005, 0.4), st.floats(0.005, 0.4))
def test_the_interval_is_about_tangos_score_interval(images: int, worse: float, better: float) -> None:
    counts = images, round(images * worse), round(images * better)
    found, (low, high) = paired_interval(*counts), score_limits(*counts)
    assert abs(found.low - low) < 0.15 * found.half_width
    assert abs(found.high - high) < 0.15 * found.half_width
