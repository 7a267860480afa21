"""How far a call is: lines for the program's logger, and a bar on a terminal or in a notebook."""

import logging
import sys
import time
from types import TracebackType
from typing import Any, Self

from stitchtui.base.text import duration, plain
from stitchtui.report.event_lines import line
from stitchtui.report.wording import progress_bar
from stitchtui.run import progress
from stitchtui.run.events import Event, Warned
from stitchtui.run.state import RunState

LOGGER = logging.getLogger("stitchtui")
LOGGER.addHandler(logging.NullHandler())  # what the program doesn't ask for isn't shown
_REDRAW, _BAR = 0.5, 24  # seconds between two pictures, and terminal cells


class Showing:
    """Takes in a run's events; once it is left, the bar is gone."""

    def __init__(self, bar: bool) -> None:
        self._state, self._bar, self._drawn = RunState(), _bar() if bar else None, 0.0

    def show(self, event: Event) -> None:
        """Tell the logger of `event`, and draw the bar anew if that is some time ago."""
        self._state.apply(event)
        if (said := line(event, self._state)) is not None:
            LOGGER.log(logging.WARNING if isinstance(event, Warned) else logging.INFO, "%s", plain(said))
        now = time.monotonic()
        if self._bar is not None and now - self._drawn >= _REDRAW:
            self._drawn = now
            self._bar.draw(self._text())

    def _text(self) -> str:
        share, left = self._state.progress.share, progress.remaining(self._state, time.time())
        running = next((task.id for task in self._state.tasks.values() if task.status == "running"), "")
        words = [f"{progress_bar(share, _BAR)} {share:4.0%}", "" if left is None else f"{duration(left)} left", running]
        return plain("  ".join(filter(None, words)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.draw("")


class _TerminalBar:
    """A line of stderr that is written over, no wider than the terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    def draw(self, text: str) -> None:
        if self._console.encoding.lower().startswith("utf"):
            sys.stderr.write(f"\r\x1b[K{text[: self._console.width - 1]}")
            sys.stderr.flush()


class _NotebookBar:
    """A line below the notebook's cell."""

    def __init__(self, display: Any) -> None:
        self._line = display({"text/plain": ""}, raw=True, display_id=True)

    def draw(self, text: str) -> None:
        self._line.update({"text/plain": text}, raw=True)


def _bar() -> "_TerminalBar | _NotebookBar | None":
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if hasattr(shell, "kernel"):
        from IPython.display import display

        return _NotebookBar(display)
    return _TerminalBar() if sys.stderr is not None and sys.stderr.isatty() else None
