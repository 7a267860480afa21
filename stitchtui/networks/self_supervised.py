"""Networks trained without labels: all layers but the last on a task of their own, then a linear head on top."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.base.work import mapped
from stitchtui.data import facts
from stitchtui.networks import heads, simclr
from stitchtui.networks.frozen import all_but
from stitchtui.networks.objectives import TrainingObjective, rotation, supervised
from stitchtui.networks.training import Job, Training, train
from stitchtui.spec.experiment import TrainSpec

Task = Literal["simclr", "rotation"]


def train_self_supervised(
    module: nn.Module,
    job: Job,
    partial: Path,
    *,
    task: Task,
    head: TrainSpec,
    temperature: float = 0.5,
) -> Training[None]:
    """Train `module` in place on `task` by `job.recipe`, then its last linear layer, drawn anew, by `head`.

    The head learns the labels of `job.part` on features that stay as they are. Resumable and failing as
    `training.train`; raises BadInput too for a network without a final linear layer, and for images that `rotation`
    can't turn or `simclr` not colour. Draws the new heads from torch's global generator.
    """
    if task == "rotation" and job.part.images.shape[2] != job.part.images.shape[3]:
        raise BadInput("task 'rotation' needs square images, whose quarter turns have the same shape", "task")
    if task == "simclr" and facts.normalised(job.part.images):
        raise BadInput(
            "task 'simclr' shifts colours, which are pixels from 0 to 1: give images not yet normalised", "task"
        )
    last = heads.last_linear(module)
    layer = heads.linear(module, last)
    learned = replace(
        job, recipe=head, frozen=all_but(module, last), objective=supervised, last_epoch=None, states=None
    )
    whole = job.steps + learned.steps, job.epochs + learned.epochs
    objective = put_task_head(module, last, task, temperature)
    yield from _part_of(train(module, replace(job, objective=objective, keep_end=True), partial), (0, 0), whole)
    heads.put(module, last, nn.Linear(layer.in_features, layer.out_features))
    of_head = partial.with_suffix(".head.partial")
    yield from _part_of(train(module, learned, of_head), (job.steps, job.epochs), whole)
    of_head.unlink(missing_ok=True)


def put_task_head(module: nn.Module, last: str, task: Task, temperature: float) -> TrainingObjective:
    """The objective of a task, with the head for it in the place of the linear layer called `last`."""
    features = heads.linear(module, last).in_features
    if task == "simclr":
        heads.put(module, last, simclr.projection_head(features))
        return simclr.objective(temperature)
    heads.put(module, last, nn.Linear(features, 4))
    return rotation


def _part_of(work: Training[None], before: tuple[int, int], whole: tuple[int, int]) -> Training[None]:
    """A training that begins after so many steps and epochs of the `whole`."""
    (step, epoch), (steps, epochs) = before, whole
    return mapped(
        work,
        lambda said: replace(said, step=step + said.step, steps=steps, epoch=epoch + said.epoch, epochs=epochs),
    )
