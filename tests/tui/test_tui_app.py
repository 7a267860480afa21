import json
import os
import subprocess
import sys

import pytest
from pilot import LONG, ROOT, Terminal, make_experiment, make_run, screen_text, wait_for, wait_for_text

from stitchtui.base.paths import runs_directory
from stitchtui.run.control import describe_process
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens.grid import GridScreen


async def test_opens_the_newest_run():
    make_run(runs_directory(), "20260101-000000-older")
    make_run(runs_directory(), "20260102-000000-newer")
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "20260102-000000-newer")


async def test_opens_the_run_that_was_asked_for():
    older = make_run(runs_directory(), "20260101-000000-older")
    make_run(runs_directory(), "20260102-000000-newer")
    async with StitchApp(older).run_test() as pilot:
        await wait_for_text(pilot, "20260101-000000-older")


async def test_offers_new_where_there_is_no_run():
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "quickstart")
        assert type(pilot.app.screen).__name__ == "NewScreen"


async def test_switches_to_another_run():
    older = make_run(runs_directory(), "20260101-000000-older", until="direct")
    make_run(runs_directory(), "20260102-000000-newer")
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "-newer")
        pilot.app.action_runs()
        await wait_for(pilot, lambda: type(pilot.app.screen).__name__ == "RunsScreen", "the runs are listed")
        pilot.app.open_run(older)
        await wait_for_text(pilot, "-older")
        assert isinstance(pilot.app.screen, GridScreen)
        assert "-newer" not in screen_text(pilot.app)


@pytest.mark.parametrize("size", [(59, 30), (100, 15), (20, 5)])
async def test_a_terminal_that_is_too_small_is_told_what_is_needed(size):
    make_run(runs_directory())
    async with StitchApp().run_test(size=size) as pilot:
        await wait_for_text(pilot, "60x16" if size[0] > 20 else "too small")


async def test_a_terminal_that_is_too_small_can_be_left_by_q():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(40, 10)) as pilot:
        await wait_for_text(pilot, "60x16")
        await pilot.press("q")
        await wait_for(pilot, lambda: not pilot.app.is_running, "the app left")


async def test_without_a_run_new_waits_below_the_size_that_is_needed():
    async with StitchApp().run_test(size=(40, 10)) as pilot:
        await wait_for(pilot, lambda: "NewScreen" in [type(each).__name__ for each in pilot.app.screen_stack], "New")
        await wait_for_text(pilot, "60x16")
        await pilot.resize_terminal(80, 24)
        await wait_for_text(pilot, "quickstart")
        await pilot.press("escape")
        await wait_for_text(pilot, "Nothing is measured here yet.")


async def test_growing_again_shows_what_was_there_before():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "block1")
        await pilot.press("m", "j")
        await wait_for_text(pilot, "against the bottom")
        await pilot.resize_terminal(40, 10)
        await wait_for_text(pilot, "needs 60x16")
        await pilot.resize_terminal(120, 36)
        await wait_for_text(pilot, "against the bottom")
        await wait_for_text(pilot, "a > b at block1")


async def test_quitting_says_which_run_goes_on():
    directory = make_run(runs_directory(), until="direct")
    directory.write_info(describe_process(os.getpid()))  # a worker that lives; the log says nothing newer
    async with StitchApp().run_test() as pilot:
        await wait_for(pilot, lambda: pilot.app.watched.condition in ("running", "starting"), "the run goes on")
        await pilot.press("q")
        await wait_for(pilot, lambda: not pilot.app.is_running or pilot.app.return_value, "the app left")
    assert pilot.app.return_value == directory.name


async def test_quitting_after_a_finished_run_says_nothing():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "done")
        await pilot.press("q")
    assert pilot.app.return_value is None


async def test_the_command_palette_knows_the_screens():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "done")
        titles = {command.title for command in pilot.app.get_system_commands(pilot.app.screen)}
    assert {"New", "Runs", "Presets", "Help", "Theme", "Quit"} <= titles


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "textual-ansi"])
async def test_the_grid_can_be_read_in_every_theme(theme):
    make_run(runs_directory(), experiment=make_experiment())
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "block1")
        if theme in pilot.app.available_themes:
            pilot.app.theme = theme
        await wait_for(pilot, lambda: pilot.app.palette.dark == pilot.app.current_theme.dark, "the theme is on")
        await wait_for_text(pilot, "connected")


def test_the_app_never_loads_torch():
    code = "import sys, json, stitchtui.tui.main, stitchtui.tui.app, stitchtui.tui.screens.cell\n"
    code += "print(json.dumps([n for n in ('torch', 'torchvision', 'plotext', 'sklearn') if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_the_command_without_arguments_is_the_app_on_a_terminal():
    make_run(runs_directory())
    terminal = Terminal("--ascii", size=(80, 24))
    try:
        terminal.wait_for(lambda: "penalty: error" in terminal.written, "the grid is shown")
        terminal.press(b"q")
        while terminal.read():
            pass
        assert terminal.process.wait(LONG) == 0
    finally:
        terminal.close()
