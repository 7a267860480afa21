"""What the published way takes: cell by cell, both networks whole; priced by its steps, or with the clock running."""

from dataclasses import dataclass
from functools import partial
from statistics import median

import torch
from clock import Work, interleaved, timed
from reference import CellTrainer, stitched_outputs
from torch import nn
from ways import FEW, PUBLISHED_RATE, RANDOM, Cost, Laboratory, Trial, Way

from stitchtui.base.work import finish
from stitchtui.measuring.feed import in_order
from stitchtui.stitching.evaluate import Scores, scores_of


@dataclass(frozen=True)
class Prices:
    """Median seconds of the published way, cell by cell, timed by turns on the same batch."""

    steps: dict[str, list[float]]  # one step of each cell, by family
    evaluations: dict[str, list[float]]  # an evaluation of the same batch
    images: int  # in it


def prices(laboratory: Laboratory) -> Prices:
    """Time a step and an evaluation of every cell in each family that the published way uses."""
    subject = laboratory.subject
    families = [way.family for way in (RANDOM, FEW)]
    works: dict[str, Work] = {}
    for family in families:
        for k, published in enumerate(subject.published(family)):
            works[f"step {family} {k}"] = partial(_step, published, laboratory)
            works[f"evaluation {family} {k}"] = partial(_evaluate_batch, published, laboratory)
    seconds = interleaved(works, subject.options.rounds, laboratory.device)
    cells = range(laboratory.cells)
    return Prices(
        steps={f: [median(seconds[f"step {f} {k}"]) for k in cells] for f in families},
        evaluations={f: [median(seconds[f"evaluation {f} {k}"]) for k in cells] for f in families},
        images=len(subject.labels),
    )


def _step(published: CellTrainer, laboratory: Laboratory) -> None:
    published.stitch.train()
    published.step(*laboratory.subject.plain_batch())


@torch.no_grad()
def _evaluate_batch(published: CellTrainer, laboratory: Laboratory) -> None:
    images, _ = laboratory.subject.plain_batch()
    stitched_outputs(published.bottom, published.top, published.cut, published.stitch.eval(), images).argmax(-1)


def priced(laboratory: Laboratory, price: Prices, way: Way, epochs: int) -> Trial:
    """A trial of the published way: penalties by the column trainer, what they cost by its measured steps.

    Its augmentation is not counted.
    """
    trial = laboratory.in_a_column(way, epochs)
    _, starts = laboratory.started(way)
    steps, share = laboratory.steps(epochs), len(laboratory.dataset.test) / price.images
    each = zip(starts, price.steps[way.family], price.evaluations[way.family], strict=True)
    costs = [Cost(start, steps * step, share * evaluation) for start, step, evaluation in each]
    return Trial(way, epochs, trial.wrong, trial.penalties, costs)


def clocked(laboratory: Laboratory, way: Way, epochs: int) -> Trial:
    """A trial of the published way as it is: every cell trained by itself, the clock running."""
    made, starts = laboratory.started(way)
    trained = [_trained(laboratory, k, stitch, epochs) for k, stitch in enumerate(made)]
    costs = [Cost(start, *seconds) for start, (_, *seconds) in zip(starts, trained, strict=True)]
    return laboratory.trial(way, epochs, [scores for scores, _, _ in trained], costs)


def _trained(laboratory: Laboratory, cell: int, stitch: nn.Module, epochs: int) -> tuple[Scores, float, float]:
    _, training = timed(partial(_train, laboratory, cell, stitch, epochs), laboratory.device)
    scores, evaluation = timed(partial(_evaluate, laboratory, cell, stitch), laboratory.device)
    return scores, training, evaluation


def _train(laboratory: Laboratory, cell: int, stitch: nn.Module, epochs: int) -> None:
    steps = laboratory.steps(epochs)
    if not steps:
        return
    trainer = laboratory.subject.cell_trainer(laboratory.subject.cuts[cell], stitch, steps, PUBLISHED_RATE)
    for _, (images, labels) in zip(range(steps), laboratory.batches(), strict=False):
        trainer.step(images.contiguous(), labels)
    stitch.eval()


def _evaluate(laboratory: Laboratory, cell: int, stitch: nn.Module) -> Scores:
    subject = laboratory.subject
    whole, hooks = (subject.bottom.whole, subject.top.whole), subject.hooks(subject.cuts[cell])
    batches = in_order(laboratory.dataset.test, len(subject.labels))
    return finish(scores_of(lambda images: stitched_outputs(*whole, hooks, stitch, images.contiguous()), batches))
