"""What a task says while it runs: events, at most four steps a second; and whether it has been asked to stop."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from stitchtui.run.events import Event, Step, TaskStarted, Warned

STEP_INTERVAL = 0.25
AT_ONCE = 4
"""So many tasks may say their steps in an interval; more say them at longer ones, so that the log stays small."""


class Stopped(Exception):
    """The run was asked to stop."""


class Recorder:
    """Passes events on; a `step` is dropped if the task's last one is under a quarter of a second old.

    Once `memory` is set, every step that is said says how many bytes that finds the run to hold.
    """

    def __init__(self, emit: Callable[[Event], object], stopping: Callable[[], bool] = lambda: False) -> None:
        self.stopping = stopping
        self.memory: Callable[[], int] | None = None
        self._emit = emit
        self._said = 0.0
        self._warned: set[str] = set()

    def emit(self, event: Event) -> None:
        """Say an event."""
        if isinstance(event, Step) and self.memory is not None:
            event = msgspec.structs.replace(event, memory=self.memory())
        self._emit(event)

    def warn_once(self, text: str) -> None:
        """Say a warning, unless it has been said before."""
        if text not in self._warned:
            self._warned.add(text)
            self.emit(Warned(text=text))

    def check(self) -> None:
        """Raises Stopped when the run is to end."""
        if self.stopping():
            raise Stopped

    def start(self, task: str, steps: int, cuts: Sequence[str] = (), **facts: Any) -> None:
        """Say that `task` starts."""
        self._said = 0.0
        self.emit(TaskStarted(task=task, steps=steps, cuts=list(cuts), **facts))

    def step(self, task: str, step: int, steps: int, facts: Callable[[], dict[str, Any]] = dict) -> None:
        """Say how far `task` is, with `facts()` if it is said at all. Raises Stopped when the run is to end."""
        self.steps([task], step, steps, lambda: [facts()])

    def steps(self, tasks: Sequence[str], step: int, steps: int, facts: Callable[[], Sequence[dict[str, Any]]]) -> None:
        """Say how far tasks are that take their steps at once, with `facts()` of each; the more, the more rarely."""
        self.check()
        now = time.monotonic()
        if now - self._said >= STEP_INTERVAL * max(1.0, len(tasks) / AT_ONCE) or step >= steps:
            self._said = now
            for task, own in zip(tasks, facts(), strict=True):
                self.emit(Step(task=task, step=step, steps=steps, **own))
