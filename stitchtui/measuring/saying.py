"""The generators of measuring: they yield events, and None at moments that are good for stopping."""

import time
from collections.abc import Generator
from typing import TypeVar

from stitchtui.base.work import Pass, mapped
from stitchtui.run.events import Event

T = TypeVar("T")

Saying = Generator[Event | None, None, T]
"""Yields an event, or None where a driver may stop; returns what was found."""

STEP_INTERVAL = 0.25  # seconds
AT_ONCE = 4
"""So many tasks may say their steps in an interval; more say them at longer ones, so that the log stays small."""


class Pace:
    """Whether a step is worth an event: at most four a second are, and the last always is."""

    def __init__(self) -> None:
        self._said = 0.0

    def due(self, *, last: bool, tasks: int = 1) -> bool:
        """Whether a step is due now, with so many tasks at once; if so, it counts as said."""
        now = time.monotonic()
        if not last and now - self._said < STEP_INTERVAL * max(1.0, tasks / AT_ONCE):
            return False
        self._said = now
        return True


def silent(work: Pass[T]) -> Saying[T]:
    """Run a pass without any event."""
    return mapped(work, lambda _: None)
