"""The ways to a column's penalties that are compared: where stitches start, how they are trained, what that costs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from clock import timed
from pair import Pair
from torch import Tensor, nn

from stitchtui.base.device import memory_budget
from stitchtui.base.work import finish
from stitchtui.data.subsets import generator, random_subset
from stitchtui.measuring.feed import in_order, pixels, steps_in, training_batches
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.direct import AffineMap, fit_direct, moments
from stitchtui.stitching.evaluate import Scores, column_scores

EVALUATION_BATCH = 500
EVALUATION_BYTES = 1 << 30
"""How much memory one layer's activations of a whole column may take while it is evaluated."""


@dataclass(frozen=True)
class Way:
    """How stitches get to their penalties."""

    name: str
    family: str
    images: int | None = None  # start from least squares on so many images, at random without
    published: bool = True  # cell by cell, both networks whole; otherwise all cells as one column

    def lengths(self, wanted: Sequence[int]) -> list[int]:
        """The epochs that it is tried for, in rising order: a start from least squares is an answer by itself."""
        return sorted({*wanted, *([0] if self.images else [])})


PUBLISHED_RATE = 1e-3
"""Adam's, with a cosine to 0: Bansal et al. 2021 (appendix A.4), and Csiszárik et al. 2021."""
ALL_IMAGES = 1 << 62
FEW_IMAGES = 100
OURS = Way("a column, from least squares", "affine", ALL_IMAGES, published=False)
RANDOM = Way("published, from random BN-conv-BN", "bn_affine_bn")
FEW = Way(f"published, from least squares on {FEW_IMAGES} images", "affine", FEW_IMAGES)
WAYS = (OURS, RANDOM, FEW)


@dataclass(frozen=True)
class Cost:
    """Seconds of one cell, or of a whole column: for its start, its training, its evaluation."""

    start: float
    train: float
    evaluate: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.start + self.train + self.evaluate


@dataclass(frozen=True)
class Trial:
    """What one training of every cell led to."""

    way: Way
    epochs: int
    wrong: Tensor  # bool [cells, test images], on the CPU
    penalties: list[float]  # percentage points, one per cell
    costs: list[Cost]  # one per cell; of a column a single one


class Laboratory:
    """A pair with its chains, and least-squares maps that are fitted once."""

    def __init__(self, pair: Pair) -> None:
        self.pair, self.subject, self.dataset = pair, pair.subject, pair.dataset
        self.device = self.subject.device
        self.bottom, self.top = self.subject.chains(self.subject.cuts)
        self.cells = len(self.subject.cuts)
        self._alone: dict[tuple[int, int], tuple[AffineMap, float]] = {}

    def steps(self, epochs: int) -> int:
        """How many steps so many epochs take."""
        return steps_in(epochs, len(self.dataset.train), self.pair.stitch.batch_size) if epochs else 0

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The training batches, augmented as a run has them; the same, in the same order, at every call."""
        return training_batches(self.dataset, self.pair.stitch.batch_size, seed=0)

    def test(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every test image once, in batches that a whole column's activations of one layer fit with."""
        largest = max(torch.Size(cut.shape).numel() for pair in self.subject.cuts for cut in pair)
        batch = max(8, min(EVALUATION_BATCH, EVALUATION_BYTES // (4 * largest * self.cells)))
        return in_order(self.dataset.test, batch)

    @cached_property
    def matched(self) -> tuple[list[AffineMap], float]:
        """Every cell's map fitted on all training images in one pass, and the seconds that it took."""
        return timed(lambda: self._maps(range(self.cells), ALL_IMAGES), self.device)

    def matched_alone(self, cell: int, images: int) -> tuple[AffineMap, float]:
        """One cell's map fitted on a few training images, without anything that other cells have computed."""
        if (cell, images) not in self._alone:
            (found,), seconds = timed(lambda: self._maps([cell], images), self.device)
            self._alone[cell, images] = found, seconds
        return self._alone[cell, images]

    def _maps(self, cells: Sequence[int], images: int) -> list[AffineMap]:
        places = [(k + 1, k + 1) for k in cells]
        found = finish(moments(self.bottom, self.top, places, self._some_training_images(images)))
        return [fit_direct("affine", m, ridge=self.pair.stitch.ridge) for m in found]

    def _some_training_images(self, count: int) -> Iterator[Tensor]:
        images = self.dataset.train.images
        if count < len(images):
            images = images[random_subset(len(images), count, generator("stitch data", 0)).to(images.device)]
        return map(pixels, images.split(EVALUATION_BATCH))

    def started(self, way: Way) -> tuple[list[nn.Module], list[float]]:
        """A stitch for every cell where the way starts, and the seconds that it took: per cell, or as a whole."""
        if not way.published:
            maps, seconds = self.matched
            return [self.stitch(way, k, found) for k, found in enumerate(maps)], [seconds]
        if not way.images:
            return [self.stitch(way, k, None) for k in range(self.cells)], [0.0] * self.cells
        fitted = [self.matched_alone(k, way.images) for k in range(self.cells)]
        return [self.stitch(way, k, found) for k, (found, _) in enumerate(fitted)], [s for _, s in fitted]

    def stitch(self, way: Way, cell: int, start: AffineMap | None) -> nn.Module:
        """A stitch of the way's family; it starts as the map, or without one at random, the same at every call."""
        made = stitches.build(way.family, *self.subject.cuts[cell]).to(self.device)
        if start is None:
            stitches.start_at_random(made, torch.Generator().manual_seed(cell))
        else:
            stitches.start_from_map(made, start)
        return made.eval()

    def in_a_column(self, way: Way, epochs: int, steps: int | None = None) -> Trial:
        """Train all cells of the way together, every part of it timed; `steps` of them, if said, in place of epochs.

        Ours trains as a run does; the published way's penalties come from float32 and the networks as they are, whose
        steps are those that each cell would take alone.
        """
        made, seconds = self.started(way)
        cells = [column_trainer.Seam(k, k, s) for k, s in enumerate(made, 1)]
        count = self.steps(epochs) if steps is None else steps
        _, training = timed(partial(self._train, cells, way, count), self.device)
        scores, evaluation = timed(partial(self._scores, cells), self.device)
        return self.trial(way, epochs, scores, [Cost(sum(seconds), training, evaluation)])

    def _train(self, cells: Sequence[column_trainer.Seam], way: Way, steps: int) -> None:
        if steps:
            finish(column_trainer.train_column(self.bottom, self.top, cells, self.batches(), self.recipe(way, steps)))

    def recipe(self, way: Way, steps: int) -> column_trainer.Recipe:
        """The published way's recipe, as papers say it, or ours."""
        budget = memory_budget(self.device, None)
        if way.published:
            return column_trainer.Recipe(steps, PUBLISHED_RATE, dtype=torch.float32, fold=False, memory=budget)
        own = self.pair.stitch
        return column_trainer.Recipe(
            steps, own.learning_rate, dtype=self.subject.dtype, scaled=own.scaled_steps, memory=budget
        )

    def _scores(self, cells: Sequence[column_trainer.Seam]) -> list[Scores]:
        return finish(column_scores(self.bottom, self.top, cells, self.test()))[0]

    def trial(self, way: Way, epochs: int, scores: Sequence[Scores], costs: list[Cost]) -> Trial:
        """A trial from every cell's answers; one whose scores are not finite is wrong everywhere.

        The top's own error comes with the network, so no way pays for it.
        """
        wrong = torch.stack([s.wrong | (not s.finite) for s in scores]).cpu()
        penalties = [100 * int(w.sum()) / len(w) - self.pair.top.error for w in wrong]
        return Trial(way, epochs, wrong, penalties, costs)
