"""Names from outside are inert: nothing in them reaches the terminal as a control character or is read as markup."""

import json
import os
import re
import time
from pathlib import Path

import pytest
from pilot import (
    Terminal,
    make_experiment,
    make_run,
    runs_read,
    screen_strips,
    screen_text,
    settled,
    wait_for,
    wait_for_text,
)

from stitchtui.base.paths import runs_directory
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens import actions

ROOT = Path(__file__).parents[2]
EVIL = "[bold red]x\x1b[2J\x1b]0;pwned\x07\x9b31m[@click=app.quit]\u202e[/]"
SHOWN = "[bold red]x?[2J"
FILE = "[bold red]x\x1b[2J.pt"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
SIZES = [(60, 20), (120, 36)]


def hostile_run(stamp, until="done"):
    """A run whose every name is hostile: directory, networks, cuts, classes, architecture, device, title, texts."""
    title = "titletitle"
    made = make_run(runs_directory(), stamp, make_experiment("aaaa", "bbbb", title=title), until=until)
    log = made.events.read_text()
    words = ("aaaa", "stem", "digits_cnn", "cpu (2 threads)", title, "the hashes are unchanged", '"0"')
    for word in words:
        quoted = word.startswith('"')
        evil = json.dumps(f"{word.strip(chr(34))[:4]}{EVIL}")
        log = log.replace(word, evil if quoted else evil[1:-1])
    made.events.write_text(log)
    with made.events.open("a") as file:
        for event in (
            {"t": 1.0, "type": "warning", "text": f"warning {EVIL}"},
            {"t": 1.0, "type": "check", "name": EVIL, "passed": False, "detail": EVIL},
        ):
            file.write(json.dumps(event) + "\n")
    made.log.write_text(f"last words {EVIL}\n")
    path = made.path.with_name(f"{stamp}{EVIL.replace('/', '')}")
    made.path.rename(path)
    return RunDirectory(path)


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A finished, a lost, a failed and a foreign run, and a checkpoint in the working directory, all badly named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE).write_bytes(b"not a checkpoint")
    hostile_run("20260102-000000-lost", until="direct")
    foreign = hostile_run("20260101-000000-away", until="direct")
    foreign.write_info({"pid": 1, "host": f"host{EVIL}", "create_time": 1.0})
    failed = hostile_run("20260103-000000-bad", until="direct")
    with failed.events.open("a") as file:
        reason = {"t": 2.0, "type": "run_finished", "status": "failed", "reason": f"reason {EVIL}"}
        file.write(json.dumps(reason) + "\n")
    return hostile_run("20260104-000000-done")


def inert(app):
    """Whether no cell of the screen holds a control character; the strips are what the terminal is sent."""
    for strip in screen_strips(app):
        for segment in strip:
            assert segment.control is None
            assert not _CONTROL.search(segment.text), repr(segment.text)
    return True


PLACES = {
    "grid": ("", "[bol"),
    "cell": ("enter", SHOWN),
    "depth plot": ("d", "[bold"),
    "grid, other measures": ("m m m m", "[bol"),
    "runs": ("r", SHOWN),
    "runs, the lost one": ("r j j", "last words"),
    "runs, the failed one": ("r j", "reason [bold"),
    "runs, the foreign one": ("r G", "host[bold"),
    "runs, filtered": ("r slash [ b o l d enter", "with '[bold'"),
    "export": ("r e", SHOWN),
    "compare": ("r space j space c l", "red]x?[2J"),  # the name before it may be broken between two lines
    "presets": ("p", "Quickstart"),
    "help": ("question_mark", "Keys here"),
    "findings": ("f", "warning: warning [bold"),
    "copy": ("r y", "copied the run's path"),
}


@pytest.mark.parametrize("place", PLACES)
async def test_hostile_names_are_shown_as_plain_text(hostile, place):
    keys, shown = PLACES[place]
    app = StitchApp(hostile)
    small, large = SIZES
    async with app.run_test(size=large, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.watched.state.status == "done", "the run is read")
        for key in keys.split():
            await pilot.press(key)
            await drawn(pilot)
            assert inert(app)
        await wait_for_text(pilot, shown)
        assert inert(app)
        await pilot.resize_terminal(*small)
        await wait_for(pilot, lambda: app.screen.size == small, "the screen is small")
        await settled(pilot)
        await wait_for_text(pilot, shown)
        assert inert(app)


async def drawn(pilot):
    """Wait until the list of runs, where that is on, has been read."""
    from stitchtui.tui.screens.runs import RunsScreen

    if isinstance(pilot.app.screen, RunsScreen):
        await wait_for_text(pilot, "4 runs")
        await runs_read(pilot)
    else:
        await wait_for(pilot, lambda: screen_text(pilot.app).strip(), "something is drawn")


@pytest.mark.parametrize("size", SIZES)
async def test_a_run_that_can_not_be_resumed_is_named_plainly(hostile, size):
    app = StitchApp(hostile)
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.watched.state.status == "done", "the run is read")
        actions.resume(app, hostile)
        await wait_for_text(pilot, "nothing is")
        assert inert(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_hostile_checkpoint_can_be_looked_for_in_new(hostile, size):
    app = StitchApp(hostile)
    async with app.run_test(size=size, notifications=True) as pilot:
        await wait_for(pilot, lambda: app.watched.state.status == "done", "the run is read")
        await pilot.press("n")
        await wait_for_text(pilot, "[bold red]x?[2J.pt")
        assert inert(app)
        await pilot.press("enter")
        await drawn(pilot)
        assert inert(app)


async def test_the_question_whether_to_stop_names_a_hostile_run_plainly(hostile):
    going = hostile_run("20260105-000000-on", until="direct")
    going.write_info(control.describe_process(os.getpid()))
    log = [json.loads(line) for line in going.events.read_text().splitlines()]
    going.events.write_text("".join(json.dumps({**event, "t": time.time()}) + "\n" for event in log))
    app = StitchApp(going)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, lambda: app.watched.condition == "running", "it is running")
        await pilot.press("s")
        await wait_for_text(pilot, "Stop 20260105-000000-on[bold")
        assert inert(app)
        await pilot.press("n")


def test_no_byte_of_a_hostile_name_controls_a_real_terminal(hostile):
    """The same through a pty: the app as a process, its screens one after the other, every byte that it wrote."""
    escape = b"\x1b"
    written = played([b"\r", escape, b"d", b"d", b"r", b"j", b" ", b"k", b" ", b"c", escape, b"e", escape, b"?"])
    assert SHOWN in written
    assert "pwned" in written, "the name is shown, so that it is known what it was"
    for sequence in ("\x1b]0;", "\x9b", "\u202e", "x\x1b[2J"):
        assert sequence not in written, sequence


def played(keys):
    """What the app writes to a terminal while these keys are pressed, up to its end."""
    terminal = Terminal()
    try:
        terminal.wait_for(lambda: "verdict" in terminal.written, "the grid is shown")
        for key in [*keys, b"\x1b"]:
            terminal.press(key)
            answered(terminal)
        terminal.press(b"q")
        while terminal.read():
            pass
    finally:
        terminal.close()
    return terminal.written


def answered(terminal):
    """Wait until a key has led to something, and nothing more comes of it for a while."""
    before = len(terminal.written)
    terminal.wait_for(lambda: len(terminal.written) > before, "the key changes something on the screen")
    still, now = time.monotonic(), len(terminal.written)
    while time.monotonic() < still + 0.4:
        assert terminal.read(), "the app has ended"
        if len(terminal.written) > now:
            still, now = time.monotonic(), len(terminal.written)
