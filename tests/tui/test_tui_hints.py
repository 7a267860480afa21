"""The last line of every screen: it fits the narrowest terminal, and `?` and `q` are never cut off."""

import pytest
from pilot import make_run, screen_text, settled, wait_for, wait_for_text

from stitchtui.base.paths import runs_directory
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens.help import HelpScreen
from stitchtui.tui.widgets.hints import Hints

# the keys that lead there, what is on the screen then, and a key of its own that the last line must name
SCREENS = {
    "grid": ("", "a > b at stem", "open"),
    "depth plot": ("d", "against depth", "open"),
    "cell": ("enter", "what to ask next", "back"),
    "runs": ("r", "3 runs", "open"),
    "runs, two marked": ("r space j space", "3 runs", "mark"),
    "compare": ("r space j space c", "difference", "swap"),
    "presets": ("p", "data: ", "start"),
    "New, picking": ("n", "pick the bottom", "pick"),
    "New, a preset": ("p c", "New run: ", "start"),
}
# Those that lie over others, which keep the app's letters away.
OVER_OTHERS = {
    "export": ("e", "csv", ["write", "kind or name", "back"]),
    "export, its name": ("e tab", "csv", ["write", "kind or name", "back"]),
    "confirm": ("p enter", "Start quickstart?", ["answer", "yes", "no", "switch"]),
}


SIZES = [(60, 20), (66, 16)]


def last_line(pilot):
    return screen_text(pilot.app).splitlines()[-1]


@pytest.fixture
def runs():
    for day in (1, 2, 3):
        make_run(runs_directory(), f"2026010{day}-000000-run{day}")


@pytest.mark.parametrize("name", SCREENS)
async def test_every_screen_ends_with_help_and_quit(name, runs):
    keys, text, own = SCREENS[name]
    async with StitchApp().run_test(size=SIZES[0]) as pilot:
        await wait_for_text(pilot, "a > b at stem")
        await pilot.press(*keys.split())
        for size in SIZES:
            await pilot.resize_terminal(*size)
            await wait_for(pilot, lambda size=size: pilot.app.screen.size == size, f"the screen is {size}")
            await settled(pilot)
            await wait_for_text(pilot, text)
            hints = pilot.app.screen.query_one(Hints).hints()
            assert [hint.words for hint in hints[-2:]] == ["help", "quit"]
            assert own in [hint.words for hint in hints[:-2]]
            assert sum(hint.width for hint in hints) <= size[0]
            await wait_for(pilot, lambda: last_line(pilot).endswith("? help  q quit"), "they are on the screen")


@pytest.mark.parametrize("name", OVER_OTHERS)
async def test_what_lies_over_a_screen_ends_with_its_own_keys(name, runs):
    keys, text, own = OVER_OTHERS[name]
    async with StitchApp().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "a > b at stem")
        await pilot.press(*keys.split())
        await wait_for_text(pilot, text)
        hints = pilot.app.screen.query_one(Hints).hints()
        assert [hint.words for hint in hints] == [*own, "help", "quit"]
        help = "f1" if "tab" in keys else "?"
        await wait_for(pilot, lambda: last_line(pilot).endswith(f"{help} help  ^q quit"), "they are on the screen")
        below = pilot.app.screen
        await pilot.press("f1")
        await wait_for_text(pilot, "Keys here")
        await wait_for(pilot, lambda: last_line(pilot).endswith("^q quit"), "so does the help")
        await pilot.press("escape")
        await wait_for(pilot, lambda: pilot.app.screen is below, "it is back")
        await pilot.press("ctrl+q")
        await wait_for(pilot, lambda: not pilot.app.is_running, "the app left")


@pytest.mark.parametrize("keys", ["slash", "r slash", "n slash"])
async def test_in_a_field_that_takes_every_letter_the_keys_are_those_that_still_work(keys, runs):
    async with StitchApp().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "a > b at stem")
        await pilot.press(*keys.split())
        await wait_for(pilot, lambda: last_line(pilot).endswith("f1 help  ^q quit"), "they are named")
        await pilot.press("question_mark", "f1")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "the help is there")
        await pilot.press("escape", "ctrl+q")
        await wait_for(pilot, lambda: not pilot.app.is_running, "the app left")


async def test_a_click_on_a_hint_presses_its_key(runs):
    async with StitchApp().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "a > b at stem")
        place = last_line(pilot).index("? help")
        await pilot.click(offset=(place + 1, 19))
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "the help is there")
