"""Tasks with stitches: fitted or trained together at every cut, and measured cell by cell."""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from itertools import islice
from operator import itemgetter

import torch

from stitchtui.base.device import is_out_of_memory, memory_budget, training_dtype
from stitchtui.base.work import mapped
from stitchtui.measuring.checks import check_self_stitch, oversize
from stitchtui.measuring.computed import Evaluated, computed
from stitchtui.measuring.feed import in_order
from stitchtui.measuring.history import History
from stitchtui.measuring.kept import Tensors, keep, take_over
from stitchtui.measuring.matching import Key, Matching
from stitchtui.measuring.material import through
from stitchtui.measuring.planned_cells import Chains, PlannedCell, chains, cuts_of
from stitchtui.measuring.saying import Saying
from stitchtui.measuring.session import Session
from stitchtui.measuring.similarity_cache import SimilarityCache
from stitchtui.measuring.task_work import MEMORY_RAN_OUT, TaskWork
from stitchtui.run.events import Event, HeldOut, Step, Warned
from stitchtui.spec.controls import control_named
from stitchtui.spec.families import (
    AFFINE,
    AT_RANDOM,
    BEST,
    FAMILIES,
    FROM_MAPS,
    IDENTITY,
    LEAST_SQUARES,
    check_fit,
    may_scale,
    start_family,
)
from stitchtui.spec.measures import (
    CCA,
    CCA_BY_CHANCE,
    CHOSEN_STEP,
    CKA,
    HELD_OUT_ACCURACY,
    HELD_OUT_LOSS,
    LATE_GAIN,
    LATER_GAP,
    PENALTY,
    PROCRUSTES,
    SECONDS,
    START_PENALTY,
    START_SCALED,
    STEPS,
    STILL_FALLING,
    STITCH_PARAMETERS,
)
from stitchtui.spec.objectives import DIRECT, OBJECTIVES
from stitchtui.spec.plan import Task
from stitchtui.stitching import adapters, column_trainer, objectives, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.direct import AffineMap
from stitchtui.stitching.evaluate import Measured, Scores, column_measures
from stitchtui.stitching.held_out import MOST_READ
from stitchtui.stitching.unreached import IMAGES, unreached


@dataclass
class Prepared:
    """Cells of a task whose stitches are ready to be trained, or measured where nothing is trained."""

    cells: Sequence[PlannedCell]
    both: Chains
    seams: list[column_trainer.Seam]  # of each cell
    sick: dict[str, str]  # the rows whose stitch has no start, and why
    unreached: dict[PlannedCell, str]  # cells that are not among these, since no gradient reaches their stitch, and why
    before: list[Scores] | None = None  # what the stitches score before training
    scaled: frozenset[str] | None = None  # the rows that start at the top's variance, where that was tried
    chosen: Sequence[column_trainer.Chosen | None] = ()  # each stitch's step, once trained, if that was chosen


class StitchWork(TaskWork):
    """Every cell has a stitch; bottom and top stay as they are."""

    def __init__(
        self, session: Session, task: Task, history: History, *, similarity: SimilarityCache, matching: Matching
    ) -> None:
        self.similarity, self.matching = similarity, matching
        super().__init__(session, task, history)
        self.trains = task.objective != DIRECT.name
        self.alone = self.trains and self.stitch.frozen_bn == "batch"  # these cells would see each other's batch
        self._kept: dict[str, torch.nn.Module] = {}
        self._taken_over: Tensors = {}
        self._diverged: list[str] = []  # rows whose training did, but not at once: an earlier step counts
        self._falling: list[str] = []  # rows whose held-out loss still fell when the limit ended their training
        self._taken = 0  # steps of the training at work

    @property
    def fits_map(self) -> bool:
        """Whether its stitches are, or start as, maps that least squares or an assignment finds."""
        return self.task.start in FROM_MAPS and not FAMILIES[self.task.family].changes_nothing

    @property
    def converges(self) -> bool:
        """Whether its steps are a limit, and each cell takes as many of them as it needs."""
        return self.stitch.converges and OBJECTIVES[self.task.objective].trains and len(self.material.held_out) > 0

    @property
    def kernel(self) -> int:
        """The side of the convolution that the map is."""
        return FAMILIES[self._start_family].kernel

    @property
    def _start_family(self) -> str:
        return start_family(self.task.family, self.task.start)

    @property
    def _is_exact_self_stitch(self) -> bool:
        return control_named(self.task.control).exact and self.trains and self.task.start == IDENTITY.name

    @property
    def _is_beside_another(self) -> bool:
        """Whether it is the closed form that a trained stitch is compared with; or nothing at all is stitched."""
        family = FAMILIES[self.task.family]
        return family.changes_nothing or (
            not self.trains and family.trainable and OBJECTIVES[self.stitch.objective].trains
        )

    def groups(self, cells: Sequence[PlannedCell]) -> list[Sequence[PlannedCell]]:
        """Measure all cells together, unless they would see each other."""
        return [[p] for p in cells] if self.alone else [cells]

    def begin(self, together: int = 1) -> Saying[list[PlannedCell]]:
        """Begin, and keep the stitches of the cells that another run measured."""
        cells = {p.row: known for p in self.cells if (known := self.history.cells.get(p.identity))}
        if self.session.stitches is not None:
            self._taken_over = take_over(self.session.stitches, self.task, cells)
        return (yield from super().begin(together))

    def remark(self) -> Iterator[Event]:
        """Keep the stitches, and warn of what they show."""
        if self._kept and self.session.stitches is not None:
            fresh = {row: stitch.state_dict() for row, stitch in self._kept.items()}
            keep(self.session.stitches, self.task, {**self._taken_over, **fresh})
        if self._diverged:
            yield Warned(
                text=f"{self.task.column}: training diverged at {', '.join(self._diverged)}, where an earlier step "
                "counts; try a lower stitch.learning_rate"
            )
        if self._falling:
            yield Warned(
                text=f"{self.task.column}: held-out loss still fell at {', '.join(self._falling)} after "
                f"{self.steps:,} steps, the limit; try more stitch.epochs"
            )
        if self.task.control == "" and self.task.family == AFFINE.name and not self.trains:
            sizes = {row: int(m[STITCH_PARAMETERS.name] or 0) for row, m in self._said.items()}
            yield from oversize(self.task, sizes, stitches.parameter_count(self.ends.top.network.module))

    def misfit(self, cell: PlannedCell) -> str | None:
        """The reason why no stitch of the family can join the cell's cuts; None if one can."""
        try:
            self.build(cell)
        except stitches.Misfit as misfit:
            return str(misfit)
        return None

    def adapter(self, cell: PlannedCell) -> str:
        """The name of the adapter in front of the stitch."""
        return adapters.adapter(cell.bottom, cell.top).name

    def amount(self) -> int:
        """Steps of training, or images of the passes for fitting, measuring and similarity."""
        if self.trains:
            return self.steps * (len(self.cells) if self.alone else 1)
        images = len(self.session.dataset.test)
        pairs = cuts_of(self.cells)
        if self.fits_map:
            known = self.matching.knows(self.ends, pairs, self._start_family, self.stitch, self.material)
            images += 0 if known else len(self.material.fitted)
        return images + self.similarity.visits(self.ends, pairs)

    def build(self, cell: PlannedCell, attempt: int = 0) -> stitches.Stitch:
        """Build the cell's stitch, started unless it starts from a map. Raises Misfit."""
        check_fit(self.task.family, self.task.start, cell.bottom, cell.top)
        stitch = stitches.build(self.task.family, cell.bottom, cell.top, rank=self.stitch.rank)
        stitch = stitch.to(self.session.device).eval()
        if self.task.start == IDENTITY.name:
            stitches.start_as_identity(stitch)
        if self.task.start == AT_RANDOM:
            # Each cell draws from a seed of its own, so that its start doesn't depend on its neighbours.
            words = f"{self.task.seed} {cell.bottom.name} {cell.top.name}" + (f" {attempt}" if attempt else "")
            own = int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big")
            stitches.start_at_random(stitch, torch.Generator().manual_seed(own))
        return stitch

    def try_out(self) -> tuple[Chains, list[column_trainer.Seam]] | None:
        """The chains and the seams with unfitted stitches, to be counted; None if no two cuts fit."""
        fitting = [p for p in self.cells if self.misfit(p) is None]
        if not fitting:
            return None
        both = self._chains(fitting)
        return both, both.seams([self.build(p) for p in fitting])

    def _chains(self, cells: Sequence[PlannedCell]) -> Chains:
        # Cut at all the places that the run uses of the top, so that what is said of later ones doesn't depend on
        # which cells share a chain; and where the objective looks.
        others = self.session.cuts_of(self.ends.top)
        if self.trains:
            others = list(objectives.cuts_for(self.task.objective, self.ends.top.traced, others))
        return chains(self.session, self.ends, cuts_of(cells), others)

    def measure(self, cells: Sequence[PlannedCell]) -> Saying[None]:
        """Measure these cells together; where memory runs out, in halves."""
        done, total = self._done, self._total
        try:
            yield from self._measure_together(cells)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler, which would keep the failed attempt's tensors alive.
        half = len(cells) // 2
        if half == 0:
            yield self.failed(cells[0], MEMORY_RAN_OUT)
            return
        self._done, self._total = done, total + (self.steps if self.trains else 0)
        for part in (cells[:half], cells[half:]):
            yield from self.measure(part)

    def _measure_together(self, cells: Sequence[PlannedCell]) -> Saying[None]:
        started = time.monotonic()
        ready = yield from self.prepare(cells)
        found: list[Measured] = []
        if ready.seams and self.trains and self.stitch.best_of > 1:
            yield from self._best(ready)
            found = yield from self.measures(ready.both, ready.cells, ready.seams)
        elif ready.seams:
            found = yield from self._train_and_measure(ready)
        yield from self.conclude(ready, found, started)

    def prepare(self, cells: Sequence[PlannedCell]) -> Saying[Prepared]:
        """Start the stitches, and score them before training where it is known which starts are kept."""
        both = self._chains(cells)
        seams = both.seams([self.build(p) for p in cells])
        sick = yield from self._start_from_maps(both, cells, seams)
        scaled = yield from self._scale_starts(both, cells, seams)
        unreached = self._unreached(both, seams) if self.trains else {}
        learning = [k for k in range(len(seams)) if k not in unreached]
        ready = Prepared(
            cells=[cells[k] for k in learning],
            # The same chains: other tasks that are trained in one go count their boundaries as these do.
            both=replace(both, ends=tuple(both.ends[k] for k in learning)),
            seams=[seams[k] for k in learning],
            sick=sick,
            scaled=scaled,
            unreached={cells[k]: reason for k, reason in unreached.items()},
        )
        if ready.seams and self.trains and self.stitch.best_of == 1:
            ready.before = yield from self._scores_before(ready)
        return ready

    def _unreached(self, both: Chains, seams: Sequence[column_trainer.Seam]) -> dict[int, str]:
        """The seams, by number, that training would leave as they are, and why."""
        batch = next(self.material.training(IMAGES, self.task.seed, both.bottom))
        first = objectives.objective_at(self.task.objective, self.recipe(self.steps).schedule, 1, self.steps)
        return unreached(both.bottom, both.top, seams, batch, first)

    def conclude(self, ready: Prepared, found: Sequence[Measured], started: float) -> Saying[None]:
        """Yield the cells that were measured; `started` is when their work began, by the monotonic clock."""
        cells, seams, both, before = ready.cells, ready.seams, ready.both, ready.before
        for cell, why in ready.unreached.items():
            yield self.failed(cell, why)
        similarity = (yield from self._similarity(cells)) if cells else []
        # Before a number is said: what a changed network led to must not be taken for a result, now or later.
        self.session.verify_frozen(self.ends.bottom, self.ends.top)
        seconds = (time.monotonic() - started) / max(1, len(cells))
        penalties = {}
        for k, (cell, measured) in enumerate(zip(cells, found, strict=True)):
            reason = ready.sick.get(cell.row) or _sickness(seams[k].stitch, measured.scores)
            if reason:
                yield self.failed(cell, reason)
                continue
            top = self.session.base(self.session.loaded[self.task.top])
            own = computed(Evaluated(seams[k].stitch, measured, top))
            measures = self.compared(measured.scores) | own | similarity[k]
            later = both.top.cuts[seams[k].top :]
            measures |= {f"{LATER_GAP}{cut.name}": gap for cut, gap in zip(later, measured.later_gaps, strict=False)}
            measures[SECONDS.name] = seconds
            if before is not None:
                penalties[cell] = self.compared(before[k])[PENALTY.name]
                measures |= {START_PENALTY.name: penalties[cell], STEPS.name: self.steps}
                chosen = ready.chosen[k] if ready.chosen else None
                measures |= _of_choice(chosen)
                measures |= {} if ready.scaled is None else {START_SCALED.name: float(cell.row in ready.scaled)}
                measures |= {STILL_FALLING.name: int(chosen.still_falling)} if chosen and self.converges else {}
                self._diverged += [cell.row] if chosen and chosen.diverged else []
                self._falling += [cell.row] if chosen and chosen.still_falling else []
            else:
                self.matching.scores[self._key(cell)] = measured.scores
            if not self._is_beside_another:
                self._kept[cell.row] = seams[k].stitch
            yield self.finished(cell, measures, wrong=measured.scores.wrong_text)
        if self._is_exact_self_stitch:
            on_diagonal = {p.row: penalty for p, penalty in penalties.items() if p.bottom.name == p.top.name}
            yield check_self_stitch(self.task, on_diagonal)

    def _key(self, cell: PlannedCell) -> Key:
        pair = cell.bottom.name, cell.top.name
        return self.matching.key(self.ends, pair, self.task.family, self.stitch, self.material)

    def _start_from_maps(
        self, both: Chains, cells: Sequence[PlannedCell], seams: Sequence[column_trainer.Seam]
    ) -> Saying[dict[str, str]]:
        """Start each stitch from its closed-form map, where that is the start; return the rows that have none."""
        if not self.fits_map:
            return {}
        maps = yield from self.counted(
            self.matching.maps(
                *(self.ends, both, cuts_of(cells)),
                family=self._start_family,
                stitch=self.stitch,
                material=self.material,
            )
        )
        sick = {}
        for found, cell, seam in zip(maps, cells, seams, strict=True):
            if isinstance(found, AffineMap):
                stitches.start_from_map(seam.stitch, found)
            else:
                sick[cell.row] = found
                stitches.start_at_random(seam.stitch, torch.Generator())  # numbers, so that its neighbours can go on
        return sick

    def _scale_starts(
        self, both: Chains, cells: Sequence[PlannedCell], seams: Sequence[column_trainer.Seam]
    ) -> Saying[frozenset[str] | None]:
        """Start stitches from their maps at the top's variance where held-out loss is lower so; return their rows."""
        if self.task.start != BEST or not may_scale(self.task.family) or not len(self.material.held_out):
            return None
        keys = (
            self.matching.key(self.ends, (p.bottom.name, p.top.name), self._start_family, self.stitch, self.material)
            for p in cells
        )
        maps = {k: found for k, key in enumerate(keys) if (found := self.matching.scaled(key))}
        others = both.seams([self.build(p) for p in cells])
        for k, found in maps.items():
            stitches.start_from_map(others[k].stitch, found)
        starts = [(seams[k], others[k]) for k in maps]
        tried = column_trainer.StitchedTop(both.top, [seam for two in starts for seam in two])
        losses: list[float] = []
        if maps and (choice := self.choice(both.bottom, [tried])):
            for said in choice.read(0):
                losses = [loss for loss in said.losses if loss is not None] if said else []
                yield None
        better = [k for k, best in zip(maps, column_trainer.best_of(starts, losses), strict=True) if best]
        for k in better:
            stitches.start_from_map(seams[k].stitch, maps[k])
        return frozenset(cells[k].row for k in better)

    def _scores_before(self, ready: Prepared) -> Saying[list[Scores]]:
        """What the stitches score before training: known already where they start as a direct-matching cell's map."""
        known = [self.matching.scores.get(self._key(p)) for p in ready.cells]
        plain = self.task.start in (BEST, LEAST_SQUARES) and not ready.scaled
        if plain and FAMILIES[self.task.family].closed_form and all(known):
            return [s for s in known if s is not None]
        return [m.scores for m in (yield from self.measures(ready.both, ready.cells, ready.seams, whole=False))]

    def _best(self, ready: Prepared) -> Saying[None]:
        """Train several starts of each stitch, and keep the best of them."""
        both, cells, count = ready.both, ready.cells, self.stitch.best_of
        attempts = [both.seams([self.build(p, attempt) for p in cells]) for attempt in range(count)]
        by_place = list(zip(*attempts, strict=True))
        trained = yield from self.train(both, cells, [seam for starts in by_place for seam in starts])
        best = column_trainer.best_of(by_place, trained.losses or [0.0] * (count * len(cells)))
        untrained = both.seams([self.build(p, attempt) for p, attempt in zip(cells, best, strict=True)])
        ready.before = [m.scores for m in (yield from self.measures(both, cells, untrained, whole=False))]
        ready.seams = [starts[k] for starts, k in zip(by_place, best, strict=True)]
        ready.chosen = [trained.chosen[count * place + k] for place, k in enumerate(best)] if trained.chosen else ()

    def _train_and_measure(self, ready: Prepared) -> Saying[list[Measured]]:
        both, cells, seams = ready.both, ready.cells, ready.seams
        if not self.alone:
            if self.trains:
                ready.chosen = (yield from self.train(both, cells, seams)).chosen
            return (yield from self.measures(both, cells, seams))
        (seam,) = seams
        with column_trainer.BatchStatistics(both.bottom.upto(seam.bottom), both.top.after(seam.top)) as statistics:
            ready.chosen = (yield from self.train(both, cells, seams, statistics.layers)).chosen
            statistics.evaluate()
            # The top's own activations have other statistics by now: no gap to speak of.
            return [replace(m, gap=None) for m in (yield from self.measures(both, cells, seams, whole=False))]

    def train(
        self,
        both: Chains,
        cells: Sequence[PlannedCell],
        seams: Sequence[column_trainer.Seam],
        beside: Sequence[torch.nn.Module] = (),
    ) -> Saying["Trained"]:
        """Train the seams, as many of each cell, by the task's recipe; `beside` are layers that training moves, too."""
        recipe, joined = self.recipe(self.steps), [column_trainer.StitchedTop(both.top, seams)]
        batches = self.material.training(self.stitch.batch_size, self.task.seed, both.bottom)
        choice, losses = self.choice(both.bottom, joined, beside), []
        self._taken = 0
        with contextlib.suppress(FloatingPointError):  # no cell is left: each is found to be sick when it is measured
            training = column_trainer.train_columns(both.bottom, joined, batches, recipe, choice=choice)
            losses = yield from mapped(training, partial(self._event_of, cells))
        self._done += self._taken
        if choice is None:
            return Trained(losses, ())
        return Trained([c.loss if c else math.inf for c in choice.chosen], choice.chosen)

    def choice(
        self,
        bottom: Chain,
        columns: Sequence[column_trainer.StitchedTop],
        beside: Sequence[torch.nn.Module] = (),
    ) -> column_trainer.Choice | None:
        """What chooses the steps of these columns' seams; None where no images are held out."""
        if not len(self.material.held_out):
            return None
        size = self.stitch.batch_size  # what training has the memory for; the same however many columns there are
        count = len(self.material.held_out)
        most = min(count, MOST_READ) if self.converges else count
        held_out = column_trainer.HeldOut(partial(self.material.unseen, size, bottom, most), most)
        recipe = self.recipe(self.steps)
        return column_trainer.Choice(bottom, columns, recipe, held_out, batch_size=size, beside=beside)

    def recipe(self, steps: int) -> column_trainer.Recipe:
        """The recipe for so many steps of training."""
        return column_trainer.Recipe(
            steps,
            self.stitch.learning_rate,
            self.stitch.weight_decay,
            training_dtype(self.stitch.precision, self.session.device),
            objective=self.task.objective,
            l1=self.stitch.l1,
            scaled=self.stitch.scaled_steps,
            fold=not self.alone,  # whose BatchNorms are to normalise by the batch
            memory=memory_budget(self.session.device, self.session.memory),
            converges=self.converges,
        )

    def _event_of(self, cells: Sequence[PlannedCell], said: column_trainer.Said) -> Event | None:
        if isinstance(said, column_trainer.Remark):
            return self.remark_on_training(said.text)
        if isinstance(said, column_trainer.Reading):
            return self.reading_event(cells, said)
        if said is None:
            return None
        self._taken, step = said.step, self._done + said.step
        if said.last:
            self._total -= self.steps - said.step
        due = self.pace.due(last=step >= self._total)
        return step_event(self.task.id, step, self._total, said.progress()) if due else None

    def reading_event(self, cells: Sequence[PlannedCell], reading: column_trainer.Reading) -> Event:
        """The event of what was read on held-out images; of several starts of a cell it tells the best.

        A cell that is no longer trained has no part in it.
        """
        starts = len(reading.losses) // len(cells)
        numbers = iter(zip(reading.losses, reading.accuracies, strict=True))
        losses: dict[str, float | None] = {}
        accuracies: dict[str, float | None] = {}
        for cell in cells:
            read = [(loss, accuracy) for loss, accuracy in islice(numbers, starts) if loss is not None]
            finite = [each for each in read if math.isfinite(each[0])]
            if read:
                losses[cell.row], accuracies[cell.row] = min(finite or read, key=itemgetter(0))
        return HeldOut(task=self.task.id, step=reading.step, losses=losses, accuracies=accuracies)

    def remark_on_training(self, text: str) -> Event:
        """The warning that gradients go through the networks otherwise than usual."""
        return Warned(text=f"{self.task.column}: {text}")

    def measures(
        self, both: Chains, cells: Sequence[PlannedCell], seams: Sequence[column_trainer.Seam], whole: bool = True
    ) -> Saying[list[Measured]]:
        """Measure the seams on test images; `whole` asks for all that can be said, not just for their answers."""
        batch = self.session.evaluation_batch(both.top.cuts, len(seams))
        own = (yield from self.counted(self.similarity.own(self.ends.top, cuts_of(cells)))) if whole else None
        batches = through(both.bottom, in_order(self.session.dataset.test, batch))
        measured = column_measures(both.bottom, both.top, seams, batches, own=own, later=whole)
        return (yield from self.counted(measured))

    def _similarity(self, cells: Sequence[PlannedCell]) -> Saying[list[dict[str, float | None]]]:
        found = yield from self.counted(self.similarity.similarities(self.ends, cuts_of(cells)))
        names = CKA.name, PROCRUSTES.name, CCA.name, CCA_BY_CHANCE.name
        values = [(each.cka, *astuple(each.alignment)) if each else (None,) * len(names) for each in found]
        return [dict(zip(names, each, strict=True)) for each in values]


@dataclass(frozen=True)
class Trained:
    """How training ended, for each seam."""

    losses: list[float]  # by which starts are compared: held out or, where no images are, of training if it ended
    chosen: Sequence[column_trainer.Chosen | None]  # its step; nothing where no images are held out


def _of_choice(chosen: column_trainer.Chosen | None) -> dict[str, float]:
    if chosen is None:
        return {}
    return {
        STEPS.name: chosen.taken,
        CHOSEN_STEP.name: chosen.step,
        LATE_GAIN.name: chosen.worth,
        HELD_OUT_LOSS.name: chosen.loss,
        HELD_OUT_ACCURACY.name: chosen.accuracy,
    }


def _sickness(stitch: torch.nn.Module, scores: Scores) -> str | None:
    """The reason why a cell has no number; None if it has one."""
    if not column_trainer.is_finite(stitch):
        return "its training diverged: the stitch is not finite; try a lower stitch.learning_rate"
    return None if scores.finite else "the stitched network's class scores on the test images are not finite"


def step_event(task: str, step: int, steps: int, progress: column_trainer.Progress) -> Event:
    """The event of a step of training, with its loss and accuracy over the cells."""
    losses = [loss for loss in progress.losses if math.isfinite(loss)]
    accuracies = [accuracy for accuracy in progress.accuracies if math.isfinite(accuracy)]
    return Step(
        task=task,
        step=step,
        steps=steps,
        loss=sum(losses) / len(losses) if losses else None,
        accuracy=sum(accuracies) / len(accuracies),
        losses=list(progress.losses),
        accuracies=list(progress.accuracies),
    )
