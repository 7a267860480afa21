"""The depth plot in the app: when it is drawn, and that it makes no single cell dear."""

import os
import time

import pytest
from pilot import (
    CUTS,
    Terminal,
    make_experiment,
    make_run,
    screen_text,
    settled,
    tasks_of,
    wait_for,
    wait_for_text,
    write_cell,
    write_steps,
    write_task,
)

from stitchtui.base.paths import runs_directory
from stitchtui.run.control import describe_process
from stitchtui.run.events import EventWriter, TaskFinished
from stitchtui.tui.app import StitchApp
from stitchtui.tui.widgets.depth import DepthPlot


@pytest.fixture
def half_way():
    """A run that this very process claims to work on, with one finished column, and the task of the next."""
    experiment = make_experiment(controls=[])
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    first, second = tasks_of(experiment, "task")
    with EventWriter(directory.events) as writer:
        write_task(writer, first)
        write_steps(writer, second)
    directory.write_info(describe_process(os.getpid()))
    return directory, second


async def test_the_depth_plot_takes_in_a_task_once_all_its_cells_are_there(half_way):
    directory, task = half_way
    async with StitchApp().run_test(size=(200, 60)) as pilot:
        await wait_for_text(pilot, "against depth")
        await wait_for_text(pilot, "what happened")  # which takes rows from the plot
        await settled(pilot)
        plot = pilot.app.screen.query_one(DepthPlot)
        before = plot.texts
        with EventWriter(directory.events) as writer:
            write_cell(writer, task, "stem", 7.25)
            await wait_for_text(pilot, "+7.25")
            await settled(pilot)
            assert plot.texts == before
            for cut in CUTS[1:]:
                write_cell(writer, task, cut, 8.25)
            writer.write(TaskFinished(task=task.id, seconds=1.0))
        await wait_for(pilot, lambda: plot.texts != before and "b > a" in plot.texts[-1].plain, "the second curve")


async def test_the_depth_plot_waits_for_no_worker_that_is_gone(half_way):
    directory, task = half_way
    directory.info.unlink()
    async with StitchApp().run_test(size=(200, 60)) as pilot:
        await wait_for_text(pilot, "against depth")
        await wait_for_text(pilot, "what happened")  # which takes rows from the plot
        await settled(pilot)
        plot = pilot.app.screen.query_one(DepthPlot)
        before = plot.texts
        with EventWriter(directory.events) as writer:
            write_cell(writer, task, "stem", 7.25)
        await wait_for(pilot, lambda: plot.texts != before, "the cell is drawn")


def test_a_cell_reaches_a_real_terminal_in_few_bytes_beside_the_depth_plot(half_way):
    directory, task = half_way
    terminal = Terminal(size=(200, 60))
    try:
        terminal.wait_for(lambda: "against depth" in terminal.written and "\u2502" in terminal.written, "all is drawn")
        quiet(terminal)
        before = len(terminal.written.encode())
        with EventWriter(directory.events) as writer:
            write_cell(writer, task, "block2", 87.25)
        terminal.wait_for(lambda: "+87.25" in terminal.written, "the cell is drawn")
        quiet(terminal)
        assert len(terminal.written.encode()) - before < 400
        terminal.press(b"q")
        while terminal.read():
            pass
    finally:
        terminal.close()


def quiet(terminal, seconds=0.8):
    """Wait until nothing was written for so long."""
    still, length = time.monotonic(), len(terminal.written)
    while time.monotonic() < still + seconds:
        assert terminal.read(), "the app has ended"
        if len(terminal.written) > length:
            still, length = time.monotonic(), len(terminal.written)


@pytest.mark.parametrize("back", ["d", "escape"])
async def test_d_shows_the_depth_plot_m_another_measure_in_it_and_d_or_escape_the_grid_again(back):
    make_run(runs_directory(), cuts=[f"layer{number}" for number in range(12)])
    async with StitchApp().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "layer3")
        assert "against depth" not in screen_text(pilot.app)
        await pilot.press("d")
        await wait_for_text(pilot, "penalty (points) against depth")
        await wait_for_text(pilot, "zero and epsilon")
        await pilot.press("m")
        await wait_for_text(pilot, "against the bottom, by depth")
        await wait_for(pilot, lambda: "epsilon" not in screen_text(pilot.app), "no margin is for this measure")
        await pilot.press(back)
        await wait_for(pilot, lambda: "by depth" not in screen_text(pilot.app), "the grid is back")
        await wait_for_text(pilot, "against the bottom:")
