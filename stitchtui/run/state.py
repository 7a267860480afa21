"""RunState: folds a run's events into tasks, cells, curves, grid and verdicts. The only place that does."""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import Any

import msgspec
from msgspec import UNSET

from stitchtui.run import events, grid
from stitchtui.run.about import About
from stitchtui.run.cross import Cross, cross_of
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Event, EventReader, read_events
from stitchtui.run.pairable import Measured
from stitchtui.run.progress import Progress
from stitchtui.run.records import (
    Called,
    Cell,
    Column,
    CurvePoint,
    HeldReading,
    NetworkState,
    RunStatus,
    Status,
    Summary,
    TaskState,
)
from stitchtui.spec.seed_names import first_names, said_in
from stitchtui.stats.judgement import Judged
from stitchtui.stats.penalty import Interval, Verdict

__all__ = [
    "Cell",
    "Column",
    "NetworkState",
    "RunState",
    "Status",
    "Summary",
    "TaskState",
    "load",
    "quick_state",
    "whole_state",
]


@dataclass
class RunState:
    """A run as its events tell it; `apply` is the only thing that changes it, `about` aside."""

    run: str = ""
    name: str = ""
    title: str = ""
    epsilon: float = 3.0
    device: str = ""
    memory: int | None = None  # bytes that the run held when it last said so
    versions: dict[str, Any] = field(default_factory=dict)
    process: dict[str, Any] = field(default_factory=dict)  # the worker that began last, as it describes itself
    experiment: dict[str, Any] = field(default_factory=dict)
    status: RunStatus = "empty"
    reason: str | None = None
    bad_input: bool = False
    started: float | None = None
    updated: float | None = None
    finished: float | None = None
    began: float | None = None  # when the worker that is at it, or was lost at it, said so
    before: float = 0.0  # seconds that earlier workers took, each from its first word to its last
    processor: float | None = 0.0  # seconds that its workers computed; None where one ended without saying so
    data: dict[str, Any] | None = None
    networks: dict[str, NetworkState] = field(default_factory=dict)
    tasks: dict[str, TaskState] = field(default_factory=dict)
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    claims: list[Judged] = field(default_factory=list)  # as the run's end said them
    verdicts: dict[tuple[str, ...], Called] = field(default_factory=dict)  # by a pair's tasks, as said at the end
    progress: Progress = field(default_factory=Progress)
    unknown_events: int = 0
    about: About = field(default_factory=About)  # what people say of it, which is in no event

    def apply(self, event: Event) -> None:
        """Fold in one event; one that is unknown, or about something unknown, is counted, no more."""
        try:
            _HANDLERS[type(event)](self, event)
        except (_OutOfPlace, msgspec.ValidationError):
            self.unknown_events += 1
        else:
            self.updated = event.t
            self.progress.follow(self, event)

    @property
    def finishing(self) -> bool:
        """Whether its worker has measured all and is still at what comes after that, such as claims."""
        over = all(task.status in ("finished", "failed") for task in self.tasks.values())
        return self.status == "running" and bool(self.tasks) and over

    def took(self, now: float | None = None) -> float:
        """Seconds that its workers took, without the time between two; the last one until `now` or its last word."""
        end = self.updated if now is None else now
        return self.before + (0.0 if self.began is None or end is None else max(0.0, end - self.began))

    def apply_all(self, said: Iterable[Event]) -> None:
        """Fold in every event, in order."""
        for event in said:
            self.apply(event)

    def stitch(self, request: int) -> dict[str, Any]:
        """The [stitch] of one of the experiment's requests, by its place; what a log holds may be anything."""
        also = self.experiment.get("also")
        requests = [self.experiment, *(also if isinstance(also, list) else [])]
        asked = requests[request] if request < len(requests) else None
        stitch = asked.get("stitch") if isinstance(asked, dict) else None
        return stitch if isinstance(stitch, dict) else {}

    def columns(self) -> list[Column]:
        """The grid's columns: pairs in plan order, then each kind of control."""
        return grid.columns(self.tasks.values(), self._firsts())

    def crosses(self) -> list[Column]:
        """The columns that join every bottom cut with every top cut: each is a grid of its own."""
        return grid.columns(self.tasks.values(), self._firsts(), cross=True)

    def at_work(self, task: TaskState) -> list[str]:
        """The rows of a task that are being measured, in the order in which its steps say their numbers."""
        return [row for row in task.cuts if (cell := self.cells.get((task.id, row))) and cell.status == "running"]

    def _firsts(self) -> dict[str, str]:
        """The name in the first network seed of each network of a later one."""
        ends = dict.fromkeys(end for task in self.tasks.values() for end in (task.bottom, task.top))
        return first_names(ends, said_in(self.experiment))

    def cross(self, column: Column) -> Cross:
        """Rows, columns and diagonal of one of `crosses`."""
        return cross_of(column, self.tasks, self.cells, self.networks)

    def cuts(self) -> list[str]:
        """The grid's rows, from input to output."""
        return grid.rows(self.tasks.values(), self.networks)

    def summary(self, column: Column, cut: str) -> Summary:
        """What is known of one row of `column`, over its seeds."""
        return grid.summary(column, cut, self._measured())

    def summaries(self, column: Column, cut: str) -> list[Summary]:
        """What is known of one row of `column` in each network seed, over its stitch seeds."""
        return grid.summaries(column, cut, self._measured())

    def lacks(self, column: Column, cut: str) -> bool:
        """Whether another column's row is none of this one's, which is known once this one is measured."""
        tasks = (*column.task_ids, *column.direct_tasks)
        over = all(task.status in ("finished", "failed") for id in tasks if (task := self.tasks.get(id)))
        return (over or self.status == "done") and not any((task, cut) in self.cells for task in tasks)

    def errors(self, column: Column) -> tuple[float, float] | None:
        """The test errors of a column's bottom and top in percent, means over the network seeds; None if unknown."""
        known = self.networks
        ends = [(known.get(each.bottom), known.get(each.top)) for each in column.in_seeds]
        found = [(bottom.error, top.error) for bottom, top in ends if bottom is not None and top is not None]
        if len(found) < len(ends):
            return None
        return fmean(bottom for bottom, _ in found), fmean(top for _, top in found)

    def origins(self) -> Counter[str]:
        """How many of its cells were taken from which earlier run."""
        return Counter(cell.reused_from for cell in self.cells.values() if cell.reused_from is not None)

    def verdict(self, column: Column) -> Verdict | None:
        """Whether a pair is stitching-connected, as the run's end called it; until then by the present rules.

        None for controls and until every cell is in.
        """
        called = self.verdicts.get(column.task_ids)
        return called.verdict if called else self.verdict_now(column)

    def connected_from(self, column: Column) -> float | None:
        """Epsilon*: the margin from which on a pair is connected; None without a verdict or with a cell missing."""
        called = self.verdicts.get(column.task_ids)
        return called.connected_from if called else grid.connected_from(self._judged(column))

    def above_alone(self, column: Column) -> list[str]:
        """The cuts whose own intervals lie above epsilon though the pair's verdict is undecided."""
        return grid.above_alone(self._judged(column), self.epsilon) if self.verdict(column) == "undecided" else []

    def band(self, column: Column) -> dict[str, Interval]:
        """The penalty at each cut that is in, with limits that hold at all of them together with 95 %."""
        return grid.band(column, self.tasks, self._measured())

    def verdict_now(self, column: Column) -> Verdict | None:
        """The verdict by the present rules, whatever the run's end called it."""
        return grid.verdict(self._judged(column), self.epsilon)

    def _judged(self, column: Column) -> grid.Judged | None:
        return grid.judged(column, self.tasks, self._measured())

    def _measured(self) -> Measured:
        return Measured(self.run, str((self.data or {}).get("digest") or ""), self.networks, self.cells)

    @classmethod
    def load(cls, path: Path) -> "RunState":
        """The state after every event of the log at `path`; empty where there is no log."""
        state = cls()
        state.apply_all(read_events(path))
        return state


load = RunState.load


def whole_state(directory: RunDirectory) -> RunState:
    """The run's state after every event of its log, with what people say of it."""
    state = load(directory.events)
    state.about = directory.read_about()
    return state


def quick_state(directory: RunDirectory) -> RunState:
    """The run's state without its training curves: single steps, most of a long log, are skipped unread."""
    state = RunState(about=directory.read_about())
    state.apply_all(EventReader(directory.events, steps=False).poll())
    return state


class _OutOfPlace(ValueError):
    """An event that makes no sense where it stands."""


def _unknown(_state: RunState, event: events.Unknown) -> None:
    raise _OutOfPlace(f"a type of event that this version doesn't know: {event.said['type']}")


class _Heading(msgspec.Struct):
    """What an experiment says of itself; a log's may say anything."""

    name: str = ""
    title: str = ""
    epsilon: float = 3.0


def _run_started(state: RunState, event: events.RunStarted) -> None:
    heading = msgspec.convert(event.experiment, _Heading)
    planned = [TaskState(**msgspec.structs.asdict(task)) for task in event.tasks]
    used = [end for task in planned for end in (task.bottom, task.top)]
    networks = [TaskState(_network_task(name), "network") for name in dict.fromkeys(used)]
    state.run, state.device, state.versions = event.run, event.device, event.versions
    state.experiment, state.process = event.experiment, event.process
    state.name = heading.name if "name" in event.experiment else event.run
    if state.started is not None and heading.epsilon != state.epsilon:
        text = f"epsilon was {state.epsilon:g} points when the run began, and is {heading.epsilon:g} since it went on"
        state.warnings.append(text)
    state.title, state.epsilon = heading.title, heading.epsilon
    if not event.again:
        if event.resumed and state.status == "running":  # the worker before was lost
            state.processor = None
        state.before, state.began = state.took(), event.t
    state.status, state.reason, state.bad_input, state.finished = "running", None, False, None
    state.started = event.t if state.started is None else state.started
    state.claims, state.verdicts = [], {}  # more may be measured now: they are said again at the end
    _replan(state, [*networks, *planned])


def _replan(state: RunState, planned: list[TaskState]) -> None:
    before = state.tasks
    first = [before["data"]] if "data" in before else []
    state.tasks = {task.id: before.get(task.id, task) for task in [*first, *planned]}
    state.cells = {key: cell for key, cell in state.cells.items() if key[0] in state.tasks}
    for task in state.tasks.values():
        if task.status != "finished":
            _set_back(state, task)


def _set_back(state: RunState, task: TaskState) -> None:
    task.status, task.step, task.first_step = "pending", 0, None
    task.started = task.updated = task.finished = None
    for cut in task.cuts:
        cell = state.cells.get((task.id, cut))
        if cell is not None and cell.status == "running":
            cell.status = "pending"


def _network_task(name: str) -> str:
    return f"network {name}"


def _data_ready(state: RunState, event: events.DataReady) -> None:
    state.data = {key: value for key, value in events.as_object(event).items() if key not in ("t", "type")}
    _finish(_own_task(state, "data"), event.t)


def _network_ready(state: RunState, event: events.NetworkReady) -> None:
    state.networks[event.network] = NetworkState(
        event.network,
        event.digest,
        event.architecture,
        event.error,
        event.parameters,
        event.source,
        event.cuts,
        mean=event.mean or [],
        std=event.std or [],
        wrong=event.wrong or "",
    )
    _finish(_own_task(state, _network_task(event.network)), event.t)


def _own_task(state: RunState, name: str) -> TaskState:
    """The task called `name`; `data` and `network NAME` come into being when they are first spoken of."""
    if name not in state.tasks:
        if name == "data":
            state.tasks = {name: TaskState(name, "data"), **state.tasks}
        elif name.startswith("network "):
            state.tasks[name] = TaskState(name, "network")
    return _known_task(state, name)


def _known_task(state: RunState, name: str) -> TaskState:
    if name not in state.tasks:
        raise _OutOfPlace(f"a task that was not planned: {name}")
    return state.tasks[name]


def _task_started(state: RunState, event: events.TaskStarted) -> None:
    task = _own_task(state, event.task)
    _set_back(state, task)
    task.status, task.steps, task.started = "running", event.steps, event.t
    task.together, task.at_most = max(1, event.together or 1), bool(event.at_most)
    task.loss = task.accuracy = None
    task.epoch = task.epochs = 0
    task.held_out, task.readings = event.held_out or 0, {}
    task.cuts = list(dict.fromkeys([*event.cuts, *(cut for key, cut in state.cells if key == task.id)]))
    ends = {cut: pair for cut, pair in zip(event.cuts, event.ends or [], strict=False) if len(pair) == 2}
    for cut in task.cuts if task.kind == "column" else ():
        bottom_cut, top_cut = ends.get(cut, (None, None))
        cell = state.cells.setdefault((task.id, cut), Cell(task.id, cut, bottom_cut=bottom_cut, top_cut=top_cut))
        if cell.status != "finished":
            cell.status, cell.reason = "running", None


def _step(state: RunState, event: events.Step) -> None:
    task = _known_task(state, event.task)
    if task.status in ("finished", "failed"):
        raise _OutOfPlace("a step of a task that is over")
    if task.status == "pending":
        task.status, task.started = "running", event.t
    task.step, task.steps, task.updated = event.step, event.steps, event.t
    task.loss = None if event.loss is UNSET else event.loss
    task.accuracy = None if event.accuracy is UNSET else event.accuracy
    task.epoch, task.epochs = event.epoch or 0, event.epochs or 0
    task.first_step = event.step if task.first_step is None else task.first_step
    if event.memory is not UNSET and event.memory is not None:
        state.memory = event.memory
    if task.has_room_for(event.step) and task.loss is not None and task.accuracy is not None:
        losses, accuracies = event.losses or [], event.accuracies or []
        own = state.at_work(task)
        rows = tuple(own) if len(own) == len(losses) == len(accuracies) else ()  # else nobody says whose they are
        numbers = [math.nan if each is None else each for each in (*losses, *accuracies)] if rows else []
        task.add_point(CurvePoint(event.step, task.loss, task.accuracy, rows, array("f", numbers)))


def _held_out(state: RunState, event: events.HeldOut) -> None:
    task = _known_task(state, event.task)
    if task.status in ("finished", "failed"):
        raise _OutOfPlace("a reading of a task that is over")
    for row, loss in event.losses.items():
        task.add_reading(row, HeldReading(event.step, loss, event.accuracies.get(row)))


def _new_cell(state: RunState, event: events.CellFinished | events.CellFailed) -> Cell:
    """A fresh cell for the event's task and cut, not yet in `state`."""
    if _known_task(state, event.task).kind != "column":
        raise _OutOfPlace("a cell of a task that has none")
    return Cell(event.task, event.cut, bottom_cut=event.bottom_cut, top_cut=event.top_cut)


def _put(state: RunState, cell: Cell) -> None:
    state.cells[cell.task, cell.cut] = cell
    cuts = state.tasks[cell.task].cuts
    if cell.cut not in cuts:
        cuts.append(cell.cut)


def _cell_finished(state: RunState, event: events.CellFinished) -> None:
    cell = _new_cell(state, event)
    cell.status, cell.identity = "finished", event.identity
    cell.measures, cell.reused_from = event.measures, event.reused_from
    cell.adapter, cell.wrong = event.adapter or "", event.wrong or ""
    _put(state, cell)


def _cell_failed(state: RunState, event: events.CellFailed) -> None:
    cell = _new_cell(state, event)
    cell.status, cell.reason, cell.misfit = "failed", event.reason, bool(event.misfit)
    _put(state, cell)


def _task_finished(state: RunState, event: events.TaskFinished) -> None:
    task = _known_task(state, event.task)
    _finish(task, event.t)
    outcomes = [cell.status for key, cell in state.cells.items() if key[0] == task.id]
    if "failed" in outcomes and "finished" not in outcomes:
        task.status = "failed"


def _finish(task: TaskState, moment: float) -> None:
    task.status, task.finished, task.step = "finished", moment, task.steps


def _check(state: RunState, event: events.Check) -> None:
    check = {"name": event.name, "passed": event.passed, "detail": event.detail or ""}
    if check not in state.checks:  # a resumed run verifies again what it verified before
        state.checks.append(check)


def _warned(state: RunState, event: events.Warned) -> None:
    if event.text not in state.warnings:
        state.warnings.append(event.text)


def _claim(state: RunState, event: events.Claim) -> None:
    said = msgspec.structs.asdict(event) | {"source": event.source or "", "numbers": tuple(event.numbers or ())}
    claim = Judged(**{each.name: said[each.name] for each in fields(Judged)})
    state.claims = sorted([*(c for c in state.claims if c.index != claim.index), claim], key=lambda c: c.index)


def _pair_judged(state: RunState, event: events.PairJudged) -> None:
    tasks = tuple(_known_task(state, task).id for task in event.tasks)
    state.verdicts[tasks] = Called(event.verdict, event.connected_from, event.rules)


def _run_finished(state: RunState, event: events.RunFinished) -> None:
    if state.processor is None or event.processor is UNSET or event.processor is None:
        state.processor = None
    else:
        state.processor += event.processor
    state.before, state.began = state.took(event.t), None
    state.status, state.reason, state.finished = event.status, event.reason, event.t
    state.bad_input = bool(event.bad_input)
    for task in state.tasks.values():
        if task.status == "running":
            _set_back(state, task)


_HANDLERS: dict[type[Event], Callable[[RunState, Any], None]] = {
    events.RunStarted: _run_started,
    events.DataReady: _data_ready,
    events.NetworkReady: _network_ready,
    events.TaskStarted: _task_started,
    events.Step: _step,
    events.HeldOut: _held_out,
    events.CellFinished: _cell_finished,
    events.CellFailed: _cell_failed,
    events.TaskFinished: _task_finished,
    events.Check: _check,
    events.Warned: _warned,
    events.Claim: _claim,
    events.PairJudged: _pair_judged,
    events.RunFinished: _run_finished,
    events.Unknown: _unknown,
}
