"""The first moments: a picture that waits for little, and keys that are typed before there is more."""

import json
import subprocess
import sys
import threading

import pytest
from pilot import ROOT, Terminal, make_run, screen_text, settled, wait_for, wait_for_text
from textual.screen import Screen

from stitchtui.base.paths import runs_directory
from stitchtui.tui import typed_ahead
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens.first import FirstScreen
from stitchtui.tui.watch import RunWatch
from stitchtui.tui.widgets.heatmap import Heatmap


@pytest.fixture
def reading(monkeypatch):
    """The log isn't read before this is set."""
    may, follow = threading.Event(), RunWatch._follow
    monkeypatch.setattr(RunWatch, "_follow", lambda self, directory: may.wait(60) and follow(self, directory))
    yield may
    may.set()


def cursor(pilot):
    heatmap = pilot.app.screen.query_one(Heatmap)
    return heatmap.row, heatmap.column


def test_the_first_picture_loads_nothing_but_textual_and_what_draws_it():
    code = "import json, sys, textual.app, textual.widgets._static\nbefore = set(sys.modules)\n"
    code += "import stitchtui.tui.main, stitchtui.tui.app\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = [name for name in json.loads(done.stdout) if name.startswith("stitchtui")]
    others = {name.partition(".")[0] for name in json.loads(done.stdout)} - {"stitchtui", "textual", "json", "_json"}
    assert others == set()
    assert "stitchtui.tui.screens.grid" not in ours and "stitchtui.run.state" not in ours and len(ours) <= 25


async def test_keys_typed_before_the_log_is_read_are_done_once_it_is(reading, monkeypatch):
    monkeypatch.setattr(typed_ahead, "PATIENCE", 600)
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        for key in ("j", "l", "j", "m"):
            pilot.app.simulate_key(key)
        await wait_for_text(pilot, "reading the log")
        reading.set()
        await wait_for(pilot, lambda: cursor(pilot) == (2, 1), "the cursor has moved, in the order of the keys")
        await wait_for_text(pilot, "against the bottom")


async def test_a_log_that_takes_long_to_read_holds_no_key_up_for_long(reading, monkeypatch):
    monkeypatch.setattr(typed_ahead, "PATIENCE", 0.01)
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        pilot.app.simulate_key("question_mark")
        await wait_for_text(pilot, "Keys here")
        assert not reading.is_set()


class Gate(Screen):
    """Is ready after it was asked so often; any key opens the next one."""

    def __init__(self, *asked):
        super().__init__()
        self.left, *self.behind = asked

    @property
    def unready(self):
        self.left -= 1
        return self.left >= 0

    def on_key(self, _event):
        self.app.found.append(self.left < 0)
        if self.behind:
            self.app.push_screen(Gate(*self.behind))


class Gates(typed_ahead.InOrder):
    def __init__(self):
        super().__init__()
        self.found = []

    def on_mount(self):
        self.push_screen(Gate(1_000_000, 9))
        self.take_keys()


async def test_a_screen_that_is_never_ready_takes_no_patience_from_the_next(monkeypatch):
    monkeypatch.setattr(typed_ahead, "PATIENCE", 0.5)
    async with Gates().run_test() as pilot:
        for key in "ab":
            pilot.app.simulate_key(key)
        await settled(pilot)
        assert pilot.app.found == [False, True]


async def test_keys_typed_before_new_is_there_are_done_on_it():
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        pilot.app.simulate_key("escape")
        await wait_for_text(pilot, "Nothing is measured here yet.")


async def test_the_first_picture_has_the_last_line_of_the_grid(monkeypatch):
    make_run(runs_directory())

    async def never(_app):
        pass

    with monkeypatch.context() as only:
        only.setattr(StitchApp, "_begin", never)
        async with StitchApp().run_test(size=(80, 24)) as pilot:
            await wait_for_text(pilot, "reading the runs")
            assert isinstance(pilot.app.screen, FirstScreen)
            first = screen_text(pilot.app).splitlines()[-1]
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "verdict")
        assert screen_text(pilot.app).splitlines()[-1] == first
    assert "? help" in first and "q quit" in first


def test_keys_typed_blindly_at_a_real_terminal_are_not_lost():
    make_run(runs_directory())
    terminal = Terminal(size=(80, 24))
    try:
        terminal.press(b"m")
        terminal.wait_for(lambda: "against the bottom" in terminal.written, "the key is done")
        terminal.press(b"q")
        while terminal.read():
            pass
    finally:
        terminal.close()
