"""How far a run is and how long it will still take, from the steps of its tasks."""

import math
from collections.abc import Mapping
from statistics import fmean
from typing import Any

import msgspec

from stitchtui.run.records import TaskState
from stitchtui.run.state import RunState
from stitchtui.spec.objectives import DIRECT

# Tasks of one group take about equally long a step: a kind, and for columns the objective and family too.
Group = tuple[str, str, str]


def fraction(state: RunState) -> float:
    """The part of the run's steps that is done, 0 to 1; a task of unknown length counts as one step."""
    if state.status == "done":
        return 1.0
    expected = _expected(state)
    total = sum(expected.values())
    done = sum(expected[task.id] * _done(task) for task in state.tasks.values())
    return min(1.0, done / total) if total else 0.0


def remaining(state: RunState, now: float) -> float | None:
    """Seconds from `now` until all tasks are done, each at the pace of others like it; None if there are none."""
    if state.status != "running":
        return None
    expected, paces = _expected(state), _paces(state)
    seconds = 0.0
    for task in state.tasks.values():
        if task.status in ("finished", "failed"):
            continue
        pace = paces.get(_group(task))
        if pace is None:
            return None
        seconds += pace * expected[task.id] * (1 - _done(task))
    return max(0.0, seconds - max(0.0, now - (state.updated or now)))


def _group(task: TaskState) -> Group:
    return (task.kind, task.objective, task.family)


def _done(task: TaskState) -> float:
    if task.status in ("finished", "failed"):
        return 1.0
    return min(1.0, task.step / task.steps) if task.status == "running" and task.steps else 0.0


def _paces(state: RunState) -> dict[Group, float]:
    """Seconds a step, for each group with a task that took steps; those at work together share the time."""
    seconds: dict[Group, float] = {}
    steps: dict[Group, int] = {}
    reused = {cell.task for cell in state.cells.values() if cell.reused_from is not None}
    for task in state.tasks.values():
        taken = _steps_taken(task, task.id in reused)
        end = task.finished if task.finished is not None else task.updated
        if task.started is not None and end is not None and taken > 0:
            group = _group(task)
            seconds[group] = seconds.get(group, 0.0) + max(0.0, end - task.started) / task.together
            steps[group] = steps.get(group, 0) + taken
    return {group: seconds[group] / steps[group] for group in steps}


def _steps_taken(task: TaskState, reused: bool) -> int:
    if task.first_step is None and (reused or task.kind != "column"):
        return 0  # cells of an earlier run, or a network from the cache: they say nothing about the pace
    return task.step - ((task.first_step or 0) if task.kind == "network" else 0)


def _expected(state: RunState) -> dict[str, float]:
    known: dict[tuple[Group, str], list[int]] = {}
    for task in state.tasks.values():
        if task.steps:
            known.setdefault((_group(task), task.recipe), []).append(task.steps)
    return {task.id: _expected_steps(task, known, state) for task in state.tasks.values()}


def _expected_steps(task: TaskState, known: Mapping[tuple[Group, str], list[int]], state: RunState) -> float:
    if task.kind == "data":
        return 1.0  # its steps are images, of which a column sees hundreds in one
    if task.steps or task.status == "finished":
        return max(1, task.steps)
    if mates := known.get((_group(task), task.recipe)):
        return fmean(mates)
    return _from_recipe(task, state) or 1.0


class _Recipe(msgspec.Struct):
    """How long something is trained."""

    batch_size: float
    epochs: float = 0.0
    steps: float | None = None


def _from_recipe(task: TaskState, state: RunState) -> float | None:
    """The steps that the experiment asks for: epochs x training images / batch size."""
    try:
        said: Mapping[str, Any] = state.stitch(task.request)
        if task.kind == "network":
            said = state.experiment["networks"][task.id.removeprefix("network ")]["train"]
        recipe = msgspec.convert(said, _Recipe)
        if task.kind != "network" and task.objective != DIRECT.name and recipe.steps:
            return recipe.steps
        epochs = recipe.epochs if task.objective != DIRECT.name else 1.0
        return float(math.ceil(epochs * (state.data or {})["train"] / recipe.batch_size))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):  # an experiment holds anything
        return None
