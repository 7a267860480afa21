import pytest
from little_app import LittleApp
from pilot import make_run, screen_text, wait_for, wait_for_text
from rich.console import Console

from stitchtui.base.paths import runs_directory
from stitchtui.tui.glossary import GLOSSARY
from stitchtui.tui.screens.confirm import ConfirmScreen
from stitchtui.tui.screens.help import HelpScreen, key_rows, terminal_rows
from stitchtui.tui.screens.presets import PresetsScreen
from stitchtui.tui.screens.runs import RunsScreen
from stitchtui.tui.widgets.reading import Reading

SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]
SCREENS = [RunsScreen, PresetsScreen]


@pytest.fixture(autouse=True)
def lost_run():
    """A run that a key can be pressed for: it can be resumed, and can't be stopped."""
    return make_run(runs_directory(), until="direct")


async def there(pilot):
    """Wait until the screen is there, and knows the run if it lists any."""
    await wait_for(pilot, lambda: pilot.app.screen.focused, "the screen is there")
    if isinstance(pilot.app.screen, RunsScreen):
        await wait_for_text(pilot, "its worker died")


async def open_help(pilot):
    await there(pilot)
    await pilot.press("question_mark")
    await wait_for(pilot, lambda: isinstance(pilot.app.screen, HelpScreen), "the help is there")


@pytest.mark.parametrize("size", SIZES)
async def test_it_shows_the_keys_of_the_screen_it_was_asked_on(size):
    async with LittleApp(RunsScreen).run_test(size=size) as pilot:
        await open_help(pilot)
        await wait_for_text(pilot, "Watch this run in the grid")
        await wait_for_text(pilot, "Go on with a run that was stopped or")


@pytest.mark.parametrize("screen", SCREENS)
async def test_every_binding_of_a_screen_has_an_id_and_a_tooltip_and_is_in_its_help(screen):
    async with LittleApp(screen).run_test(size=(80, 24)) as pilot:
        await there(pilot)
        assert all(binding.id and binding.tooltip for binding in screen.BINDINGS)
        rows = key_rows(pilot.app, pilot.app.screen.active_bindings.values())
        missing = {(binding.tooltip, binding.id) for binding in screen.BINDINGS} - {row[1:] for row in rows}
        assert {id for _, id in missing} == ({"runs.stop"} if screen is RunsScreen else set())


@pytest.mark.parametrize(("size", "named"), [((60, 60), False), ((120, 60), True)])
async def test_it_says_how_a_key_is_moved_and_names_the_keys_where_there_is_room(size, named):
    async with LittleApp(RunsScreen).run_test(size=size) as pilot:
        await open_help(pilot)
        await wait_for_text(pilot, '"grid.measure" = "z"')
        assert "keys.toml" in "".join(screen_text(pilot.app).replace("│", "").split())
        assert ("runs.resume" in screen_text(pilot.app)) == named


async def test_a_key_that_the_user_moved_is_shown_where_it_is_now():
    async with LittleApp(RunsScreen).run_test(size=(80, 24)) as pilot:
        pilot.app.set_keymap({"runs.resume": "z"})
        await there(pilot)
        rows = {words: keys for keys, words, _ in key_rows(pilot.app, pilot.app.screen.active_bindings.values())}
        assert rows["Go on with a run that was stopped or lost"] == "z"


@pytest.mark.parametrize("key", ["escape", "q", "question_mark"])
async def test_it_closes_and_leaves_the_app_running(key):
    async with LittleApp(RunsScreen).run_test(size=(60, 20)) as pilot:
        await open_help(pilot)
        await pilot.press(key)
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, RunsScreen), "it is closed")


async def test_it_scrolls_to_the_end_of_the_glossary_and_back():
    async with LittleApp(RunsScreen).run_test(size=(60, 20)) as pilot:
        await open_help(pilot)
        await pilot.press("G")
        await wait_for_text(pilot, list(GLOSSARY)[-1])
        await pilot.press("g")
        await wait_for_text(pilot, "Keys here")
        await pilot.press("j", "j")
        await wait_for(pilot, lambda: pilot.app.screen.query_one(Reading).scroll_y == 2, "it scrolled")
        await pilot.press("k")
        await wait_for(pilot, lambda: pilot.app.screen.query_one(Reading).scroll_y == 1, "and back")


async def test_a_large_terminal_shows_keys_colours_and_words_at_once():
    async with LittleApp(PresetsScreen).run_test(size=(200, 60)) as pilot:
        await open_help(pilot)
        await wait_for_text(pilot, "Keys here")
        assert all(word in screen_text(pilot.app) for word in ("This terminal", "elsewhere", "200 x 60"))


@pytest.mark.parametrize(
    ("system", "no_color", "expected"),
    [
        ("truecolor", False, "16 million colours"),
        ("256", False, "256 colours"),
        ("standard", False, "16 colours: shades of the grid run together, the numbers carry the meaning"),
        ("truecolor", True, "none (NO_COLOR is set)"),
    ],
)
async def test_it_names_the_colour_depth(system, no_color, expected):
    async with LittleApp(RunsScreen).run_test(size=(80, 24)) as pilot:
        pilot.app.console = Console(color_system=system, force_terminal=True, legacy_windows=False)
        pilot.app.no_color = no_color
        rows = dict(terminal_rows(pilot.app))
        assert rows["colours"] == expected
        assert ("for more" in rows) == (system != "truecolor")


async def test_a_question_takes_the_marked_answer_or_a_letter():
    answers = []
    async with LittleApp(RunsScreen).run_test(size=(60, 20)) as pilot:
        for keys, expected in ((["enter"], False), (["l", "enter"], True), (["y"], True), (["n"], False)):
            pilot.app.push_screen(ConfirmScreen("Really?"), answers.append)
            await wait_for(pilot, lambda: pilot.app.screen.focused and "Really?" in screen_text(pilot.app), "it asks")
            await pilot.press(*keys)
            await wait_for(pilot, lambda: isinstance(pilot.app.screen, RunsScreen), "it is answered")
            assert answers[-1] is expected
