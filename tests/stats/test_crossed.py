"""Intervals over seeds and images: what they are made of, and how often they hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import ndtr
from scipy.stats import chi2

from stitchtui.stats.crossed import Crossed, critical, crossed_interval
from stitchtui.stats.penalty import Errors, paired_interval

tables = st.tuples(st.integers(2, 4), st.integers(2, 12)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([-1.0, -0.5, 0.0, 1.0]))
)


@given(tables)
def test_mean_squares_are_those_of_the_two_way_table(values: np.ndarray) -> None:
    (k, n), mean = values.shape, values.mean()
    of_image = [values[:, i].mean() - mean for i in range(n)]
    of_seed = [values[j].mean() - mean for j in range(k)]
    rest = [values[j, i] - mean - of_seed[j] - of_image[i] for j in range(k) for i in range(n)]
    found = Crossed.of(values)
    expected = [
        k * sum(x**2 for x in of_image) / (n - 1),
        n * sum(x**2 for x in of_seed) / (k - 1),
        sum(x**2 for x in rest) / ((n - 1) * (k - 1)),
    ]
    assert [found.images, found.seeds, found.left] == pytest.approx(expected, abs=1e-9)


@given(tables)
def test_the_interval_holds_the_mean_turns_round_with_it_and_is_never_narrower_than_that_of_no_difference(
    values: np.ndarray,
) -> None:
    found, back = crossed_interval(values), crossed_interval(-values)
    assert found.low <= found.value <= found.high
    assert (found.value, found.low, found.high) == pytest.approx((-back.value, -back.high, -back.low))
    nothing = paired_interval(values.shape[1], 0, 0)
    assert found.high - found.value >= min(nothing.high, 100 - found.value) - 1e-9


@given(st.integers(1, 300), st.integers(0, 20), st.integers(0, 20))
def test_one_seed_has_bonett_and_prices_interval(same: int, worse: int, better: int) -> None:
    values = np.array([[0.0] * same + [1.0] * worse + [-1.0] * better])
    found, expected = crossed_interval(values), paired_interval(values.shape[1], worse, better)
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))


@pytest.mark.parametrize(
    ("seeds", "least", "most"), [(2, 0.935, 0.98), (3, 0.94, 0.961), (4, 0.94, 0.96), (5, 0.94, 0.96)]
)
def test_the_critical_value_holds_95_percent_whatever_the_seeds_share_is(seeds: int, least: float, most: float) -> None:
    ranks = (np.arange(2000) + 0.5) / 2000
    seen = chi2.ppf(ranks, seeds - 1) / (seeds - 1)  # the seeds' variance as it is estimated, of 1
    for share in np.linspace(0, 1, 41):
        total = (1 - share) + share * seen
        times = np.array([critical(each, seeds) for each in share * seen / total])
        held = float((2 * ndtr(times * np.sqrt(total)) - 1).mean())
        assert least < held < most


def test_seeds_that_all_differ_alike_are_a_sample_of_as_many() -> None:
    values = np.repeat([[0.0], [0.1], [0.2]], 50, axis=1)  # no image differs from another
    found = crossed_interval(values)
    assert found.value == pytest.approx(10)
    assert found.errors == Errors(pytest.approx(0), pytest.approx(0), pytest.approx(10 / math.sqrt(3)), 2)
    assert found.high - found.value == pytest.approx(4.302652729911275 * 10 / math.sqrt(3))
