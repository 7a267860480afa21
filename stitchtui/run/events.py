"""The events of a run, each declared once, their codec, and the append-only JSONL log: one writer, many readers."""

import contextlib
import io
import json
import math
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from stitchtui.run.directory import RunDirectory
from stitchtui.run.lock import claim, release
from stitchtui.stats import penalty
from stitchtui.stats.judgement import Verdict

CHUNK = 1 << 18  # bytes a read
MARK = 256  # bytes that tell the log we know from another
ROOM = 1 << 16  # bytes of the disk that are kept for a log's last words
NEVER = -1.0

Moment = Annotated[float, Meta(ge=0, lt=253_402_300_800)]
"""Seconds since 1970, before the year 10000, which no calendar of ours can show."""
Whole = Annotated[int, Meta(ge=0)]
Numbers = list[float | None]


class Event(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Something that a run says: a line of its log, with its fields in the order of their declaration.

    A field whose default is UNSET is left out of the line where nothing is said; one with another default is always
    written, and older logs may lack it. A new type also needs a handler in `run.state`, and words in
    `report.event_lines` if a person is to read of it.
    """

    t: Moment = NEVER  # when it was written


class PlannedTask(Struct, frozen=True, kw_only=True):
    """A task as the run plans it, see `spec.plan.Task`."""

    id: str  # unique within the run
    column: str
    bottom: str
    top: str
    control: str  # empty: the pair itself
    family: str
    objective: str
    start: str
    seed: int  # of the stitch
    place: str = ""  # how its cuts differ from the run's, in words
    recipe: str = ""  # how its training does
    cross: bool = False  # every bottom cut with every top cut
    request: Whole = 0  # 0: the run's own; from 1: what was asked for later


class RunStarted(Event, tag="run_started", frozen=True, kw_only=True):
    """A worker is at the run."""

    run: str  # its name
    experiment: dict[str, Any]  # as `Experiment.plain()`
    tasks: list[PlannedTask]  # in their order
    device: str
    versions: dict[str, Any]  # of stitchtui, torch and the numerics
    resumed: bool  # whether the log held events before
    again: bool = False  # whether the same worker has said so before, and was asked for more since
    process: dict[str, Any] = msgspec.field(default_factory=dict)  # the worker, as `describe_process` describes it


class DataReady(Event, tag="data_ready", frozen=True, kw_only=True):
    """The images are there."""

    name: str  # as the experiment says it
    train: Whole  # images
    test: Whole  # images
    classes: list[str]
    shape: list[int] | UnsetType = UNSET  # [channels, height, width]
    mean: list[float] | UnsetType = UNSET  # per channel
    std: list[float] | UnsetType = UNSET  # per channel
    augment: str | UnsetType = UNSET  # of the images that stitches are trained on
    digest: str | UnsetType = UNSET  # of images and labels


class NetworkCut(Struct, frozen=True, kw_only=True):
    """A cut of a network."""

    name: str
    shape: list[int] = msgspec.field(default_factory=list)  # of one image's tensor
    depth: float | None = None  # the share of the network's FLOPs before it
    parameters: Whole = 0  # of the layers before it


class NetworkReady(Event, tag="network_ready", frozen=True, kw_only=True):
    """A network is there, trained and with its test error known."""

    network: str  # its name in the run
    digest: str  # of its weights
    architecture: str = ""
    error: float  # percent of the test images
    wrong: str | None = ""  # which of them are answered wrongly, packed
    parameters: Whole = 0
    source: str = ""  # trained, cached, checkpoint, pretrained, memory, random
    mean: list[float] | None = None  # per channel, what its input is normalised by
    std: list[float] | None = None
    cuts: list[NetworkCut]  # from input to output


class TaskStarted(Event, tag="task_started", frozen=True, kw_only=True):
    """A task is at work."""

    task: str  # a planned task's id, `data`, or `network NAME`
    steps: Whole  # in total
    at_most: bool | UnsetType = UNSET  # true where it may take fewer; its last step says how many it took
    cuts: list[str]  # the rows of a column; empty for other tasks
    ends: list[list[str]] | UnsetType | None = UNSET  # [bottom cut, top cut] of each row
    together: Whole | UnsetType = UNSET  # how many tasks take their steps at once, if several
    held_out: Whole | UnsetType = UNSET  # training images that nothing of it is fitted on, if any


class Step(Event, tag="step", frozen=True, kw_only=True):
    """How far a task is; at most four a second."""

    memory: Whole | UnsetType | None = UNSET  # bytes that the run holds
    task: str  # whose step it is
    step: Whole  # how many it has taken
    steps: Whole  # in total
    loss: float | UnsetType | None = UNSET  # means over the column's cells
    accuracy: float | UnsetType | None = UNSET  # percent
    losses: Numbers | UnsetType | None = UNSET  # of each cell, in the order of the column's rows
    accuracies: Numbers | UnsetType | None = UNSET  # percent
    epoch: Whole | UnsetType = UNSET  # of a network: the pass over its images that it is in, from 1
    epochs: Whole | UnsetType = UNSET  # in total


class HeldOut(Event, tag="held_out", frozen=True, kw_only=True):
    """What a column's cells do on the held-out images; of each the step of the lowest loss is the stitch."""

    task: str  # whose cells they are
    step: Whole  # of the cells' own training; 0 is their start
    losses: dict[str, float | None]  # by row, of what is trained for
    accuracies: dict[str, float | None]  # by row, percent


class CellFinished(Event, tag="cell_finished", frozen=True, kw_only=True):
    """A cell is measured."""

    task: str  # whose cell it is
    cut: str  # its row
    bottom_cut: str | None = None  # where the bottom is cut
    top_cut: str | None = None  # where the top is
    identity: str  # a hash of all that determines its numbers
    measures: dict[str, float | None]
    wrong: str | None = ""  # which test images are answered wrongly, packed
    adapter: str | None = ""  # between the shapes of the two cuts, in words
    reused_from: str | None = None  # the run that measured it, if another


class CellFailed(Event, tag="cell_failed", frozen=True, kw_only=True):
    """A cell has no number."""

    task: str  # whose cell it is
    cut: str  # its row
    bottom_cut: str | None = None  # where the bottom is cut
    top_cut: str | None = None  # where the top is
    misfit: bool | UnsetType = UNSET  # true where no stitch of the family can join the cuts
    reason: str


class TaskFinished(Event, tag="task_finished", frozen=True, kw_only=True):
    """Every cell of a task has been said."""

    task: str
    seconds: float | UnsetType = UNSET  # that it took


class Check(Event, tag="check", frozen=True, kw_only=True):
    """An invariant that the run verified."""

    name: str
    passed: bool
    detail: str | UnsetType | None = UNSET


class Warned(Event, tag="warning", frozen=True, kw_only=True):
    """Something that the reader of the numbers must know."""

    text: str


class Claim(Event, tag="claim", frozen=True, kw_only=True):
    """A claim of the experiment with its verdict, see `stats.judgement.Judged`."""

    index: Whole  # among the experiment's claims
    sentence: str  # what it states
    verdict: Verdict  # what counts: adjusted for the claims beside it
    reason: str
    source: str | None = ""  # where the sentence comes from
    numbers: list[dict[str, Any]] | None = None  # what decided it
    rules: Whole = 1  # the version of the rules that it was judged by, see `stats.rules`
    raw: Verdict | None = None  # as if it were the only claim
    p: float | None = None  # of the claim alone
    adjusted_p: float | None = None  # for the claims beside it


class PairJudged(Event, tag="verdict", frozen=True, kw_only=True):
    """Whether a pair is stitching-connected, once all of it is measured."""

    column: str  # the pair in words
    tasks: list[str]  # its column's, of all seeds
    verdict: penalty.Verdict  # at epsilon
    epsilon: float  # points
    connected_from: float | None = None  # epsilon*
    rules: Whole = 1  # the version of the rules


class RunFinished(Event, tag="run_finished", frozen=True, kw_only=True):
    """The worker leaves the run."""

    status: Literal["done", "failed", "stopped"]
    reason: str | None = None  # why it isn't done
    processor: float | UnsetType | None = UNSET  # seconds that all of the worker's threads computed
    bad_input: bool | UnsetType = UNSET  # whether the reason is a fault of what was asked for


class Unknown(Event, frozen=True, kw_only=True):
    """An event of a type that this version doesn't know: the whole object."""

    said: dict[str, Any]


Known = (
    RunStarted
    | DataReady
    | NetworkReady
    | TaskStarted
    | Step
    | HeldOut
    | CellFinished
    | CellFailed
    | TaskFinished
    | Check
    | Warned
    | Claim
    | PairJudged
    | RunFinished
)
KINDS: dict[str, type[Event]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Known)}
"""The event types by what the log calls them."""

_DECODER = msgspec.json.Decoder(Known)


def as_object(event: Event) -> dict[str, Any]:
    """Return the JSON object that `event` is in a log. Raises TypeError for what JSON can't hold."""
    if isinstance(event, Unknown):
        return event.said
    return {"t": event.t, **msgspec.to_builtins(event, enc_hook=_base_value)}


def _base_value(value: object) -> str | int | float:
    for base in (str, int, float):  # numpy's numbers and torch's version are of classes derived from these
        if isinstance(value, base):
            return base(value)
    raise TypeError(f"an event can't hold {type(value).__name__}")


def encode(event: Event) -> bytes:
    """Return `event` as a line of a log, without its end; numbers that are not finite become null."""
    said = as_object(event)
    try:
        return msgspec.json.encode(said)
    except UnicodeEncodeError:
        return msgspec.json.encode(_printable(said))


def decode(line: bytes) -> Event | None:
    """Return the event that `line` holds, or None; one of a type that this version doesn't know is `Unknown`."""
    try:
        event: Event | None = _DECODER.decode(line)
    except (ValueError, RecursionError):
        event = _decode_unusual(line)
    return None if event is None or event.t == NEVER else event


def _decode_unusual(line: bytes) -> Event | None:
    """The event of a line of another type, with whole numbers that look like others, or with lone surrogates."""
    try:
        said = _printable(json.loads(line.decode("utf-8"), parse_constant=_number, parse_float=_number))
        if isinstance(said, dict) and isinstance(said.get("type"), str) and said["type"] not in KINDS:
            return msgspec.convert({"t": said.get("t"), "said": said}, Unknown)
        event: Event = msgspec.convert(said, Known)
    except (ValueError, RecursionError):
        return None
    return event


def _number(text: str) -> int | float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no number of JSON's")
    return int(number) if number.is_integer() else number


def _printable(value: Any) -> Any:
    """`value` with `?` in place of lone surrogates, which JSON can smuggle in and UTF-8 can't hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_printable(key): _printable(item) for key, item in value.items()}
    return [_printable(item) for item in value] if isinstance(value, list) else value


class EventWriter:
    """Appends events to a run's log, one whole line a write; while it is open, its process alone can write there."""

    def __init__(self, path: Path) -> None:
        """Raise BadInput when another process holds the run that the log at `path` belongs to, or may."""
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

    def write(self, event: Event) -> Event:
        """Append one event, stamped with the time, and return it so."""
        stamped = msgspec.structs.replace(event, t=round(time.time(), 3))
        self._append(encode(stamped) + b"\n")
        return stamped

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


class EventReader:
    """Follows a log: each poll gives the events of the whole lines that were added since the last one.

    `bad_lines` counts lines that are no events. `restarted` is true when the latest poll found the log
    truncated or replaced by another and began again: what was read before no longer holds. Without `steps`, of each
    task's steps between two other events often only the last is read, which is all that progress depends on.
    """

    def __init__(self, path: Path, steps: bool = True) -> None:
        self.path = path
        self._steps = steps
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
                wanted = ended if self._steps else _without_steps(ended)
                events.extend(event for line in wanted if (event := self._parse(line)) is not None)
            self._tail.append(rest)
        return events

    def _parse(self, line: bytes) -> Event | None:
        event = decode(line)
        self.bad_lines += event is None and bool(line.strip())
        return event


def _without_steps(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines but for steps that another of their task follows before anything else does."""
    steps: dict[bytes, bytes] = {}
    for line in lines:
        if b'"type":"step"' in line[:80]:
            steps[line.partition(b'"task":')[2].partition(b',"step":')[0]] = line
        else:
            yield from (*steps.values(), line)
            steps.clear()
    yield from steps.values()


def _read(file: io.FileIO) -> bytes:
    try:
        return file.read(CHUNK) or b""
    except OSError:  # what was read so far is kept; the next poll goes on from there
        return b""


def read_events(path: Path) -> list[Event]:
    """Every event of the whole lines of the log at `path`; none where there is no log."""
    return EventReader(path).poll()


def events_in(log: bytes) -> list[Event]:
    """Every event of the whole lines of a log that was read."""
    return [event for line in log.split(b"\n")[:-1] if (event := decode(line)) is not None]
