"""The step of a stitch's training that counts, its start or a later one: that of the lowest held-out loss."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor, nn

from stitchtui.stitching import objectives
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.copies import evaluated
from stitchtui.stitching.seams import Seam, StitchedTop
from stitchtui.stitching.streamed import double
from stitchtui.stitching.trainer import Recipe

SHARE = 0.05
"""What looking at held-out images may cost, as a share of training: images times passes."""
STEP_PASSES = 3
"""A training step in forward passes: going back costs about two."""
FEWEST, MOST = 3, 31
"""How often held-out images are looked at: at the start, halfway and at the end at least."""


@dataclass(frozen=True)
class HeldOut:
    """Images that training never sees, as evaluation shows them: in batches, each image once, not augmented."""

    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]  # images in [0, 1] and labels, the same ones each time
    images: int


@dataclass(frozen=True)
class Reading:
    """What each seam does on the held-out images after so many steps of training."""

    step: int
    losses: list[float]  # of what is trained for
    accuracies: list[float]  # percent


@dataclass(frozen=True)
class Chosen:
    """The step of a seam that counts; 0 is its start."""

    step: int
    loss: float
    accuracy: float  # percent
    diverged: bool = False  # whether training went on until the stitch had no numbers


def reading_steps(steps: int, batch_size: int, images: int) -> list[int]:
    """After which of so many `steps` of training to look at so many held-out `images`: evenly, both ends included."""
    affordable = int(SHARE * STEP_PASSES * steps * batch_size / images)
    count = max(FEWEST, min(affordable, MOST))
    count -= count % 2 == 0  # an odd number of them has one halfway
    return sorted({round(k * steps / (count - 1)) for k in range(count)})


class Choice:
    """Of each seam's steps the one of the lowest loss on held-out images, put back into its stitch at the end.

    The loss is that of the objective, not that of the labels where those differ: a stitch that is fitted to the top's
    answers or activations is fitted without labels, and choosing by them would make it something else. Of an
    objective with two phases it is the last one's, at every step. What `l1` adds to the loss counts, too: the sparse
    stitch that was asked for would else lose to a dense start. Of equal steps the first is taken, so that a stitch that
    nothing can improve stays as it starts. It is open while training lasts, in a `with`.

    `beside` is kept along with the stitches: layers of the networks whose statistics training moves.
    """

    def __init__(
        self,
        bottom: Chain,
        columns: Sequence[StitchedTop],
        recipe: Recipe,
        held_out: HeldOut,
        *,
        batch_size: int,
        beside: Sequence[nn.Module] = (),
    ) -> None:
        self.bottom, self.columns, self.recipe, self.held_out = bottom, columns, recipe, held_out
        self.seams = [seam for column in columns for seam in column.seams]
        self.steps = frozenset(reading_steps(recipe.steps, batch_size, held_out.images))
        self.chosen: list[Chosen | None] = [None] * len(self.seams)  # None: no step gave numbers
        self._objective = objectives.objective_at(recipe.objective, recipe.schedule, recipe.steps, recipe.steps)
        self._beside = list(beside)
        self._kept: list[list[dict[str, Tensor]]] = [[] for _ in self.seams]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for k, (seam, chosen) in enumerate(zip(self.seams, self.chosen, strict=True)):
            self.chosen[k] = chosen and replace(chosen, diverged=not is_finite(seam.stitch))
            for module, state in zip([seam.stitch, *self._beside], self._kept[k], strict=False):
                module.load_state_dict(state)

    def read(self, step: int) -> Generator[Reading | None, None, None]:
        """Look at the held-out images if that is due after `step`, keeping what is better than before.

        Yields None between batches, then the reading. Shapes, modes and random draws of training stay as they are.
        """
        if step not in self.steps:
            return
        sums = torch.zeros(())
        with evaluated(*(seam.stitch for seam in self.seams), *self._beside):
            for images, labels in self.held_out.batches():
                sums = sums.to(images.device) + double(self._scored(images, labels)) * len(images)
                yield None
        losses, accuracies = (sums / self.held_out.images).tolist()
        for k, loss in enumerate(losses):
            losses[k] = loss + self._l1(self.seams[k])
            self._keep(k, Chosen(step, losses[k], 100 * accuracies[k]))
        yield Reading(step, losses, [100 * accuracy for accuracy in accuracies])

    @torch.no_grad()
    def _scored(self, images: Tensor, labels: Tensor) -> Tensor:
        """Losses and accuracies [2, seams] of a batch."""
        features = self.bottom.features(images, max(seam.bottom for seam in self.seams))
        found = []
        for column in self.columns:
            target = objectives.target(self._objective, column.top, images, labels)
            scored = objectives.scored(self._objective, column.top, column.seams, features, target)
            found.append(torch.stack(scored))
        return torch.cat(found, 1)

    def _l1(self, seam: Seam) -> float:
        weights = objectives.sparse_weights(seam.stitch) if self.recipe.l1 else []
        return self.recipe.l1 * sum(float(w.detach().abs().sum()) for w in weights)

    def _keep(self, k: int, found: Chosen) -> None:
        best, stitch = self.chosen[k], self.seams[k].stitch
        # A ReLU may make a number of a stitch that is none.
        if not math.isfinite(found.loss) or (best and found.loss >= best.loss) or not is_finite(stitch):
            return
        self.chosen[k] = found
        modules = [stitch, *self._beside]
        self._kept[k] = [{name: t.detach().clone() for name, t in m.state_dict().items()} for m in modules]


def is_finite(stitch: nn.Module) -> bool:
    """Whether training left numbers in every parameter and statistic."""
    return all(bool(t.isfinite().all()) for t in stitch.state_dict().values() if t.is_floating_point())
