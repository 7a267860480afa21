"""Curves: whose are shown, that they fit wherever there is room, and that no axis goes where no value can be."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import CUTS, cell, event, experiment, network_ready, run_started, whole_run
from rich.cells import cell_len

from stitchtui.run.records import CurvePoint, TaskState
from stitchtui.run.state import RunState
from stitchtui.spec.plan import resolve
from stitchtui.tui import courses
from stitchtui.tui.courses import Course, Point
from stitchtui.tui.plots import ACCURACY, LOSS, bars, curve_lines
from stitchtui.tui.widgets.curves import course_lines
from stitchtui.tui.widgets.training import between_lines, network_lines, training_lines

FIRST, SECOND = [task.id for task in resolve(experiment(seeds=[0])).tasks if task.objective == "task"][:2]
points = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 100)), min_size=1, max_size=40).map(
    lambda found: tuple(Point(3 * step, *values) for step, values in enumerate(found))
)
named = st.text(min_size=1, max_size=60)


def begun(task, held_out=True):
    """A task whose cells train, each of them at another loss."""
    losses, accuracies = [1.0 + place for place in range(len(CUTS))], [10.0 * place for place in range(len(CUTS))]
    said = {"task": task, "step": 5, "steps": 9}
    reading = event("held_out", task=task, step=4, losses={CUTS[1]: 0.5}, accuracies={CUTS[1]: 77.0})
    return [
        event("task_started", task=task, steps=9, cuts=CUTS),
        event("step", **said, loss=3.0, accuracy=20.0, losses=losses, accuracies=accuracies),
        *([reading] if held_out else []),
    ]


def folded(*said):
    state = RunState()
    state.apply_all([run_started(experiment(seeds=[0])), *said])
    return state


def test_of_the_column_that_trains_the_selected_cell_is_shown_else_all_of_its_cells():
    state = folded(*begun(FIRST))
    first, second = state.columns()[:2]
    own, whole = (courses.worth_watching(state, selected) for selected in ((first, CUTS[1]), (second, CUTS[1])))
    assert (own.name, own.training, own.held_out) == ("a > b at conv1", (Point(5, 2.0, 10.0),), (Point(4, 0.5, 77.0),))
    assert (whole.name, whole.training, whole.held_out) == (FIRST, (Point(5, 3.0, 20.0),), (Point(4, 0.5, 77.0),))


def test_when_nothing_trains_the_selected_cells_own_course_is_shown():
    over = [
        cell(FIRST, CUTS[0]),
        event("task_finished", task=FIRST),
        *begun(SECOND),
        event("run_finished", status="stopped"),
    ]
    state = folded(*begun(FIRST), *over)
    first = state.columns()[0]
    assert courses.worth_watching(state, (first, CUTS[0])).training == (Point(5, 1.0, 0.0),)
    assert courses.worth_watching(state, None) is None
    assert courses.of_cell(state, state.columns()[2], CUTS[0]) is None


@given(points, points, named, st.tuples(st.integers(24, 200), st.integers(1, 20)), st.booleans())
@settings(max_examples=30)
def test_a_course_fits_into_any_room(training, held_out, name, room, ascii):
    lines = course_lines(Course(name, 200, training, held_out, "mean over its cuts"), *room, ascii)
    assert 0 < len(lines) <= room[1]
    assert all(cell_len(line.plain.rstrip()) <= room[0] for line in lines)
    assert not ascii or all(line.plain.isascii() for line in lines)


@given(points, st.integers(4, 12))
@settings(max_examples=30)
def test_an_accuracy_is_never_drawn_on_an_axis_that_goes_beyond_a_hundred(found, height):
    lines = curve_lines([(point.step, point.accuracy) for point in found], (), 200, (40, height), ACCURACY, ascii=True)
    found = [re.match(r" *([\d.]+)\+", line.plain) for line in lines]
    assert all(0 <= float(tick[1]) <= 100 for tick in found if tick)


@given(points, st.integers(1, 30), st.integers(1, 5))
def test_the_largest_value_fills_its_bar_and_the_smallest_shows(found, width, height):
    values = [(point.step, point.loss) for point in found]
    lines = bars(values, width, height, ascii=True)
    assert len(lines) == height and {len(line) for line in lines} == {min(width, len(values))}
    assert " " not in lines[-1]
    if len(values) <= width and len({value for _, value in values}) > 1:
        top = max(range(len(values)), key=lambda place: values[place][1])
        assert all(line[top] == "@" for line in lines)


@given(named, st.integers(0, 10**6), points, st.integers(56, 200), st.integers(0, 3))
def test_what_trains_is_always_told_with_step_loss_and_accuracy_in_two_lines(name, step, found, width, others):
    task = TaskState(name, status="running", step=step, steps=10**6, curve=[CurvePoint(*each) for each in found])
    first, second = (line.plain for line in training_lines(task, others, width))
    assert max(cell_len(first), cell_len(second)) <= width
    assert f"loss {found[-1].loss:.3f}" in first
    assert f"accuracy {found[-1].accuracy:.1f} %" in second
    assert second.startswith("step")


@pytest.mark.parametrize("kind", ["column", "data"])
def test_work_without_a_loss_shows_how_far_it_is_and_what_happened_last(kind):
    task = TaskState("a > b affine direct", kind, status="running", step=12, steps=24)
    first, second = (line.plain for line in training_lines(task, 0, 58, "03:00:00 data digits: 1437 images"))
    assert first.count("━") == first.count("─") == 12
    assert second.startswith("12 of 24") and "data digits" in second


def test_while_nothing_is_worked_on_it_is_said_what_comes_and_nothing_of_an_earlier_worker():
    state, said = RunState(), []
    for one in (None, run_started(), whole_run()[1:-1], event("run_finished", status="done")):
        state.apply_all(one if isinstance(one, list) else filter(None, [one]))
        said.append([line.plain for line in between_lines(state, "03:00:00 happened", 58)])
    starts = ["preparing", "the worker is starting"]
    assert said == [starts, ["preparing", "to come: network a"], ["finishing", "03:00:00 happened"], starts]


def test_a_network_in_training_is_told_with_its_epoch_its_loss_and_its_error_so_far():
    started = event("task_started", task="network b", steps=1, cuts=[])
    step = {"task": "network b", "step": 50, "steps": 120, "loss": 0.25, "accuracy": 91.5, "epoch": 5, "epochs": 12}
    state = folded(network_ready("a"), started, event("step", **step))
    assert [line.plain for line in network_lines(state, 9)] == [
        "a  ready, test error 10.00 %",
        "b  epoch  5 of 12  loss 0.250  error so far 8.5 %",
    ]
    (task,) = courses.running_tasks(state)
    first, second = (line.plain for line in training_lines(task, 0, 58))
    assert first.startswith("network b ") and "loss 0.250" in first
    assert second.startswith("epoch  5 of 12") and "error so far 8.5 %" in second
    state.apply(network_ready("b"))
    assert network_lines(state, 9) == []


def test_of_many_networks_those_from_the_one_in_training_on_are_shown():
    names = [f"n{number}" for number in range(30)]
    state = RunState()
    state.tasks = {name: TaskState(f"network {name}", "network", status="finished") for name in names[:20]}
    state.tasks |= {name: TaskState(f"network {name}", "network") for name in names[20:]}
    assert [line.plain.split()[0] for line in network_lines(state, 5)] == names[19:24]


def test_a_curve_shows_held_out_values_as_dots_beside_its_line():
    line, dots = [(step, 1.0 / step) for step in range(1, 50)], [(10, 0.5), (40, 0.1)]
    text = "\n".join(each.plain for each in curve_lines(line, dots, 50, (60, 12), LOSS))
    assert text.count("•") == 2
    assert re.search("[\u2801-\u28ff]", text)
