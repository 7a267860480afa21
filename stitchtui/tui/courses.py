"""The courses of training that can be drawn: a cell's, a column's or a network's, on training and held-out images."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

from stitchtui.report.wording import column_name
from stitchtui.run.records import HeldReading, TaskState
from stitchtui.run.state import Column, RunState


class Point(NamedTuple):
    """Loss and accuracy in percent after so many steps."""

    step: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Course:
    """How a training goes: whose it is, how long it is, and what was reached by then."""

    name: str  # from outside, so print it plain
    steps: int
    training: tuple[Point, ...]
    held_out: tuple[Point, ...] = ()
    note: str = ""  # what the numbers are over


def running_tasks(state: RunState) -> list[TaskState]:
    """What is being worked on now."""
    return [task for task in state.tasks.values() if task.status == "running"]


def of_task(task: TaskState) -> Course | None:
    """The course of a network, or of a column's cells together; None where nothing of it is known."""
    training = tuple(Point(*point[:3]) for point in task.curve)
    note = "mean over its cuts" if task.kind == "column" else ""
    held_out = tuple(_held_mean(task))
    return Course(task.id, task.steps, training, held_out, note) if training or held_out else None


def of_cell(state: RunState, column: Column, cut: str) -> Course | None:
    """A cell's own course, of its last seed that has one."""
    for task in reversed([state.tasks[name] for name in column.task_ids if name in state.tasks]):
        training = tuple(Point(*own) for point in task.curve if (own := point.of(cut)))
        held_out = tuple(filter(None, map(_point, task.readings.get(cut, ()))))
        if training or held_out:
            seed = f", seed {task.seed}" if len(column.task_ids) > 1 else ""
            return Course(f"{column_name(column)} at {cut}{seed}", task.steps, training, held_out)
    return None


def of_column(state: RunState, column: Column) -> Course | None:
    """The course of a column's cells together, in its last seed that has one."""
    tasks = (state.tasks[name] for name in reversed(column.task_ids) if name in state.tasks)
    return next((course for task in tasks if (course := of_task(task))), None)


def worth_watching(state: RunState, selected: tuple[Column, str] | None) -> Course | None:
    """What trains now, and of its column the selected cell; where nothing does, the selected cell or its column."""
    training = [task for task in running_tasks(state) if task.curve]
    own = selected is not None and any(task.id in selected[0].task_ids for task in training)
    if training and not own:
        return of_task(training[0])
    return None if selected is None else of_cell(state, *selected) or of_column(state, selected[0])


def _point(reading: HeldReading) -> Point | None:
    if reading.loss is None or reading.accuracy is None:
        return None
    return Point(reading.step, reading.loss, reading.accuracy)


def _held_mean(task: TaskState) -> Iterator[Point]:
    found: dict[int, list[Point]] = defaultdict(list)
    for readings in task.readings.values():
        for point in filter(None, map(_point, readings)):
            found[point.step].append(point)
    for step, points in sorted(found.items()):
        yield Point(step, fmean(point.loss for point in points), fmean(point.accuracy for point in points))
