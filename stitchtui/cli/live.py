"""Watching a run while it goes on: a live grid on a terminal, plain lines in a pipe, or its events as JSON lines."""

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Protocol

from stitchtui.base.text import duration, plain
from stitchtui.report.event_lines import line
from stitchtui.report.wording import progress_bar
from stitchtui.run import control, progress
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Event, EventReader, RunFinished, as_object
from stitchtui.run.records import TaskState
from stitchtui.run.state import RunState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

REDRAW = 0.5  # seconds between two pictures, at least
_ENDED = ("done", "failed", "stopped")
_BAR = 24  # terminal cells
_AT_ONCE = 4  # lines for the tasks that run


class View(Protocol):
    """Something that shows how a run goes on."""

    def update(self, events: Sequence[Event], state: RunState) -> None:
        """Show `events`, which are already folded into `state`; called at every look, also without any."""

    def close(self) -> None:
        """Leave the terminal as it was found; may be called twice."""


def watch(
    directory: RunDirectory, view: View, ends: int = 1, pause: Callable[[float], None] = time.sleep
) -> tuple[RunState, str]:
    """Follow a run until it ends; returns its state and how it ended: done, failed, stopped or lost.

    `ends` is how many of them the log must hold before the last one counts: a resumed run's log holds the end of the
    session before. A run that belongs to another machine is followed until its log ends it.
    """
    reader, state, ended, silent = EventReader(directory.events), RunState(), 0, False
    while True:
        events = reader.poll()
        if reader.restarted:
            state, ended = RunState(), 0
        state.apply_all(events)
        ended += sum(isinstance(event, RunFinished) for event in events)
        view.update(events, state)
        condition = control.status(directory, state)
        if condition in _ENDED and ended >= ends:
            control.let_go(directory, pause)
            return state, condition
        gone = condition == "lost" or (condition in _ENDED and not control.is_alive(directory))
        if gone and silent:  # looked once more after it was gone: it may have written until then
            return state, "lost"
        silent = gone
        if not gone:
            pause(control.POLL)


def ends_so_far(directory: RunDirectory) -> int:
    """How often the run's log says that the run ended."""
    return sum(isinstance(event, RunFinished) for event in EventReader(directory.events).poll())


def view_for(as_json: bool) -> View:
    """The view that fits: events on stdout for `--json`, the grid on a terminal, else plain lines on stderr."""
    if as_json:
        return JsonView(sys.stdout)
    if sys.stderr.isatty():
        from rich.console import Console

        console = Console(stderr=True, highlight=False)
        if not console.is_dumb_terminal:
            return LiveView(console)
    return PlainView(sys.stderr)


class JsonView:
    """Every event as one line of JSON, and nothing else."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def update(self, events: Sequence[Event], _state: RunState) -> None:
        """Write the new events."""
        for event in events:
            self._stream.write(json.dumps(as_object(event), separators=(",", ":")) + "\n")
        if events:
            self._stream.flush()

    def close(self) -> None:
        """Nothing is left open."""


class PlainView:
    """A line for what begins and what ends, none for single steps: what a log file or a pipe should hold."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def update(self, events: Sequence[Event], state: RunState) -> None:
        """Write a line for each event that is worth one."""
        for event in events:
            if text := line(event, state):
                moment = time.strftime("%H:%M:%S", time.localtime(event.t))
                self._stream.write(f"{moment} {plain(text)}\n")
        if events:
            self._stream.flush()

    def close(self) -> None:
        """Nothing is left open."""


class LiveView:
    """The grid with a status line above it, redrawn in place: only when it differs, and twice a second at most."""

    def __init__(self, console: "Console", clock: Callable[[], float] = time.monotonic) -> None:
        from rich.live import Live

        self._console, self._clock = console, clock
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._drawn: object = None
        self._at = float("-inf")
        self._pending = True

    def update(self, events: Sequence[Event], state: RunState) -> None:
        """Redraw if anything happened, unless it was redrawn just before: then later."""
        self._pending = self._pending or bool(events)
        now = self._clock()
        if not self._pending or now - self._at < REDRAW:
            return
        self._pending, self._at = False, now
        ascii = not self._console.encoding.lower().startswith("utf")
        picture = live_picture(state, self._console.width, time.time(), ascii, self._console.height)
        lines = self._console.render_lines(picture, pad=False)
        if lines != self._drawn:
            self._drawn = lines
            self._live.start()
            self._live.update(picture, refresh=True)

    def close(self) -> None:
        """Take the picture away and show the cursor again, unless the terminal itself is gone."""
        with contextlib.suppress(OSError):
            self._live.stop()


def live_picture(
    state: RunState, width: int, now: float, ascii: bool = False, height: int | None = None
) -> "RenderableType":
    """The status lines and, once cuts are known, the grid, at most `width` wide; `now` in seconds since 1970.

    Where `height` lines are too few for all of it, the legend goes first, then the title, then rows from below; what
    isn't shown is counted.
    """
    from rich.console import Group

    parts: list[RenderableType] = list(_status(state, now, ascii))
    if cuts := len(state.cuts()):
        parts.append(_fitting(state, cuts, width, ascii, None if height is None else height - len(parts)))
    return Group(*parts)


def _fitting(state: RunState, cuts: int, width: int, ascii: bool, lines: int | None) -> "RenderableType":
    from rich.console import Console
    from rich.text import Text

    from stitchtui.report.table import grid
    from stitchtui.report.terminal import grid_table

    found = grid(state)
    if lines is None:
        return grid_table(found, width, ascii)
    console, over = Console(width=width, color_system=None, legacy_windows=False), 0
    for legend, title in ((True, True), (False, True), (False, False)):
        table = grid_table(found, width, ascii, legend=legend, title=title)
        over = len(console.render_lines(table, pad=False)) - lines
        if over <= 0:
            return table
    # the line that counts the rows left out may be one more
    for most_rows in (cuts - over, cuts - over - 1):
        table = grid_table(found, width, ascii, legend=False, title=False, most_rows=max(0, most_rows))
        if most_rows > 0 and len(console.render_lines(table, pad=False)) <= lines:
            return table
    return Text("no room for the grid", no_wrap=True)


def _status(state: RunState, now: float, ascii: bool) -> Iterator["Text"]:
    """How far the run is, and what it does now: a line each, cut off where the terminal ends."""
    from rich.text import Text

    texts = [_progress(state, now, ascii), *_doing(state)] if state.tasks else ["the worker is starting"]
    for text in texts:
        safe = plain(text).encode("ascii", "replace").decode() if ascii else plain(text)
        yield Text(safe, no_wrap=True, overflow="ellipsis" if not ascii else "crop")


def _progress(state: RunState, now: float, ascii: bool) -> str:
    share = state.progress.share
    left = progress.remaining(state, now)
    eta = "" if left is None else f"  {duration(left)} left"
    return f"{progress_bar(share, _BAR, ascii)} {share:4.0%}{eta}  {state.run} on {state.device}"


def _doing(state: RunState) -> Iterator[str]:
    """What runs now, one task a line as far as there is room, or that nothing does yet."""
    running = [task for task in state.tasks.values() if task.status == "running"]
    shown = running if len(running) <= _AT_ONCE else running[: _AT_ONCE - 1]
    yield from (_task(task) for task in shown)
    if len(running) > len(shown):
        yield f"and {len(running) - len(shown)} more at the same time"
    if not running:
        yield state.status if state.status in _ENDED else "finishing" if state.finishing else "preparing"


def _task(task: TaskState) -> str:
    parts = [task.id if task.kind != "data" else "loading the data"]
    if task.steps:
        parts.append(f"step {task.step}/{task.steps}" + (" at most" if task.is_open else ""))
    if task.loss is not None:
        parts.append(f"loss {task.loss:.3f}")
    if task.accuracy is not None:
        parts.append(f"accuracy {task.accuracy:.1f} %")
    return "  ".join(parts)
