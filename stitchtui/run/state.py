"""RunState: folds a run's events into tasks, cells, curves, grid and verdicts. The only place that does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from stitchtui.run import fields, grid
from stitchtui.run.cross import Cross, cross_of
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Event, parse, read_events
from stitchtui.run.fields import Malformed
from stitchtui.run.records import Cell, Column, NetworkState, RunStatus, Status, Summary, TaskState
from stitchtui.spec.seed_names import first_names, said_in
from stitchtui.stats.judgement import Judged, as_verdict
from stitchtui.stats.penalty import Verdict

__all__ = ["Cell", "Column", "NetworkState", "RunState", "Status", "Summary", "TaskState", "load", "quick_state"]


@dataclass
class RunState:
    """A run as its events tell it; `apply` is the only thing that changes it."""

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
    unknown_events: int = 0

    def apply(self, event: Event) -> None:
        """Fold in one event; one that is malformed or about something unknown is counted, no more."""
        try:
            moment = fields.number(event["t"])
            _HANDLERS[event["type"]](self, event, moment)
        except (KeyError, TypeError, Malformed):
            self.unknown_events += 1
        else:
            self.updated = moment

    def took(self, now: float | None = None) -> float:
        """Seconds that its workers took, without the time between two; the last one until `now` or its last word."""
        end = self.updated if now is None else now
        return self.before + (0.0 if self.began is None or end is None else max(0.0, end - self.began))

    def apply_all(self, events: Iterable[Event]) -> None:
        """Fold in every event, in order."""
        for event in events:
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

    def _firsts(self) -> dict[str, str]:
        """Of each network of a later network seed what it is called in the first."""
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
        return grid.summary(column, cut, self.cells)

    def summaries(self, column: Column, cut: str) -> list[Summary]:
        """What is known of one row of `column` in each network seed, over its stitch seeds."""
        return grid.summaries(column, cut, self.cells)

    def errors(self, column: Column) -> tuple[float, float] | None:
        """The test errors of a column's bottom and top in percent, means over the network seeds; None if unknown."""
        known = self.networks
        ends = [(known.get(each.bottom), known.get(each.top)) for each in column.in_seeds]
        found = [(bottom.error, top.error) for bottom, top in ends if bottom is not None and top is not None]
        if len(found) < len(ends):
            return None
        return fmean(bottom for bottom, _ in found), fmean(top for _, top in found)

    def verdict(self, column: Column) -> Verdict | None:
        """Whether a pair is stitching-connected; None for controls and until every cell is in."""
        return grid.verdict(column, self.tasks, self.cells, self.epsilon)

    @classmethod
    def load(cls, path: Path) -> "RunState":
        """The state after every event of the log at `path`; empty where there is no log."""
        state = cls()
        state.apply_all(read_events(path))
        return state


load = RunState.load


def quick_state(directory: RunDirectory) -> RunState:
    """The run's state without its training curves: single steps, most of a long log, are skipped unread.

    Only the last step of the log is taken, so that the progress of a running task is known.
    """
    state = RunState()
    try:
        lines = directory.events.read_bytes().split(b"\n")[:-1]
    except OSError:
        return state
    last = len(lines) - 1
    for number, line in enumerate(lines):
        if (number == last or b'"type":"step"' not in line[:80]) and (event := parse(line)) is not None:
            state.apply(event)
    return state


def _run_started(state: RunState, event: Event, moment: float) -> None:
    experiment = fields.mapping(event["experiment"])
    planned = [_planned(fields.mapping(task)) for task in fields.items(event["tasks"])]
    run, device = fields.text(event["run"]), fields.text(event["device"])
    versions, epsilon = fields.mapping(event["versions"]), fields.number(experiment.get("epsilon", 3.0))
    name, title = fields.text(experiment.get("name", run)), fields.text(experiment.get("title", ""))
    process = fields.mapping(event.get("process", {}))
    resumed, again = fields.truth(event["resumed"]), fields.truth(event.get("again", False))
    used = [end for task in planned for end in (task.bottom, task.top)]
    networks = [TaskState(_network_task(name), "network") for name in dict.fromkeys(used)]
    state.run, state.device, state.versions, state.experiment = run, device, versions, experiment
    state.name, state.title, state.epsilon, state.process = name, title, epsilon, process
    if not again:
        if resumed and state.status == "running":  # the worker before was lost
            state.processor = None
        state.before, state.began = state.took(), moment
    state.status, state.reason, state.bad_input, state.finished = "running", None, False, None
    state.started = moment if state.started is None else state.started
    state.claims = []  # more may be measured now: they are said again at the end
    _replan(state, [*networks, *planned])


def _planned(task: dict[str, Any]) -> TaskState:
    words = ("id", "column", "bottom", "top", "control", "family", "objective", "start")
    return TaskState(
        **{word: fields.text(task[word]) for word in words},  # type: ignore[arg-type]
        seed=fields.integer(task["seed"]),
        place=fields.text(task.get("place", "")),
        recipe=fields.text(task.get("recipe", "")),
        cross=fields.truth(task.get("cross", False)),
        request=fields.whole(task.get("request", 0)),
    )


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


def _data_ready(state: RunState, event: Event, moment: float) -> None:
    fields.text(event["name"])
    fields.whole(event["train"])
    fields.whole(event["test"])
    fields.texts(event["classes"])
    state.data = {key: value for key, value in event.items() if key not in ("t", "type")}
    _finish(_own_task(state, "data"), moment)


def _network_ready(state: RunState, event: Event, moment: float) -> None:
    cuts = [fields.mapping(cut) for cut in fields.items(event["cuts"])]
    for cut in cuts:
        fields.text(cut["name"])
    network = NetworkState(
        fields.text(event["network"]),
        fields.text(event["digest"]),
        fields.text(event.get("architecture", "")),
        fields.number(event["error"]),
        fields.whole(event.get("parameters", 0)),
        fields.text(event.get("source", "")),
        cuts,
        mean=_numbers(event.get("mean")),
        std=_numbers(event.get("std")),
    )
    state.networks[network.name] = network
    _finish(_own_task(state, _network_task(network.name)), moment)


def _numbers(value: object) -> list[float]:
    return [fields.number(item) for item in fields.items(value)] if value is not None else []


def _own_task(state: RunState, name: str) -> TaskState:
    """The task called `name`; `data` and `network NAME` come into being when they are first spoken of."""
    if name not in state.tasks:
        if name == "data":
            state.tasks = {name: TaskState(name, "data"), **state.tasks}
        elif name.startswith("network "):
            state.tasks[name] = TaskState(name, "network")
    return state.tasks[name]


def _task_started(state: RunState, event: Event, moment: float) -> None:
    name, steps, cuts = fields.text(event["task"]), fields.whole(event["steps"]), fields.texts(event["cuts"])
    together = max(1, fields.whole(event.get("together", 1)))
    task = _own_task(state, name)
    _set_back(state, task)
    task.status, task.steps, task.started, task.together = "running", steps, moment, together
    task.loss = task.accuracy = None
    task.losses, task.accuracies = [], []
    task.cuts = list(dict.fromkeys([*cuts, *(cut for key, cut in state.cells if key == name)]))
    ends = _ends(event, cuts)
    for cut in task.cuts if task.kind == "column" else ():
        bottom_cut, top_cut = ends.get(cut, (None, None))
        cell = state.cells.setdefault((name, cut), Cell(name, cut, bottom_cut=bottom_cut, top_cut=top_cut))
        if cell.status != "finished":
            cell.status, cell.reason = "running", None


def _ends(event: Event, cuts: list[str]) -> dict[str, list[str]]:
    """The bottom cut and top cut of each row, where the event says them."""
    pairs = [fields.texts(pair) for pair in fields.items(event.get("ends") or [])]
    return {cut: pair for cut, pair in zip(cuts, pairs, strict=False) if len(pair) == 2}


def _step(state: RunState, event: Event, moment: float) -> None:
    task = state.tasks[fields.text(event["task"])]
    step, steps = fields.whole(event["step"]), fields.whole(event["steps"])
    loss, accuracy = fields.maybe_number(event.get("loss")), fields.maybe_number(event.get("accuracy"))
    losses, accuracies = (fields.maybe_numbers(event.get(key)) for key in ("losses", "accuracies"))
    if task.status in ("finished", "failed"):
        raise Malformed("a step of a task that is over")
    if task.status == "pending":
        task.status, task.started = "running", moment
    task.step, task.steps, task.updated = step, steps, moment
    task.loss, task.accuracy, task.losses, task.accuracies = loss, accuracy, losses, accuracies
    task.first_step = step if task.first_step is None else task.first_step
    memory = event.get("memory")
    state.memory = state.memory if memory is None else fields.whole(memory)
    task.add_point(step, loss, accuracy)


def _column_cell(state: RunState, event: Event) -> Cell:
    """A fresh cell for the event's task and cut, not yet in `state`."""
    task = state.tasks[fields.text(event["task"])]
    if task.kind != "column":
        raise Malformed("a cell of a task that has none")
    bottom_cut, top_cut = (fields.maybe_text(event.get(key)) for key in ("bottom_cut", "top_cut"))
    return Cell(task.id, fields.text(event["cut"]), bottom_cut=bottom_cut, top_cut=top_cut)


def _put(state: RunState, cell: Cell) -> None:
    state.cells[cell.task, cell.cut] = cell
    cuts = state.tasks[cell.task].cuts
    if cell.cut not in cuts:
        cuts.append(cell.cut)


def _cell_finished(state: RunState, event: Event, _: float) -> None:
    cell = _column_cell(state, event)
    cell.status, cell.identity = "finished", fields.text(event["identity"])
    cell.measures = fields.measures(event["measures"])
    cell.reused_from = fields.maybe_text(event.get("reused_from"))
    cell.adapter = fields.text(event.get("adapter") or "")
    cell.wrong = fields.text(event.get("wrong") or "")
    _put(state, cell)


def _cell_failed(state: RunState, event: Event, _: float) -> None:
    cell = _column_cell(state, event)
    cell.status, cell.reason = "failed", fields.text(event["reason"])
    cell.misfit = fields.truth(event.get("misfit", False))
    _put(state, cell)


def _task_finished(state: RunState, event: Event, moment: float) -> None:
    task = state.tasks[fields.text(event["task"])]
    _finish(task, moment)
    outcomes = [cell.status for key, cell in state.cells.items() if key[0] == task.id]
    if "failed" in outcomes and "finished" not in outcomes:
        task.status = "failed"


def _finish(task: TaskState, moment: float) -> None:
    task.status, task.finished, task.step = "finished", moment, task.steps


def _check(state: RunState, event: Event, _: float) -> None:
    check = {"name": fields.text(event["name"]), "passed": fields.truth(event["passed"])}
    check["detail"] = fields.text(event.get("detail") or "")
    if check not in state.checks:  # a resumed run verifies again what it verified before
        state.checks.append(check)


def _warning(state: RunState, event: Event, _: float) -> None:
    warning = fields.text(event["text"])
    if warning not in state.warnings:
        state.warnings.append(warning)


def _claim(state: RunState, event: Event, _: float) -> None:
    verdict = as_verdict(fields.text(event["verdict"]))
    if verdict is None:
        raise Malformed("a verdict that this version doesn't know")
    numbers = [fields.mapping(number) for number in fields.items(event.get("numbers") or [])]
    index, sentence, reason = fields.whole(event["index"]), fields.text(event["sentence"]), fields.text(event["reason"])
    claim = Judged(index, sentence, verdict, reason, fields.text(event.get("source") or ""), tuple(numbers))
    state.claims = sorted([*(c for c in state.claims if c.index != index), claim], key=lambda c: c.index)


def _run_finished(state: RunState, event: Event, moment: float) -> None:
    statuses: dict[str, RunStatus] = {"done": "done", "failed": "failed", "stopped": "stopped"}
    status, reason = statuses[event["status"]], fields.maybe_text(event.get("reason"))
    bad_input, processor = fields.truth(event.get("bad_input", False)), event.get("processor")
    known = processor is not None and state.processor is not None
    state.processor = (state.processor or 0.0) + fields.number(processor) if known else None
    state.before, state.began = state.took(moment), None
    state.status, state.reason, state.bad_input, state.finished = status, reason, bad_input, moment
    for task in state.tasks.values():
        if task.status == "running":
            _set_back(state, task)


_HANDLERS: dict[str, Callable[[RunState, Event, float], None]] = {
    "run_started": _run_started,
    "data_ready": _data_ready,
    "network_ready": _network_ready,
    "task_started": _task_started,
    "step": _step,
    "cell_finished": _cell_finished,
    "cell_failed": _cell_failed,
    "task_finished": _task_finished,
    "check": _check,
    "warning": _warning,
    "claim": _claim,
    "run_finished": _run_finished,
}
