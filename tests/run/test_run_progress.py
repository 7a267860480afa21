"""Progress goes from 0 to 1 and never back, and the time left comes from the pace so far."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_events import CUTS, cell, column, data_ready, event, experiment, network_ready, run_started, whole_run

from stitchtui.run import progress
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import RunStarted, TaskFinished, encode
from stitchtui.run.state import RunState, quick_state
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


MORE = experiment().model_copy(update={"also": (Request(stitch=experiment().stitch.model_copy(update={"epochs": 5})),)})
STARTED, RESUMED = run_started(), run_started(resumed=True)
ASKED, RESUMED_WITH_MORE = run_started(MORE, resumed=True, again=True), run_started(MORE, resumed=True)
LATER = [task.id for task in resolve(MORE).tasks if task.id not in [each.id for each in TASKS]]
anyone = st.sampled_from(["data", "network a", "network b", *DIRECT[:2], *TRAINED[:2], *LATER])


def begins(task, steps, together, at_most):
    """A task begins, perhaps anew: alone, or in one go with others, as after memory ran out; or up to a limit."""
    return [event("task_started", task=task, steps=steps, cuts=CUTS[:2], together=together, at_most=at_most)]


def steps_on(task, part):
    steps = 100 * len(task)  # of which a network's beginning may not know
    return [event("step", task=task, step=round(part * steps), steps=steps)]


def ends(task, failed):
    """All of a task's cells are said; a network is ready, and so are the data."""
    if task == "data":
        return [data_ready()]
    if task.startswith("network"):
        return [network_ready(task.split()[-1])]
    lost = event("cell_failed", task=task, cut=CUTS[0], reason="out of memory")
    return [lost if failed else cell(task, CUTS[0]), event("task_finished", task=task)]


def leaves(how, more):
    """The worker stops, is done or is lost; another goes on, perhaps with more than was asked before."""
    said = [] if how == "lost" else [event("run_finished", status=how)]
    return [*said, RESUMED_WITH_MORE if more else RESUMED]


happenings = st.one_of(
    st.builds(begins, anyone, st.sampled_from([1, 10, 300]), st.sampled_from([1, 2]), st.booleans()),
    st.builds(steps_on, anyone, st.floats(0, 1)),
    st.builds(ends, anyone, st.booleans()),
    st.builds(leaves, st.sampled_from(["lost", "stopped", "failed", "done"]), st.booleans()),
    st.just([ASKED]),
)
runs = st.lists(happenings, max_size=30).map(lambda found: [STARTED, *(one for some in found for one in some)])


@given(runs)
def test_progress_never_falls_while_something_is_left_whatever_happens(said):
    state, seen = RunState(), [0.0]
    for one in said:
        state.apply(one)
        seen.append(state.progress.share)
    assert all(0 <= share <= 1 for share in seen)
    for (before, after), one in zip(pairwise(seen), said, strict=True):
        counted_anew = isinstance(one, RunStarted) and before > 0.999999 and after == 0
        assert after >= before or counted_anew


@given(runs)
def test_skipping_steps_that_others_follow_changes_no_progress(tmp_path_factory, said):
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    directory.events.write_bytes(b"".join(encode(one) + b"\n" for one in said))
    assert quick_state(directory).progress.share == pytest.approx(folded(*said).progress.share)


def test_an_undisturbed_run_ends_at_one_and_counts_every_step_alike():
    state, seen = RunState(), []
    for one in whole_run():
        state.apply(one)
        seen.append(state.progress.share)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    ended = [share for share, one in zip(seen, whole_run(), strict=True) if isinstance(one, TaskFinished)]
    gains = [after - before for before, after in pairwise(ended[len(DIRECT) :])]
    assert gains == pytest.approx([gains[0]] * len(gains))


def test_a_column_that_ends_before_its_limit_was_all_of_its_steps_and_others_like_it_are_taken_to_need_as_many():
    done = [READY[0], data_ready(), *READY[1:], *direct_done()]
    first, *others = TRAINED
    started = event("task_started", task=first, steps=1000, cuts=CUTS, at_most=True)
    last = event("step", task=first, step=100, steps=100)
    before, after = folded(*done, started), folded(*done, started, last)
    left = 1 - before.progress.share
    assert after.progress.share == pytest.approx(before.progress.share + left / len(TRAINED), rel=0.01)
    second = event("task_started", task=others[0], steps=1000, cuts=CUTS, at_most=True)
    halfway_there = event("step", task=others[0], step=50, steps=1000)
    again = folded(*done, started, last, event("task_finished", task=first), second, halfway_there)
    assert again.progress.share > after.progress.share + 0.8 * left / len(TRAINED) / 2


def test_what_is_begun_anew_or_asked_for_meanwhile_slows_progress_down():
    state = folded(run_started(), data_ready(), network_ready("a"), network_ready("b"), *direct_done())
    shares = []
    for more in (halfway(TRAINED[0]), halfway(TRAINED[0]), [run_started(MORE, again=True)], halfway(TRAINED[0])):
        before = state.progress.share
        state.apply_all(more)
        shares.append(state.progress.share - before)
    first, again, asked, third = shares
    assert first > again > third > asked == 0


def test_what_is_asked_once_all_is_done_is_counted_from_nothing():
    state = folded(*whole_run(), run_started(MORE, resumed=True))
    assert state.progress.share == 0
    state.apply_all(column(LATER[0]))
    assert state.progress.share == pytest.approx(1 / len(LATER))


def test_an_empty_run_has_made_no_progress_and_has_no_time_left_to_tell():
    assert RunState().progress.share == 0.0
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
    networks, trained, direct = 300 + 300, 20 * len(TRAINED), 10 * len(DIRECT)
    assert state.progress.share == pytest.approx(300 / (networks + trained + direct))


@pytest.mark.parametrize(
    "stitch, epochs", [({}, 30), ({"length": "fixed"}, 4), ({"epochs": 2}, 2), ({"family": "affine", "l1": 0.1}, 4)]
)
def test_epochs_that_nobody_said_are_reckoned_with_as_they_will_be_trained(stitch, epochs):
    made = experiment(**{"epochs": None, "batch_size": 128, "seeds": [0], **stitch})
    trained = next(task.id for task in resolve(made).tasks if task.objective != "direct")
    for images, most in ((1280, 500), (128_000, 500 if stitch == {} or "epochs" in stitch else 4000)):
        data = event("data_ready", 1001.0, name="d", train=images, test=100, classes=["0"])
        assert progress._expected(folded(run_started(made), data))[trained] == min(most, images // 128 * epochs)


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
    assert state.progress.share < 0.1


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
