"""One task: fits or trains every stitch of a column, measures it, and says so cell by cell."""

import contextlib
import hashlib
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from stitchtui.device import is_out_of_memory, training_dtype
from stitchtui.run.plan import Task, cell_identity
from stitchtui.run.records import row_name
from stitchtui.stitching import fit, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.direct import AffineMap, Moments, least_squares, moments
from stitchtui.stitching.evaluate import Scores, column_scores, compare
from stitchtui.worker import identity
from stitchtui.worker.checks import check_self_stitch, warn_of_harm, warn_of_size
from stitchtui.worker.feed import in_order, steps_in, training_batches
from stitchtui.worker.likeness import Likeness
from stitchtui.worker.places import Chains, Place, chains
from stitchtui.worker.recorder import Recorder
from stitchtui.worker.session import Session

Reuse = Callable[[str], dict[str, Any] | None]
"""`{"run": ..., "measures": ...}` of a cell with this identity in another run, or None."""
Keep = Callable[[Task, dict[str, nn.Module]], None]
"""Told the trained stitches of a finished task, by cut."""


class Column:
    """The work of one task, from cuts to `cell_finished`."""

    def __init__(
        self, session: Session, likeness: Likeness, task: Task, record: Recorder, *, reuse: Reuse, keep: Keep
    ) -> None:
        self.session, self.likeness, self.task, self.record = session, likeness, task, record
        self.reuse, self.keep = reuse, keep
        self.stitch = session.stitch_of(task)
        randomised = task.control == "random_bottom"
        self.bottom = session.random_bottom(task.bottom) if randomised else session.loaded[task.bottom]
        self.top = session.loaded[task.top]
        self.trains = task.objective == "task"
        self.alone = self.trains and self.stitch.frozen_bn == "batch"  # these cells would see each other's batch
        images, size = len(session.dataset.train), self.stitch.batch_size
        self.steps = self.stitch.steps or steps_in(self.stitch.epochs, images, size)
        self.places = [self._place(b, t) for b, t in session.column_cuts(task)]
        self._done = 0  # steps of training, or images of all passes where nothing is trained
        self._total = self._work()
        self._trained: dict[str, nn.Module] = {}
        self._said: dict[str, dict[str, Any]] = {}  # measures by row

    def _place(self, bottom: Cut, top: Cut) -> Place:
        facts = identity.facts(self.session, self.task, (self.bottom, bottom), (self.top, top), self.steps)
        return Place(row_name(bottom.name, top.name), bottom, top, cell_identity(facts))

    def run(self) -> None:
        """Measure every cell of the column and say so."""
        started = time.monotonic()
        self._total = self._work()  # again: another column may have computed this one's CKA by now
        ends = [(p.bottom.name, p.top.name) for p in self.places]
        self.record.start(self.task.id, self._steps(self._total), [p.row for p in self.places], ends=ends)
        fresh = [p for p in self.places if not self._said_reused(p)]
        measured = [p for p in fresh if self._fits(p)]
        for group in [[p] for p in measured] if self.alone else [measured]:
            if group:
                self._measure(group)
        if self._trained:
            self.keep(self.task, self._trained)
        self._warn()
        self.record.emit("task_finished", task=self.task.id, seconds=time.monotonic() - started)

    def _warn(self) -> None:
        if self.task.control == "self_stitch" and self.trains and self.task.start == "identity":
            warn_of_harm(self.task, self._said, self.record)
        if self.task.control == "" and self.task.objective == "direct":
            sizes = {row: int(m["stitch_parameters"]) for row, m in self._said.items()}
            warn_of_size(self.task, sizes, stitches.parameter_count(self.top.network.module), self.record)

    def misfit(self, place: Place) -> str | None:
        """Why no stitch of the family can join the place's cuts; None if one can."""
        try:
            self._build(place)
        except stitches.Misfit as misfit:
            return str(misfit)
        return None

    def _fits(self, place: Place) -> bool:
        if reason := self.misfit(place):
            self._fail(place, reason)
        return not reason

    def _fail(self, place: Place, reason: str) -> None:
        ends = {"bottom_cut": place.bottom.name, "top_cut": place.top.name}
        self.record.emit("cell_failed", task=self.task.id, cut=place.row, **ends, reason=reason)

    def _work(self) -> int:
        if self.trains:
            return self.steps * (len(self.places) if self.alone else 1)
        images = len(self.session.dataset.test)
        if self.task.start == "least_squares":
            images += len(self.session.dataset.train)
        return images + self.likeness.visits((self.bottom, self.top), [(p.bottom, p.top) for p in self.places])

    def _tick(self, images: int) -> None:
        self.record.check()
        if not self.trains:
            self._done += images
            self.record.step(self.task.id, self._steps(min(self._done, self._total)), self._steps(self._total))

    def _steps(self, work: int) -> int:
        """Work in steps: those of training as they are; of a pass, its batches, which cost about as much as a step."""
        return work if self.trains else -(-work // self.session.experiment.evaluation_batch)

    def _said_reused(self, place: Place) -> bool:
        earlier = self.reuse(place.identity)
        if earlier is None:
            return False
        self._say(place, earlier["measures"], reused_from=earlier["run"])
        return True

    def _build(self, place: Place) -> nn.Module:
        """A stitch for the place, started unless it starts from a map. Raises Misfit."""
        stitch = stitches.build(self.task.family, place.bottom, place.top).to(self.session.device).eval()
        if self.task.start == "identity":
            stitches.start_as_identity(stitch)
        if self.task.start == "random":
            # Each cell draws from a seed of its own, so that its start doesn't depend on its neighbours.
            words = f"{self.task.seed} {place.bottom.name} {place.top.name}"
            own = int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big")
            stitches.start_at_random(stitch, torch.Generator().manual_seed(own))
        return stitch

    def try_out(self) -> tuple[Chains, list[fit.Cell]] | None:
        """The column's chains and its unfitted cells, to be timed; None if no two cuts fit."""
        fitting = [p for p in self.places if self.misfit(p) is None]
        if not fitting:
            return None
        both = self._chains(fitting)
        cells = both.cells([self._build(p) for p in fitting])
        for cell in cells:
            stitches.start_at_random(cell.stitch, torch.Generator().manual_seed(0))
        return both, cells

    def _chains(self, places: Sequence[Place]) -> Chains:
        return chains(self.session, (self.bottom, self.top), [(p.bottom, p.top) for p in places])

    def _measure(self, places: Sequence[Place]) -> None:
        """Measure these cells together; where memory runs out, in halves."""
        try:
            self._measure_together(places)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            half = len(places) // 2
            if half == 0:
                self._fail(places[0], "out of memory; try a lower stitch.batch_size or evaluation_batch")
                return
        else:
            return
        self._done = 0  # outside the handler, which would keep the failed attempt's tensors alive
        for part in (places[:half], places[half:]):
            self._measure(part)

    def _measure_together(self, places: Sequence[Place]) -> None:
        started = time.monotonic()
        both = self._chains(places)
        bottom, top, cells = both.bottom, both.top, both.cells([self._build(p) for p in places])
        sick = self._start_from_maps(bottom, top, places, cells)
        before = self._scores_before(bottom, top, places, cells) if self.trains else None
        scores, gaps = self._train_and_score(bottom, top, cells)
        ckas = self._cka(places)
        # Before a number is said: what a changed network led to must not be taken for a result, now or later.
        self.session.verify_frozen(self.bottom, self.top)
        seconds = (time.monotonic() - started) / len(places)
        penalties = {}
        for k, place in enumerate(places):
            reason = sick.get(place.row) or _sickness(cells[k].stitch, scores[k])
            if reason:
                self._fail(place, reason)
                continue
            measures = self._compared(scores[k]) | {"activation_gap": gaps[k], "cka": ckas[k], "seconds": seconds}
            measures["stitch_parameters"] = stitches.parameter_count(cells[k].stitch)
            if before is not None:
                penalties[place.row] = self._compared(before[k])["penalty"]
                measures |= {"start_penalty": penalties[place.row], "steps": self.steps}
                self._trained[place.row] = cells[k].stitch
            elif self.task.family == "affine":
                self.session.starts[self._key(place)] = scores[k]
            self._say(place, measures, reused_from=None)
        if self.task.control == "self_stitch" and self.trains and self.task.start == "identity":
            check_self_stitch(self.task, penalties, self.record)

    def _key(self, place: Place) -> tuple[str, ...]:
        return self.bottom.network.name, place.bottom.name, self.top.network.name, place.top.name

    def _start_from_maps(
        self, bottom: Chain, top: Chain, places: Sequence[Place], cells: Sequence[fit.Cell]
    ) -> dict[str, str]:
        """Start each stitch from its least-squares map, where that is the start; returns the rows that have none."""
        if self.task.start != "least_squares":
            return {}
        keys = [self._key(p) for p in places]
        if any(key not in self.session.maps for key in keys):
            self.session.maps |= dict(zip(keys, self._fitted(bottom, top, cells), strict=True))
        sick = {}
        for key, place, cell in zip(keys, places, cells, strict=True):
            found = self.session.maps[key]
            if isinstance(found, AffineMap):
                stitches.start_from_map(cell.stitch, found)
            else:
                sick[place.row] = found
                stitches.start_at_random(cell.stitch, torch.Generator())  # numbers, so that its neighbours can go on
        return sick

    def _fitted(self, bottom: Chain, top: Chain, cells: Sequence[fit.Cell]) -> list[AffineMap | str]:
        batch = self.session.evaluation_batch([*bottom.cuts, *top.cuts], len(cells))
        batches = in_order(self.session.dataset.train, batch, self._tick)
        found = moments(bottom, top, [(c.bottom, c.top) for c in cells], (images for images, _ in batches))
        return [self._map(m) for m in found]

    def _map(self, m: Moments) -> AffineMap | str:
        try:
            return least_squares(m, self.stitch.ridge)
        except FloatingPointError as error:
            return str(error)

    def _scores_before(
        self, bottom: Chain, top: Chain, places: Sequence[Place], cells: Sequence[fit.Cell]
    ) -> list[Scores]:
        """What the stitches score before training: known already where they start as a direct-matching cell's map."""
        known = [self.session.starts.get(self._key(p)) for p in places]
        if self.task.start == "least_squares" and self.task.family == "affine" and all(known):
            return [s for s in known if s is not None]
        return self._scores(bottom, top, cells)[0]

    def _train_and_score(
        self, bottom: Chain, top: Chain, cells: Sequence[fit.Cell]
    ) -> tuple[list[Scores], list[float | None]]:
        if not self.trains:
            return self._scores(bottom, top, cells)
        if not self.alone:
            self.train(bottom, top, cells, self.steps)
            return self._scores(bottom, top, cells)
        (cell,) = cells
        with fit.BatchStatistics(bottom.upto(cell.bottom), top.after(cell.top)) as statistics:
            self.train(bottom, top, cells, self.steps)
            statistics.evaluate()
            scores, _ = self._scores(bottom, top, cells)
        return scores, [None]  # the top's own activations have other statistics by now: no gap to speak of

    def train(self, bottom: Chain, top: Chain, cells: Sequence[fit.Cell], steps: int) -> None:
        """Train the cells for `steps` of this column's recipe."""
        dtype = training_dtype(self.stitch.precision, self.session.device)
        recipe = fit.Recipe(steps, self.stitch.learning_rate, self.stitch.weight_decay, dtype)
        batches = training_batches(self.session.dataset, self.stitch.batch_size, self.task.seed)
        with contextlib.suppress(FloatingPointError):  # no cell is left: each is found to be sick when it is measured
            fit.train_column(bottom, top, cells, batches, recipe, report=self._report)
        self._done += steps

    def _report(self, step: int, progress: Callable[[], fit.Progress]) -> None:
        self.record.step(self.task.id, self._done + step, self._total, lambda: _progress_facts(progress()))

    def _scores(self, bottom: Chain, top: Chain, cells: Sequence[fit.Cell]) -> tuple[list[Scores], list[float | None]]:
        batch = self.session.evaluation_batch(top.cuts, len(cells))
        return column_scores(bottom, top, cells, in_order(self.session.dataset.test, batch, self._tick))

    def _compared(self, scores: Scores) -> dict[str, Any]:
        bases = (self.session.base(end, lambda _: self.record.check()) for end in (self.top, self.bottom))
        return compare(scores, *bases)

    def _cka(self, places: Sequence[Place]) -> list[float]:
        return self.likeness.cka((self.bottom, self.top), [(p.bottom, p.top) for p in places], self._tick)

    def _say(self, place: Place, measures: dict[str, Any], reused_from: str | None) -> None:
        self._said[place.row] = measures
        self.record.emit(
            "cell_finished",
            task=self.task.id,
            cut=place.row,
            bottom_cut=place.bottom.name,
            top_cut=place.top.name,
            identity=place.identity,
            measures=measures,
            reused_from=reused_from,
        )


def _sickness(stitch: nn.Module, scores: Scores) -> str | None:
    """Why a cell has no number, if it has none."""
    if not fit.is_finite(stitch):
        return "its training diverged: the stitch is not finite; try a lower stitch.learning_rate"
    return None if scores.finite else "the stitched network's class scores on the test images are not finite"


def _progress_facts(progress: fit.Progress) -> dict[str, Any]:
    losses = [loss for loss in progress.losses if math.isfinite(loss)]
    return {
        "loss": sum(losses) / len(losses) if losses else None,
        "accuracy": sum(progress.accuracies) / len(progress.accuracies),
        "losses": progress.losses,
        "accuracies": progress.accuracies,
    }
