"""Whether a pair can be read as similarity, from the events of a run."""

import pytest
from made_events import cell, event, experiment, network_ready, run_started

from stitchtui.report.readings import judged, reading_lines, unmeasured_lines
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Request
from stitchtui.spec.plan import resolve
from stitchtui.stats.answer_bits import AnswerBits

CUTS = ["one", "two"]


def measured(penalties: dict[str, float], **changes: object) -> RunState:
    """A run in which every trained or matched column of a control has one penalty at all cuts."""
    wanted = experiment(seeds=[0])
    wanted = wanted.model_copy(update={"controls": ("random_bottom", "cluster_noise"), **changes})
    state = RunState()
    state.apply_all([run_started(wanted), network_ready("a", cuts=CUTS), network_ready("b", cuts=CUTS)])
    for task in resolve(wanted).tasks:
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


def answering(wrong: dict[str, range]) -> RunState:
    """A run whose cells answer these of 1,000 images wrongly, over a top that errs on 100 of them."""
    state = measured({control: len(images) / 10 - 10 for control, images in wrong.items()})
    for (task, _), found in state.cells.items():
        images = wrong[state.tasks[task].control]
        value = found.measures["penalty"] or 0.0
        found.measures |= {"penalty_low": value - 2, "penalty_high": value + 2, "images": 1000.0}
        found.wrong = AnswerBits.of(image in images for image in range(1000)).text
    return state


NEAR = {"": range(120), "random_bottom": range(170), "cluster_noise": range(10, 135)}


def test_controls_are_told_from_the_pair_image_by_image() -> None:
    state = answering(NEAR)
    found = judged(state, state.columns()[0])
    assert found is not None
    said = [remark.text for remark in found.remarks]
    assert found.reading == "no"
    assert said == [
        "class-cluster noise stitches as well as this bottom at one, two: this tells how separable the "
        "classes are, not shared features"
    ]


def test_without_their_answers_the_same_numbers_leave_it_open() -> None:
    state = answering(NEAR)
    for each in state.cells.values():
        each.wrong = ""
    found = judged(state, state.columns()[0])
    assert found is not None
    assert found.reading == "undecided"
    assert len([remark for remark in found.remarks if "the intervals are too wide" in remark.text]) == 1


def with_longer(also: dict[str, object], penalties: dict[str, float], **changes: object) -> RunState:
    """A run with a second request; `penalties` by control and the words that tell the request's columns apart."""
    made = experiment(seeds=[0])
    made = made.model_copy(update={"controls": ("random_bottom",), **changes})
    made = made.model_copy(update={"also": (Request(stitch=made.stitch.model_copy(update=also)),)})
    state = RunState()
    state.apply_all([run_started(made), network_ready("a", cuts=CUTS), network_ready("b", cuts=CUTS)])
    for task in resolve(made).tasks:
        state.apply(event("task_started", task=task.id, steps=40 if task.request else 10, cuts=CUTS))
        for cut in CUTS:
            value = penalties[f"{task.control} {task.recipe}".strip()]
            state.apply(cell(task.id, cut, penalty=value, bottom_cut=cut, top_cut=cut))
            state.cells[task.id, cut].measures["steps"] = 40 if task.request else 10
        state.apply(event("task_finished", task=task.id, seconds=1.0))
    assert state.unknown_events == 0
    return state


def test_a_stitch_that_longer_training_makes_much_better_was_trained_too_little() -> None:
    state = with_longer({"epochs": 4.0}, {"": 9.0, "random_bottom": 40.0, "4 epochs": 2.0})
    found = judged(state, state.columns()[0])
    assert found is not None
    assert found.reading == "undecided"
    assert "longer training lowers the penalty at one, two" in found.remarks[0].text


def test_a_stitch_of_another_start_is_not_the_same_one_trained_for_longer() -> None:
    state = with_longer(
        {"epochs": 4.0, "start": "random"}, {"": 9.0, "random_bottom": 40.0, "start random, 4 epochs": 2.0}
    )
    found = judged(state, state.columns()[0])
    assert found is not None
    assert found.reading == "yes"
    assert "the same stitch trained for longer" in found.missing


def test_controls_that_were_trained_for_less_long_say_nothing_of_a_pair() -> None:
    state = with_longer({"epochs": 4.0}, {"": 9.0, "random_bottom": 40.0, "4 epochs": 2.0})
    longer = [column for column in state.columns() if column.recipe == "4 epochs"]
    assert len(longer) == 2
    assert [judged(state, column) for column in longer] == [None, None]


def test_what_was_not_measured_is_said() -> None:
    (said,) = unmeasured_lines(measured({"": 1.0, "random_bottom": 40.0, "cluster_noise": 30.0}))
    assert said.startswith("a > b, b > a: not measured beside it: ")
    assert "a random top" in said and "a random bottom" not in said
