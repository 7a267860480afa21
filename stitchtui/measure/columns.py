"""A column of stitches: fitted or trained together at every cut, measured, and said cell by cell."""

import contextlib
import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace

import torch

from stitchtui.base.device import is_out_of_memory, memory_budget, training_dtype
from stitchtui.measure.checks import check_self_stitch, harm, oversize
from stitchtui.measure.column import MEMORY_RAN_OUT, Column
from stitchtui.measure.computed import Evaluated, computed
from stitchtui.measure.feed import in_order
from stitchtui.measure.history import History
from stitchtui.measure.kept import keep
from stitchtui.measure.matching import Key, Matching
from stitchtui.measure.material import through
from stitchtui.measure.places import Chains, Place, chains, cuts_of
from stitchtui.measure.saying import Saying
from stitchtui.measure.session import Session
from stitchtui.measure.similarity_cache import SimilarityCache
from stitchtui.run.events import Event, Step, Warned
from stitchtui.spec.controls import control_named
from stitchtui.spec.families import (
    AFFINE,
    AT_RANDOM,
    FAMILIES,
    FROM_MAPS,
    IDENTITY,
    LEAST_SQUARES,
    check_fit,
    start_family,
)
from stitchtui.spec.measures import (
    CCA,
    CCA_BY_CHANCE,
    CKA,
    LATER_GAP,
    PENALTY,
    PROCRUSTES,
    SECONDS,
    START_PENALTY,
    STEPS,
    STITCH_PARAMETERS,
)
from stitchtui.spec.objectives import DIRECT
from stitchtui.spec.plan import Task
from stitchtui.stitching import adapters, fit, objectives, stitches
from stitchtui.stitching.direct import AffineMap
from stitchtui.stitching.evaluate import Measured, Scores, column_measures
from stitchtui.stitching.stopped import IMAGES, stopped


@dataclass
class Prepared:
    """Cells of a column that are ready to be trained, or where nothing is trained to be measured."""

    places: Sequence[Place]
    both: Chains
    cells: list[fit.Cell]
    sick: dict[str, str]  # the rows whose stitch has no start, and why
    stopped: dict[Place, str]  # places that are not among these cells, since no gradient reaches their stitch, and why
    before: list[Scores] | None = None  # what the stitches score before training


class StitchColumn(Column):
    """Every cell has a stitch; bottom and top stay as they are."""

    def __init__(
        self, session: Session, task: Task, history: History, *, similarity: SimilarityCache, matching: Matching
    ) -> None:
        self.similarity, self.matching = similarity, matching
        super().__init__(session, task, history)
        self.trains = task.objective != DIRECT.name
        self.alone = self.trains and self.stitch.frozen_bn == "batch"  # these cells would see each other's batch
        self._trained: dict[str, torch.nn.Module] = {}

    @property
    def fits_map(self) -> bool:
        """Whether its stitches are, or start as, maps that least squares or an assignment finds."""
        return self.task.start in FROM_MAPS and not FAMILIES[self.task.family].changes_nothing

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

    def groups(self, places: Sequence[Place]) -> list[Sequence[Place]]:
        """Together, unless cells would see each other."""
        return [[p] for p in places] if self.alone else [places]

    def remark(self) -> Iterator[Event]:
        """Keep the trained stitches, and warn of what they show."""
        if self._trained and self.session.stitches is not None:
            keep(self.session.stitches, self.task, self._trained)
        if self._is_exact_self_stitch:
            diagonal = {p.row for p in self.places if p.bottom.name == p.top.name}
            yield from harm(self.task, {row: m for row, m in self._said.items() if row in diagonal})
        if self.task.control == "" and self.task.family == AFFINE.name and not self.trains:
            sizes = {row: int(m[STITCH_PARAMETERS.name] or 0) for row, m in self._said.items()}
            yield from oversize(self.task, sizes, stitches.parameter_count(self.ends.top.network.module))

    def misfit(self, place: Place) -> str | None:
        """Why no stitch of the family can join the place's cuts; None if one can."""
        try:
            self.build(place)
        except stitches.Misfit as misfit:
            return str(misfit)
        return None

    def adapter(self, place: Place) -> str:
        """What the stitch has in front of it."""
        return adapters.adapter(place.bottom, place.top).name

    def work(self) -> int:
        """Steps of training, or images of the passes for fitting, measuring and similarity."""
        if self.trains:
            return self.steps * (len(self.places) if self.alone else 1)
        images = len(self.session.dataset.test)
        pairs = cuts_of(self.places)
        if self.fits_map:
            known = self.matching.knows(self.ends, pairs, self._start_family, self.stitch, self.material)
            images += 0 if known else len(self.material.dataset.train)
        return images + self.similarity.visits(self.ends, pairs)

    def build(self, place: Place, attempt: int = 0) -> stitches.Stitch:
        """A stitch for the place, started unless it starts from a map. Raises Misfit."""
        check_fit(self.task.family, self.task.start, place.bottom, place.top)
        stitch = stitches.build(self.task.family, place.bottom, place.top, rank=self.stitch.rank)
        stitch = stitch.to(self.session.device).eval()
        if self.task.start == IDENTITY.name:
            stitches.start_as_identity(stitch)
        if self.task.start == AT_RANDOM:
            # Each cell draws from a seed of its own, so that its start doesn't depend on its neighbours.
            words = f"{self.task.seed} {place.bottom.name} {place.top.name}" + (f" {attempt}" if attempt else "")
            own = int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big")
            stitches.start_at_random(stitch, torch.Generator().manual_seed(own))
        return stitch

    def try_out(self) -> tuple[Chains, list[fit.Cell]] | None:
        """The column's chains and its unfitted cells, to be timed; None if no two cuts fit."""
        fitting = [p for p in self.places if self.misfit(p) is None]
        if not fitting:
            return None
        both = self._chains(fitting)
        cells = both.cells([self.build(p) for p in fitting])
        for cell in cells:
            stitches.start_at_random(cell.stitch, torch.Generator().manual_seed(0))
        return both, cells

    def _chains(self, places: Sequence[Place]) -> Chains:
        # Cut at all the places that the run uses of the top, so that what is said of later ones doesn't depend on
        # which cells share a chain; and where the objective looks.
        others = self.session.cuts_of(self.ends.top)
        if self.trains:
            others = list(objectives.cuts_for(self.task.objective, self.ends.top.traced, others))
        return chains(self.session, self.ends, cuts_of(places), others)

    def measure(self, places: Sequence[Place]) -> Saying[None]:
        """Measure these cells together; where memory runs out, in halves."""
        done = self._done
        try:
            yield from self._measure_together(places)
            return
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside the handler, which would keep the failed attempt's tensors alive.
        half = len(places) // 2
        if half == 0:
            yield self.failed(places[0], MEMORY_RAN_OUT)
            return
        self._done = done
        self._total += self.steps if self.trains else 0
        for part in (places[:half], places[half:]):
            yield from self.measure(part)

    def _measure_together(self, places: Sequence[Place]) -> Saying[None]:
        started = time.monotonic()
        ready = yield from self.prepare(places)
        found: list[Measured] = []
        if ready.cells and self.trains and self.stitch.best_of > 1:
            ready.cells, ready.before = yield from self._best(ready.both, ready.places)
            found = yield from self.measures(ready.both, ready.places, ready.cells)
        elif ready.cells:
            found = yield from self._train_and_measure(ready.both, ready.places, ready.cells)
        yield from self.conclude(ready, found, started)

    def prepare(self, places: Sequence[Place]) -> Saying[Prepared]:
        """These cells with their starts, and what they score before training if it is known which starts are kept."""
        both = self._chains(places)
        cells = both.cells([self.build(p) for p in places])
        sick = yield from self._start_from_maps(both, places, cells)
        stopped = self._stopped(both, cells) if self.trains else {}
        learning = [k for k in range(len(cells)) if k not in stopped]
        ready = Prepared(
            places=[places[k] for k in learning],
            # The same chains: other columns that are trained in one go count their boundaries as these do.
            both=replace(both, ends=tuple(both.ends[k] for k in learning)),
            cells=[cells[k] for k in learning],
            sick=sick,
            stopped={places[k]: reason for k, reason in stopped.items()},
        )
        if ready.cells and self.trains and self.stitch.best_of == 1:
            ready.before = yield from self._scores_before(ready.both, ready.places, ready.cells)
        return ready

    def _stopped(self, both: Chains, cells: Sequence[fit.Cell]) -> dict[int, str]:
        """The cells, by number, that training would leave as they are, and why."""
        batch = next(self.material.training(IMAGES, self.task.seed, both.bottom))
        first = objectives.objective_at(self.task.objective, self.recipe(self.steps).schedule, 1, self.steps)
        return stopped(both.bottom, both.top, cells, batch, first)

    def conclude(self, ready: Prepared, found: Sequence[Measured], started: float) -> Saying[None]:
        """Say the cells that were measured; `started` is when their work began, by the monotonic clock."""
        places, cells, both, before = ready.places, ready.cells, ready.both, ready.before
        for place, why in ready.stopped.items():
            yield self.failed(place, why)
        similarity = (yield from self._similarity(places)) if places else []
        # Before a number is said: what a changed network led to must not be taken for a result, now or later.
        self.session.verify_frozen(self.ends.bottom, self.ends.top)
        seconds = (time.monotonic() - started) / max(1, len(places))
        penalties = {}
        for k, (place, measured) in enumerate(zip(places, found, strict=True)):
            reason = ready.sick.get(place.row) or _sickness(cells[k].stitch, measured.scores)
            if reason:
                yield self.failed(place, reason)
                continue
            top = self.session.base(self.session.loaded[self.task.top])
            own = computed(Evaluated(cells[k].stitch, measured, top))
            measures = self.compared(measured.scores) | own | similarity[k]
            later = both.top.cuts[cells[k].top :]
            measures |= {f"{LATER_GAP}{cut.name}": gap for cut, gap in zip(later, measured.later_gaps, strict=False)}
            measures[SECONDS.name] = seconds
            if before is not None:
                penalties[place] = self.compared(before[k])[PENALTY.name]
                measures |= {START_PENALTY.name: penalties[place], STEPS.name: self.steps}
                self._trained[place.row] = cells[k].stitch
            else:
                self.matching.scores[self._key(place)] = measured.scores
            yield self.finished(place, measures, wrong=measured.scores.wrong_text)
        if self._is_exact_self_stitch:
            on_diagonal = {p.row: penalty for p, penalty in penalties.items() if p.bottom.name == p.top.name}
            yield check_self_stitch(self.task, on_diagonal)

    def _key(self, place: Place) -> Key:
        pair = place.bottom.name, place.top.name
        return self.matching.key(self.ends, pair, self.task.family, self.stitch, self.material)

    def _start_from_maps(
        self, both: Chains, places: Sequence[Place], cells: Sequence[fit.Cell]
    ) -> Saying[dict[str, str]]:
        """Start each stitch from its closed-form map, where that is the start; returns the rows that have none."""
        if not self.fits_map:
            return {}
        maps = yield from self.counted(
            self.matching.maps(
                *(self.ends, both, cuts_of(places)),
                family=self._start_family,
                stitch=self.stitch,
                material=self.material,
            )
        )
        sick = {}
        for found, place, cell in zip(maps, places, cells, strict=True):
            if isinstance(found, AffineMap):
                stitches.start_from_map(cell.stitch, found)
            else:
                sick[place.row] = found
                stitches.start_at_random(cell.stitch, torch.Generator())  # numbers, so that its neighbours can go on
        return sick

    def _scores_before(self, both: Chains, places: Sequence[Place], cells: Sequence[fit.Cell]) -> Saying[list[Scores]]:
        """What the stitches score before training: known already where they start as a direct-matching cell's map."""
        known = [self.matching.scores.get(self._key(p)) for p in places]
        if self.task.start == LEAST_SQUARES and FAMILIES[self.task.family].closed_form and all(known):
            return [s for s in known if s is not None]
        return [m.scores for m in (yield from self.measures(both, places, cells, whole=False))]

    def _best(self, both: Chains, places: Sequence[Place]) -> Saying[tuple[list[fit.Cell], list[Scores]]]:
        """Of several starts the stitches that ended with the lowest training loss, and what their starts scored."""
        count = self.stitch.best_of
        attempts = [both.cells([self.build(p, attempt) for p in places]) for attempt in range(count)]
        by_place = list(zip(*attempts, strict=True))
        losses = yield from self.train(both, [cell for starts in by_place for cell in starts], self.steps)
        chosen = fit.best_of(by_place, losses or [0.0] * (count * len(places)))
        untrained = both.cells([self.build(p, attempt) for p, attempt in zip(places, chosen, strict=True)])
        before = [m.scores for m in (yield from self.measures(both, places, untrained, whole=False))]
        return [starts[best] for starts, best in zip(by_place, chosen, strict=True)], before

    def _train_and_measure(
        self, both: Chains, places: Sequence[Place], cells: Sequence[fit.Cell]
    ) -> Saying[list[Measured]]:
        if not self.alone:
            if self.trains:
                yield from self.train(both, cells, self.steps)
            return (yield from self.measures(both, places, cells))
        (cell,) = cells
        with fit.BatchStatistics(both.bottom.upto(cell.bottom), both.top.after(cell.top)) as statistics:
            yield from self.train(both, cells, self.steps)
            statistics.evaluate()
            # The top's own activations have other statistics by now: no gap to speak of.
            return [replace(m, gap=None) for m in (yield from self.measures(both, places, cells, whole=False))]

    def train(self, both: Chains, cells: Sequence[fit.Cell], steps: int) -> Saying[list[float]]:
        """Train the cells for `steps` of this column's recipe; returns their training losses, if it came to an end."""
        batches = self.material.training(self.stitch.batch_size, self.task.seed, both.bottom)
        losses: list[float] = []
        with contextlib.suppress(FloatingPointError):  # no cell is left: each is found to be sick when it is measured
            recipe = self.recipe(steps)
            losses = yield from self._told(fit.train_column(both.bottom, both.top, cells, batches, recipe))
        self._done += steps
        return losses

    def recipe(self, steps: int) -> fit.Recipe:
        """How the column's cells are trained for so many steps."""
        return fit.Recipe(
            steps,
            self.stitch.learning_rate,
            self.stitch.weight_decay,
            training_dtype(self.stitch.precision, self.session.device),
            objective=self.task.objective,
            l1=self.stitch.l1,
            scaled=self.stitch.scaled_steps,
            fold=not self.alone,  # whose BatchNorms are to normalise by the batch
            memory=memory_budget(self.session.device, self.session.memory),
        )

    def _told(self, training: fit.Training) -> Saying[list[float]]:
        while True:
            try:
                said = next(training)
            except StopIteration as ended:
                losses: list[float] = ended.value
                return losses
            if isinstance(said, fit.Remark):
                yield self.remark_on_training(said.text)
                continue
            step = self._done + said.step
            due = self.pace.due(last=step >= self._total)
            yield step_event(self.task.id, step, self._total, said.progress()) if due else None

    def remark_on_training(self, text: str) -> Event:
        """How the column's networks are trained through, where that isn't as usual."""
        return Warned(text=f"{self.task.column}: {text}")

    def measures(
        self, both: Chains, places: Sequence[Place], cells: Sequence[fit.Cell], whole: bool = True
    ) -> Saying[list[Measured]]:
        """What the cells do on test images; `whole` asks for all that can be said, not just for their answers."""
        batch = self.session.evaluation_batch(both.top.cuts, len(cells))
        own = (yield from self.counted(self.similarity.own(self.ends.top, cuts_of(places)))) if whole else None
        batches = through(both.bottom, in_order(self.session.dataset.test, batch))
        measured = column_measures(both.bottom, both.top, cells, batches, own=own, later=whole)
        return (yield from self.counted(measured))

    def _similarity(self, places: Sequence[Place]) -> Saying[list[dict[str, float | None]]]:
        found = yield from self.counted(self.similarity.similarities(self.ends, cuts_of(places)))
        names = CKA.name, PROCRUSTES.name, CCA.name, CCA_BY_CHANCE.name
        values = [(each.cka, *astuple(each.alignment)) if each else (None,) * len(names) for each in found]
        return [dict(zip(names, each, strict=True)) for each in values]


def _sickness(stitch: torch.nn.Module, scores: Scores) -> str | None:
    """Why a cell has no number, if it has none."""
    if not fit.is_finite(stitch):
        return "its training diverged: the stitch is not finite; try a lower stitch.learning_rate"
    return None if scores.finite else "the stitched network's class scores on the test images are not finite"


def step_event(task: str, step: int, steps: int, progress: fit.Progress) -> Event:
    """A step of training, and what it says of the cells that it trains."""
    losses = [loss for loss in progress.losses if math.isfinite(loss)]
    return Step(
        task=task,
        step=step,
        steps=steps,
        loss=sum(losses) / len(losses) if losses else None,
        accuracy=sum(progress.accuracies) / len(progress.accuracies),
        losses=list(progress.losses),
        accuracies=list(progress.accuracies),
    )
