"""The step of a stitch's training that counts, its start or a later one: that of the lowest held-out loss."""

import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Self

import torch
from torch import Tensor, nn

from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.stitching import objectives
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.convergence import Convergence
from stitchtui.stitching.copies import evaluated
from stitchtui.stitching.seams import Seam, StitchedTop
from stitchtui.stitching.streamed import double
from stitchtui.stitching.trainer import Recipe

SHARE = 0.05
"""What looking at held-out images may cost, as a share of training: images times passes."""
STEP_PASSES = 3
"""A training step in forward passes: going back costs about two."""
FEWEST, MOST = 3, 31
"""How often held-out images are looked at where training has a fixed length: at the start, halfway and at the end at
least."""
ROUNDING = 1e-5
"""The share of a loss that float32 may be off by."""
LEAST_INTERVAL = 10
"""Where it has none, so many steps lie between two looks at least, however few images there are."""
MOST_READ = 1_000
"""So many of the held-out images are looked at where training has none: fewer, so that it is done sooner.

They say enough: a step is compared with others on the same images, where most of what tells images apart drops out.
"""


@dataclass(frozen=True)
class HeldOut:
    """Images that training never sees, as evaluation shows them: in batches, each image once, not augmented."""

    batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]  # images and labels, the same ones each time
    images: int


@dataclass(frozen=True)
class Reading:
    """What each seam in training does on the held-out images after so many steps; None of one that has left."""

    step: int
    losses: list[float | None]  # of what is trained for
    accuracies: list[float | None]  # percent


@dataclass(frozen=True)
class Chosen:
    """The step of a seam that counts; 0 is its start."""

    step: int
    loss: float
    accuracy: float  # percent
    diverged: bool = False  # whether training went on until the stitch had no numbers
    taken: int = 0  # steps that were taken in all
    worth: float = math.nan  # points of held-out error by which the second half of these steps lowered the chosen one's
    still_falling: bool = False  # whether the limit ended it while its loss fell


def reading_steps(steps: int, batch_size: int, images: int) -> list[int]:
    """After which of so many `steps` of training to look at so many held-out `images`: evenly, both ends included."""
    affordable = int(SHARE * STEP_PASSES * steps * batch_size / images)
    count = max(FEWEST, min(affordable, MOST))
    count -= count % 2 == 0  # an odd number of them has one halfway
    return sorted({round(k * steps / (count - 1)) for k in range(count)})


def interval(batch_size: int, images: int) -> int:
    """After how many steps each to look at so many held-out `images` where training has no length known beforehand."""
    return max(LEAST_INTERVAL, math.ceil(images / (SHARE * STEP_PASSES * batch_size)))


class Choice:
    """Of each seam's steps the one of the lowest loss on held-out images, put back into its stitch at the end.

    The loss is that of the objective, not that of the labels where those differ: a stitch that is fitted to the top's
    answers or activations is fitted without labels, and choosing by them would make it something else. Of an
    objective with two phases it is the last one's, at every step. What `l1` adds to the loss counts, too: the sparse
    stitch that was asked for would else lose to a dense start. Of equal steps the first is taken, so that a stitch that
    nothing can improve stays as it starts. It is open while training lasts, in a `with`.

    Where seams converge, each is read every so many steps until it has, and no longer. Of what all of its steps gained,
    it is kept what the second half of them did (`worth`): of the steps up to halfway, too, the best counts, so that
    both are stitches that training would have ended with, on the same images.

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
        seams = [seam for column in columns for seam in column.seams]
        in_nats = not OBJECTIVES[recipe.objective].matches
        self.followed = [_Followed(seam, Convergence(in_nats) if recipe.converges else None) for seam in seams]
        self.interval = interval(batch_size, held_out.images)
        self.steps = frozenset(reading_steps(recipe.steps, batch_size, held_out.images))
        self.chosen: list[Chosen | None] = [None] * len(seams)  # None: no step gave numbers
        self._objective = objectives.objective_at(recipe.objective, recipe.schedule, recipe.steps, recipe.steps)
        self._beside = list(beside)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.chosen = [each.end() for each in self.followed]
        for each in self.followed:
            for module, state in zip([each.seam.stitch, *self._beside], each.kept, strict=False):
                module.load_state_dict(state)

    def read(self, step: int) -> Generator[Reading | None, None, list[int]]:
        """Look at the held-out images if that is due after `step`, keeping what is better than before.

        Yields None between batches, then the reading; returns the numbers of the seams whose training is done. Shapes,
        modes and random draws of training stay as they are.
        """
        places = [k for k, each in enumerate(self.followed) if not each.left]
        if not places or not self._is_due(step):
            return []
        sums, each = torch.zeros(()), []
        with evaluated(*(self.followed[k].seam.stitch for k in places), *self._beside):
            for images, labels in self.held_out.batches():
                scored = self._scored(images, labels)
                sums = sums.to(images.device) + double(scored.mean(2)) * len(images)
                each.append(scored[0])
                yield None
        tied = self._tied(step, places, torch.cat(each, 1))
        losses: list[float | None] = [None] * len(self.followed)
        accuracies = losses.copy()
        for k, tie, (loss, share) in zip(places, tied, (sums / self.held_out.images).T.tolist(), strict=True):
            found = Chosen(step, loss + self._l1(self.followed[k].seam), 100 * share)
            losses[k], accuracies[k] = found.loss, found.accuracy
            self.followed[k].see(found, self._beside, tie)
        yield Reading(step, losses, accuracies)
        return [k for k in places if self.followed[k].left]

    def _is_due(self, step: int) -> bool:
        if not self.recipe.converges:
            return step in self.steps
        return step % self.interval == 0 or step == self.recipe.steps

    @torch.no_grad()
    def _scored(self, images: Tensor, labels: Tensor) -> Tensor:
        """The loss and whether the answer is right [2, seams in training, batch] of each image of a batch."""
        staying = iter(self.followed)
        columns = [
            StitchedTop(column.top, [each.seam for each in islice(staying, len(column.seams)) if not each.left])
            for column in self.columns
        ]
        features = self.bottom.features(images, max(seam.bottom for column in columns for seam in column.seams))
        found = []
        for column in columns:
            if column.seams:
                target = objectives.target(self._objective, column.top, images, labels)
                scored = objectives.scored(self._objective, column.top, column.seams, features, target, each=True)
                found.append(torch.stack(scored))
        return torch.cat(found, 1)

    def _tied(self, step: int, places: Sequence[int], losses: Tensor) -> list[bool]:
        """Whether each seam, with `losses` [seams in training, images], is no better than its start but by chance.

        By a standard error of the mean difference over the images. A step that must be so much better can't make a
        stitch worse whose start is as good as can be, such as that of a network into itself.
        """
        if step == 0:
            self._start = losses
        if step == 0 or not self.recipe.converges:
            return [False] * len(places)
        start = double(self._start[places])
        better = start - double(losses)
        chance = better.std(1) / math.sqrt(better.shape[1]) + ROUNDING * start.mean(1)
        return (better.mean(1) <= chance).tolist()

    def _l1(self, seam: Seam) -> float:
        weights = objectives.sparse_weights(seam.stitch) if self.recipe.l1 else []
        return self.recipe.l1 * sum(float(w.detach().abs().sum()) for w in weights)


@dataclass
class _Followed:
    """What was read of a seam."""

    seam: Seam
    convergence: Convergence | None
    best: Chosen | None = None
    kept: list[dict[str, Tensor]] = field(default_factory=list)  # the stitch then, and what is beside it
    course: list[Chosen | None] = field(default_factory=list)  # the best after each reading
    taken: int = 0  # steps
    left: bool = False

    def see(self, found: Chosen, beside: Sequence[nn.Module], tie: bool) -> None:
        """Keep what is better than before, but for a tie with the start, and leave once no more is to be had."""
        # A ReLU may make a number of a stitch that is none.
        healthy = math.isfinite(found.loss) and is_finite(self.seam.stitch)
        if healthy and not tie and (self.best is None or found.loss < self.best.loss):
            modules = [self.seam.stitch, *beside]
            self.best = found
            self.kept = [{name: t.detach().clone() for name, t in m.state_dict().items()} for m in modules]
        self.taken = found.step
        self.course.append(self.best and replace(self.best, taken=found.step))
        if self.convergence is not None:
            self.left = self.convergence.is_done(found.step, found.loss if healthy else math.nan)

    def end(self) -> Chosen | None:
        """What was chosen, once training is over."""
        if self.best is None:
            return None
        diverged = not is_finite(self.seam.stitch)
        halfway = [each for each in self.course if each and each.taken <= self.taken / 2]
        worth = self.best.accuracy - halfway[-1].accuracy if halfway else math.nan
        falling = self.convergence is not None and self.convergence.fell > 0 and not self.left and not diverged
        return replace(self.best, diverged=diverged, taken=self.taken, worth=worth, still_falling=falling)


def is_finite(stitch: nn.Module) -> bool:
    """Whether training left numbers in every parameter and statistic."""
    return all(bool(t.isfinite().all()) for t in stitch.state_dict().values() if t.is_floating_point())
