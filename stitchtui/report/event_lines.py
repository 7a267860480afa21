"""A run's events as lines to read."""

from stitchtui.base.text import duration
from stitchtui.report.wording import counted, normalisation
from stitchtui.run.events import (
    CellFailed,
    Check,
    Claim,
    DataReady,
    Event,
    NetworkReady,
    PairJudged,
    RunStarted,
    TaskFinished,
    TaskStarted,
    Warned,
)
from stitchtui.run.records import TaskState
from stitchtui.run.state import RunState
from stitchtui.spec.measures import PENALTY


def line(event: Event, state: RunState) -> str | None:
    """Return what a person wants to read about `event`, or None; `state` has it folded in."""
    said: str | None = None
    match event:
        case RunStarted():
            columns = sum(task.kind == "column" for task in state.tasks.values())
            begins = "goes on" if event.resumed else "starts"
            said = f"run {event.run} {begins}: {counted(columns, 'column')} on {event.device}"
        case DataReady():
            said = f"data {event.name}: {event.train} training and {event.test} test images"
        case NetworkReady():
            facts = [fact for fact in (event.source, normalisation(event.mean, event.std)) if fact]
            known = f" ({', '.join(facts)})" if facts else ""
            said = f"network {event.network}: ready, test error {event.error:.2f} %{known}"
        case TaskStarted():  # a task of one step has nothing to count
            most = "at most " if event.at_most else ""
            said = f"{event.task}: starts" + (f", {most}{event.steps} steps" if event.steps > 1 else "")
        case TaskFinished():
            task = state.tasks.get(event.task)
            said = _finished(task, state) if task is not None and task.kind == "column" else None
        case CellFailed():
            said = f"{event.task}: failed at {event.cut}: {event.reason}"
        case Check():
            said = None if event.passed else f"CHECK FAILED: {event.name}: {event.detail or 'no detail given'}"
        case Warned():
            said = f"warning: {event.text}"
        case PairJudged():
            said = f"verdict of {event.column}: {event.verdict} at epsilon {event.epsilon:g} points"
        case Claim():
            said = f"claim {event.verdict}: {event.sentence}"
    return said


def _finished(task: TaskState, state: RunState) -> str:
    cells = [cell for (name, _), cell in state.cells.items() if name == task.id]
    known = [penalty for cell in cells if (penalty := cell.measures.get(PENALTY.name)) is not None]
    took = "" if task.started is None or task.finished is None else f" in {duration(task.finished - task.started)}"
    took += f" with {counted(task.together - 1, 'other')}" if took and task.together > 1 else ""
    places = counted(len(known), "cut")
    penalties = f", penalties {min(known):+.2f} to {max(known):+.2f} points at {places}" if known else ""
    reused = sum(cell.reused_from is not None for cell in cells)
    return f"{task.id}: {task.status}{took}{penalties}" + (f", {reused} of them reused" if reused else "")
