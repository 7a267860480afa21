"""Every run there is, each in a line: read in a thread, and again only where a run's files differ."""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stitchtui.report.claim_lines import claim_counts
from stitchtui.report.wording import counted, verdict_counts
from stitchtui.run import control, progress
from stitchtui.run.asking import outstanding
from stitchtui.run.control import RunCondition
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.state import RunState, quick_state

LOOK = 1.0  # seconds between looks
_BATCH = 0.25  # seconds of reading after which what is known is told
_ENDED = ("done", "failed", "stopped")

Signature = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True)
class Entry:
    """A run as a list shows it; everything but its directory is unknown (`condition` None) until it was read."""

    directory: RunDirectory
    condition: RunCondition | None = None
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

    @property
    def goes_on(self) -> bool:
        """Whether a worker is at it, so that it can be stopped."""
        return self.condition in ("starting", "running")

    @property
    def resumable(self) -> bool:
        """Whether a worker can be put to what is left of it."""
        return self.condition in ("stopped", "lost", "failed") or self.outstanding


class Catalogue:
    """The runs in the runs directory, newest first; `look` reads what changed since the last time."""

    def __init__(self, parent: Path | None = None) -> None:
        self._parent = parent
        self._known: dict[Path, tuple[Signature, RunState, Entry]] = {}

    def look(self, told: Callable[[list[Entry]], None] = lambda _: None) -> list[Entry]:
        """Every run's entry; `told` gets what is known so far, now and then while there is much to read."""
        directories = all_runs(self._parent)
        kept = {directory.path for directory in directories}
        self._known = {path: known for path, known in self._known.items() if path in kept}
        if any(directory.path not in self._known for directory in directories):
            told(self._entries(directories))
        since = time.monotonic()
        for directory in directories:
            self._read(directory)
            if time.monotonic() - since > _BATCH:
                told(self._entries(directories))
                since = time.monotonic()
        return self._entries(directories)

    def _entries(self, directories: list[RunDirectory]) -> list[Entry]:
        return [self._known[d.path][2] if d.path in self._known else Entry(d) for d in directories]

    def _read(self, directory: RunDirectory) -> None:
        files = (directory.events, directory.info, directory.launched, directory.experiment)
        now = tuple(_stamp(path) for path in files)
        signature, state, entry = self._known.get(directory.path, (None, RunState(), Entry(directory)))
        if now == signature and entry.condition in _ENDED:
            return  # nothing that ended changes its mind without a file that says so
        if now != signature:
            state = quick_state(directory)
        entry = _entry(directory, state)
        if entry.condition in _ENDED:
            state = RunState()  # isn't asked again, so two hundred of them needn't be kept
        self._known[directory.path] = (now, state, entry)


def _stamp(path: Path) -> tuple[int, int] | None:
    with contextlib.suppress(OSError, ValueError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size
    return None


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

    def __init__(self, told: Callable[[list[Entry]], None], parent: Path | None = None, every: float = LOOK) -> None:
        self._catalogue, self._told, self._every = Catalogue(parent), told, every
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
