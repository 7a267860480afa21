"""The event types of a run, and the append-only JSONL log of them: one writer, any number of tailing readers."""

import contextlib
import io
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from stitchtui.run.directory import RunDirectory
from stitchtui.run.lock import claim, release

CHUNK = 1 << 18  # bytes a read
MARK = 256  # bytes that tell the log we know from another
ROOM = 1 << 16  # bytes of the disk that are kept for a log's last words

Event = dict[str, Any]
"""One JSON object: `t` (seconds since 1970), `type`, and what the type needs (see REQUIRED)."""

REQUIRED: dict[str, frozenset[str]] = {
    # the run's name, experiment (as `Experiment.plain()`), tasks (as `Task.as_dict()`), device, versions,
    # resumed (whether the log held events before); process (who says so, as `describe_process` describes it)
    "run_started": frozenset({"run", "experiment", "tasks", "device", "versions", "resumed"}),
    # name, train, test (numbers of images), classes (names), shape [c, h, w], mean, std, digest
    "data_ready": frozenset({"name", "train", "test", "classes"}),
    # network (its name here), digest, architecture, error (percent on the test part), parameters,
    # source (trained, cached, checkpoint, pretrained, random), mean and std (per channel, of its normalisation),
    # cuts: [{name, shape, depth, parameters}]
    "network_ready": frozenset({"network", "digest", "error", "cuts"}),
    # task (a Task's id, `data`, or `network NAME`), steps (total), cuts (rows; empty unless a column),
    # ends ([bottom cut, top cut] of each row), together (how many tasks take their steps at once, if several)
    "task_started": frozenset({"task", "steps", "cuts"}),
    # task, step, steps, loss and accuracy (means over the column; percent; may be null), and for a column
    # losses and accuracies, lists in the order of its cuts; memory (bytes that the run holds)
    "step": frozenset({"task", "step", "steps"}),
    # task, cut (the row), bottom_cut, top_cut, identity, measures (name -> number or null),
    # adapter (between the cuts' shapes, in words), reused_from (run or null), wrong (which test images are answered
    # wrongly, as `stitching.wrong` packs them)
    "cell_finished": frozenset({"task", "cut", "identity", "measures"}),
    # task, cut, bottom_cut, top_cut, reason, misfit (true where no stitch of the family can join the cuts)
    "cell_failed": frozenset({"task", "cut", "reason"}),
    # task, seconds: every cell of the task has been said
    "task_finished": frozenset({"task"}),
    # name, passed, detail: an invariant that this run verified
    "check": frozenset({"name", "passed"}),
    # text: something the reader of the numbers must know
    "warning": frozenset({"text"}),
    # index (from 0), sentence, verdict (confirmed, rejected, undecided), reason; source, and numbers: of what
    # decided it, {of, cut, depth, value, low, high} each, and by what it was reached where not by training
    "claim": frozenset({"index", "sentence", "verdict", "reason"}),
    # status (done, failed, stopped), reason; processor: seconds that all of the worker's threads computed
    "run_finished": frozenset({"status"}),
}


class EventWriter:
    """Appends events to a run's log, one whole line a write; while it is open, its process alone can write there."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput when another process holds the run that the log at `path` belongs to, or may."""
        self._directory = RunDirectory(path.parent)
        self._lock = claim(self._directory)
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError:
            release(self._directory, self._lock)
            raise
        self._room = path.with_name(".room")
        with contextlib.suppress(OSError):  # then there is none to keep
            self._room.write_bytes(os.urandom(ROOM))  # which no file system makes smaller
        size = os.fstat(self._file).st_size
        self._torn = size > 0 and os.pread(self._file, 1, size - 1) != b"\n"

    def write(self, type: str, **fields: Any) -> Event:
        """Append one event, stamped with the time, and return it; numbers that are not finite become null."""
        event: Event = {"t": round(time.time(), 3), "type": type, **_finite(fields)}
        line = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._append(line.encode("utf-8", "replace") + b"\n")
        return event

    def make_room(self) -> None:
        """Give up the room that is kept, so that last words can be written to a disk that is full."""
        with contextlib.suppress(OSError):
            self._room.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the log and give the run back; further writes are errors."""
        if self._file >= 0:
            self.make_room()
            os.close(self._file)
            self._file = -1
            release(self._directory, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _append(self, data: bytes) -> None:
        if self._torn:  # by a writer that was killed, or by a disk that was full
            data = b"\n" + data
        self._torn = True
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            error.filename = str(self._directory.events)
            raise
        self._torn = False


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


class EventReader:
    """Follows a log: each poll gives the events of the whole lines that were added since the last one.

    `bad_lines` counts lines that are no events. `restarted` is true when the latest poll found the log
    truncated or replaced by another and began again: what was read before no longer holds.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bad_lines = 0
        self.restarted = False
        self._offset = 0  # bytes read, the unfinished line in `_tail` included
        self._tail: list[bytes] = []
        self._head = b""  # the first bytes of the log
        self._mark = b""  # the last bytes before the offset

    def poll(self) -> list[Event]:
        """The new events, in order; none while the log is missing."""
        self.restarted = False
        try:
            if not self.path.is_file():  # opening a named pipe would wait for ever
                return []
            with self.path.open("rb", buffering=0) as file:
                self._find_place(file)
                return self._take(file)
        except OSError:  # a network file system that is away for a moment
            return []

    def _find_place(self, file: io.FileIO) -> None:
        same_log = file.read(len(self._head)) == self._head
        file.seek(self._offset - len(self._mark))
        if same_log and file.read(len(self._mark)) == self._mark:
            return
        file.seek(0)
        self._offset, self._tail, self._head, self._mark = 0, [], b"", b""
        self.bad_lines, self.restarted = 0, True

    def _take(self, file: io.FileIO) -> list[Event]:
        events: list[Event] = []
        while chunk := _read(file):
            self._offset += len(chunk)
            self._head += chunk[: MARK - len(self._head)]
            self._mark = (self._mark + chunk)[-MARK:]
            *ended, rest = chunk.split(b"\n")
            if ended:
                ended[0] = b"".join([*self._tail, ended[0]])
                self._tail = []
                events.extend(event for line in ended if (event := self._parse(line)) is not None)
            self._tail.append(rest)
        return events

    def _parse(self, line: bytes) -> Event | None:
        event = parse(line)
        self.bad_lines += event is None and bool(line.strip())
        return event


def _read(file: io.FileIO) -> bytes:
    try:
        return file.read(CHUNK) or b""
    except OSError:  # what was read so far is kept; the next poll goes on from there
        return b""


def parse(line: bytes) -> Event | None:
    """The event that `line` holds, or None; types that this version doesn't know are passed on."""
    try:
        event = json.loads(line.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or "t" not in event or not isinstance(event.get("type"), str):
        return None
    return event if REQUIRED.get(event["type"], frozenset()) <= event.keys() else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def read_events(path: Path) -> list[Event]:
    """Every event of the whole lines of the log at `path`; none where there is no log."""
    return EventReader(path).poll()
