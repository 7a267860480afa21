"""RunWatch: follows one run's log in a thread and keeps its RunState, the only copy that the app has."""

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from textual.message import Message

from stitchtui.base.text import plain
from stitchtui.report.event_lines import line
from stitchtui.run import control
from stitchtui.run.asking import added, unmeasured
from stitchtui.run.control import RunCondition
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Event, EventReader, Step
from stitchtui.run.state import RunState
from stitchtui.tui.messages import Arrived, RunChanged

__all__ = ["Arrived", "RunChanged", "RunWatch", "log_lines"]

POLL = 0.5  # seconds between looks at the log
LOG = 200  # lines of what happened that are kept
CONDITION_EVERY = 4  # looks between two questions to the run's process


class Listener(Protocol):
    """The receiver of what arrives: the app."""

    def post_message(self, message: Message) -> bool:
        """Queue `message`; callable from any thread."""


@dataclass(frozen=True)
class _Batch:
    # What one look at the log found; `fresh` replaces the state.
    fresh: RunState | None
    events: list[Event]
    condition: RunCondition
    added: bool  # whether more was asked of the run, which is done, than it has taken up
    bad_lines: int
    log: list[str]


class RunWatch:
    """Follows the run in `directory`, or none; `close` ends its thread.

    A thread reads the log and folds what was there at first into a state of its own, which is handed over whole;
    everything later is applied by `collect`, in the app's thread.
    """

    def __init__(self, directory: RunDirectory | None, listener: Listener, poll: float = POLL) -> None:
        self.directory = directory
        self.state = RunState()
        self.condition: RunCondition | None = None
        self._added = False
        self.loading = directory is not None
        self.bad_lines = 0
        self.cells_changed = 0  # how often anything but a training step came in: else the grid needs no drawing
        self.log: deque[str] = deque(maxlen=LOG)
        self._listener, self._poll = listener, poll
        self._arrived: deque[_Batch] = deque()
        self._closed = threading.Event()
        if directory is not None:
            threading.Thread(target=self._follow, args=(directory,), daemon=True, name="run-watch").start()

    def close(self) -> None:
        """End the thread; what it still sends is dropped."""
        self._closed.set()

    @property
    def goes_on(self) -> bool:
        """Whether a worker is at the run, so that it can be stopped."""
        return self.condition in ("starting", "running")

    @property
    def resumable(self) -> bool:
        """Whether a worker can be put to what is left of the run."""
        if self.condition == "done":
            return self._added or unmeasured(self.state)
        return self.condition in ("stopped", "lost", "failed")

    def collect(self) -> bool:
        """Take in what the thread has found; return whether anything differs."""
        changed = False
        while self._arrived:
            batch = self._arrived.popleft()
            if batch.fresh is not None:
                self.state, self.loading, changed = batch.fresh, False, True
                self.log.clear()
            before = self.condition, self._added
            changed = changed or bool(batch.events) or (batch.condition, batch.added) != before
            self.state.apply_all(batch.events)
            self.log.extend(batch.log or log_lines(batch.events, self.state))
            self.cells_changed += any(not isinstance(event, Step) for event in batch.events) or batch.fresh is not None
            self.condition, self._added, self.bad_lines = batch.condition, batch.added, batch.bad_lines
        return changed

    def _follow(self, directory: RunDirectory) -> None:
        reader, known = EventReader(directory.events), RunState()
        said: tuple[RunCondition, bool] | None = None
        restless, looks = True, 0
        while not self._closed.is_set():
            events, fresh, log = reader.poll(), None, []
            if looks == 0 or reader.restarted:
                known = fresh = RunState()  # handed over: from here on only the app's thread applies to it
                fresh.apply_all(events)
                log = log_lines(events, fresh)
                events = []
            news = fresh is not None or bool(events)
            # Asked once more after news too: by then the app has applied what the condition depends on.
            now = said if said and not (news or restless or looks % CONDITION_EVERY == 0) else None
            now = now or _condition(directory, known)
            if news or now != said:
                self._send(_Batch(fresh, events, *now, reader.bad_lines, log))
            said, restless, looks = now, news, looks + 1
            self._closed.wait(self._poll)

    def _send(self, batch: _Batch) -> None:
        self._arrived.append(batch)
        if not self._closed.is_set():
            self._listener.post_message(Arrived())


def _condition(directory: RunDirectory, known: RunState) -> tuple[RunCondition, bool]:
    """How the run is, and where it is done, whether more was asked of it since."""
    condition = control.status(directory, known)
    return condition, condition == "done" and added(directory, known)


def log_lines(events: Iterable[Event], state: RunState) -> list[str]:
    """What a person wants to read about `events`, inert and with the time of day; `state` has them folded in."""
    worth = [event for event in events if not isinstance(event, Step)][-LOG:]
    said = [(event.t, text) for event in worth if (text := line(event, state))]
    return [f"{time.strftime('%H:%M:%S', time.localtime(t))} {plain(text)}" for t, text in said]
