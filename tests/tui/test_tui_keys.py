"""The keys that no other test presses."""

import os

import pytest
from pilot import make_run, screen_text, wait_for, wait_for_text

from stitchtui.base.paths import cache_directory, runs_directory
from stitchtui.run.control import describe_process
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens import actions
from stitchtui.tui.screens.confirm import ConfirmScreen
from stitchtui.tui.screens.grid import GridScreen
from stitchtui.tui.widgets.heatmap import Heatmap


@pytest.fixture
def going():
    """A run that this very process claims to work on."""
    directory = make_run(runs_directory(), until="direct")
    directory.write_info(describe_process(os.getpid()))
    return directory


async def test_s_asks_and_stops_the_run_that_is_shown(going, monkeypatch):
    stopped = []
    monkeypatch.setattr(actions.control, "stop", lambda directory: stopped.append(directory) or True)
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "s stop")
        await pilot.press("s")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "it asks")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, GridScreen), "escape is no")
        assert stopped == []
        await pilot.press("s", "y")
        await wait_for(pilot, lambda: stopped == [going], "it is stopped")


async def test_capital_r_resumes_the_run_that_is_shown(monkeypatch):
    directory = make_run(runs_directory(), until="direct")
    launched = []
    monkeypatch.setattr(actions.control, "launch", lambda directory, *_: launched.append(directory))
    async with StitchApp().run_test(size=(80, 24), notifications=True) as pilot:
        await wait_for_text(pilot, "R resume")
        await pilot.press("R")
        await wait_for(pilot, lambda: launched == [directory], "it is launched")
        await wait_for_text(pilot, "what is missing")


async def test_capital_c_colours_with_the_other_ramp_and_back():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "block2")
        for ramp in ("viridis", "cividis"):
            await pilot.press("C")
            await wait_for(pilot, lambda ramp=ramp: pilot.app.screen.query_one(Heatmap).palette.ramp == ramp, ramp)


async def test_g_and_home_end_go_to_the_first_and_last_cut():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "a > b at stem")
        for key, cut in (("end", "block2"), ("home", "stem"), ("G", "block2"), ("g", "stem")):
            await pilot.press(key)
            await wait_for_text(pilot, f"a > b at {cut}")


@pytest.mark.parametrize("back", ["escape", "backspace", "left", "h"])
async def test_a_cell_is_read_on_copied_and_left(back):
    make_run(runs_directory())
    async with StitchApp().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "a > b at stem")
        await pilot.press("enter")
        await wait_for_text(pilot, "what to ask next")
        first = "penalty       -0.07 [-0.57, +0.43] points"
        await wait_for_text(pilot, first)
        await pilot.press("pagedown")
        await wait_for(pilot, lambda: first not in screen_text(pilot.app), "it reads on")
        await pilot.press("pageup")
        await wait_for_text(pilot, first)
        facts = pilot.app.screen.query_one("#facts")
        await wait_for(pilot, lambda: facts.scroll_y == 0, "and back")
        await pilot.press("j")
        await wait_for(pilot, lambda: pilot.app.focused.highlighted == 1, "the next question")
        await pilot.press("k")
        await wait_for(pilot, lambda: pilot.app.focused.highlighted == 0, "the question before")
        await pilot.press("y")
        await wait_for(pilot, lambda: "a > b at stem" in pilot.app.clipboard, "it is copied")
        assert "a > b at stem" in (cache_directory() / "copied.txt").read_text()
        await pilot.press(back)
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, GridScreen), "the grid is back")
