"""What is left when something is killed: real workers on digits, the app on a terminal of its own, and SIGKILL."""

import os
import shutil
import signal
import time

import psutil
import pytest
from pilot import LONG, ROOT, Terminal, make_run, screen_text, wait_for, wait_for_text
from small_runs import experiment

from stitchtui.base.paths import runs_directory
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.state import RunState
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens import actions
from stitchtui.tui.screens.runs import RunsScreen

VERY_LONG = 3 * LONG  # a process that loads torch
ENDLESS = 1_000_000  # steps


@pytest.fixture(autouse=True)
def workers(tmp_path, monkeypatch):
    """Workers find the package from any folder, and none is left after a test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield
    for directory in runs_directory().iterdir():
        if control.liveness(RunDirectory(directory).read_info()) == "alive":
            worker_of(RunDirectory(directory)).kill()


def small(steps, **more):
    return experiment(pairs=[{"bottom": "seed0", "top": "seed1"}], controls=[], stitch={"steps": steps}, **more)


def state_of(directory):
    return RunState.load(directory.events)


def status(directory):
    return control.status(directory, state_of(directory))


def worker_of(directory):
    return psutil.Process(directory.read_info()["pid"])


def step(directory):
    """How far the column that is being trained is; -1 where none is."""
    tasks = [task for task in state_of(directory).tasks.values() if task.kind == "column" and task.status == "running"]
    return max((task.step for task in tasks if task.objective != "direct"), default=-1)


def until(condition, message):
    """Wait without an app."""
    end = time.monotonic() + VERY_LONG
    while not condition():
        assert time.monotonic() < end, message
        time.sleep(0.02)


async def test_a_run_outlives_its_app_and_a_dead_worker_is_followed_by_another_that_completes_it():
    directory = create(small(steps=1500))
    app_dies_and_its_worker_goes_on(directory)
    worker_of(directory).suspend()  # so that it is where it is when it is looked at
    reached = step(directory)
    app = StitchApp()
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, directory.name)
        await wait_for_text(pilot, f"running  {state_of(directory).progress.share:.0%}")
        await wait_for_text(pilot, f"{reached} of 1500")
        worker_of(directory).kill()
        await wait_for_text(pilot, "lost: its worker died; R resumes it")
        await pilot.press("R")
        await wait_for(pilot, lambda: app.watched.condition == "running", "another worker works", VERY_LONG)
        await wait_for(pilot, lambda: app.watched.condition == "done", "and is done", VERY_LONG)
        state = app.watched.state
        assert {cell.status for cell in state.cells.values()} == {"finished"}
        [column] = state.columns()
        shown = [f"{state.summary(column, cut).penalty.value:+.2f}" for cut in state.cuts()]
        await wait_for(pilot, lambda: all(each in screen_text(app) for each in shown), "every penalty is shown")


def app_dies_and_its_worker_goes_on(directory):
    """`R` in an app on a terminal launches the worker; SIGKILL ends the app alone."""
    terminal = Terminal()
    try:
        terminal.wait_for(lambda: "R resumes it" in terminal.written, "the run without a worker is shown")
        terminal.press(b"R")
        terminal.wait_for(lambda: step(directory) > 0, "the column is trained")
        os.kill(terminal.process.pid, signal.SIGKILL)
        assert terminal.process.wait(LONG) == -signal.SIGKILL
        before = step(directory)
        until(lambda: step(directory) > before, "the worker trains on")
        assert status(directory) == "running"
    finally:
        terminal.close()


@pytest.mark.slow  # each half is shown by the tests of the worker and of the list of runs
async def test_two_runs_at_once_are_both_shown_and_stopping_one_leaves_the_other():
    runs = [create(small(steps=ENDLESS, name=name)) for name in ("one", "two")]
    for directory in runs:
        control.launch(directory, ["--device", "cpu", "--threads", "1"])
    for directory in runs:
        until(lambda directory=directory: step(directory) > 0, f"{directory.name} is trained")
    app = StitchApp(runs[0])
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "running")
        await pilot.press("r")
        await wait_for_text(pilot, "2 runs, 2 going on")
        lines = [line for line in screen_text(app).splitlines() if "running" in line]
        assert [any(run.name in line for line in lines) for run in runs] == [True, True]
        while app.screen.query_one("RunList").chosen.directory.name != runs[0].name:
            await pilot.press("j")
        await pilot.press("s")
        await wait_for_text(pilot, f"Stop {runs[0].name}?")
        await pilot.press("y")
        await wait_for(pilot, lambda: isinstance(app.screen, RunsScreen), "the list is back")
        await wait_for_text(pilot, "2 runs, 1 going on", VERY_LONG)
        assert (status(runs[0]), status(runs[1])) == ("stopped", "running")
        before = step(runs[1])
        await wait_for(pilot, lambda: step(runs[1]) > before, "the other trains on")


async def test_a_run_that_was_copied_here_is_shown_but_not_resumed(tmp_path):
    made = make_run(tmp_path / "there", "20260101-000000-copied", until="direct")
    made.write_info({"pid": os.getpid(), "host": "far-away", "create_time": psutil.Process().create_time()})
    shutil.copytree(made.path, runs_directory() / made.name)
    app = StitchApp()
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await wait_for_text(pilot, "on another machine")
        await wait_for_text(pilot, "~+1.30")
        assert not {"stop", "resume"} & set(screen_text(app).splitlines()[-1].split())
        await pilot.press("R", "s", "r")
        await wait_for_text(pilot, "its worker is on far-away")
        assert not {"stop", "resume"} & set(screen_text(app).splitlines()[-1].split())
        await pilot.press("r", "s")
        actions.resume(app, app.watched.directory)  # as if it had been copied just before the key was pressed
        await wait_for_text(pilot, "resume it there")
    assert not (runs_directory() / made.name / "worker.log").exists(), "nothing was launched"
