"""The steps of the column trainer: what is made ready once, and what every batch then takes."""

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from stitchtui.spec.objectives import OBJECTIVES, TASK
from stitchtui.stitching import objectives
from stitchtui.stitching import seams as joining
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.convergence import Average, share_of_rate
from stitchtui.stitching.copies import Copies, Part, autocast, copies, evaluated, faithful
from stitchtui.stitching.cpu_threads import CpuThreads
from stitchtui.stitching.fold import BATCH_NORMS
from stitchtui.stitching.memory import split, step_costs
from stitchtui.stitching.seams import Features, Seam, StitchedTop, numbers
from stitchtui.stitching.streamed import channel_axis
from stitchtui.stitching.units import ScaledSteps, follows, units

LAST_SHARE = 0.1
"""A seam's training loss is its mean over this share of the steps, the last ones."""


@dataclass(frozen=True)
class Recipe:
    """Adam with a cosine from `learning_rate` to 0 over `steps`, and what the loss is.

    Where seams converge, `steps` are a limit, the rate falls otherwise, and an average counts: see `convergence`.
    """

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    dtype: torch.dtype = torch.float32
    objective: str = TASK.name
    schedule: float = 0.5  # the share of the steps before `final_features_then_task` goes on with `task`
    l1: float = 0.0  # pulls the weights of affine stitches to exact zeros
    fold: bool = True  # train through folded copies of the frozen networks: the same numbers to rounding, sooner
    scaled: bool = False  # steps in units of what each stitch reads and is to write: see `units`
    memory: int | None = None  # bytes that the seams of a step may take together; more are taken in turns
    converges: bool = False


@dataclass(frozen=True)
class Progress:
    """Means since the last report: one loss and one accuracy (percent) per seam, NaN where it took no step."""

    step: int
    losses: list[float]
    accuracies: list[float]


class Trainer:
    """What a step needs, made ready once: cheap copies of the networks, the optimiser, who does what in which turn.

    `train_columns` is the way to train; this is for whoever has to time or count single steps. It is open in a `with`.
    """

    def __init__(self, bottom: Chain, columns: Sequence[StitchedTop], recipe: Recipe) -> None:
        objectives.check_objective(recipe.objective)
        self.recipe = recipe
        seams = [(place, c) for place, column in enumerate(columns) for c in column.seams]
        self.learners = [_Learner(k, place, seam, recipe.converges) for k, (place, seam) in enumerate(seams)]
        parameters = [p for each in self.learners for p in each.parameters]
        self.device = parameters[0].device
        self.threads = CpuThreads(self.device)
        rate, decay, fused = recipe.learning_rate, recipe.weight_decay, self.device.type in ("cpu", "cuda")
        self.optimiser = torch.optim.Adam(parameters, rate, weight_decay=decay, fused=fused)
        self.schedule = (
            torch.optim.lr_scheduler.LambdaLR(self.optimiser, share_of_rate)
            if recipe.converges
            else torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, recipe.steps)
        )
        self.tally, self.last = _Tally(len(seams)), _Tally(len(seams))
        self.parts = self._parts(bottom, columns)
        self.compared = False
        self._take(copies(self.parts, recipe.dtype, recipe.fold))
        self._arrange()
        self.first_reach = self.reach

    def __enter__(self) -> Self:
        self.threads.__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        self.threads.__exit__(*raised)

    def _parts(self, bottom: Chain, columns: Sequence[StitchedTop]) -> list[Part]:
        """What is run of the bottom, and of each column's top: all of it where the objective reads more than labels."""
        reach = max(c.bottom for column in columns for c in column.seams)
        matched = OBJECTIVES[self.recipe.objective].needs_top
        tops = (
            Part("top", column.top, 0 if matched else min(c.top for c in column.seams), column.top.output, True)
            for column in columns
        )
        return [Part("bottom", bottom, 0, reach, backward=False), *tops]

    def _take(self, made: Copies) -> None:
        self.made, self.dtype = made, made.dtype
        self.bottom, *self.tops = made.chains

    def _arrange(self) -> None:
        """Have nothing run that only seams need that are no longer trained."""
        self.plans: list[_Plan] = []
        self.columns = [
            StitchedTop(top, [each.seam for each in self.learners if each.column == place])
            for place, top in enumerate(self.tops)
        ]
        self.reach = max((each.seam.bottom for each in self.learners), default=0)
        self.sickness = _Sickness([each.seam.stitch for each in self.learners], self.device)
        self.numbers = torch.tensor([each.number for each in self.learners], device=self.device)

    def leave(self, numbers: Collection[int]) -> None:
        """Train the seams of these numbers, counted over all columns, no further."""
        if not numbers:
            return
        for parameter in (p for each in self.learners if each.number in numbers for p in each.parameters):
            parameter.grad = None
            self.optimiser.state.pop(parameter, None)
        self.learners = [each for each in self.learners if each.number not in numbers]
        (group,) = self.optimiser.param_groups
        group["params"] = [p for each in self.learners for p in each.parameters]
        self._arrange()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While open, the weights of seams that converge are their averages."""
        averages = [each.average for each in self.learners if each.average is not None]
        for average in averages:
            average.swap()
        try:
            yield
        finally:
            for average in averages:
                average.swap()

    def compare(self, images: Tensor) -> list[tuple[int, str]]:
        """Before the first step, have no copy run that doesn't do what its network does on `images`.

        Returns what is to be said of that: of which column, and in words.
        """
        if self.compared:
            return []
        self.compared = True
        self._take(faithful(self.parts, self.made, images))
        self._arrange()
        return [(max(0, part - 1), note) for part, note in self.made.notes]

    def step(self, step: int, images: Tensor, labels: Tensor) -> None:
        """Step number `step`, from 1 to the recipe's `steps`: one batch of images for every seam."""
        features = self.features(images)
        objective = objectives.objective_at(self.recipe.objective, self.recipe.schedule, step, self.recipe.steps)
        columns = [column for column in self.columns if column.seams]
        self.plans = self.plans or [self._plan(column, images) for column in columns]
        if self.recipe.scaled and self.learners[0].scaled is None:
            self._scale(features, images)
        self.optimiser.zero_grad(set_to_none=True)
        done, sick = [], self.sickness.now()
        for column, plan in zip(columns, self.plans, strict=True):
            with self.autocast():
                target = objectives.target(objective, column.top, images, labels)
            found = []
            for turn in plan.turns:
                groups = [[column.seams[k] for k in group] for group in turn]
                found += self.threads.do(
                    [partial(self._backward, objective, column.top, group, features, target) for group in groups]
                )
            done.append(torch.cat(found, 1)[:, plan.order])
        self._step()
        seen = torch.cat(done, 1)
        seen[0] += sick
        self._count(step, seen)

    def _step(self) -> None:
        for learner in self.learners:
            if learner.scaled is not None:
                learner.scaled.before()
        self.optimiser.step()
        for learner in self.learners:
            if learner.scaled is not None:
                learner.scaled.after()
            if self.recipe.l1:
                rate = float(self.optimiser.param_groups[0]["lr"])
                objectives.shrink(objectives.sparse_weights(learner.seam.stitch), self.recipe.l1 * rate)
            if learner.average is not None:
                learner.average.add()
        self.schedule.step()

    def _scale(self, features: Features, images: Tensor) -> None:
        """Have steps in units of the first batch, whose images the tops are given to see what they have there."""
        for place, column in enumerate(self.columns):
            learners = [each for each in self.learners if each.column == place]
            if not learners:
                continue
            with torch.no_grad(), self.autocast(), evaluated(column.top.segments):
                own = column.top.features(images, max(c.top for c in column.seams))
            for each in learners:
                c = each.seam
                factors = units(c.stitch, features[c.bottom], own[c.top], channel_axis(column.top, c.top))
                each.scaled = ScaledSteps(each.parameters, factors, follows(c.stitch, features[c.bottom]))

    def _plan(self, column: StitchedTop, images: Tensor) -> "_Plan":
        """Plan turns that fit into the recipe's memory; in each, groups whose tensors are small enough to join."""
        every = [range(len(column.seams))]
        if self.recipe.memory is not None and len(column.seams) > 1:
            with self.autocast():
                costs = step_costs(self.bottom, column.top, column.seams, images, self.recipe.objective)
            every = split(costs.seams, self.recipe.memory - costs.features)
        turns = [self._groups(column, list(turn), len(images)) for turn in every]
        order = [k for turn in turns for group in turn for k in group]
        return _Plan(turns, torch.tensor(order).argsort().to(self.device))

    def _groups(self, column: StitchedTop, turn: list[int], batch: int) -> list[list[int]]:
        """One group on a device that computes it best as a whole; otherwise several, the longest tails first."""
        if self.threads.size == 1:
            return [turn]
        turn = sorted(turn, key=lambda k: column.seams[k].top)
        sizes = [batch * numbers(column.top, column.seams[k].top) * self.dtype.itemsize for k in turn]
        return [[turn[i] for i in group] for group in split(sizes, joining.JOINED_BYTES)]

    def features(self, images: Tensor) -> list[Tensor]:
        """The bottom's tensors at its boundaries; each thread runs it on some of the images."""
        self.compare(images)
        parts = images.tensor_split(self.threads.size) if self._is_shared_out(len(images)) else (images,)
        found = self.threads.do([partial(self._features_of, part) for part in parts])
        if len(found) == 1:
            return found[0]
        return self.threads.do([partial(torch.cat, tensors) for tensors in zip(*found, strict=True)])

    def _features_of(self, images: Tensor) -> list[Tensor]:
        with torch.no_grad(), self.autocast():
            return self.bottom.features(images, self.reach)

    def _is_shared_out(self, batch: int) -> bool:
        """Whether the bottom is worth several threads, and neither normalises nor squeezes an image by their number."""
        largest = max(numbers(self.bottom, k) for k in range(self.first_reach + 1))
        if (
            self.threads.size == 1
            or batch < 2 * self.threads.size
            or batch * largest * self.dtype.itemsize <= joining.JOINED_BYTES
        ):
            return False
        return not any(isinstance(m, BATCH_NORMS) and m.training for m in self.bottom.segments.modules())

    def _backward(
        self, objective: str, top: Chain, seams: Sequence[Seam], features: Features, target: objectives.Target
    ) -> Tensor:
        """Losses and accuracies [2, seams] of a group, whose gradients are then in its stitches."""
        losses, accuracies = objectives.scored(objective, top, seams, features, target, autocast=self.autocast())
        if losses.requires_grad:
            losses.sum().backward()
        return torch.stack([losses.detach(), accuracies])

    def _count(self, step: int, found: Tensor) -> None:
        self.tally.add(found, self.numbers)
        if step > self.recipe.steps - max(1, round(LAST_SHARE * self.recipe.steps)):
            self.last.add(found, self.numbers)

    def autocast(self) -> AbstractContextManager:
        """The precision that is trained in, for the thread that asks."""
        return autocast(self.device, self.dtype)


class _Learner:
    """A seam in training, of this number among the seams of all columns."""

    def __init__(self, number: int, column: int, seam: Seam, converges: bool) -> None:
        self.number, self.column, self.seam = number, column, seam
        self.parameters = list(seam.stitch.train().parameters())
        self.average = Average(self.parameters) if converges else None
        self.scaled: ScaledSteps | None = None


@dataclass(frozen=True)
class _Plan:
    """A column's seams, by number: turns one after another, each of groups that may be worked on at once."""

    turns: list[list[list[int]]]
    order: Tensor  # where the results of the column's first seam, its second, ... are among those of all groups


class _Sickness:
    """NaN for each seam whose stitch has ceased to be finite: a ReLU may make zeros of NaN, and a loss of those."""

    def __init__(self, stitches: Sequence[nn.Module], device: torch.device) -> None:
        owned = [(k, p) for k, s in enumerate(stitches) for p in s.parameters()]
        self.parameters = [p for _, p in owned]
        self.owners = torch.tensor([k for k, _ in owned], dtype=torch.int64, device=device)
        self.healthy = torch.zeros(len(stitches), device=device)

    @torch.no_grad()
    def now(self) -> Tensor:
        """0 or NaN [seams]."""
        if not self.parameters:
            return self.healthy
        norms = torch.stack(torch._foreach_norm(self.parameters)).float()  # type: ignore[arg-type]
        return self.healthy.index_add(0, self.owners, norms * 0)


class _Tally:
    """Loss and accuracy per seam, summed on the device, so that reading them is the only wait."""

    def __init__(self, seams: int) -> None:
        self.sums = torch.zeros(3, seams)  # of losses, of accuracies, and how many of them

    def add(self, found: Tensor, numbers: Tensor) -> None:
        """Losses and accuracies [2, seams in training] of the seams of these numbers."""
        counted = torch.cat([found, torch.ones_like(found[:1])])
        self.sums = self.sums.to(found.device).index_add(1, numbers, counted)

    def means(self) -> list[float]:
        """Each seam's mean loss; NaN where there is none."""
        return (self.sums[0] / self.sums[2]).tolist()

    def progress(self, step: int) -> Progress:
        losses, accuracies = (self.sums[:2] / self.sums[2]).tolist()
        self.sums = torch.zeros_like(self.sums)
        if not any(map(math.isfinite, losses)):
            raise FloatingPointError(f"every training loss is not finite at step {step}")
        return Progress(step, losses, [100 * a for a in accuracies])
