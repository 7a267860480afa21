"""The grid: which columns and rows, what a cell says over its seeds, when a pair has a verdict."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import CUTS, cell, column, event, experiment, network_ready, run_started, whole_run

from stitchtui.run import grid
from stitchtui.run.state import RunState, TaskState
from stitchtui.spec.plan import resolve
from stitchtui.stats.penalty import Interval, over_seeds

DIRECT, SEED_0, SEED_1 = (f"a > b affine {rest}" for rest in ("direct seed 0", "task seed 0", "task seed 1"))


def folded(*events):
    state = RunState()
    state.apply_all([run_started(), *events])
    return state


def pair(state):
    return state.columns()[0]


def test_pairs_come_first_in_plan_order_and_controls_after_by_kind():
    state = folded()
    assert [(c.control, c.heading) for c in state.columns()] == [
        ("", "a > b"),
        ("", "b > a"),
        ("self_stitch", "b > b"),
        ("self_stitch", "a > a"),
        ("identity", "a > b"),
        ("identity", "b > a"),
        ("random_bottom", "random(a) > b"),
        ("random_bottom", "random(b) > a"),
    ]
    assert len({c.key for c in state.columns()}) == 8


def test_a_trained_column_has_its_seeds_and_its_direct_matching():
    column_ = pair(folded())
    assert (column_.family, column_.objective) == ("affine", "task")
    assert column_.task_ids == (SEED_0, SEED_1)
    assert column_.direct_tasks == (DIRECT,)


def test_every_task_of_a_plan_belongs_to_a_column():
    for made in (experiment(), experiment(objective="direct"), experiment(family="bn_affine_bn")):
        state = RunState()
        state.apply(run_started(made))
        held = {task for c in state.columns() for task in (*c.task_ids, *c.direct_tasks)}
        assert held == {task.id for task in resolve(made).tasks}


def test_in_a_plan_of_direct_matching_alone_the_direct_cells_are_the_column():
    state = RunState()
    state.apply_all([run_started(experiment(objective="direct")), *column(DIRECT, penalty=2.0)])
    assert pair(state).task_ids == (DIRECT,)
    assert state.summary(pair(state), "pool").penalty == Interval(2.0, 1.5, 2.5)
    assert state.verdict(pair(state)) == "connected"


def test_direct_matching_fills_a_column_before_anything_is_trained():
    state = folded(*column(DIRECT, penalty=4.0))
    summary = state.summary(pair(state), "pool")
    assert (summary.status, summary.penalty) == ("pending", None)
    assert summary.direct == Interval(4.0, 3.5, 4.5)


def test_an_identity_control_has_no_direct_matching_of_its_own():
    identity = next(c for c in folded().columns() if c.control == "identity")
    assert identity.direct_tasks == ()
    assert identity.task_ids == ("a > b identity direct seed 0",)


def test_over_seeds_a_cell_has_the_combined_interval_the_spread_and_mean_measures():
    state = folded(*column(SEED_0, 1.0), *column(SEED_1, 3.0))
    summary = state.summary(pair(state), "pool")
    assert summary.status == "finished"
    assert summary.penalty == over_seeds([Interval(1.0, 0.5, 1.5), Interval(3.0, 2.5, 3.5)])
    assert summary.spread == pytest.approx(math.sqrt(2))
    assert summary.seeds == 2
    assert summary.measures["penalty"] == 2.0
    assert "cka" not in summary.measures


def test_with_one_seed_in_there_is_no_spread_and_the_cell_is_not_finished():
    summary_of = folded(*column(SEED_0, 1.0))
    summary = summary_of.summary(pair(summary_of), "pool")
    assert (summary.status, summary.seeds, summary.spread) == ("pending", 1, None)
    assert summary.penalty == Interval(1.0, 0.5, 1.5)


def test_a_seed_that_failed_leaves_no_penalty_and_says_why():
    state = folded(*column(SEED_0, 1.0), event("cell_failed", task=SEED_1, cut="pool", reason="diverged"))
    summary = state.summary(pair(state), "pool")
    assert (summary.status, summary.penalty, summary.reason) == ("failed", None, "diverged")


def test_a_penalty_without_its_interval_is_no_penalty():
    bare = event("cell_finished", task=SEED_0, cut="pool", identity="i", measures={"penalty": 1.0})
    state = folded(bare)
    assert state.summary(pair(state), "pool").penalty is None


@pytest.mark.parametrize(("second", "reused"), [("run 1", True), (None, False)])
def test_a_cell_is_reused_when_all_its_seeds_are(second, reused):
    cells = [cell(SEED_0, "pool", reused_from="run 1"), cell(SEED_1, "pool", reused_from=second)]
    state = folded(*cells)
    assert state.summary(pair(state), "pool").reused is reused


def test_a_row_that_nothing_is_known_of_is_pending():
    state = folded()
    summary = state.summary(pair(state), "nowhere")
    assert (summary.status, summary.penalty, summary.direct, summary.seeds) == ("pending", None, None, 0)


@pytest.mark.parametrize(
    ("penalty", "half", "expected"),
    [(1.0, 0.5, "connected"), (8.0, 0.5, "not connected"), (3.0, 0.5, "undecided")],
)
def test_a_pair_whose_cells_are_all_in_has_a_verdict(penalty, half, expected):
    state = folded(*column(SEED_0, penalty, half), *column(SEED_1, penalty, half))
    assert state.verdict(pair(state)) == expected


def test_there_is_no_verdict_before_every_seed_is_in_nor_for_controls():
    state = folded(*column(SEED_0, 9.0))
    assert state.verdict(pair(state)) is None
    whole = RunState()
    whole.apply_all(whole_run())
    assert [whole.verdict(c) is None for c in whole.columns()] == [False, False] + [True] * 6


def test_a_failed_cell_leaves_the_pair_undecided():
    state = folded(*column(SEED_0, 9.0), *column(SEED_1, 9.0))
    state.apply(event("cell_failed", task=SEED_1, cut="pool", reason="diverged"))
    assert state.verdict(pair(state)) == "undecided"


def test_a_cell_that_one_seed_never_measured_leaves_the_pair_undecided():
    state = folded(*column(SEED_0, 1.0), *column(SEED_1, 1.0, cuts=CUTS[:-1]))
    assert state.verdict(pair(state)) == "undecided"


def test_rows_go_from_input_to_output_whatever_order_the_cells_came_in():
    cells = [cell(SEED_0, cut) for cut in reversed(CUTS)]
    started = event("task_started", task=SEED_1, steps=1, cuts=CUTS)
    state = folded(network_ready("a"), network_ready("b"), started, *column("b > a affine direct seed 0"))
    assert state.cuts() == CUTS
    state.apply_all(cells)
    assert set(state.cuts()) == set(CUTS)


def test_a_network_with_more_cuts_interleaves_its_rows_by_depth():
    deep = ["input", "conv1", "layer1.0", "layer1.1", "layer1.2", "layer2.0", "pool"]
    state = folded(network_ready("a"), network_ready("b", cuts=deep))
    state.apply_all([*column(SEED_0), *column("b > a affine direct seed 0", cuts=deep)])
    rows = state.cuts()
    assert [row for row in rows if row in CUTS] == CUTS
    assert [row for row in rows if row in deep] == deep
    assert len(rows) == len(set(rows)) == 7


@given(names=st.lists(st.text(max_size=3), unique=True, max_size=8), data=st.data())
def test_rows_hold_every_cut_once_and_keep_each_columns_order(names, data):
    picked = st.sets(st.sampled_from(names) if names else st.nothing())
    lists = [[n for n in names if n in chosen] for chosen in data.draw(st.lists(picked, max_size=4))]
    rows = grid.rows([TaskState(str(i), cuts=cuts) for i, cuts in enumerate(lists)], {})
    assert sorted(rows) == sorted({cut for cuts in lists for cut in cuts})
    for cuts in lists:
        assert [row for row in rows if row in cuts] == cuts


@given(lists=st.lists(st.lists(st.sampled_from("abcd"), unique=True), max_size=4))
def test_columns_that_disagree_about_the_order_still_give_every_row_once(lists):
    rows = grid.rows([TaskState(str(i), cuts=cuts) for i, cuts in enumerate(lists)], {})
    assert sorted(rows) == sorted({cut for cuts in lists for cut in cuts})
