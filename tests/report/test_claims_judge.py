"""What each kind of claim says of a run: confirmed, rejected or undecided, and by which numbers."""

import pytest
from claimed_run import CUTS, experiment, measures, reason, run, verdict

from stitchtui.report.claim_judging import judge, judge_all
from stitchtui.run.events import CellFinished
from stitchtui.spec.claims import ClaimSpec

A, B = "a > c", "b > c"
LOW, HIGH = "a > c affine task", "b > c affine task"


def row(*values):
    return {LOW: values}


# at most, at least


def test_at_most_is_confirmed_when_every_interval_lies_below():
    state = run(row(0, 1, 2, 1, 0))
    assert verdict(state, kind="at_most", columns=[A], value=2.5) == "confirmed"
    text = reason(state, kind="at_most", columns=[A], value=2.5)
    assert text == "at all of 5 cuts; the closest: two (0.50) +2.00 [+1.50, +2.50]"


def test_at_most_is_rejected_by_one_interval_that_lies_above_and_names_it():
    state = run(row(0, 1, 4, 1, 0))
    assert verdict(state, kind="at_most", columns=[A], value=3.3) == "rejected"
    assert reason(state, kind="at_most", columns=[A], value=3.3) == (
        "not at 1 of 5 cuts: two (0.50) +4.00 [+3.50, +4.50]"
    )


def test_one_of_several_cuts_whose_own_interval_lies_just_above_is_not_enough_and_said_to_be():
    state = run(row(0, 1, 4, 1, 0))
    assert reason(state, kind="at_most", columns=[A], value=3.4) == (
        "open at 1 of 5 cuts: two (0.50) +4.00 [+3.50, +4.50], rejected only by itself"
    )
    assert verdict(state, kind="at_most", columns=[A], value=3.4, cuts=["two"]) == "rejected"
    assert verdict(state, kind="at_least", columns=[A], value=3.4, at="some") == "undecided"
    assert verdict(state, kind="at_least", columns=[A], value=3.3, at="some") == "confirmed"


def test_an_interval_across_the_limit_leaves_it_undecided():
    state = run(row(0, 1, 3, 1, 0))
    assert verdict(state, kind="at_most", columns=[A], value=3.2) == "undecided"
    assert reason(state, kind="at_most", columns=[A], value=3.2).startswith("open at 1 of 5 cuts: two (0.50)")


def test_at_least_asks_the_other_way_round():
    state = run(row(1, 5, 5, 5, 5))
    assert verdict(state, kind="at_least", columns=[A], value=2, cuts={"past": 0.2}) == "confirmed"
    assert verdict(state, kind="at_least", columns=[A], value=2) == "rejected"


def test_some_cut_is_enough_where_some_is_asked_for():
    state = run(row(9, 9, 1, 9, 9))
    assert verdict(state, kind="at_most", columns=[A], value=2, at="some") == "confirmed"
    assert verdict(state, kind="at_most", columns=[A], value=0, at="some") == "rejected"
    assert reason(state, kind="at_most", columns=[A], value=0, at="some").startswith("at none of 5 cuts; the closest:")


def test_a_claim_about_two_pairs_holds_only_if_it_holds_for_both():
    state = run({LOW: [1] * 5, HIGH: [6] * 5})
    assert verdict(state, kind="at_most", columns=[A], value=3) == "confirmed"
    assert verdict(state, kind="at_most", columns=[A, B], value=3) == "rejected"
    assert "b > c at one (0.25)" in reason(state, kind="at_most", columns=[A, B], value=3)


# which cuts


@pytest.mark.parametrize(
    ("cuts", "expected"),
    [
        ("all", "rejected"),
        ({"past": 0.5}, "confirmed"),
        ({"until": 0.25}, "rejected"),
        ({"past": 0.3, "until": 0.8}, "confirmed"),
        (["two", "four"], "confirmed"),
        (["one"], "rejected"),
        ({"past": 0.3, "until": 0.4}, "undecided"),
        (["elsewhere"], "undecided"),
        ("diagonal", "undecided"),
    ],
)
def test_a_claim_looks_at_the_cuts_that_it_names(cuts, expected):
    assert verdict(run(row(9, 9, 1, 1, 1)), kind="at_most", columns=[A], value=3, cuts=cuts) == expected


def test_a_range_without_any_cut_says_so():
    state = run(row(1, 1, 1, 1, 1))
    text = reason(state, kind="at_most", columns=[A], value=3, cuts={"past": 0.3, "until": 0.4})
    assert text == "a > c has no such cut"


# what is missing


def test_a_failed_cell_leaves_a_claim_undecided_and_its_reason_is_told():
    state = run(row(1, None, 1, 1, 1))
    assert verdict(state, kind="at_most", columns=[A], value=3) == "undecided"
    assert reason(state, kind="at_most", columns=[A], value=3) == (
        "open at 1 of 5 cuts: a > c at one (0.25): failed: it broke"
    )


def test_a_cell_that_contradicts_a_claim_does_so_whatever_is_missing_elsewhere():
    assert verdict(run(row(9, None, 1, 1, 1)), kind="at_most", columns=[A], value=3) == "rejected"


def test_a_column_that_has_not_begun_or_is_not_planned_leaves_a_claim_undecided():
    state = run({})
    assert reason(state, kind="at_most", columns=[A], value=3) == "a > c isn't measured yet"
    absent = {"pair": A, "control": "linear_probe"}
    assert reason(state, kind="at_most", columns=[absent], value=3) == ("a > c (linear probe) is no column of this run")


def test_seeds_that_are_still_to_come_are_missing():
    made = experiment(stitch={"seeds": [0, 1]})
    one = run({"a > c affine task seed 0": [1] * 5, "a > c affine direct": [1] * 5}, made)
    assert verdict(one, kind="at_most", columns=[A], value=3) == "undecided"
    both = run({"a > c affine task": [1] * 5}, made)
    assert verdict(both, kind="at_most", columns=[A], value=3) == "confirmed"
    assert reason(both, kind="at_most", columns=[A], value=3).endswith("; over 2 stitch seeds")


def test_seeds_that_disagree_widen_the_interval():
    made = experiment(stitch={"seeds": [0, 1, 2]})
    numbers = {f"a > c affine task seed {seed}": [value] * 5 for seed, value in enumerate((0.0, 1.0, 2.0))}
    assert verdict(run(numbers, made), kind="at_most", columns=[A], value=2) == "undecided"


def test_an_interval_that_does_not_hold_its_value_counts_for_nothing():
    assert verdict(run(row((1, 2, 3), 1, 1, 1, 1)), kind="at_most", columns=[A], value=9) == "undecided"


# one column against another


def test_below_needs_the_whole_interval_of_the_difference_on_one_side():
    far = run({LOW: [1] * 5, HIGH: [5] * 5})
    assert verdict(far, kind="below", columns=[A, B]) == "confirmed"
    assert verdict(far, kind="below", columns=[B, A]) == "rejected"
    assert verdict(far, kind="below", columns=[A, B], by=3) == "confirmed"
    assert verdict(far, kind="below", columns=[A, B], by=4) == "undecided"
    near = run({LOW: [1] * 5, HIGH: [1.2] * 5})
    assert verdict(near, kind="below", columns=[A, B]) == "undecided"


def test_what_is_equal_to_the_last_digit_is_not_below():
    state = run({LOW: [(1, 1, 1)] * 5, HIGH: [(1, 1, 1)] * 5})
    assert verdict(state, kind="below", columns=[A, B]) == "rejected"


def test_below_tells_both_numbers_and_how_far_they_are_apart():
    state = run({LOW: [1] * 5, HIGH: [5] * 5})
    text = reason(state, kind="below", columns=[A, B], cuts=["two"])
    assert text == "two (0.50) a > c +1.00 [+0.50, +1.50], b > c +5.00 [+4.50, +5.50], apart +4.00 [+3.29, +4.71]"


def test_a_control_is_a_column_like_any_other():
    control = {"pair": A, "control": "random_bottom"}
    state = run({LOW: [1] * 5, "random(a) > c": [0, 5, 20, 25, 30]})
    assert verdict(state, kind="below", columns=[A, control], by=10, cuts={"past": 0.5}) == "confirmed"
    assert verdict(state, kind="below", columns=[A, control], by=10) == "rejected"


def test_a_self_stitch_is_found_by_the_pair_that_it_stands_beside():
    state = run({"c > c": [0.1] * 5})
    assert verdict(state, kind="at_most", columns=[{"pair": A, "control": "self_stitch"}], value=1) == "confirmed"


def test_order_of_three_asks_for_each_step():
    made = experiment(pairs=[{"bottom": n, "top": "c"} for n in "ab"] + [{"bottom": "c", "top": "a"}])
    state = run({LOW: [1] * 5, HIGH: [5] * 5, "c > a affine task": [9] * 5}, made)
    assert verdict(state, kind="below", columns=[A, B, "c > a"]) == "confirmed"
    assert verdict(state, kind="below", columns=[A, "c > a", B]) == "rejected"


def test_within_holds_for_every_two_columns_in_both_directions():
    state = run({LOW: [1] * 5, HIGH: [3] * 5})
    assert verdict(state, kind="within", columns=[A, B], value=3) == "confirmed"
    assert verdict(state, kind="within", columns=[B, A], value=3) == "confirmed"
    assert verdict(state, kind="within", columns=[B, A], value=1) == "rejected"
    assert verdict(state, kind="within", columns=[B, A], value=2) == "undecided"


# the shape of a curve


def test_the_peak_lies_where_one_cut_is_above_all_outside():
    state = run(row(0, 1, 5, 1, 0))
    assert verdict(state, kind="peak", columns=[A], between=[0.4, 0.6]) == "confirmed"
    assert verdict(state, kind="peak", columns=[A], between=[0.6, 1.0]) == "rejected"
    flat = run(row(1, 1, 1.2, 1, 1))
    assert verdict(flat, kind="peak", columns=[A], between=[0.4, 0.6]) == "undecided"


def test_a_peak_needs_a_cut_inside_and_one_outside():
    state = run(row(0, 1, 5, 1, 0))
    assert "no cut between" in reason(state, kind="peak", columns=[A], between=[0.3, 0.4])
    assert "no cut outside" in reason(state, kind="peak", columns=[A], between=[0.0, 1.0])


def test_rising_allows_what_slack_allows():
    state = run(row(0, 10, 8, 20, 30))
    assert verdict(state, kind="rises", columns=[A]) == "rejected"
    assert verdict(state, kind="rises", columns=[A], slack=3) == "confirmed"
    assert verdict(state, kind="rises", columns=[A], slack=3, by=20) == "confirmed"
    assert verdict(state, kind="rises", columns=[A], slack=3, by=40) == "rejected"
    assert verdict(state, kind="falls", columns=[A], slack=100) == "rejected"


def test_falling_is_rising_the_other_way_round():
    state = run(row(30, 20, 8, 3, 0))
    assert verdict(state, kind="falls", columns=[A]) == "confirmed"
    assert verdict(state, kind="rises", columns=[A]) == "rejected"


def test_a_jump_lies_between_the_last_cut_before_and_the_first_after():
    state = run(row(0, 2, 55, 56, 60))
    assert verdict(state, kind="jumps", columns=[A], between=[0.3, 0.45], by=40) == "confirmed"
    assert verdict(state, kind="jumps", columns=[A], between=[0.5, 0.7], by=40) == "rejected"


# other measures


def test_cka_is_compared_as_it_is():
    state = run({LOW: [measures(1, cka=0.05)] * 5, HIGH: [measures(1, cka=0.8)] * 5})
    assert verdict(state, kind="at_most", columns=[A], value=0.15, measure="cka") == "confirmed"
    assert verdict(state, kind="below", columns=[A, B], by=0.2, measure="cka") == "confirmed"
    assert "two (0.50) 0.05" in reason(state, kind="at_least", columns=[A], value=0.15, measure="cka", cuts=["two"])


def test_the_penalty_against_the_bottom_is_a_measure():
    more = {"versus_bottom": -3.0, "versus_bottom_low": -4.0, "versus_bottom_high": -2.0}
    state = run({LOW: [measures(8, **more)] * 5})
    assert verdict(state, kind="at_most", columns=[A], value=0, measure="versus_bottom") == "confirmed"


def test_a_measure_that_is_not_there_leaves_a_claim_undecided():
    state = run(row(1, 1, 1, 1, 1))
    assert "has no cka" in reason(state, kind="at_most", columns=[A], value=0.5, measure="cka")


def test_networks_errors_are_compared_on_wilson_intervals():
    state = run({}, errors={"a": 10.7, "b": 8.3, "c": 51.8})
    assert verdict(state, kind="error_gap", networks=["a", "b"], value=10) == "confirmed"
    assert verdict(state, kind="error_gap", networks=["a", "b"], value=3) == "undecided"
    assert verdict(state, kind="error_gap", networks=["c", "b"], value=10) == "rejected"
    assert reason(state, kind="error_gap", networks=["c", "b"], value=10).startswith("c 51.80 % [48.70, 54.88], b 8.30")


# which stitch


def test_a_pair_counts_by_its_trained_stitch_unless_another_is_named():
    state = run({LOW: [5] * 5, "a > c affine direct": [1] * 5})
    assert verdict(state, kind="at_most", columns=[A], value=3) == "rejected"
    trained = {"pair": A, "stitch": {"objective": "task"}}
    direct = {"pair": A, "stitch": {"objective": "direct"}}
    assert verdict(state, kind="at_most", columns=[trained], value=3) == "rejected"
    assert verdict(state, kind="below", columns=[direct, trained]) == "confirmed"


def test_against_the_bottom_the_same_stitch_counts_as_against_the_top():
    def cells(penalty):
        values = {"versus_bottom": penalty - 2, "versus_bottom_low": penalty - 2.5, "versus_bottom_high": penalty - 1.5}
        return [{**measures(penalty), **values}] * 5

    state = run({LOW: cells(5), "a > c affine direct": cells(1)})
    for measure, value in (("penalty", 5), ("versus_bottom", 3)):
        bounds = {"kind": "at_most", "columns": [A], "measure": measure, "value": value + 0.5}
        (first, *_) = judge(ClaimSpec.model_validate(bounds), state).numbers
        assert (first["value"], "by" in first) == (value, False)


def test_where_nothing_is_trained_direct_matching_counts_by_name():
    made = experiment(stitch={"objective": "direct"})
    state = run({"a > c affine direct": [1] * 5}, made)
    claim = {"kind": "at_most", "columns": [A], "value": 3}
    assert verdict(state, **claim) == "confirmed"
    assert reason(state, **claim).endswith("by direct matching")


def test_families_of_several_requests_are_told_apart():
    made = experiment(also=[{"stitch": {"family": "conv3"}}, {"stitch": {"train_on": "top"}}])
    state = run(
        {"a > c affine task seed": [1] * 5, "a > c conv3 task": [2] * 5, "a > c affine task train on top": [9] * 5},
        made,
    )
    wide = {"pair": A, "stitch": {"family": "conv3"}}
    own = {"pair": A, "stitch": {"train_on": "top"}}
    assert verdict(state, kind="within", columns=[A, wide], value=2) == "confirmed"
    assert verdict(state, kind="within", columns=[A, own], value=2) == "rejected"


def test_a_pair_that_names_several_columns_asks_which():
    made = experiment(stitch={"family": "ladder"})
    text = reason(run({}, made), kind="at_most", columns=[A], value=3)
    assert text.startswith("a > c is several columns of this run: ")
    one = {"pair": A, "stitch": {"family": "mlp"}}
    assert reason(run({}, made), kind="at_most", columns=[one], value=3) == "a > c (mlp) isn't measured yet"


def test_where_the_bottom_is_cut_deeper_is_a_region_of_a_grid_of_every_cut_with_every_cut():
    made = experiment(stitch={"pairing": "all"}, controls=[])
    state = run({}, made)
    task = next(task for task in state.tasks.values() if task.objective == "task" and task.bottom == "a")
    places = [(low, high) for low in CUTS[:3] for high in CUTS[:3]]
    for low, high in places:
        penalty = 1.0 if CUTS.index(low) >= CUTS.index(high) else 30.0
        name = high if low == high else f"{low} > {high}"
        said = measures(penalty)
        state.apply(
            CellFinished(t=1.0, task=task.id, cut=name, bottom_cut=low, top_cut=high, identity="i", measures=said)
        )
    for region, expected in (("later", "confirmed"), ("diagonal", "confirmed"), ("earlier", "rejected")):
        assert verdict(state, kind="at_most", columns=[A], value=3, cuts=region) == expected


# what is handed on


def test_the_numbers_that_decide_come_with_the_verdict():
    judged = judge(ClaimSpec(kind="at_most", columns=(A,), value=3, source="E1"), run(row(0, 1, 9, 1, 0)), 4)
    assert (judged.index, judged.source, judged.verdict) == (4, "E1", "rejected")
    assert judged.numbers == ({"of": A, "cut": "two", "depth": 0.5, "value": 9.0, "low": 8.5, "high": 9.5},)


def test_every_claim_of_the_experiment_is_judged_in_order():
    made = experiment([{"kind": "at_most", "columns": [A], "value": v} for v in (9, 0.1)])
    assert [judged.verdict for judged in judge_all(run(row(1, 1, 1, 1, 1), made))] == ["confirmed", "rejected"]


def test_a_claim_of_another_version_is_undecided_and_no_crash():
    state = run(row(1, 1, 1, 1, 1))
    state.experiment["claims"] = [{"kind": "at_most", "columns": [A], "value": 9}, {"kind": "new"}, 7]
    assert [judged.verdict for judged in judge_all(state)] == ["confirmed", "undecided", "undecided"]
    state.experiment["claims"] = "none"
    assert judge_all(state) == []
