"""What the app draws on may go away while it draws: from then on nothing is written, and the app ends as it should.

Textual writes in a thread of its own, which dies of the first write to a terminal that is gone; what is drawn next then
waits for it without end, and so does leaving.
"""

import contextlib
import sys
from typing import Any, TextIO


class Lasting:
    """A stream that goes on when what it writes to is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write `text` if there is something to write to."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits if there is something to write to."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def survive_its_end() -> None:
    """Have Textual draw on a stream that lasts."""
    if sys.__stderr__ is not None:
        setattr(sys, "__stderr__", Lasting(sys.__stderr__))  # noqa: B010 (mypy forbids the assignment)
