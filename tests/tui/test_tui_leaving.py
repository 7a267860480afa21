"""Leaving: a screen before it is drawn, and the terminal as it was found, also when a signal ends the program."""

import contextlib
import os
import signal
import termios
import threading

import pytest
from pilot import LONG, Terminal, make_run, wait_for, wait_for_text
from textual.drivers._writer_thread import WriterThread

from stitchtui.base.paths import runs_directory
from stitchtui.run.control import describe_process
from stitchtui.tui import typed_ahead
from stitchtui.tui.app import StitchApp
from stitchtui.tui.terminal import Lasting


async def test_screens_that_are_left_before_they_are_drawn_do_no_harm(monkeypatch):
    monkeypatch.setattr(typed_ahead, "PATIENCE", 600)  # the order is what is tested, however busy the machine
    make_run(runs_directory())
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "block2")
        for key in ("enter", "escape", "n", "escape", "r", "escape", "p", "escape", "e", "escape", "enter", "escape"):
            pilot.app.simulate_key(key)
        await pilot.press("j")
        await wait_for(pilot, lambda: type(pilot.app.screen).__name__ == "GridScreen", "the grid is back")
        await wait_for_text(pilot, "a > b at block1")


APP = {"\x1b[?1049h": "\x1b[?1049l", "\x1b[?1000h": "\x1b[?1000l", "\x1b[?2004h": "\x1b[?2004l"}
CURSOR = {"\x1b[?25l": "\x1b[?25h"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(("words", "modes"), [((), APP | CURSOR), (("attach", "last"), CURSOR)])
def test_a_signal_that_ends_the_program_leaves_the_terminal_as_it_was(number, words, modes):
    directory = make_run(runs_directory(), until="direct")
    directory.write_info(describe_process())  # so that the run goes on
    terminal = Terminal(*words)
    try:
        before = termios.tcgetattr(terminal.file)
        terminal.wait_for(lambda: "block2" in terminal.written, "the grid is drawn")
        os.kill(terminal.process.pid, number)
        while terminal.process.poll() is None or terminal.read():
            terminal.read()
        assert terminal.process.wait(LONG) == 128 + number
        for begin, end in modes.items():
            assert -1 < terminal.written.rfind(begin) < terminal.written.rfind(end), (begin, end)
        assert termios.tcgetattr(terminal.file) == before
        said = f"run {directory.name} goes on" in terminal.written
        assert said == (number == signal.SIGTERM and not words)
    finally:
        terminal.close()


@pytest.mark.parametrize("words", [(), ("attach", "last")])
def test_a_terminal_that_goes_away_ends_the_program(words):
    make_run(runs_directory(), until="direct").write_info(describe_process())
    terminal = Terminal(*words)
    terminal.wait_for(lambda: "block2" in terminal.written, "the grid is drawn")
    assert terminal.close() == 128 + signal.SIGHUP


def test_what_is_drawn_after_the_terminal_went_away_keeps_nothing_waiting():
    ours, theirs = os.pipe()
    os.close(ours)
    with contextlib.suppress(BrokenPipeError), os.fdopen(theirs, "w") as gone:
        writer = WriterThread(Lasting(gone))
        writer.start()
        drawing = threading.Thread(target=lambda: [writer.write("x" * 10_000) for _ in range(100)], daemon=True)
        drawing.start()
        drawing.join(LONG)
        assert not drawing.is_alive()
        writer.stop()
