"""RunState folds events the same way however they arrive, and nothing in a log makes it crash."""

import copy
import dataclasses
import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import CUTS, cell, column, event, experiment, network_ready, run_started, whole_run
from msgspec.structs import replace

from stitchtui.run import progress
from stitchtui.run.events import KINDS, CellFailed, CellFinished, Unknown, as_object, decode
from stitchtui.run.records import CURVE_POINTS, HeldReading
from stitchtui.run.state import RunState, load
from stitchtui.spec.plan import resolve

TASKS = [task.id for task in resolve(experiment()).tasks]
A_TO_B = "a > b affine task seed 0"

task_names = st.sampled_from([*TASKS[:3], A_TO_B, "data", "network a", "network c", "unheard of"])
cut_names = st.sampled_from(CUTS[:3])
moments = st.integers(1000, 1020).map(float)
likely = st.one_of(
    st.builds(lambda t, resumed: run_started(t=t, resumed=resumed), moments, st.booleans()),
    st.builds(network_ready, st.sampled_from(["a", "b", "c"]), moments),
    st.builds(lambda t: event("data_ready", t, name="digits", train=100, test=10, classes=["0"]), moments),
    st.builds(lambda n, t: event("task_started", t, task=n, steps=10, cuts=CUTS[:2]), task_names, moments),
    st.builds(
        lambda n, s, t: event("step", t, task=n, step=s, steps=10, loss=0.5, accuracy=50.0),
        task_names, st.integers(0, 10), moments,
    ),
    st.builds(cell, task_names, cut_names, st.floats(-5, 5)),
    st.builds(lambda n, c: event("cell_failed", task=n, cut=c, reason="diverged"), task_names, cut_names),
    st.builds(lambda n, t: event("task_finished", t, task=n), task_names, moments),
    st.builds(lambda t, p: event("check", t, name="frozen", passed=p), moments, st.booleans()),
    st.builds(lambda t, s: event("run_finished", t, status=s), moments, st.sampled_from(["done", "failed", "stopped"])),
)  # fmt: skip
histories = st.lists(likely, max_size=25).map(lambda more: [run_started(), *more])
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just(10**400)
    | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def folded(events):
    state = RunState()
    state.apply_all(copy.deepcopy(events))
    return state


def ask_everything(state):
    """Every question that a front asks of a state."""
    for each in state.columns():
        state.verdict(each)
        for cut in state.cuts():
            state.summary(each, cut)
    eta = progress.remaining(state, 1030.0)
    assert eta is None or eta >= 0
    assert 0 <= state.progress.share <= 1


@settings(max_examples=60, deadline=None)
@given(events=histories, splits=st.lists(st.integers(0, 26), max_size=4))
def test_the_same_events_in_any_split_give_the_same_state(events, splits):
    state, start = RunState(), 0
    for end in [*sorted(splits), len(events)]:
        state.apply_all(events[start:end])
        ask_everything(state)  # asking changes nothing
        start = max(start, end)
    assert state == folded(events) == folded(events)


@settings(max_examples=60, deadline=None)
@given(events=histories)
def test_a_cell_is_what_its_last_event_said(events):
    said = {}
    for one in events:
        if isinstance(one, CellFinished | CellFailed) and one.task in TASKS:
            said[one.task, one.cut] = one
    state = folded(events)
    for key, last in said.items():
        got = state.cells[key]
        if isinstance(last, CellFinished):
            assert (got.status, got.measures) == ("finished", last.measures)
        else:
            assert got.status in ("failed", "pending", "running")  # a task started again tries it again


@settings(max_examples=150, deadline=None)
@given(before=st.lists(likely, max_size=4), kind=st.sampled_from([*KINDS, "unheard of"]), data=st.data())
def test_garbage_in_any_field_is_passed_over_and_changes_nothing_else(before, kind, data):
    state = folded([run_started(), *before])
    template = {one["type"]: one for one in map(as_object, whole_run())}.get(kind, {"t": 1.0, "type": kind})
    names = sorted(set(KINDS[kind].__struct_fields__ if kind in KINDS else ()) | {"t"})
    spoilt = {**template, **data.draw(st.dictionaries(st.sampled_from(names), anything))}
    event = decode(json.dumps(spoilt).encode())
    was, counted = copy.deepcopy(state), state.unknown_events
    for each in () if event is None else (event,):
        state.apply(each)
    ask_everything(state)
    if event is None or state.unknown_events > counted:
        state.unknown_events = counted
        assert state == was


@settings(max_examples=60, deadline=None)
@given(said=st.dictionaries(st.sampled_from(["t", "type", "task", "cut", "text", "said", "experiment"]), anything))
def test_any_object_in_a_log_is_read_and_folded_without_an_error(said):
    state = folded([run_started()])
    event = decode(json.dumps(said).encode())
    if event is not None:
        state.apply(event)
    ask_everything(state)


@pytest.mark.parametrize(
    "wrong",
    [
        event("step", task="unheard of", step=1, steps=10),
        event("task_started", task="unheard of", steps=10, cuts=[]),
        event("cell_finished", task="network a", cut="pool", identity="i", measures={}),
        Unknown(t=1.0, said={"t": 1.0, "type": "a newer kind"}),
        replace(run_started(), experiment={"epsilon": "three"}),
        replace(run_started(), experiment={"name": None}),
    ],
)
def test_an_event_that_makes_no_sense_is_counted_and_nothing_more(wrong):
    before, after = folded([run_started()]), folded([run_started(), wrong])
    assert after.unknown_events == 1
    after.unknown_events = 0
    assert after == before


def test_a_run_started_says_what_the_run_is():
    state = folded([run_started()])
    assert (state.run, state.name, state.title) == ("20240101-000000-two-seeds", "two seeds", "Two seeds")
    assert (state.epsilon, state.device, state.status, state.started) == (3.0, "cpu", "running", 1000.0)
    assert list(state.tasks) == ["network a", "network b", *TASKS]
    assert {task.status for task in state.tasks.values()} == {"pending"}


def test_negative_and_huge_seeds_are_seeds():
    state = folded([run_started(experiment(seeds=[-1, 2**63]))])
    assert {-1, 2**63} <= {task.seed for task in state.tasks.values()}


def test_data_is_a_task_that_comes_first():
    ready = event("data_ready", 1003.0, name="digits", train=100, test=10, classes=["0", "1"], shape=[1, 8, 8])
    state = folded([run_started(), event("task_started", 1001.0, task="data", steps=0, cuts=[])])
    assert next(iter(state.tasks)) == "data"
    assert state.tasks["data"].status == "running"
    state.apply(ready)
    assert state.tasks["data"].status == "finished"
    assert state.data == {"name": "digits", "train": 100, "test": 10, "classes": ["0", "1"], "shape": [1, 8, 8]}


def test_a_network_that_is_ready_is_a_finished_task():
    state = folded([run_started(), network_ready("a")])
    assert (state.tasks["network a"].status, state.tasks["network a"].kind) == ("finished", "network")
    assert state.networks["a"].error == 10.0
    assert [cut.name for cut in state.networks["a"].cuts] == CUTS


def test_a_running_task_shows_its_latest_step_and_cells():
    said = event("step", 1006.0, task=A_TO_B, step=7, steps=100, loss=1.5, accuracy=40.0)
    state = folded([run_started(), event("task_started", 1005.0, task=A_TO_B, steps=100, cuts=CUTS), said])
    task = state.tasks[A_TO_B]
    assert (task.status, task.step, task.steps, task.loss, task.accuracy) == ("running", 7, 100, 1.5, 40.0)
    assert [point[:3] for point in task.curve] == [(7, 1.5, 40.0)]
    assert {state.cells[A_TO_B, cut].status for cut in CUTS} == {"running"}


def test_each_cell_that_trains_has_a_curve_of_its_own():
    losses, accuracies = [1.0, None, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]
    begun = [event("task_started", task=A_TO_B, steps=9, cuts=CUTS), cell(A_TO_B, CUTS[1], reused_from="r")]
    said = event("step", task=A_TO_B, step=7, steps=9, loss=1.5, accuracy=40.0, losses=losses, accuracies=accuracies)
    (point,) = folded([run_started(), *begun, said]).tasks[A_TO_B].curve
    assert [point.of(cut) for cut in CUTS] == [(7, 1.0, 10.0), None, None, (7, 3.0, 30.0), (7, 4.0, 40.0)]


def test_of_losses_that_may_be_any_cells_none_has_a_curve():
    said = event("step", task=A_TO_B, step=7, steps=9, loss=1.5, accuracy=4.0, losses=[1.0], accuracies=[1.0])
    state = folded([run_started(), event("task_started", task=A_TO_B, steps=9, cuts=CUTS), said])
    assert state.tasks[A_TO_B].curve[0].of(CUTS[0]) is None


def test_a_task_whose_cells_all_failed_has_failed():
    events = [event("task_started", task=A_TO_B, steps=9, cuts=["x", "y"])]
    events += [event("cell_failed", task=A_TO_B, cut=cut, reason="diverged") for cut in "xy"]
    state = folded([run_started(), *events, event("task_finished", task=A_TO_B)])
    assert state.tasks[A_TO_B].status == "failed"
    assert state.cells[A_TO_B, "x"].reason == "diverged"


def test_a_task_with_one_failed_cell_has_finished():
    events = [event("cell_failed", task=A_TO_B, cut="x", reason="diverged"), cell(A_TO_B, "y")]
    state = folded([run_started(), *events, event("task_finished", task=A_TO_B)])
    assert state.tasks[A_TO_B].status == "finished"


def test_resuming_keeps_finished_cells_and_sets_running_tasks_back():
    half = [event("task_started", task=TASKS[1], steps=100, cuts=CUTS), cell(TASKS[1], "input", 9.0)]
    half.append(event("step", task=TASKS[1], step=50, steps=100, loss=1.0, accuracy=2.0))
    state = folded([run_started(), network_ready("a"), *column(TASKS[0]), *half, run_started(t=1900.0, resumed=True)])
    assert state.status == "running"
    assert state.started == 1000.0
    assert state.tasks[TASKS[0]].status == "finished"
    assert state.tasks["network a"].status == "finished"
    assert (state.tasks[TASKS[1]].status, state.tasks[TASKS[1]].step) == ("pending", 0)
    assert state.cells[TASKS[1], "input"].measures["penalty"] == 9.0
    assert state.cells[TASKS[1], "pool"].status == "pending"


def test_a_resumed_run_ends_like_an_undisturbed_one():
    undisturbed = whole_run()
    killed_at = len(undisturbed) // 2
    done = folded(undisturbed[:killed_at])
    rest = [one for one in undisturbed[4:-1] if done.tasks[one.task].status != "finished"]
    resumed = folded([*undisturbed[:killed_at], run_started(resumed=True), *rest, undisturbed[-1]])
    assert dataclasses.replace(resumed, before=0.0) == dataclasses.replace(
        folded(undisturbed), before=0.0
    )  # only the time it took differs


def test_resuming_with_another_plan_drops_what_it_no_longer_holds():
    fewer = experiment(seeds=[0])
    state = folded([*whole_run(), run_started(fewer, resumed=True)])
    assert {task for task, _ in state.cells} == {task.id for task in resolve(fewer).tasks}


def test_a_stopped_run_has_nothing_running():
    started = event("task_started", task=A_TO_B, steps=100, cuts=CUTS)
    state = folded([run_started(), started, event("run_finished", 1100.0, status="stopped", reason="asked to")])
    assert (state.status, state.reason, state.finished) == ("stopped", "asked to", 1100.0)
    assert state.tasks[A_TO_B].status == "pending"
    assert {one.status for one in state.cells.values()} == {"pending"}


def test_bad_input_is_told_apart_from_other_failures():
    state = folded([event("run_finished", status="failed", reason="a.pt: no such file", bad_input=True)])
    assert (state.status, state.bad_input) == ("failed", True)


def test_checks_and_warnings_repeated_by_a_resumed_run_are_kept_once():
    said = [event("check", name="frozen", passed=True, detail="a"), event("warning", text="few images")]
    failed = event("check", name="frozen", passed=False, detail="b")
    state = folded([*said, *said, failed])
    assert [check["passed"] for check in state.checks] == [True, False]
    assert state.warnings == ["few images"]


def test_a_long_curve_is_thinned_out_evenly_and_keeps_both_ends():
    state = folded([run_started(), event("task_started", task=A_TO_B, steps=20_000, cuts=CUTS)])
    for step in range(20_000):
        state.apply(event("step", task=A_TO_B, step=step, steps=20_000, loss=1.0, accuracy=float(step)))
    curve = state.tasks[A_TO_B].curve
    assert CURVE_POINTS // 3 <= len(curve) <= CURVE_POINTS
    steps = [point.step for point in curve]
    gaps = [later - earlier for earlier, later in pairwise(steps)]
    assert max(gaps) <= 2 * min(gaps)
    assert steps[0] == 0
    assert steps[-1] >= 20_000 - max(gaps)


def test_a_task_that_starts_over_draws_its_curve_anew():
    steps = [event("step", task=A_TO_B, step=s, steps=9, loss=1.0, accuracy=1.0) for s in (1, 2, 3, 0, 1)]
    started = event("task_started", task=A_TO_B, steps=9, cuts=CUTS)
    state = folded([run_started(), started, *steps[:3], started, *steps[3:]])
    assert [point.step for point in state.tasks[A_TO_B].curve] == [0, 1]


def test_held_out_readings_are_kept_by_row_and_start_over_with_the_task():
    def reading(step, loss):
        losses = {"conv1": loss, "pool": None}
        return event("held_out", task=A_TO_B, step=step, losses=losses, accuracies={"conv1": 50.0})

    started = event("task_started", task=A_TO_B, steps=9, cuts=CUTS, held_out=500)
    said = [started, reading(0, 2.0), started, reading(0, 1.5), reading(9, 1.0), reading(9, 1.2)]
    state = folded([run_started(), *said])
    task = state.tasks[A_TO_B]
    assert task.held_out == 500
    assert task.readings["conv1"] == [HeldReading(0, 1.5, 50.0), HeldReading(9, 1.2, 50.0)]
    assert task.readings["pool"][-1] == HeldReading(9, None, None)


def test_loading_a_log_that_is_not_there_gives_an_empty_state(tmp_path):
    assert load(tmp_path / "events.jsonl") == RunState()


def finished(status="done", **more):
    return event("run_finished", status=status, **more)


def again(started):
    """A worker says once more that the run begins, since it was asked for more."""
    return replace(started, again=True)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([run_started(), finished(processor=3.5)], 3.5),
        ([run_started(), finished("stopped", processor=3.5), run_started(resumed=True), finished(processor=2)], 5.5),
        ([run_started(), run_started(resumed=True), finished(processor=2)], None),
        ([run_started(), again(run_started()), finished(processor=2)], 2.0),
        (
            [run_started(), finished(processor=1), run_started(resumed=True), again(run_started(resumed=True))],
            1.0,
        ),
        ([run_started(), finished()], None),
        ([run_started(), finished(), run_started(resumed=True), finished(processor=2)], None),
    ],
    ids=[
        "one worker",
        "stopped and resumed",
        "lost",
        "asked for more",
        "resumed, then more",
        "older",
        "older, resumed",
    ],
)
def test_what_its_workers_computed_adds_up_unless_one_did_not_say(events, expected):
    assert folded(events).processor == expected


def test_what_it_took_is_without_the_time_between_its_workers():
    events = [run_started(t=1000.0), event("run_finished", 1010.0, status="stopped")]
    assert folded(events).took() == folded(events).took(now=5000.0) == 10
    events += [run_started(t=2000.0, resumed=True), event("warning", 2003.0, text="")]
    assert folded(events).took() == 13
    assert folded(events).took(now=2007.0) == 17
    events += [again(run_started(t=2008.0, resumed=True)), event("run_finished", 2020.0, status="done")]
    assert folded(events).took() == 30


def test_a_lost_worker_took_as_long_as_it_was_heard_of():
    events = [run_started(t=1000.0), event("warning", 1004.0, text=""), run_started(t=3000.0, resumed=True)]
    assert folded([*events, event("run_finished", 3001.0, status="done")]).took() == 5
