"""One task: fits or trains every stitch of a column, measures it, and says so cell by cell."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stitchtui.device import training_dtype
from stitchtui.run.plan import Task, cell_identity
from stitchtui.stitching import fit, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.direct import AffineMap, least_squares, moments
from stitchtui.stitching.evaluate import Scores, column_scores, compare
from stitchtui.worker import identity
from stitchtui.worker.checks import check_self_stitch
from stitchtui.worker.feed import in_order, steps_in, training_batches
from stitchtui.worker.recorder import Recorder
from stitchtui.worker.session import Session

Reuse = Callable[[str], dict[str, Any] | None]
"""`{"run": ..., "measures": ...}` of a cell with this identity in another run, or None."""
Keep = Callable[[Task, dict[str, nn.Module]], None]
"""Told the trained stitches of a finished task, by cut."""


@dataclass(frozen=True)
class Place:
    """A cell of the column being measured: its row, its cuts and its identity."""

    row: str
    bottom: Cut
    top: Cut
    identity: str


class Column:
    """The work of one task, from cuts to `cell_finished`."""

    def __init__(self, session: Session, task: Task, record: Recorder, *, reuse: Reuse, keep: Keep) -> None:
        self.session, self.task, self.record, self.reuse, self.keep = session, task, record, reuse, keep
        self.stitch = session.experiment.stitch
        randomised = task.control == "random_bottom"
        self.bottom = session.random_bottom(task.bottom) if randomised else session.loaded[task.bottom]
        self.top = session.loaded[task.top]
        self.trains = task.objective == "task"
        self.alone = self.trains and self.stitch.frozen_bn == "batch"  # these cells would see each other's batch
        images, size = len(session.dataset.train), self.stitch.batch_size
        self.steps = self.stitch.steps or steps_in(self.stitch.epochs, images, size)
        self.places = [self._place(b, t) for b, t in session.column_cuts(task)]
        self._done = self._total = 0  # steps of training, or images of all passes where nothing is trained

    def _place(self, bottom: Cut, top: Cut) -> Place:
        row = top.name if bottom.name == top.name else f"{bottom.name} > {top.name}"
        facts = identity.facts(self.session, self.task, (self.bottom, bottom), (self.top, top), self.steps)
        return Place(row, bottom, top, cell_identity(facts))

    def run(self) -> None:
        """Measure every cell of the column and say so."""
        started = time.monotonic()
        self._total = self._work()
        self.record.start(self.task.id, self._total, [p.row for p in self.places])
        fresh = [p for p in self.places if not self._said_reused(p)]
        built = {p.row: s for p in fresh if (s := self._build(p)) is not None}
        measured = [p for p in fresh if p.row in built]
        for group in [[p] for p in measured] if self.alone else [measured]:
            if group:
                self._measure(group, built)
        self.record.emit("task_finished", task=self.task.id, seconds=time.monotonic() - started)

    def _work(self) -> int:
        if self.trains:
            return self.steps * (len(self.places) if self.alone else 1)
        images = len(self.session.dataset.test)
        if self.task.start == "least_squares":
            images += len(self.session.dataset.train)
        return images + self.session.cka_visits((self.bottom, self.top), [(p.bottom, p.top) for p in self.places])

    def _tick(self, images: int) -> None:
        self.record.check()
        if not self.trains:
            self._done += images
            self.record.step(self.task.id, min(self._done, self._total), self._total)

    def _said_reused(self, place: Place) -> bool:
        earlier = self.reuse(place.identity)
        if earlier is None:
            return False
        self._say(place, earlier["measures"], reused_from=earlier["run"])
        return True

    def _build(self, place: Place) -> nn.Module | None:
        try:
            stitch = stitches.build(self.task.family, place.bottom, place.top).to(self.session.device)
            if self.task.start == "identity":
                stitches.start_as_identity(stitch)
        except stitches.Misfit as misfit:
            self.record.emit("cell_failed", task=self.task.id, cut=place.row, reason=str(misfit))
            return None
        if self.task.start == "random":
            # Each cell draws from a seed of its own, so that its start doesn't depend on its neighbours.
            words = f"{self.task.seed} {place.bottom.name} {place.top.name}"
            own = int.from_bytes(hashlib.sha256(words.encode()).digest()[:7], "big")
            stitches.start_at_random(stitch, torch.Generator().manual_seed(own))
        return stitch

    def try_out(self) -> tuple[Chain, Chain, list[fit.Cell]] | None:
        """The column's chains and its unfitted cells, to be timed; None if no two cuts fit."""
        built = {p.row: s for p in self.places if (s := self._build(p)) is not None}
        fitting = [p for p in self.places if p.row in built]
        for stitch in built.values():
            stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
        return (*self._chains(fitting), _cells(fitting, built)) if fitting else None

    def _chains(self, places: Sequence[Place]) -> tuple[Chain, Chain]:
        bottom = self.session.chain(self.bottom, [p.bottom for p in places])
        same = self.bottom is self.top
        return bottom, bottom if same else self.session.chain(self.top, [p.top for p in places])

    def _measure(self, places: Sequence[Place], built: dict[str, nn.Module]) -> None:
        started = time.monotonic()
        bottom, top = self._chains(places)
        cells = _cells(places, built)
        try:
            self._start_from_maps(bottom, top, places, cells)
            before = self._scores_before(bottom, top, places, cells) if self.trains else None
            scores, gaps = self._train_and_score(bottom, top, cells)
        except (FloatingPointError, torch.OutOfMemoryError) as error:
            self._say_failed(places, error)
            return
        if not self.trains and self.task.family == "affine":
            self.session.starts |= {self._key(p): s for p, s in zip(places, scores, strict=True)}
        ckas = self._cka(places)
        seconds = (time.monotonic() - started) / len(places)
        for k, place in enumerate(places):
            measures = self._compared(scores[k]) | {"activation_gap": gaps[k], "cka": ckas[k], "seconds": seconds}
            measures["stitch_parameters"] = stitches.parameter_count(cells[k].stitch)
            if before is not None:
                measures |= {"start_penalty": self._compared(before[k])["penalty"], "steps": self.steps}
            self._say(place, measures, reused_from=None)
        if self.trains:
            self.keep(self.task, {p.row: c.stitch for p, c in zip(places, cells, strict=True)})
        if self.task.control == "self_stitch" and before is not None and self.task.start == "identity":
            penalties = {p.row: self._compared(s)["penalty"] for p, s in zip(places, before, strict=True)}
            check_self_stitch(self.task, penalties, self.record)

    def _say_failed(self, places: Sequence[Place], error: Exception) -> None:
        reason = f"{error}; try a lower stitch.learning_rate"
        if isinstance(error, torch.OutOfMemoryError):
            reason = "out of memory; try a lower stitch.batch_size or fewer cuts"
        for place in places:
            self.record.emit("cell_failed", task=self.task.id, cut=place.row, reason=reason)

    def _key(self, place: Place) -> tuple[str, ...]:
        return self.bottom.network.name, place.bottom.name, self.top.network.name, place.top.name

    def _start_from_maps(self, bottom: Chain, top: Chain, places: Sequence[Place], cells: Sequence[fit.Cell]) -> None:
        if self.task.start != "least_squares":
            return
        keys = [self._key(p) for p in places]
        if any(key not in self.session.maps for key in keys):
            self.session.maps |= dict(zip(keys, self._fitted(bottom, top, cells), strict=True))
        for key, cell in zip(keys, cells, strict=True):
            stitches.start_from_map(cell.stitch, self.session.maps[key])

    def _fitted(self, bottom: Chain, top: Chain, cells: Sequence[fit.Cell]) -> list[AffineMap]:
        batches = in_order(self.session.dataset.train, self.session.experiment.evaluation_batch, self._tick)
        found = moments(bottom, top, [(c.bottom, c.top) for c in cells], (images for images, _ in batches))
        return [least_squares(m, self.stitch.ridge) for m in found]

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
        fit.train_column(bottom, top, cells, batches, recipe, report=self._report)
        self._done += steps

    def _report(self, step: int, progress: Callable[[], fit.Progress]) -> None:
        self.record.step(self.task.id, self._done + step, self._total, lambda: _progress_facts(progress()))

    def _scores(self, bottom: Chain, top: Chain, cells: Sequence[fit.Cell]) -> tuple[list[Scores], list[float | None]]:
        batch = self.session.evaluation_batch(top.cuts)
        return column_scores(bottom, top, cells, in_order(self.session.dataset.test, batch, self._tick))

    def _compared(self, scores: Scores) -> dict[str, Any]:
        bases = (self.session.base(end, lambda _: self.record.check()) for end in (self.top, self.bottom))
        return compare(scores, *bases)

    def _cka(self, places: Sequence[Place]) -> list[float]:
        return self.session.cka((self.bottom, self.top), [(p.bottom, p.top) for p in places], self._tick)

    def _say(self, place: Place, measures: dict[str, Any], reused_from: str | None) -> None:
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


def _cells(places: Sequence[Place], built: dict[str, nn.Module]) -> list[fit.Cell]:
    return [fit.Cell(k, k, built[p.row]) for k, p in enumerate(places, 1)]


def _progress_facts(progress: fit.Progress) -> dict[str, Any]:
    count = len(progress.losses)
    return {
        "loss": sum(progress.losses) / count,
        "accuracy": sum(progress.accuracies) / count,
        "losses": progress.losses,
        "accuracies": progress.accuracies,
    }
