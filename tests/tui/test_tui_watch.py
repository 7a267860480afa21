import asyncio
import threading
import time

from pilot import LONG, make_experiment, make_run, tasks_of, write_step, write_steps, write_task

from stitchtui.base.paths import runs_directory
from stitchtui.run.events import EventWriter, Unknown, Warned
from stitchtui.run.state import RunState
from stitchtui.tui.watch import RunChanged, RunWatch, log_lines


class Ear:
    def __init__(self):
        self.heard = 0

    def post_message(self, message):
        self.heard += 1
        return True


async def until(watch, predicate):
    await patiently(watch.collect, predicate)


async def patiently(look, predicate):
    end = time.monotonic() + LONG
    while not predicate():
        assert time.monotonic() < end
        look()
        await asyncio.sleep(0.01)


def opened(directory, ear=None):
    return RunWatch(directory, ear or Ear(), poll=0.01)


async def test_a_watched_run_has_the_state_of_its_log():
    directory = make_run(runs_directory())
    watch = opened(directory)
    await until(watch, lambda: not watch.loading)
    watch.close()
    assert watch.state == RunState.load(directory.events)
    assert watch.condition == "done"
    assert any("task seed 0: finished" in line for line in watch.log)


async def test_what_is_appended_arrives_and_nothing_is_lost_between_two_looks():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    ear = Ear()
    watch = opened(directory, ear)
    await until(watch, lambda: not watch.loading)
    for task in tasks_of(experiment, "task")[:2]:
        before = ear.heard
        with EventWriter(directory.events) as writer:
            write_task(writer, task)
        await patiently(lambda: None, lambda before=before: ear.heard > before)  # seen, and not collected yet
    await until(watch, lambda: watch.state == RunState.load(directory.events))
    watch.close()


async def test_steps_alone_do_not_count_as_a_change_of_the_grid():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    task = tasks_of(experiment, "task")[0]
    with EventWriter(directory.events) as writer:
        write_steps(writer, task, upto=1)
        watch = opened(directory)
        await until(watch, lambda: not watch.loading)
        before = watch.cells_changed
        write_step(writer, task, 2)
        await until(watch, lambda: watch.state.tasks[task.id].step == 2)
        assert watch.cells_changed == before
        watch.close()


async def test_a_log_that_was_replaced_is_read_anew():
    directory = make_run(runs_directory())
    watch = opened(directory)
    await until(watch, lambda: not watch.loading)
    other = make_run(runs_directory(), "20260103-000000-other", until="networks")
    directory.events.write_bytes(other.events.read_bytes())
    await until(watch, lambda: watch.state == RunState.load(other.events))
    watch.close()


async def test_a_torn_log_counts_its_bad_lines_and_shows_the_rest():
    directory = make_run(runs_directory())
    whole = directory.events.read_bytes()
    directory.events.write_bytes(whole[:-20] + b"\n" + b'{"t": 1, "type": \xff\n')
    watch = opened(directory)
    await until(watch, lambda: not watch.loading)
    watch.close()
    assert watch.bad_lines == 2
    assert watch.state.cells


async def test_a_worker_that_died_is_lost():
    directory = make_run(runs_directory(), until="direct")
    watch = opened(directory)
    await until(watch, lambda: watch.condition == "lost")
    watch.close()


async def test_a_run_without_a_log_is_loaded_as_an_empty_one():
    directory = make_run(runs_directory())
    directory.events.unlink()
    watch = opened(directory)
    await until(watch, lambda: not watch.loading)
    watch.close()
    assert watch.state == RunState()


async def test_closing_ends_the_thread():
    watch = opened(make_run(runs_directory()))
    await until(watch, lambda: not watch.loading)
    watch.close()
    await patiently(lambda: None, lambda: all(thread.name != "run-watch" for thread in threading.enumerate()))


def test_opening_is_never_replaced_by_a_plain_change():
    assert RunChanged().can_replace(RunChanged())
    assert RunChanged(opened=True).can_replace(RunChanged())
    assert not RunChanged().can_replace(RunChanged(opened=True))


def test_log_lines_are_inert():
    events = [Warned(t=1.0, text="\x1b[2Jgone"), Unknown(t=2.0, said={"t": 2.0, "type": "hologram"})]
    (line,) = log_lines(events, RunState())
    assert "\x1b" not in line
    assert "gone" in line
