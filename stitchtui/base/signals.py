"""The signals that end a program which has the terminal: it puts that back as it was before it goes."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType

HUNG_UP = 129
"""The exit code of a program whose terminal went away."""


def ending_signals() -> list[signal.Signals]:
    """SIGTERM and SIGHUP, but for what this process was told to ignore, as `nohup` does; none where there are none."""
    if sys.platform == "win32":
        return []
    known = (signal.SIGTERM, signal.SIGHUP)
    return [number for number in known if signal.getsignal(number) is not signal.SIG_IGN]


def ended_by(number: int) -> int:
    """The exit code of a program that a signal ended, as shells have it."""
    return 128 + number


@contextlib.contextmanager
def leaving_in_order() -> Iterator[None]:
    """While open, turn an ending signal into SystemExit, so that what was drawn on the terminal is taken away again."""

    def leave(number: int, _frame: FrameType | None) -> None:
        for each in before:  # one is enough: a second would come between what is being put back
            signal.signal(each, signal.SIG_IGN)
        raise SystemExit(ended_by(number))

    before = {number: signal.getsignal(number) for number in ending_signals()}
    for number in before:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
