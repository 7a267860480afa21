"""Columns that join one bottom with several tops, trained in one go: the bottom runs once a step for all of them."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from stitchtui.base.device import is_out_of_memory, memory_budget
from stitchtui.measure.column import Column
from stitchtui.measure.columns import Prepared, StitchColumn, step_event
from stitchtui.measure.saying import Saying
from stitchtui.spec.plan import Task
from stitchtui.stitching import fit
from stitchtui.stitching.stitches import parameter_count

HELD_SHARE = 0.25
"""What columns hold from step to step may take this share of a step's memory; columns beyond it are trained after."""
BYTES = 4
"""Of a number in float32, which stitches are trained in."""
PER_WEIGHT = 4
"""Numbers held for each weight that is trained: itself, its gradient and Adam's two moments."""


def companions(first: Column, later: Iterable[Task], make: Callable[[Task], Column]) -> list[StitchColumn]:
    """`first` and those of the `later` tasks that can be trained with it in one go; nothing if there are none.

    They differ in their tops alone: bottom, its cuts, images, recipe and seed are the same, so that each of them ends
    with the numbers that it would have by itself. Columns that see the batch's statistics, or that keep the best of
    several starts, are trained by themselves.
    """
    shared = _shared(first)
    if not isinstance(first, StitchColumn) or shared is None:
        return []
    room = HELD_SHARE * memory_budget(first.session.device, first.session.memory) - _held(first)
    group = [first]
    for other in (make(task) for task in later if _but_for_its_top(task) == _but_for_its_top(first.task)):
        if isinstance(other, StitchColumn) and _shared(other) == shared and not other.is_finished():
            room -= _held(other)
            if room < 0:
                break
            group.append(other)
    return group if len(group) > 1 else []


def train_together(columns: Sequence[StitchColumn]) -> Saying[None]:
    """Measure every cell of these `companions` and say so; where memory runs out, in halves, and at last each alone."""
    if len(columns) == 1:
        yield from columns[0].run()
        return
    if trained := (yield from _trained(columns)):
        for column, (ready, seconds) in zip(columns, trained, strict=True):
            yield from _measure(column, ready, seconds)
        return
    half = len(columns) // 2
    yield from train_together(columns[:half])
    yield from train_together(columns[half:])


def _but_for_its_top(task: Task) -> tuple[Task, int]:
    return replace(task, top=""), task.request


def _shared(column: Column) -> tuple[object, ...] | None:
    """What the trainer needs to be the same, beyond what the tasks say; None of a column that goes alone."""
    if not isinstance(column, StitchColumn) or column.alone or column.stitch.best_of > 1:
        return None
    cuts = frozenset(p.bottom.name for p in column.places if column.is_open(p))
    if not column.trains or not cuts or column.ends.bottom is column.ends.top:  # one chain then, cut at both's places
        return None
    return (column.ends.names[0], column.material.digest, column.steps, cuts)


def _held(column: StitchColumn) -> int:
    """About the bytes that training the column holds from step to step: its stitches, and a copy of the top."""
    weights = sum(parameter_count(column.build(p)) for p in column.places if column.is_open(p))
    return BYTES * (PER_WEIGHT * weights + parameter_count(column.ends.top.network.module))


def _trained(columns: Sequence[StitchColumn]) -> Saying[list[tuple[Prepared, float]]]:
    """Each column's trained cells, and the seconds that went into them; nothing where memory ran out."""
    begun, prepared = [], []
    for column in columns:
        begun.append((yield from column.begin(len(columns))))
    try:
        for column, places in zip(columns, begun, strict=True):
            since = time.monotonic()
            ready = yield from column.prepare(places)
            prepared.append((ready, time.monotonic() - since))
        started = time.monotonic()
        yield from _train(columns, [ready for ready, _ in prepared])
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return []
    each = (time.monotonic() - started) / max(1, sum(len(ready.cells) for ready, _ in prepared))
    return [(ready, seconds + each * len(ready.cells)) for ready, seconds in prepared]


def _train(columns: Sequence[StitchColumn], prepared: Sequence[Prepared]) -> Saying[None]:
    first, bottom = columns[0], prepared[0].both.bottom
    learning = [(column, ready) for column, ready in zip(columns, prepared, strict=True) if ready.cells]
    joined = [fit.Column(ready.both.top, ready.cells) for _, ready in learning]
    batches = first.material.training(first.stitch.batch_size, first.task.seed, bottom)
    with contextlib.suppress(FloatingPointError):  # no cell is left: each is found to be sick when it is measured
        for said in fit.train_columns(bottom, joined, batches, first.recipe(first.steps)):
            if isinstance(said, fit.Remark):
                yield learning[said.column][0].remark_on_training(said.text)
            elif first.pace.due(last=said.step >= first.steps, tasks=len(learning)):
                parts = _parts(said.progress(), [len(ready.cells) for _, ready in learning])
                for (column, _), progress in zip(learning, parts, strict=True):
                    yield step_event(column.task.id, said.step, first.steps, progress)
            else:
                yield None


def _parts(progress: fit.Progress, sizes: Sequence[int]) -> Iterator[fit.Progress]:
    """What is said of so many cells each, in order."""
    losses, accuracies = iter(progress.losses), iter(progress.accuracies)
    for size in sizes:
        yield fit.Progress(progress.step, [next(losses) for _ in range(size)], [next(accuracies) for _ in range(size)])


def _measure(column: StitchColumn, ready: Prepared, seconds: float) -> Saying[None]:
    started = time.monotonic() - seconds
    try:
        found = (yield from column.measures(ready.both, ready.places, ready.cells)) if ready.cells else []
        yield from column.conclude(ready, found, started)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        yield from column.end()
        return
    yield from column.run()  # outside the handler, which would keep the failed attempt's tensors alive
