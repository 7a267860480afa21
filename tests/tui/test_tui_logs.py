"""Logs as large and as broken as runs leave them."""

import json

from pilot import CUTS, make_experiment, make_run, screen_text, tasks_of, wait_for_text, write_cell, write_task

from stitchtui.base.paths import runs_directory
from stitchtui.run.events import EventWriter, TaskFinished
from stitchtui.run.state import RunState
from stitchtui.tui.app import StitchApp

STEPS = 100_000


def steps_of(task, count):
    """As many steps of a task as lines of a log; the loss falls from 2 to 1."""
    for step in range(1, count + 1):
        loss, accuracy = 2.0 - step / count, 100.0 * step / count
        event = {"t": 1_700_000_000.0 + step, "type": "step", "task": task.id, "step": step, "steps": count}
        event |= {"loss": loss, "accuracy": accuracy, "losses": [loss] * 3, "accuracies": [accuracy] * 3}
        yield json.dumps(event) + "\n"


async def test_a_log_of_a_hundred_thousand_events_is_shown_to_its_last_line():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    first, second, *_ = tasks_of(experiment, "task")
    begun = {"t": 1_700_000_000.0, "type": "task_started", "task": first.id, "steps": STEPS, "cuts": list(CUTS)}
    with directory.events.open("a") as log:
        log.write(json.dumps(begun) + "\n")
        log.writelines(steps_of(first, STEPS))
    with EventWriter(directory.events) as writer:
        for cut, penalty in zip(CUTS, (0.25, 1.5, 7.75), strict=True):
            write_cell(writer, first, cut, penalty)
        writer.write(TaskFinished(task=first.id, seconds=9.0))
        assert directory.events.read_bytes().count(b"\n") > STEPS
        async with StitchApp().run_test(size=(120, 36)) as pilot:
            await wait_for_text(pilot, "+7.75")
            await wait_for_text(pilot, "+0.25")
            await wait_for_text(pilot, "+1.50")
            assert "bad lines" not in screen_text(pilot.app)
            await wait_for_text(pilot, "loss 1.0")  # the curve's end
            assert pilot.app.watched.state == RunState.load(directory.events)
            write_task(writer, second)  # it is followed from there on
            await wait_for_text(pilot, "+0.90")


async def test_a_torn_log_shows_what_is_whole_says_what_is_not_and_goes_on():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    first, second, *_ = tasks_of(experiment, "task")
    with EventWriter(directory.events) as writer:
        write_cell(writer, first, "stem", 4.25)
        write_cell(writer, first, "block1", 5.25)
    whole = directory.events.read_bytes()
    with directory.events.open("wb") as log:
        log.write(whole[: whole.rindex(b'{"t"')])
        log.write(b'{"t": 1, "type": "step", \xff\xfe\x1b[2J\n\x00\x00\x00\n')
        log.write(whole[whole.rindex(b'{"t"') : -30])  # the writer died here
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "+4.25")
        await wait_for_text(pilot, "2 bad lines in its log")
        assert "5.25" not in screen_text(pilot.app)
        with EventWriter(directory.events) as writer:
            write_cell(writer, second, "block1", 6.25)
        await wait_for_text(pilot, "+6.25")
        await wait_for_text(pilot, "3 bad lines in its log")
        assert "5.25" not in screen_text(pilot.app)
