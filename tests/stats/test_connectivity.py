"""The verdict on a pair: connected by each cut's own limit, not connected by limits that hold together."""

from hypothesis import given
from hypothesis import strategies as st

from stitchtui.stats.connectivity import connectivity, epsilon_star
from stitchtui.stats.penalty import Interval
from stitchtui.stats.simultaneous import simultaneous

intervals = st.lists(
    st.builds(lambda v, w: Interval(v, v - w, v + w), st.floats(-9, 9), st.floats(0.01, 5)), min_size=1, max_size=6
)


def test_the_verdict_is_three_valued() -> None:
    low, across, above = Interval(1, 0, 2), Interval(2.5, 1, 4), Interval(6, 4, 8)
    assert connectivity([low, low], 3) == "connected"
    assert connectivity([low, across], 3) == "undecided"
    assert connectivity([low, across, above], 3) == "not connected"
    assert connectivity([], 3) == "undecided"


def test_one_cut_of_many_that_lies_just_above_alone_leaves_the_pair_undecided() -> None:
    just_above, low = Interval(5.1, 3.1, 7.1), Interval(1, 0, 2)
    assert connectivity([just_above], 3) == "not connected"
    assert connectivity([just_above, *[low] * 9], 3) == "undecided"


@given(intervals, st.floats(0, 9))
def test_not_connected_is_said_by_simultaneous_limits_and_connected_by_single_ones(
    found: list[Interval], epsilon: float
) -> None:
    lows = [limit.low for limit in simultaneous(found, tails=1)]
    assert (connectivity(found, epsilon) == "not connected") == (max(lows) > epsilon)
    assert (connectivity(found, epsilon) == "connected") == all(each.high <= epsilon for each in found)


@given(intervals, st.floats(0, 9), st.floats(0, 5))
def test_a_larger_epsilon_never_makes_a_pair_less_connected(found: list[Interval], epsilon: float, more: float) -> None:
    order = ["not connected", "undecided", "connected"]
    assert order.index(connectivity(found, epsilon)) <= order.index(connectivity(found, epsilon + more))


@given(intervals | st.just([]), st.floats(0, 9))
def test_a_pair_is_connected_just_from_epsilon_star_on(found: list[Interval], epsilon: float) -> None:
    star = epsilon_star(found)
    assert (connectivity(found, epsilon) == "connected") == (star is not None and star <= epsilon)
    assert star is None or connectivity(found, star) == "connected"
