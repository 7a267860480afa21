"""One task, from its cuts to `cell_finished`: what every kind of column has in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET
from torch import nn

from stitchtui.measure import identity
from stitchtui.measure.feed import steps_in
from stitchtui.measure.places import Place
from stitchtui.measure.recorder import Recorder
from stitchtui.measure.session import Session
from stitchtui.run.events import CellFailed, CellFinished, TaskFinished
from stitchtui.run.records import row_name
from stitchtui.spec.identity import cell_identity
from stitchtui.spec.plan import Task
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.evaluate import Scores, compare

Reuse = Callable[[str], dict[str, Any] | None]
"""`{"run": ..., "measures": ...}` of a cell with this identity in another run, or None."""
Keep = Callable[[Task, dict[str, nn.Module]], None]
"""Told the trained stitches of a finished task, by cut."""

MEMORY_RAN_OUT = "out of memory; try a lower stitch.batch_size or evaluation_batch"


class Column(ABC):
    """The work of one task; a kind of column says how cells are measured, and how much work that is."""

    trains = True  # whether its steps are those of training, or of passes over the images

    def __init__(self, session: Session, task: Task, record: Recorder, *, reuse: Reuse, keep: Keep) -> None:
        self.session, self.task, self.record = session, task, record
        self.reuse, self.keep = reuse, keep
        self.stitch = session.stitch_of(task)
        self.ends = session.ends(task)
        self.material = session.material(task, self.ends)
        self.steps = self.stitch.steps or steps_in(self.stitch.epochs, self.material.images, self.stitch.batch_size)
        self.places = [self._place(b, t) for b, t in session.column_cuts(task)]
        self._began = 0.0  # by the monotonic clock
        self._done = self._total = 0  # steps of training, or images of all passes where nothing is trained
        self._said: dict[str, dict[str, Any]] = {}  # measures by row

    @abstractmethod
    def measure(self, places: Sequence[Place]) -> None:
        """Measure these cells together, and say each of them."""

    @abstractmethod
    def work(self) -> int:
        """Steps of training, or images of all passes."""

    def misfit(self, _place: Place) -> str | None:
        """Why the place's cuts can't be joined; None if they can."""
        return None

    def groups(self, places: Sequence[Place]) -> list[Sequence[Place]]:
        """The places that are measured together."""
        return [places]

    def remark(self) -> None:
        """Say what the whole column shows, once every cell of it is said."""
        return

    def _place(self, bottom: Cut, top: Cut) -> Place:
        facts = identity.facts(
            self.session,
            self.task,
            (bottom, top),
            ends=self.ends,
            material=self.material,
            steps=self.steps,
        )
        return Place(row_name(bottom.name, top.name), bottom, top, cell_identity(facts))

    def run(self) -> None:
        """Measure every cell of the column and say so."""
        measured = self.begin()
        for group in self.groups(measured) if measured else ():
            self.measure(group)
        self.end()

    def begin(self, together: int = 1) -> list[Place]:
        """Say that the column starts, and which cells are known or can't be; returns those that are to be measured.

        `together` is how many columns are trained in one go with it, itself included.
        """
        self._began, self._done, self._total = time.monotonic(), 0, self.work()
        pairs = [[p.bottom.name, p.top.name] for p in self.places]
        shared = {"together": together} if together > 1 else {}
        self.record.start(self.task.id, self._steps(self._total), [p.row for p in self.places], ends=pairs, **shared)
        fresh = [p for p in self.places if not self._said_reused(p)]
        return [p for p in fresh if self._fits(p)]

    def end(self) -> None:
        """Say what the whole column shows, and that every cell of it is said."""
        self.remark()
        self.record.emit(TaskFinished(task=self.task.id, seconds=time.monotonic() - self._began))

    def is_open(self, place: Place) -> bool:
        """Whether the place's cell is still to be measured, and can be."""
        return self.reuse(place.identity) is None and self.misfit(place) is None

    def _fits(self, place: Place) -> bool:
        if reason := self.misfit(place):
            self.fail(place, reason, misfit=True)
        return not reason

    def fail(self, place: Place, reason: str, *, misfit: bool = False) -> None:
        """Say that a cell has no number, and why; with `misfit` none can be, whatever is tried."""
        self.record.emit(
            CellFailed(
                task=self.task.id,
                cut=place.row,
                bottom_cut=place.bottom.name,
                top_cut=place.top.name,
                misfit=misfit or UNSET,
                reason=reason,
            )
        )

    def tick(self, images: int) -> None:
        """Count images of a pass. Raises Stopped when the run is to end."""
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
        self.say(place, earlier["measures"], wrong=earlier["wrong"], reused_from=earlier["run"])
        return True

    def compared(self, scores: Scores) -> dict[str, Any]:
        """Errors, penalties and agreement of a stitched network beside the top and, where it has any, the bottom's."""
        top = self.session.base(self.session.loaded[self.task.top], lambda _: self.record.check())
        has_bottom = self.ends.noise is None and not self.session.has_own_classes(self.ends.bottom)
        bottom = self.session.base(self.ends.bottom, lambda _: self.record.check()) if has_bottom else None
        return compare(scores, top, bottom)

    def adapter(self, _place: Place) -> str:
        """What leads from the shape of the bottom's tensor to the top's, in words; empty where nothing has to."""
        return ""

    def say(self, place: Place, measures: dict[str, Any], *, wrong: str, reused_from: str | None = None) -> None:
        """Say a cell's numbers, and which test images it answers wrongly."""
        self._said[place.row] = measures
        self.record.emit(
            CellFinished(
                task=self.task.id,
                cut=place.row,
                bottom_cut=place.bottom.name,
                top_cut=place.top.name,
                identity=place.identity,
                measures=measures,
                wrong=wrong,
                adapter=self.adapter(place),
                reused_from=reused_from,
            )
        )
