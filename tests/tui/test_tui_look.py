"""The colours that were chosen are there again the next time, and no file of them breaks the app."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot import Terminal, make_run, screen_strips, wait_for, wait_for_text

from stitchtui.base.paths import runs_directory
from stitchtui.tui.app import StitchApp
from stitchtui.tui.colours import RAMPS
from stitchtui.tui.look import Look, look_path, read_look, write_look
from stitchtui.tui.widgets.heatmap import Heatmap

THEMES = ("textual-dark", "nord", "ansi-dark")


def write(text):
    look_path().parent.mkdir(parents=True, exist_ok=True)
    look_path().write_text(text)
    return look_path()


@given(st.sampled_from(["", *THEMES]), st.sampled_from(RAMPS))
def test_what_was_written_is_read(theme, ramp):
    write_look(look_path(), Look(theme, ramp))
    assert read_look(look_path(), THEMES) == (Look(theme, ramp), "")


def test_without_a_file_the_look_is_the_usual_one():
    assert read_look(look_path(), THEMES) == (Look(), "")


def test_the_terminals_own_colours_may_be_asked_for_by_a_short_name():
    assert read_look(write('theme = "ansi"\n'), THEMES) == (Look("ansi-dark"), "")


def test_a_theme_that_there_is_not_is_said_and_the_ramp_still_counts():
    path = write('theme = "nrod"\nramp = "viridis"\n')
    look, problem = read_look(path, THEMES)
    assert look == Look("", "viridis")
    assert problem.startswith(f"{path}: theme: 'nrod' is not known; nearest: 'nord'")


@given(st.one_of(st.text(), st.sampled_from(["theme = 3", "theme = []", "ramp = {}", "theme = 'a\x1b[2J'", "[theme]"])))
def test_no_file_breaks_anything(text):
    look, problem = read_look(write(text.encode("utf-8", "replace").decode()), THEMES)
    assert look == Look()
    assert "\n" not in problem and "\x1b" not in problem


def test_a_directory_in_the_files_place_is_only_said():
    look_path().mkdir(parents=True)
    assert read_look(look_path(), THEMES) == (Look(), "")


async def test_theme_and_ramp_are_there_again_the_next_time():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "block2")
        pilot.app.theme = "nord"
        await pilot.press("C")
        await wait_for(
            pilot, lambda: read_look(look_path(), pilot.app.available_themes)[0] == Look("nord", "viridis"), ""
        )
    app = StitchApp()
    assert app.theme == "nord"
    async with app.run_test() as pilot:
        await wait_for_text(pilot, "block2")
        assert pilot.app.screen.query_one(Heatmap).palette.ramp == "viridis"


async def test_choosing_a_ramp_keeps_the_theme_that_can_not_be_had_now(monkeypatch):
    write('theme = "nord"\n')
    monkeypatch.setenv("NO_COLOR", "1")
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "block2")
        assert pilot.app.theme != "nord"
        await pilot.press("C")
        await wait_for(pilot, lambda: "viridis" in look_path().read_text(), "it is written")
        assert 'theme = "nord"' in look_path().read_text()


async def test_a_choice_keeps_what_another_app_chose_meanwhile():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "block2")
        write_look(look_path(), Look("nord"))
        await pilot.press("C")
        await wait_for(pilot, lambda: "viridis" in look_path().read_text(), "it is written")
    assert read_look(look_path(), THEMES)[0] == Look("nord", "viridis")


async def test_starting_and_leaving_writes_nothing():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "block2")
    assert not look_path().exists()


@pytest.mark.parametrize("text", ["theme = [[[", 'theme = "none of these"'])
async def test_a_bad_file_is_one_warning(text, monkeypatch):
    said = []
    monkeypatch.setattr(StitchApp, "notify", lambda self, message, **how: said.append((message, how["markup"])))
    path = write(text)
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await wait_for_text(pilot, "block2")
        await wait_for(pilot, lambda: said, "it is said")
    ((message, markup),) = said
    assert message.startswith(f"{path}: ") and "\n" not in message and not markup


async def test_a_file_that_can_not_be_written_is_one_warning():
    look_path().mkdir(parents=True)  # nothing can be put in a directory's place
    make_run(runs_directory())
    async with StitchApp().run_test(size=(200, 60), notifications=True) as pilot:
        await wait_for_text(pilot, "block2")
        await pilot.press("C")
        await wait_for_text(pilot, "can't be written")


@pytest.mark.parametrize("first", ["textual-dark", "textual-light"])
async def test_the_terminals_own_colours_leave_the_ground_to_it_and_keep_the_ramp(first, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    make_run(runs_directory())
    app = StitchApp()
    app.theme = first
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "block2")
        pilot.app.action_terminal_colours()
        await wait_for(pilot, lambda: pilot.app.native_ansi_color, "they are on")
        assert pilot.app.current_theme.dark == (first == "textual-dark")
        await wait_for(
            pilot, lambda: grounds(pilot.app, "what happened") == {"default"}, "the ground is the terminal's"
        )
        assert any(ground.startswith("#") for ground in grounds(pilot.app, "block2")), "numbers keep their ground"


def grounds(app, words):
    """The colours behind the first line that holds `words`."""
    strip = next(strip for strip in screen_strips(app) if words in strip.text)
    return {segment.style.bgcolor.name for segment in strip if segment.style and segment.style.bgcolor}


def test_a_theme_that_is_remembered_is_there_from_the_first_picture():
    make_run(runs_directory())
    write_look(look_path(), Look("textual-light"))
    terminal = Terminal(size=(80, 24))
    try:
        terminal.wait_for(lambda: "verdict" in terminal.written, "the grid is shown")
        terminal.press(b"q")
        while terminal.read():
            pass
    finally:
        terminal.close()
    shades = [int(red) for red in re.findall(r"48;2;(\d+);", terminal.written.partition("help")[0])]
    assert shades == [] or min(shades) > 128
