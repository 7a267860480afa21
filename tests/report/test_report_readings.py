"""Whether a pair can be read as similarity, from the events of a run."""

import pytest
from made_events import cell, event, experiment, network_ready, run_started

from stitchtui.report.readings import judged, reading_lines
from stitchtui.run.plan import plan
from stitchtui.run.state import RunState

CUTS = ["one", "two"]


def measured(penalties: dict[str, float], **changes: object) -> RunState:
    """A run in which every trained or matched column of a control has one penalty at all cuts."""
    wanted = experiment(seeds=[0])
    wanted = wanted.model_copy(update={"controls": ("random_bottom", "cluster_noise"), **changes})
    state = RunState()
    state.apply_all([run_started(wanted), network_ready("a", cuts=CUTS), network_ready("b", cuts=CUTS)])
    for task in plan(wanted):
        state.apply(event("task_started", task=task.id, steps=1, cuts=CUTS))
        for cut in CUTS:
            state.apply(cell(task.id, cut, penalty=penalties[task.control], bottom_cut=cut, top_cut=cut))
        state.apply(event("task_finished", task=task.id, seconds=1.0))
    assert state.unknown_events == 0
    return state


def test_a_pair_far_below_its_controls_can_be_read() -> None:
    state = measured({"": 1.0, "random_bottom": 40.0, "cluster_noise": 30.0})
    found = judged(state, state.columns()[0])
    assert found is not None
    assert (found.reading, found.readable) == ("yes", ("one", "two"))


def test_noise_that_stitches_as_well_is_said_and_decides() -> None:
    state = measured({"": 1.0, "random_bottom": 40.0, "cluster_noise": 0.5})
    lines = list(reading_lines(state))
    assert any("can't be read as similarity" in line for line in lines)
    assert any("class-cluster noise stitches as well as this bottom at one, two" in line for line in lines)


@pytest.mark.parametrize("changes", [{"controls": ()}])
def test_without_any_control_nothing_is_judged(changes: dict[str, object]) -> None:
    state = measured({"": 1.0}, **changes)
    assert judged(state, state.columns()[0]) is None
    assert list(reading_lines(state)) == []


def test_a_control_is_not_judged_itself() -> None:
    state = measured({"": 1.0, "random_bottom": 40.0, "cluster_noise": 30.0})
    assert all(judged(state, column) is None for column in state.columns() if column.control)
