"""How far a run is and how long it will still take, from the steps of its tasks."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Protocol

import msgspec

from stitchtui.run import events
from stitchtui.run.records import Cell, RunStatus, TaskState
from stitchtui.spec.controls import control_named
from stitchtui.spec.length import USUAL_STEPS, may_converge, passes
from stitchtui.spec.objectives import DIRECT

_MORE = 1.25
"""A task that may end before its limit is taken to need so many times the steps that others like it did, if fewer.

Until one has ended, they are `USUAL_STEPS`.
"""
_OPEN = 0.98
"""No more than this share of these steps counts as done before it has ended."""
# Tasks of one group take about equally long a step: a kind, and for columns the objective and family too.
Group = tuple[str, str, str]


class Run(Protocol):
    """What is asked of a run's state."""

    status: RunStatus
    experiment: dict[str, Any]
    data: dict[str, Any] | None
    tasks: dict[str, TaskState]
    cells: dict[tuple[str, str], Cell]
    updated: float | None

    def stitch(self, request: int) -> dict[str, Any]:
        """The [stitch] of one of the experiment's requests."""


@dataclass
class Progress:
    """The part of the run that is done, by steps, which never falls while there is something left to do.

    Each step that is taken brings `share` nearer to 1 by the part that it is of all that is left at that moment. So
    what makes more work (a task that begins anew, one that turns out to be longer, cells that are asked for
    meanwhile) slows it down and never sets it back; where nothing does, it is the steps done of all steps. Once
    nothing was left, what is asked for later is counted from 0.
    """

    share: float = 0.0
    _left: float = 0.0  # steps that are still to be taken
    _lengths: dict[str, float] = field(default_factory=dict)  # steps that each task takes, as far as that is known
    _done: dict[str, float] = field(default_factory=dict)  # of these, those that are counted as done

    def follow(self, state: Run, event: events.Event) -> None:
        """Take in `event`, which `state` has folded in."""
        match event:
            case events.Step() | events.TaskStarted() | events.TaskFinished():
                self._move(state, state.tasks[event.task])
            case events.NetworkReady():
                self._move(state, state.tasks[f"network {event.network}"])
            case events.RunStarted() | events.DataReady() | events.RunFinished():
                nothing_left = self.share >= 1.0 or self._left < 1e-6 * sum(self._lengths.values())
                self._lengths = _expected(state)
                self._done = {task.id: _done(task, self._lengths[task.id]) for task in state.tasks.values()}
                self._reckon()
                if state.status == "done":
                    self.share = 1.0
                elif nothing_left and self._left:
                    self.share = 0.0

    def _move(self, state: Run, task: TaskState) -> None:
        known = _known_length(task)
        if known != self._lengths.get(task.id) and not (task.is_open and task.step):
            self._lengths = _expected(state)
            self._reckon()
        before, self._done[task.id] = self._done.get(task.id, 0.0), _done(task, self._lengths[task.id])
        taken = self._done[task.id] - before
        if taken > 0 and state.data is not None:  # before that, no task's length is known
            self.share += (1.0 - self.share) * taken / max(taken, self._left)
        self._left = max(0.0, self._left - taken)

    def _reckon(self) -> None:
        self._left = sum(max(0.0, length - self._done.get(task, 0.0)) for task, length in self._lengths.items())


def remaining(state: Run, now: float) -> float | None:
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
        seconds += pace * (expected[task.id] - _done(task, expected[task.id]))
    return max(0.0, seconds - max(0.0, now - (state.updated or now)))


def _group(task: TaskState) -> Group:
    return (task.kind, task.objective, task.family)


def _done(task: TaskState, length: float) -> float:
    """The steps of `length` that were taken."""
    if task.status in ("finished", "failed"):
        return length
    share = min(1.0, task.step / task.steps) if task.status == "running" and task.steps else 0.0
    return min(_OPEN * length, float(task.step)) if task.is_open else length * share


def _paces(state: Run) -> dict[Group, float]:
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


def _expected(state: Run) -> dict[str, float]:
    known: dict[tuple[Group, str], list[int]] = {}
    for task in state.tasks.values():
        if task.steps and not (task.is_open or (task.at_most and task.first_step is None)):  # cells of an earlier run
            known.setdefault((_group(task), task.recipe), []).append(task.steps)
    means = {group: fmean(steps) for group, steps in known.items()}
    return {task.id: _expected_steps(task, means, state) for task in state.tasks.values()}


def _expected_steps(task: TaskState, means: Mapping[tuple[Group, str], float], state: Run) -> float:
    usual = means.get((_group(task), task.recipe))
    if (known := _known_length(task)) is not None:
        return known
    if task.is_open:
        return min(float(task.steps), _MORE * usual if usual else USUAL_STEPS)
    return usual or _from_recipe(task, state) or 1.0


def _known_length(task: TaskState) -> float | None:
    if task.kind == "data":
        return 1.0  # its steps are images, of which a column sees hundreds in one
    if task.is_open:
        return None
    return float(max(1, task.steps)) if task.steps or task.status == "finished" else None


class _Recipe(msgspec.Struct):
    """How long something is trained."""

    batch_size: float
    epochs: float | None = None
    steps: float | None = None
    length: str = "fixed"
    l1: float = 0.0
    held_out: int | None = None

    def expected(self, task: TaskState, images: float) -> float:
        """The steps that the task will take, as far as that can be known before: direct matching is one pass."""
        if task.objective == DIRECT.name:
            return math.ceil(images / self.batch_size)
        stitched = task.kind == "column" and control_named(task.control).fits == "stitch"
        converges = stitched and may_converge(task.objective, self.length, self.l1, self.held_out)
        said = self.steps if task.kind == "column" else None
        steps = said or math.ceil(passes(self.epochs, converges) * images / self.batch_size)
        return min(steps, USUAL_STEPS) if converges else steps


def _from_recipe(task: TaskState, state: Run) -> float | None:
    """The steps that the experiment asks for."""
    try:
        said: Mapping[str, Any] = state.stitch(task.request)
        if task.kind == "network":
            said = state.experiment["networks"][task.id.removeprefix("network ")]["train"]
        return float(msgspec.convert(said, _Recipe).expected(task, (state.data or {})["train"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError, OverflowError):  # an experiment holds anything
        return None
