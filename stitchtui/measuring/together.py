"""Tasks that join one bottom with several tops, trained in one go: the bottom runs once a step for all of them."""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from stitchtui.base.device import is_out_of_memory, memory_budget
from stitchtui.measuring.saying import Saying
from stitchtui.measuring.stitch_work import Prepared, StitchWork, step_event
from stitchtui.measuring.task_work import TaskWork
from stitchtui.spec.plan import Task
from stitchtui.stitching import column_trainer
from stitchtui.stitching.stitches import parameter_count

Told = TypeVar("Told", column_trainer.Progress, column_trainer.Reading)

HELD_SHARE = 0.25
"""What tasks hold from step to step may take this share of a step's memory; tasks beyond it are trained after."""
BYTES = 4
"""The bytes of a number in float32, which stitches are trained in."""
PER_WEIGHT = 4
"""Numbers held for each weight that is trained: itself, its gradient and Adam's two moments."""


def companions(first: TaskWork, later: Iterable[Task], make: Callable[[Task], TaskWork]) -> list[StitchWork]:
    """`first` and those of the `later` tasks that can be trained with it in one go; nothing if there are none.

    They differ in their tops alone: bottom, its cuts, images, recipe and seed are the same, so that each of them ends
    with the numbers that it would have by itself. Tasks that see the batch's statistics, or that keep the best of
    several starts, are trained by themselves.
    """
    shared = _shared(first)
    if not isinstance(first, StitchWork) or shared is None:
        return []
    room = HELD_SHARE * memory_budget(first.session.device, first.session.memory) - _held(first)
    group = [first]
    for other in (make(task) for task in later if _but_for_its_top(task) == _but_for_its_top(first.task)):
        if isinstance(other, StitchWork) and _shared(other) == shared and not other.is_finished():
            room -= _held(other)
            if room < 0:
                break
            group.append(other)
    return group if len(group) > 1 else []


def train_together(works: Sequence[StitchWork]) -> Saying[None]:
    """Measure every cell of these `companions`; where memory runs out, in halves, and at last each alone."""
    if len(works) == 1:
        yield from works[0].run()
        return
    if trained := (yield from _trained(works)):
        for work, (ready, seconds) in zip(works, trained, strict=True):
            yield from _measure(work, ready, seconds)
        return
    half = len(works) // 2
    yield from train_together(works[:half])
    yield from train_together(works[half:])


def _but_for_its_top(task: Task) -> tuple[Task, int]:
    return replace(task, top=""), task.request


def _shared(work: TaskWork) -> tuple[object, ...] | None:
    """What the trainer needs to be the same, beyond what the tasks say; None of a task that goes alone."""
    if not isinstance(work, StitchWork) or work.alone or work.stitch.best_of > 1:
        return None
    cuts = frozenset(p.bottom.name for p in work.cells if work.is_open(p))
    if not work.trains or not cuts or work.ends.bottom is work.ends.top:  # one chain then, cut where either is
        return None
    return (work.ends.names[0], work.material.digest, work.steps, work.converges, cuts)


def _held(work: StitchWork) -> int:
    """About the bytes that training the task holds from step to step: its stitches, and a copy of the top."""
    weights = sum(parameter_count(work.build(p)) for p in work.cells if work.is_open(p))
    return BYTES * (PER_WEIGHT * weights + parameter_count(work.ends.top.network.module))


def _trained(works: Sequence[StitchWork]) -> Saying[list[tuple[Prepared, float]]]:
    """Each task's trained cells, and the seconds that went into them; nothing where memory ran out."""
    begun, prepared = [], []
    for work in works:
        begun.append((yield from work.begin(len(works))))
    try:
        for work, cells in zip(works, begun, strict=True):
            since = time.monotonic()
            ready = yield from work.prepare(cells)
            prepared.append((ready, time.monotonic() - since))
        started = time.monotonic()
        yield from _train(works, [ready for ready, _ in prepared])
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return []
    each = (time.monotonic() - started) / max(1, sum(len(ready.seams) for ready, _ in prepared))
    return [(ready, seconds + each * len(ready.seams)) for ready, seconds in prepared]


def _train(works: Sequence[StitchWork], prepared: Sequence[Prepared]) -> Saying[None]:
    first, bottom = works[0], prepared[0].both.bottom
    learning = [(work, ready) for work, ready in zip(works, prepared, strict=True) if ready.seams]
    sizes = [len(ready.seams) for _, ready in learning]
    joined = [column_trainer.StitchedTop(ready.both.top, ready.seams) for _, ready in learning]
    batches = first.material.training(first.stitch.batch_size, first.task.seed, bottom)
    choice, recipe = first.choice(bottom, joined), first.recipe(first.steps)
    training = column_trainer.train_columns(bottom, joined, batches, recipe, choice=choice)
    # Where no cell is left, each is found to be sick when it is measured.
    with contextlib.suppress(FloatingPointError), contextlib.closing(training):
        for said in training:
            if isinstance(said, column_trainer.Remark):
                yield learning[said.column][0].remark_on_training(said.text)
            elif isinstance(said, column_trainer.Reading):
                for (work, ready), reading in zip(learning, _parts(said, sizes), strict=True):
                    yield work.reading_event(ready.cells, reading)
            elif said is not None and first.pace.due(last=said.last, tasks=len(learning)):
                steps = said.step if said.last else first.steps
                for (work, _), progress in zip(learning, _parts(said.progress(), sizes), strict=True):
                    yield step_event(work.task.id, said.step, steps, progress)
            else:
                yield None
    chosen = iter(choice.chosen if choice else ())
    for _, ready in learning:
        ready.chosen = list(islice(chosen, len(ready.seams)))


def _parts(said: Told, sizes: Sequence[int]) -> Iterator[Told]:
    """What is said of all cells split into parts of so many cells each, in order."""
    losses, accuracies = iter(said.losses), iter(said.accuracies)
    for size in sizes:
        yield replace(said, losses=list(islice(losses, size)), accuracies=list(islice(accuracies, size)))


def _measure(work: StitchWork, ready: Prepared, seconds: float) -> Saying[None]:
    started = time.monotonic() - seconds
    try:
        found = (yield from work.measures(ready.both, ready.cells, ready.seams)) if ready.seams else []
        yield from work.conclude(ready, found, started)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    else:
        yield from work.end()
        return
    yield from work.run()  # outside the handler, which would keep the failed attempt's tensors alive
