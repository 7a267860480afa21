"""The column trainer: one pass of the bottom and one of the top serve every seam of a column at once."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Self

from torch import Tensor, nn

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.held_out import Choice, Chosen, HeldOut, Reading, is_finite
from stitchtui.stitching.seams import Seam, StitchedTop, column_outputs
from stitchtui.stitching.trainer import Progress, Recipe, Trainer

__all__ = [
    "BatchStatistics",
    "Choice",
    "Chosen",
    "HeldOut",
    "Progress",
    "Reading",
    "Recipe",
    "Remark",
    "Said",
    "Seam",
    "Stepped",
    "StitchedTop",
    "Trainer",
    "Training",
    "best_of",
    "column_outputs",
    "is_finite",
    "train_column",
    "train_columns",
]


@dataclass(frozen=True)
class Stepped:
    """A step that was taken; only `progress`, when called, waits for the device."""

    step: int
    last: bool  # whether training ends with it
    progress: Callable[[], Progress]


@dataclass(frozen=True)
class Remark:
    """A note for people on how the column of this number is trained."""

    column: int
    text: str


Said = Stepped | Remark | Reading | None
"""A step, a remark on how steps are taken (before the first), what was read on held-out images; None to no purpose but
that of stopping."""
Training = Generator[Said, None, list[float]]
"""Returns each seam's training loss."""


def train_column(
    bottom: Chain,
    top: Chain,
    seams: Sequence[Seam],
    batches: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
    *,
    choice: Choice | None = None,
) -> Training:
    """Train every seam's stitch on (images, labels), one batch a step, until `recipe.steps`.

    The losses are summed and Adam works number by number, so each seam takes exactly the steps that it would take
    alone, as long as the networks are in eval mode. A seam whose loss is not finite harms no other; raises
    FloatingPointError when no other is left. Where the recipe says how seams converge, a `choice` says which are done:
    these leave, and training ends with the last of them. Returns each seam's training loss over the last tenth of the
    recipe's steps, from before each step, NaN for one that has left by then; nothing where no stitch learns. Stitches
    end as the last step leaves them, or, with a `choice` for just these seams, as it says.
    """
    return train_columns(bottom, [StitchedTop(top, seams)], batches, recipe, choice=choice)


def train_columns(
    bottom: Chain,
    columns: Sequence[StitchedTop],
    batches: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
    *,
    choice: Choice | None = None,
) -> Training:
    """Train the columns of several tops on one bottom, which runs once a step for all; see `train_column`.

    What is said of seams is said of all columns' seams, in order; a remark says what stands in for a network whose
    copy, on the first batch, doesn't do what it does.
    """
    seams = [c for column in columns for c in column.seams]
    if not any(True for c in seams for _ in c.stitch.parameters()):
        return []
    with Trainer(bottom, columns, recipe) as trainer, choice or nullcontext():
        yield from _read(trainer, choice, 0)
        for step, (images, labels) in enumerate(islice(batches, recipe.steps), 1):
            if not trainer.learners:
                break
            yield from (Remark(column, text) for column, text in trainer.compare(images))
            trainer.step(step, images, labels)
            yield from _read(trainer, choice, step)
            last = step == recipe.steps or not trainer.learners
            yield Stepped(step, last, partial(trainer.tally.progress, step))
    for c in seams:
        c.stitch.eval()
    return trainer.last.means()


def _read(trainer: Trainer, choice: Choice | None, step: int) -> Generator[Said, None, None]:
    """Look at the held-out images, if that is due, and let those leave whose training is done."""
    if choice is not None:
        with trainer.averaged():
            done = yield from choice.read(step)
        trainer.leave(done)


def best_of(starts: Sequence[Sequence[Seam]], losses: Sequence[float]) -> list[int]:
    """Which start of each place has the lowest loss: on held-out images or, where there are none, in training.

    `losses` are those of all starts of the first place, then of the second, and so on. A loss that is not finite is
    never the lowest.
    """
    rest = iter(losses)
    ended = [[loss if math.isfinite(loss) else math.inf for loss in islice(rest, len(s))] for s in starts]
    return [own.index(min(own)) for own in ended]


class BatchStatistics:
    """While open, frozen networks' BatchNorms normalise by the batch and keep accumulating, as the authors' loop did.

    On leaving, every statistic is as it was. Seams that share a batch would see each other: use it for one seam.
    """

    def __init__(self, *networks: nn.Module) -> None:
        found = {m for n in networks for m in n.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
        self.layers = list(found)

    def __enter__(self) -> Self:
        self.saved = [{k: v.clone() for k, v in layer.state_dict().items()} for layer in self.layers]
        for layer in self.layers:
            layer.train()
        return self

    def evaluate(self) -> None:
        """Go on in eval mode, with the statistics accumulated so far."""
        for layer in self.layers:
            layer.eval()

    def __exit__(self, *_: object) -> None:
        for layer, saved in zip(self.layers, self.saved, strict=True):
            layer.eval()
            layer.load_state_dict(saved)
