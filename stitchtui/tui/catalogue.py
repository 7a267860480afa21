"""Every run there is, each in a line: read in a thread, and again only where a run's files differ."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stitchtui.base.files import Stamp, stamp
from stitchtui.report.claim_lines import claim_counts
from stitchtui.report.settings_diff import telling_apart
from stitchtui.report.wording import counted, verdict_counts
from stitchtui.run import control, progress
from stitchtui.run.about import About
from stitchtui.run.asking import outstanding
from stitchtui.run.control import RunCondition
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.events import EventReader
from stitchtui.run.state import RunState

LOOK = 1.0  # seconds between looks
_BATCH = 0.25  # seconds of reading after which what is known is told


@dataclass(frozen=True)
class Entry:
    """A run as a list shows it; everything but its directory is unknown (`condition` None) until it was read."""

    directory: RunDirectory
    condition: RunCondition | None = None
    about: About = field(default_factory=About)
    differs: tuple[str, ...] = ()  # the settings that tell it from other runs of its name
    experiment: str = ""
    settings: dict[str, Any] = field(default_factory=dict)  # the experiment whole
    title: str = ""
    device: str = ""
    plan: str = ""  # networks, columns, cells
    progress: float = 0.0
    verdicts: str = ""
    started: float | None = None
    took: float | None = None  # seconds, once it has ended
    remaining: float | None = None  # seconds from its last event
    reason: str = ""
    outstanding: bool = False  # whether it is done and yet has something left
    origins: frozenset[str] = frozenset()  # the names of runs that cells were taken from

    @property
    def goes_on(self) -> bool:
        """Whether a worker is at it, so that it can be stopped."""
        return self.condition in ("starting", "running")

    @property
    def over(self) -> bool:
        """Whether no worker is at it or may be, so that it can be deleted."""
        return self.condition in ("done", "failed", "stopped", "lost")

    @property
    def resumable(self) -> bool:
        """Whether a worker can be put to what is left of it."""
        return self.condition in ("stopped", "lost", "failed") or self.outstanding


class _Known:
    """A run's log as far as it was read, and the entry that was made of it."""

    def __init__(self, directory: RunDirectory) -> None:
        self.entry = Entry(directory)
        self._files: tuple[Stamp | None, ...] = ()
        self._said: Stamp | None = None
        self._log: tuple[EventReader, RunState] | None = None

    def look(self) -> None:
        """Read what was added since the last time; only a worker can change how a run is without changing a file."""
        directory = self.entry.directory
        now = tuple(map(stamp, (directory.events, directory.info, directory.launched, directory.experiment)))
        if now != self._files or self.entry.goes_on:
            self._follow(now)
        said = stamp(directory.about)
        if said != self._said:
            self._said, self.entry = said, replace(self.entry, about=directory.read_about())

    def _follow(self, now: tuple[Stamp | None, ...]) -> None:
        before, directory = self.entry, self.entry.directory
        reader, state = self._log or (EventReader(directory.events, steps=False), RunState())
        if now != self._files:
            added = reader.poll()
            state = RunState() if reader.restarted else state
            state.apply_all(added)
        self._files = now
        self.entry = replace(_entry(directory, state), about=before.about, differs=before.differs)
        # what has ended is rarely asked again, so two hundred of them needn't be kept
        self._log = (reader, state) if self.entry.goes_on else None


class Catalogue:
    """The runs in the runs directory, newest first; `look` reads what changed since the last time."""

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._known: dict[Path, _Known] = {}
        self._settings: list[dict[str, Any]] = []
        self._apart: list[tuple[str, ...]] = []
        self._one_at_a_time = threading.Lock()

    def look(self, told: Callable[[list[Entry]], None] = lambda _: None) -> list[Entry]:
        """Every run's entry; `told` gets what is known so far, now and then while there is much to read."""
        with self._one_at_a_time:
            directories = all_runs(self._parent)
            before, self._known = self._known, {d.path: self._known.get(d.path) or _Known(d) for d in directories}
            if self._known.keys() - before.keys():
                told(self._entries())
            since = time.monotonic()
            for known in self._known.values():
                known.look()
                if time.monotonic() - since > _BATCH:
                    told(self._entries())
                    since = time.monotonic()
            self._tell_apart()
            return self._entries()

    def _entries(self) -> list[Entry]:
        return [known.entry for known in self._known.values()]

    def _tell_apart(self) -> None:
        settings = [entry.settings for entry in self._entries()]
        if settings != self._settings:
            self._settings, self._apart = settings, [tuple(each) for each in telling_apart(settings)]
        for known, differs in zip(self._known.values(), self._apart, strict=True):
            if known.entry.differs != differs:
                known.entry = replace(known.entry, differs=differs)


def _entry(directory: RunDirectory, state: RunState) -> Entry:
    condition = control.status(directory, state)
    return Entry(
        directory,
        condition,
        experiment=state.name,
        settings=state.experiment,
        title=state.title,
        device=state.device,
        plan=_plan(state),
        progress=state.progress.share,
        verdicts="; ".join(filter(None, (verdict_counts(state), claim_counts(state)))),
        started=state.started,
        took=None if state.finished is None else state.took(),
        remaining=progress.remaining(state, state.updated or 0.0) if condition == "running" else None,
        reason=_reason(directory, state, condition),
        outstanding=condition == "done" and outstanding(directory, state),
        origins=frozenset(state.origins()),
    )


def _plan(state: RunState) -> str:
    columns = sum(task.kind == "column" for task in state.tasks.values())
    if not columns:
        return ""
    done = sum(cell.status == "finished" for cell in state.cells.values())
    failed = sum(cell.status == "failed" for cell in state.cells.values())
    parts = [counted(columns, "task"), f"{counted(done, 'cell')} measured"]
    return ", ".join([*parts, f"{failed} failed"] if failed else parts)


def _reason(directory: RunDirectory, state: RunState, condition: RunCondition) -> str:
    """Why the run isn't going on, where there is more to say than its condition does."""
    if condition == "failed":
        return state.reason or "failed without saying why"
    if condition == "lost":
        words = directory.last_words()
        return f"its worker died; last words: {words}" if words else "its worker died without a word"
    if condition == "elsewhere":
        return f"its worker is on {directory.read_info().get('host', 'another machine')}; shown as of the last copy"
    return ""


class Lookout:
    """Looks at the catalogue again and again in a thread, and tells what differs; `close` ends it.

    `told` is called in that thread, with the newest list only where it isn't the one told before.
    """

    def __init__(self, told: Callable[[list[Entry]], None], catalogue: Catalogue, every: float = LOOK) -> None:
        self._catalogue, self._told, self._every = catalogue, told, every
        self._last: list[Entry] | None = None
        self._closed, self._watching, self._now = threading.Event(), threading.Event(), threading.Event()
        self._watching.set()
        threading.Thread(target=self._go_on, daemon=True, name="runs-lookout").start()

    def pause(self) -> None:
        """Look no more until `resume`."""
        self._watching.clear()

    def resume(self) -> None:
        """Look again, at once."""
        self._watching.set()
        self.hurry()

    def hurry(self) -> None:
        """Look at once, unless paused."""
        self._now.set()

    def close(self) -> None:
        """End the thread after its present look."""
        self._closed.set()
        self.resume()

    def _go_on(self) -> None:
        while not self._closed.is_set():
            self._tell(self._catalogue.look(self._tell))
            self._now.wait(self._every)
            self._now.clear()
            self._watching.wait()

    def _tell(self, entries: list[Entry]) -> None:
        if entries != self._last and not self._closed.is_set():
            self._last = entries
            with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
                self._told(entries)
