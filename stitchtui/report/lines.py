"""A run's events as lines to read."""

from collections.abc import Callable

from stitchtui.base.text import duration
from stitchtui.report.wording import counted, normalisation
from stitchtui.run.events import Event
from stitchtui.run.records import TaskState
from stitchtui.run.state import RunState


def line(event: Event, state: RunState) -> str | None:
    """What a person wants to read about `event`, or None; `state` has it folded in."""
    words = _LINES.get(event["type"])
    return words(event, state) if words else None


def _run_started(event: Event, state: RunState) -> str:
    columns = sum(task.kind == "column" for task in state.tasks.values())
    begins = "goes on" if event["resumed"] else "starts"
    return f"run {event['run']} {begins}: {counted(columns, 'column')} on {event['device']}"


def _network_ready(event: Event, _state: RunState) -> str:
    facts = [event.get("source"), normalisation(event.get("mean"), event.get("std"))]
    known = f" ({', '.join(str(fact) for fact in facts if fact)})" if any(facts) else ""
    return f"network {event['network']}: ready, test error {_number(event['error']):.2f} %{known}"


def _task_started(event: Event, _state: RunState) -> str:
    steps = _number(event["steps"])  # a task of one step has nothing to count
    return f"{event['task']}: starts" + (f", {steps:.0f} steps" if steps > 1 else "")


def _task_finished(event: Event, state: RunState) -> str | None:
    task = state.tasks.get(str(event["task"]))
    return _finished(task, state) if task is not None and task.kind == "column" else None


def _check(event: Event, _state: RunState) -> str | None:
    return None if event["passed"] else f"CHECK FAILED: {event['name']}: {event.get('detail') or 'no detail given'}"


_LINES: dict[str, Callable[[Event, RunState], str | None]] = {
    "run_started": _run_started,
    "data_ready": lambda e, _: f"data {e['name']}: {e['train']} training and {e['test']} test images",
    "network_ready": _network_ready,
    "task_started": _task_started,
    "task_finished": _task_finished,
    "cell_failed": lambda e, _: f"{e['task']}: failed at {e['cut']}: {e['reason']}",
    "check": _check,
    "warning": lambda e, _: f"warning: {e['text']}",
    "claim": lambda e, _: f"claim {e['verdict']}: {e['sentence']}",
}


def _finished(task: TaskState, state: RunState) -> str:
    cells = [cell for (name, _), cell in state.cells.items() if name == task.id]
    known = [penalty for cell in cells if (penalty := cell.measures.get("penalty")) is not None]
    took = "" if task.started is None or task.finished is None else f" in {duration(task.finished - task.started)}"
    took += f" with {counted(task.together - 1, 'other')}" if took and task.together > 1 else ""
    places = counted(len(known), "cut")
    penalties = f", penalties {min(known):+.2f} to {max(known):+.2f} points at {places}" if known else ""
    reused = sum(cell.reused_from is not None for cell in cells)
    return f"{task.id}: {task.status}{took}{penalties}" + (f", {reused} of them reused" if reused else "")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
