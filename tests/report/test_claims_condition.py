"""A claim with a condition: which cuts count, what an open condition may do, and that nothing is said of no cut."""

from itertools import product

from claimed_run import measures, reason, run, verdict
from hypothesis import given
from hypothesis import strategies as st

A, B = "a > c", "b > c"
LOW, HIGH = "a > c affine task", "b > c affine task"


def cells(penalties, likeness):
    return [measures(p, cka=c) for p, c in zip(penalties, likeness, strict=True)]


def like(penalties, likeness):
    return run({LOW: cells(penalties, likeness)})


LIKE = {"kind": "at_most", "columns": [A], "measure": "cka", "value": 0.2, "where": {"at_most": 0}}


def test_only_cuts_at_which_the_condition_holds_count():
    state = like([5, 5, -2, -3, 5], [0.9, 0.9, 0.1, 0.2, 0.9])
    assert verdict(state, **LIKE) == "confirmed"
    assert reason(state, **LIKE) == (
        "at all of 2 cuts; the closest: three (0.75) 0.20, where the penalty is -3.00 [-3.50, -2.50]"
    )
    assert verdict(state, **{**LIKE, "where": None}) == "rejected"


def test_one_cut_at_which_the_condition_holds_and_the_claim_does_not_rejects_it():
    state = like([5, 5, -2, -3, 5], [0.1, 0.1, 0.1, 0.7, 0.1])
    assert reason(state, **LIKE) == "not at 1 of 2 cuts: three (0.75) 0.70, where the penalty is -3.00 [-3.50, -2.50]"


def test_where_the_condition_is_open_the_claim_cannot_be_rejected():
    state = like([0.2, 5, -2, -3, 5], [0.7, 0.9, 0.1, 0.1, 0.9])
    assert verdict(state, **LIKE) == "undecided"
    assert reason(state, **LIKE).startswith("open at 1 of 3 cuts: stem (0.00) 0.70, where the penalty is +0.20 [")
    assert verdict(like([0.2, 5, -2, -3, 5], [0.1, 0.9, 0.1, 0.1, 0.9]), **LIKE) == "confirmed"


def test_a_claim_whose_condition_holds_nowhere_for_sure_is_not_confirmed():
    state = like([5, 5, 0.2, 5, 5], [0.1] * 5)
    assert verdict(state, **LIKE) == "undecided"
    assert reason(state, **LIKE) == "at no cut is it sure that the penalty of a > c is at most 0 points"


def test_a_cut_without_the_number_that_the_condition_is_about_leaves_it_open():
    broken = run({LOW: [None, *cells([-2] * 4, [0.1] * 4)]})
    assert verdict(broken, **LIKE) == "undecided"
    assert "stem (0.00): failed: it broke, where the penalty failed: it broke" in reason(broken, **LIKE)


def test_at_some_cut_both_must_hold_there():
    some = {**LIKE, "at": "some"}
    assert verdict(like([-2, 5, 5, 5, 5], [0.9, 0.1, 0.1, 0.1, 0.1]), **some) == "rejected"
    assert verdict(like([-2, 5, 5, 5, 5], [0.1, 0.9, 0.9, 0.9, 0.9]), **some) == "confirmed"
    assert verdict(like([0.2, 5, 5, 5, 5], [0.1, 0.1, 0.1, 0.1, 0.1]), **some) == "undecided"


def test_a_comparison_is_made_where_the_first_column_meets_the_condition():
    below = {"kind": "below", "columns": [A, B], "measure": "cka", "where": {"at_most": 3}}
    state = run({LOW: cells([1, 1, 9, 9, 9], [0.3, 0.4, 0.9, 0.9, 0.9]), HIGH: cells([9] * 5, [0.5] * 5)})
    assert verdict(state, **below) == "confirmed"
    assert verdict(state, **{**below, "columns": [B, A]}) == "undecided"
    assert "a > c 0.40, b > c 0.50" in reason(state, **below)
    assert verdict(state, **{**below, "where": {"at_least": 3}}) == "rejected"


quarters = st.integers(-8, 8).map(lambda quarter: quarter / 4)
intervals = st.tuples(quarters, st.integers(0, 6), st.integers(0, 6)).map(
    lambda p: (p[0], p[0] - p[1] / 4, p[0] + p[2] / 4)
)
cuts = st.lists(st.tuples(intervals, intervals), min_size=5, max_size=5)


@given(cuts, quarters, quarters, st.sampled_from(["every", "some"]))
def test_a_verdict_holds_whatever_values_in_the_intervals_are_the_true_ones(five, value, limit, at):
    said = [
        {**measures(penalty), "versus_bottom": b[0], "versus_bottom_low": b[1], "versus_bottom_high": b[2]}
        for penalty, b in five
    ]
    where = {"measure": "versus_bottom", "at_least": limit}
    found = verdict(run({LOW: said}), kind="at_most", columns=[A], value=value, at=at, where=where)
    # each cut: what the claim says there, for every choice of ends
    truths = [{(b >= limit, p <= value) for p, b in product(penalty[1:], versus[1:])} for penalty, versus in five]
    if at == "some":
        could = any((True, True) in cut for cut in truths)
        must = any(cut == {(True, True)} for cut in truths)
    else:
        could = not any(cut == {(True, False)} for cut in truths)
        must = not any((True, False) in cut for cut in truths)
        if not any(all(condition for condition, _ in cut) for cut in truths):
            assert found == "undecided"
            return
    # Not the other way round: what each interval says by itself may be too little for all of them together.
    assert found != "confirmed" or must
    assert found != "rejected" or not could
