from pilot import make_run, wait_for, wait_for_text

from stitchtui.places import runs_directory
from stitchtui.tui.app import StitchApp


async def test_screens_that_are_left_before_they_are_drawn_do_no_harm():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "block2")
        for key in ("enter", "escape", "n", "escape", "r", "escape", "p", "escape", "e", "escape", "enter", "escape"):
            pilot.app.simulate_key(key)
        await pilot.press("j")
        await wait_for(pilot, lambda: type(pilot.app.screen).__name__ == "GridScreen", "the grid is back")
        await wait_for_text(pilot, "a > b at block1")
