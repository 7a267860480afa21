"""What a task takes: its images, times the share of each network's FLOPs that they pass, and what is made of them."""

import math
from collections.abc import Sequence

import torch

from stitchtui.execute.calibration import Calibration, Line, shape
from stitchtui.measuring.baselines import ProbeWork, TailWork
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.measurer import Measurer
from stitchtui.measuring.planned_cells import PlannedCell, chains, cuts_of
from stitchtui.measuring.session import Session
from stitchtui.measuring.similarity_cache import CKA_BATCH
from stitchtui.measuring.stitch_work import StitchWork
from stitchtui.measuring.task_work import TaskWork
from stitchtui.spec.families import BEST, FAMILIES, LEAST_SQUARES
from stitchtui.spec.length import USUAL_STEPS
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.spec.plan import Task
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cluster_noise import ClusterNoise
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.held_out import MOST_READ, interval, reading_steps
from stitchtui.stitching.memory import SAMPLES, saved_by, step_costs
from stitchtui.stitching.probe import ITERATIONS
from stitchtui.stitching.stitches import parameter_count

EXAMPLES = 2
UPDATED = 3
"""A training step of a stitch in its forward passes: the gradients take one or two more."""
OPERATIONS = 24
"""How many operations a stitch, its loss and its update are in a training step, however small."""
LEARNT = 1.5
"""Layers whose weights learn take so many times the FLOPs of frozen ones that are gone back through."""
NUMBER, DOUBLE = 4, 8
"""The bytes of a number, in float32 and in float64."""

_BESIDE: dict[tuple[object, ...], int] = {}
"""The bytes beside the networks, by all that they depend on; what an estimate has found the next one knows."""


class TaskCosts:
    """Counts what a session's tasks take; what an earlier one has paid for costs later ones nothing."""

    def __init__(self, session: Session, calibration: Calibration) -> None:
        self.session, self.calibration = session, calibration
        self.measurer = Measurer(session)
        self._paid: set[tuple[object, ...]] = set()
        self._depths: dict[tuple[object, ...], list[float]] = {}

    def of(self, task: Task) -> tuple[int, float, int]:
        """Cells, seconds and bytes of one task."""
        work = self.measurer.work(task)
        cells = [p for p in work.cells if work.misfit(p) is None]
        if not cells:
            return len(work.cells), 0.0, 0
        cost = _Cost(self, work, cells)
        cuts = ((p.bottom.name, p.top.name) for p in cells)
        ends = shape(work.ends.bottom), shape(work.ends.top)
        kind = type(work), work.trains, work.ends.noise is None, cost.itself
        said = work.stitch.model_dump_json(exclude={"epochs", "steps", "seeds"})
        images = self.session.experiment.evaluation_batch, cost.train, cost.test
        key = (*ends, *kind, task.family, task.objective, said, *images, *cuts)
        if key not in _BESIDE:
            _BESIDE[key] = cost.beside()
        return len(work.cells), cost.seconds(), _BESIDE[key]

    def depths(self, loaded: Loaded, chain: Chain) -> list[float]:
        """The share of the network's FLOPs before each boundary, from 0 at the input to 1; noise has none."""
        if not chain.segments:
            return [0.0] * (len(chain.cuts) + 1)
        key = (shape(loaded), *(cut.name for cut in chain.cuts))
        if key not in self._depths:
            images = self.session.example(loaded)[:EXAMPLES]
            self._depths[key] = [0.0, *(facts.depth for facts in chain.facts(images)), 1.0]
        return self._depths[key]

    def unpaid(self, *what: object) -> bool:
        """Whether no earlier task has paid for this; from now on one has."""
        before = what in self._paid
        self._paid.add(what)
        return not before


class _Cost:
    """What one task takes, over the `cells` that can be measured."""

    def __init__(self, of: TaskCosts, work: TaskWork, cells: Sequence[PlannedCell]) -> None:
        self.of, self.work, self.cells, self.session = of, work, cells, of.session
        self.both, ends = chains(of.session, work.ends, cuts_of(cells)), work.ends
        below, above = of.depths(ends.bottom, self.both.bottom), of.depths(ends.top, self.both.top)
        self.deepest = max(below[low] for low, _ in self.both.ends)
        self.tails = [1 - above[high] for _, high in self.both.ends]  # of each cell, in shares of the top
        self.itself = ends.bottom is ends.top  # which runs once for both
        self.bottom = of.calibration.speed(ends.bottom).forward if ends.noise is None else Line(0.0, 0.0)
        speed = of.calibration.speed(ends.top)
        self.top, self.back = speed.forward, speed.back
        self.train, self.test = len(work.material.fitted), len(of.session.dataset.test)

    def seconds(self) -> float:
        work = self.work
        if isinstance(work, ProbeWork):
            channels = sum(p.bottom.channels for p in self.cells)
            flops = 6 * ITERATIONS * self.train * channels * len(self.session.dataset.classes)
            return self._pass(self.train + self.test, self.bottom, self.deepest) + flops * self.of.calibration.flop
        if isinstance(work, TailWork):
            return self._learning(work)
        if not isinstance(work, StitchWork):  # of a package's own
            return self._both(self.train + self.test)
        took = self._matching(work) + self._likeness()
        known = work.fits_map and work.task.start in (BEST, LEAST_SQUARES) and FAMILIES[work.task.family].closed_form
        took += self._scoring() * (1 if known or not work.trains else 2)
        return took + (self._training(work) + self._reading(work) if work.trains else 0.0)

    def beside(self) -> int:
        """The most bytes that a pass or a step holds beside the networks."""
        cuts, count = [*self.both.bottom.cuts, *self.both.top.cuts], len(self.cells)
        size = self._batch
        scored = NUMBER * size * (sum(map(_numel, cuts)) + count * max(map(_numel, cuts)))
        work = self.work
        if isinstance(work, TailWork):
            return max(scored, self._learning_bytes(work))
        if not isinstance(work, StitchWork) or not (tried := work.try_out()):
            return scored
        both, started = tried
        fitted = 2 * DOUBLE * sum(_inputs(work, p) ** 2 for p in self.cells) if work.fits_map else 0
        if not work.trains:
            return max(scored, fitted)
        recipe = work.recipe(work.steps)
        images = torch.empty(self._step_images, *self.session.dataset.shape, device=self.session.device)
        bottom = both.bottom if both.bottom.segments else _Blank(both.bottom.cuts, 0)
        step = step_costs(bottom, both.top, started, images, work.task.objective).within(recipe.memory)
        return max(scored, fitted, step)

    @property
    def _batch(self) -> int:
        """Images of a batch of a pass."""
        cuts = [*self.both.bottom.cuts, *self.both.top.cuts]
        return min(self.test, self.session.evaluation_batch(cuts, len(self.cells)))

    @property
    def _step_images(self) -> int:
        return min(self.work.stitch.batch_size, self.train)

    def _pass(self, images: int, speed: Line, share: float = 1.0) -> float:
        """Seconds of so many images through a share of a network, forward."""
        return share * speed.seconds(images, images / self._batch)

    def _both(self, images: int) -> float:
        """Seconds of so many images through the bottom, as deep as a cell is, and through all of the top."""
        return self._pass(images, self.top) + (0.0 if self.itself else self._pass(images, self.bottom, self.deepest))

    def _scoring(self) -> float:
        """Seconds of a pass that says what the cells answer."""
        return self._both(self.test) + self._pass(self.test, self.top, sum(self.tails)) + self._stitches(self.test)

    def _stitches(self, images: int) -> float:
        """Seconds of so many images through each stitch, forward."""
        work = self.work
        assert isinstance(work, StitchWork)
        weights = (parameter_count(work.build(p)) * _positions(p.top) for p in self.cells)
        return 2 * images * sum(weights) * self.of.calibration.flop

    def _matching(self, work: StitchWork) -> float:
        """Seconds of the pass that closed forms come from, and of finding them."""
        wanted = (*work.ends.names, work.task.place, work.kernel, work.material.digest)
        if not work.fits_map or not self.of.unpaid("matching", *wanted):
            return 0.0
        own = {(p.bottom.name, p.top.positions): _inputs(work, p) ** 2 * _positions(p.top) for p in self.cells}
        both = sum(_inputs(work, p) * p.top.channels * _positions(p.top) for p in self.cells)
        solved = sum(_inputs(work, p) ** 3 for p in self.cells) * self.of.calibration.cubed
        return self._both(self.train) + 2 * self.train * (sum(own.values()) + both) * self.of.calibration.flop + solved

    def _likeness(self) -> float:
        """Seconds of comparing the two networks without a stitch, and of the top's own activations."""
        ends, where, took = self.work.ends, self.work.task.place, 0.0
        cubes = sum(p.top.channels**3 for p in self.cells) * self.of.calibration.cubed
        if self.of.unpaid("own", ends.names[1], where):
            took += self._pass(self.train, self.top) + cubes
        if ends.noise is None and not self.itself and self.of.unpaid("alike", frozenset(ends.names), where):
            experiment = self.session.experiment
            others = min(self.test, experiment.cka_images if experiment.cka == "exact" else CKA_BATCH)
            cuts = {*self.both.bottom.cuts, *self.both.top.cuts}
            products = 2 * self.test * others * sum(map(_numel, cuts))
            took += self._both(self.test) + products * self.of.calibration.flop + 2 * cubes
        return took

    def _training(self, work: StitchWork) -> float:
        """Seconds of the training steps: the bottom forward, the top's tails forward and back, and the stitches."""
        size, best_of = self._step_images, work.stitch.best_of
        turns = len(self.cells) if work.alone else 1  # each with a pass of both networks
        own = (
            self.top.seconds(size)
            if work.task.objective in OBJECTIVES and OBJECTIVES[work.task.objective].needs_top
            else 0.0
        )
        tails = turns * max(self.tails) * self.back.fixed + best_of * sum(self.tails) * self.back.each * size
        stitches = UPDATED * self._stitches(size) + len(self.cells) * OPERATIONS * self.of.calibration.operation
        below = self.bottom.seconds(size) * self.deepest
        return _steps(work) * (turns * (below + own) + tails + best_of * stitches)

    def _reading(self, work: StitchWork) -> float:
        """Seconds of looking at held-out images: the bottom, the top's tails and the stitches, all forward."""
        if not (images := len(work.material.held_out)):
            return 0.0
        times = len(reading_steps(work.steps, work.stitch.batch_size, images))
        if work.converges:
            images = min(images, MOST_READ)
            times = 2 + _steps(work) // interval(work.stitch.batch_size, images)
        turns, best_of = len(self.cells) if work.alone else 1, work.stitch.best_of
        tails = self._pass(images, self.top, sum(self.tails)) + self._stitches(images)
        return times * (turns * self._pass(images, self.bottom, self.deepest) + best_of * tails)

    def _learning(self, work: TailWork) -> float:
        """Seconds of training each cell's tail by itself, and of a pass of each."""
        size, count = self._step_images, len(self.cells)
        tails = LEARNT * sum(self.tails) * self.back.seconds(size)
        steps = work.steps * (count * self.bottom.seconds(size) * self.deepest + tails)
        passes = count * self._pass(self.test, self.bottom, self.deepest)
        return steps + passes + self._pass(self.test, self.top, sum(self.tails))

    def _learning_bytes(self, work: TailWork) -> int:
        """What a step of training the longest tail holds: what its backward pass needs, gradients and momentum."""
        longest = max(range(len(self.cells)), key=self.tails.__getitem__)
        tail = work.tail(chains(self.session, work.ends, cuts_of(self.cells[longest:][:1])), self.cells[longest])
        with torch.no_grad():
            images = torch.empty(max(SAMPLES), *self.session.dataset.shape, device=self.session.device)
            x = self.both.bottom.features(images, self.both.ends[longest][0])[-1]
        saved = saved_by(lambda count: tail.layers(x[:count]), self._step_images)
        return saved + 2 * NUMBER * parameter_count(tail.layers)


class _Blank(ClusterNoise):
    """As large as the noise that stands in for a bottom, and without its numbers."""

    def features(self, x: torch.Tensor, upto: int | None = None) -> list[torch.Tensor]:
        """The images, and a tensor for each cut up to `upto`."""
        return [x, *(x.new_empty(len(x), *cut.shape) for cut in self.cuts[:upto])]


def _steps(work: StitchWork) -> int:
    """How many steps it takes, as far as one can say beforehand."""
    return min(work.steps, USUAL_STEPS) if work.converges else work.steps


def _numel(cut: Cut) -> int:
    return math.prod(cut.shape)


def _positions(cut: Cut) -> int:
    return math.prod(cut.positions)


def _inputs(work: StitchWork, cell: PlannedCell) -> int:
    return cell.bottom.channels * work.kernel**2
