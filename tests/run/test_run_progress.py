"""Progress goes from 0 to 1 and the time left comes from the pace so far."""

import pytest
from made_events import CUTS, cell, column, data_ready, event, experiment, network_ready, run_started, whole_run

from stitchtui.run import progress
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Request
from stitchtui.spec.plan import resolve

TASKS = resolve(experiment()).tasks
DIRECT = [task.id for task in TASKS if task.objective == "direct"]
TRAINED = [task.id for task in TASKS if task.objective == "task"]
READY = [run_started(), network_ready("a"), network_ready("b")]


def folded(*events):
    state = RunState()
    state.apply_all(events)
    return state


def direct_done():
    return [one for task in DIRECT for one in column(task)]


def halfway(task, t=1100.0):
    """A task of 100 steps that took 20 s for the first 50."""
    started = event("task_started", t, task=task, steps=100, cuts=CUTS)
    return [started, event("step", t + 20, task=task, step=50, steps=100)]


def test_progress_never_falls_through_an_undisturbed_run_and_ends_at_one():
    state, seen = RunState(), []
    for one in whole_run():
        state.apply(one)
        seen.append(progress.fraction(state))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert 0 < seen[len(seen) // 2] < 1


def test_an_empty_run_has_made_no_progress_and_has_no_time_left_to_tell():
    assert progress.fraction(RunState()) == 0.0
    assert progress.remaining(RunState(), 0.0) is None


def test_nothing_is_said_about_the_time_left_before_a_trained_step():
    assert progress.remaining(folded(*READY, *direct_done()), 1100.0) is None


def test_the_time_left_is_the_pace_of_trained_steps_times_the_steps_to_go():
    state = folded(*READY, *direct_done(), *halfway(TRAINED[0]))
    to_go = 50 + 100 * (len(TRAINED) - 1)
    assert progress.remaining(state, 1120.0) == pytest.approx(20 / 50 * to_go)


def test_columns_at_work_together_share_the_time_that_they_take():
    pair = TRAINED[:2]
    started = [event("task_started", 1100.0, task=task, steps=100, cuts=CUTS, together=2) for task in pair]
    half = [event("step", 1120.0, task=task, step=50, steps=100) for task in pair]
    state = folded(*READY, *direct_done(), *started, *half)
    assert [task.id for task in state.tasks.values() if task.status == "running"] == pair
    assert progress.remaining(state, 1120.0) == pytest.approx(20 + 20 * (len(TRAINED) - 2))


def test_the_time_left_counts_down_between_events_and_not_below_zero():
    state = folded(*READY, *direct_done(), *halfway(TRAINED[0]))
    assert progress.remaining(state, 1125.0) == pytest.approx(progress.remaining(state, 1120.0) - 5)
    assert progress.remaining(state, 10**9) == 0.0


def test_columns_reused_from_another_run_say_nothing_about_the_pace():
    reused = event("task_started", 1090.0, task=TRAINED[1], steps=100, cuts=["pool"])
    done = [reused, cell(TRAINED[1], "pool", reused_from="r"), event("task_finished", 1090.0, task=TRAINED[1])]
    state = folded(*READY, *direct_done(), *done, *halfway(TRAINED[0]))
    assert progress.remaining(state, 1120.0) == pytest.approx(20 / 50 * (50 + 100 * (len(TRAINED) - 2)))


def test_a_finished_run_has_no_time_left_to_tell():
    assert progress.remaining(folded(*whole_run()), 2000.0) is None


def test_the_recipe_tells_the_steps_of_tasks_that_nothing_is_known_of():
    data = event("data_ready", 1001.0, name="digits", train=1280, test=100, classes=["0"])
    state = folded(run_started(experiment(epochs=2, batch_size=128)), data)
    state.apply(event("task_started", 1002.0, task="network a", steps=300, cuts=[]))
    state.apply(event("step", 1003.0, task="network a", step=300, steps=300))
    networks, trained, direct, data_steps = 300 + 300, 20 * len(TRAINED), 10 * len(DIRECT), 1
    assert progress.fraction(state) == pytest.approx((300 + data_steps) / (networks + trained + direct + data_steps))


def test_a_network_that_resumes_training_counts_only_the_steps_it_took_itself():
    state = folded(run_started(experiment()), network_ready("b"))
    state.apply(event("task_started", 1000.0, task="network a", steps=100, cuts=[]))
    state.apply(event("step", 1000.0, task="network a", step=80, steps=100))
    state.apply(event("step", 1010.0, task="network a", step=90, steps=100))
    state.apply_all([one for task in TASKS for one in column(task.id)])
    state.updated = 1010.0
    assert progress.remaining(state, 1010.0) == pytest.approx(10.0)


def test_images_that_are_loaded_do_not_count_as_steps():
    state = RunState()
    state.apply_all([run_started(), event("task_started", task="data", steps=60_000, cuts=[])])
    state.apply(event("step", task="data", step=60_000, steps=60_000))
    state.apply(data_ready())
    assert progress.fraction(state) < 0.1


@pytest.mark.parametrize("longer, steps", [({"epochs": 10}, 100), ({"epochs": 2, "steps": 70}, 70)])
def test_columns_of_another_request_take_the_steps_that_it_asks_for(longer, steps):
    made = experiment(epochs=2, batch_size=128, seeds=[0])
    made = made.model_copy(update={"also": (Request(stitch=made.stitch.model_copy(update=longer)),)})
    state = folded(run_started(made), event("data_ready", 1001.0, name="digits", train=1280, test=100, classes=["0"]))
    tasks = resolve(made).tasks
    first, later = ([t.id for t in tasks if t.objective == "task" and t.request == place] for place in (0, 1))
    assert (len(first), len(later)) == (6, 2)
    for network in "ab":
        state.apply(network_ready(network))
        state.apply(event("task_finished", 1002.0, task=f"network {network}"))
    for task in tasks:
        for one in column(task.id) if task.objective == "direct" else ():
            state.apply(one)
    state.apply(event("task_started", 1100.0, task=first[0], steps=20, cuts=CUTS))
    state.apply(event("step", 1110.0, task=first[0], step=10, steps=20))
    assert progress.remaining(state, 1110.0) == pytest.approx(10 + 5 * 20 + 2 * steps)
