"""The whole way with real workers on digits: New, the grid, the report; stop, resume, a terminal that goes away."""

import re
import time

import pytest
import torch
from pilot import LONG, ROOT, Terminal, make_run, screen_text, wait_for, wait_for_text
from small_runs import experiment

from stitchtui.base.paths import runs_directory
from stitchtui.cli import invoke
from stitchtui.data.loading import load_dataset
from stitchtui.networks.by_name import build
from stitchtui.networks.checkpoints import Metadata, save
from stitchtui.run import control
from stitchtui.run.directory import all_runs
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import DataSpec
from stitchtui.tui import sources
from stitchtui.tui.app import StitchApp
from stitchtui.tui.inspection import Inspection

SHAPE = (1, 8, 8)
VERY_LONG = 3 * LONG  # a process that loads torch


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """An empty folder, from which workers find the package."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


async def test_from_new_to_the_report(tmp_path, capsys):
    """Two checkpoints picked, one epoch, all cells; then the report has the grid's numbers."""
    for seed, name in enumerate(("first", "second")):
        facts = Metadata(
            architecture="digits_cnn", width=0.25, classes=10, shape=SHAPE, mean=(0.5,), std=(0.5,), data="digits"
        )
        save(tmp_path / f"{name}.safetensors", trained(seed), facts)
    app = StitchApp()
    app.inspection = Inspection()
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "first.safetensors")
        await pilot.press("j", "enter", "enter")
        await wait_for_text(pilot, "first.safetensors > second.safetensors")
        await wait_for_text(pilot, "block1", VERY_LONG)
        await wait_for_text(pilot, "cells in 9 tasks", VERY_LONG)
        await pilot.press(*["down"] * 5, "1")
        await wait_for_text(pilot, "--epochs 1")
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(all_runs()) == 1, "a run was made")
        assert all_runs()[0].read_experiment().data.name == "digits"
        await wait_for(pilot, lambda: app.watched.condition == "running", "the worker works", VERY_LONG)
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker is done", VERY_LONG)
        cuts = app.watched.state.cuts()
        await wait_for(pilot, lambda: len(penalties(screen_text(app), cuts)) == len(cuts), "every row is full")
        await wait_for(pilot, lambda: "~" not in screen_text(app), "every number is a trained one")
        grid = penalties(screen_text(app), cuts)
    assert {len(row) for row in grid.values()} == {4}, "the pair and its three controls"
    assert len({number for row in grid.values() for number in row}) > 4, "the numbers differ"
    assert invoke(["report", "last"]) == 0
    assert penalties(capsys.readouterr().out, cuts) == grid


@pytest.mark.slow  # each step is shown by the tests of the worker, of survival and of leaving
async def test_through_stop_resume_and_a_lost_terminal():
    make_run(runs_directory())
    directory = await start_and_stop()
    assert {source.name for source in sources.of_runs([directory])} == {"seed0", "seed1"}, "New offers its networks"
    try:
        resume_and_lose_the_terminal(directory)
        await found_again_and_stopped(directory)
    finally:
        if status(directory) in ("starting", "running"):
            control.stop(directory)


def penalties(text, cuts):
    """The penalties in each row of a grid, by cut, without their intervals."""
    found = {}
    for line in text.splitlines():
        row = re.sub(r"±\s*[\d.]+", "", line.partition("│")[0])  # beside the grid there are other things
        if row.split() and row.split()[0] in cuts:
            found.setdefault(row.split()[0], re.findall(r"[+-]?\d+\.\d\d", row))
    return found


def trained(seed):
    """A narrow network that has learnt a little."""
    torch.manual_seed(seed)
    network = build("digits_cnn", 10, SHAPE, 0.25)
    part = load_dataset(DataSpec(name="digits")).train
    images = (part.images / 255 - 0.5) / 0.5  # [images, 1, 8, 8]
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), part.labels).backward()
        optimiser.step()
    return network


async def start_and_stop():
    """A run that would take for ever, started from a prepared experiment and stopped by `s`."""
    wanted = experiment(pairs=[{"bottom": "seed0", "top": "seed1"}], controls=[], stitch={"steps": 1_000_000})
    app = StitchApp()
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "done")
        app.open_new(wanted.plain())
        await wait_for_text(pilot, "New run: seed0 > seed1")
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(all_runs()) == 2, "a run was made")
        await wait_for_text(pilot, "of 1000000", VERY_LONG)
        await pilot.press("s")
        await wait_for_text(pilot, "Let it run")
        await pilot.press("y")
        await wait_for_text(pilot, "stopped; R resumes it", VERY_LONG)
        await gone(pilot, app.watched.directory)
        return app.watched.directory


async def gone(pilot, directory):
    """Wait for the worker to leave: it says its end before it does."""
    await wait_for(pilot, lambda: control.liveness(directory.read_info()) != "alive", "the worker has ended")


def resume_and_lose_the_terminal(directory):
    """`R` in an app on a terminal of its own, which then goes away: the app ends, the worker doesn't."""
    terminal = Terminal()
    try:
        terminal.wait_for(lambda: "R resumes it" in terminal.written, "the stopped run is shown")
        terminal.press(b"R")
        terminal.wait_for(lambda: status(directory) == "running" and steps(directory), "the run goes on")
    finally:
        code = terminal.close()
    assert code != 0, "the app didn't end by itself"
    before, end = steps(directory), time.monotonic() + LONG
    while steps(directory) == before:
        assert control.liveness(directory.read_info()) == "alive"
        assert time.monotonic() < end, "the worker does nothing any more"
        time.sleep(0.05)


def status(directory):
    return control.status(directory, RunState.load(directory.events))


def steps(directory):
    """How far the column is since the worker began."""
    return max(task.step for task in RunState.load(directory.events).tasks.values() if task.kind == "column")


async def found_again_and_stopped(directory):
    """A new app shows the run where it is."""
    app = StitchApp()
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, directory.name)
        await wait_for_text(pilot, "running")
        shown = steps(directory)
        await wait_for(pilot, lambda: steps_shown(app) >= shown, "it shows how far the run is")
        await pilot.press("s")
        await wait_for_text(pilot, "Let it run")
        await pilot.press("y")
        await wait_for_text(pilot, "stopped; R resumes it", VERY_LONG)
        await gone(pilot, directory)


def steps_shown(app):
    found = re.search(r"(\d+) of 1000000", screen_text(app))
    return int(found[1]) if found else -1
