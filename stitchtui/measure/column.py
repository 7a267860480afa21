"""One task, from its cuts to `cell_finished`: what every kind of column has in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import UNSET

from stitchtui.base.work import Pass
from stitchtui.measure import identity
from stitchtui.measure.feed import steps_in
from stitchtui.measure.history import History
from stitchtui.measure.places import Place
from stitchtui.measure.saying import Pace, Saying
from stitchtui.measure.session import Session
from stitchtui.run.events import CellFailed, CellFinished, Event, Step, TaskFinished, TaskStarted
from stitchtui.run.records import row_name
from stitchtui.spec.identity import cell_identity
from stitchtui.spec.plan import Task
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.evaluate import Scores, compare

T = TypeVar("T")

MEMORY_RAN_OUT = "out of memory; try a lower stitch.batch_size or evaluation_batch"


class Column(ABC):
    """The work of one task; a kind of column says how cells are measured, and how much work that is."""

    trains = True  # whether its steps are those of training, or of passes over the images

    def __init__(self, session: Session, task: Task, history: History) -> None:
        self.session, self.task, self.history = session, task, history
        self.pace = Pace()
        self.stitch = session.stitch_of(task)
        self.ends = session.ends(task)
        self.material = session.material(task, self.ends)
        self.steps = self.stitch.steps or steps_in(self.stitch.epochs, self.material.images, self.stitch.batch_size)
        self.places = [self._place(b, t) for b, t in session.column_cuts(task)]
        self._began = 0.0  # by the monotonic clock
        self._done = self._total = 0  # steps of training, or images of all passes where nothing is trained
        self._said: dict[str, Mapping[str, float | None]] = {}  # measures by row

    @abstractmethod
    def measure(self, places: Sequence[Place]) -> Saying[None]:
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

    def remark(self) -> Iterator[Event]:
        """Say what the whole column shows, once every cell of it is said."""
        return iter(())

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

    def run(self) -> Saying[None]:
        """Measure every cell of the column and say so."""
        measured = yield from self.begin()
        for group in self.groups(measured) if measured else ():
            yield from self.measure(group)
        yield from self.end()

    def begin(self, together: int = 1) -> Saying[list[Place]]:
        """Say that the column starts, and which cells are known or can't be; returns those that are to be measured.

        `together` is how many columns are trained in one go with it, itself included.
        """
        self._began, self._done, self._total = time.monotonic(), 0, self.work()
        yield TaskStarted(
            task=self.task.id,
            steps=self._steps(self._total),
            cuts=[p.row for p in self.places],
            ends=[[p.bottom.name, p.top.name] for p in self.places],
            together=together if together > 1 else UNSET,
        )
        self.pace = Pace()
        fresh = [p for p in self.places if p.identity not in self.history.cells]
        for place in self.places:
            if known := self.history.cells.get(place.identity):
                yield self.finished(place, known.measures, wrong=known.wrong, reused_from=known.run)
        misfits = {p: reason for p in fresh if (reason := self.misfit(p)) is not None}
        for place, reason in misfits.items():
            yield self.failed(place, reason, misfit=True)
        return [p for p in fresh if p not in misfits]

    def end(self) -> Iterator[Event]:
        """Say what the whole column shows, and that every cell of it is said."""
        yield from self.remark()
        yield TaskFinished(task=self.task.id, seconds=time.monotonic() - self._began)

    def is_open(self, place: Place) -> bool:
        """Whether the place's cell is still to be measured, and can be."""
        return place.identity not in self.history.cells and self.misfit(place) is None

    def is_finished(self) -> bool:
        """Whether this run has every cell of the column as it would be measured now.

        A column with a gap, or with a cell of other weights or data, is trained again as a whole: only then is a
        resumed run's result equal to an undisturbed one's to the last bit. Cells that no stitch can join are no gap.
        """
        done = self.history.tasks.get(self.task.id)
        return done is not None and all(
            place.row in done
            and (done[place.row] == place.identity or (done[place.row] is None and self.misfit(place) is not None))
            for place in self.places
        )

    def failed(self, place: Place, reason: str, *, misfit: bool = False) -> Event:
        """That a cell has no number, and why; with `misfit` none can be, whatever is tried."""
        return CellFailed(
            task=self.task.id,
            cut=place.row,
            bottom_cut=place.bottom.name,
            top_cut=place.top.name,
            misfit=misfit or UNSET,
            reason=reason,
        )

    def counted(self, work: Pass[T]) -> Saying[T]:
        """A pass over images, which are the column's work where nothing is trained."""
        while True:
            try:
                images = next(work)
            except StopIteration as ended:
                found: T = ended.value
                return found
            yield None if self.trains else self._step_of_pass(images)

    def _step_of_pass(self, images: int) -> Event | None:
        self._done += images
        step, steps = self._steps(min(self._done, self._total)), self._steps(self._total)
        return Step(task=self.task.id, step=step, steps=steps) if self.pace.due(last=step >= steps) else None

    def _steps(self, work: int) -> int:
        """Work in steps: those of training as they are; of a pass, its batches, which cost about as much as a step."""
        return work if self.trains else -(-work // self.session.experiment.evaluation_batch)

    def compared(self, scores: Scores) -> dict[str, Any]:
        """Errors, penalties and agreement of a stitched network beside the top and, where it has any, the bottom's."""
        top = self.session.base(self.session.loaded[self.task.top])
        has_bottom = self.ends.noise is None and not self.session.has_own_classes(self.ends.bottom)
        return compare(scores, top, self.session.base(self.ends.bottom) if has_bottom else None)

    def adapter(self, _place: Place) -> str:
        """What leads from the shape of the bottom's tensor to the top's, in words; empty where nothing has to."""
        return ""

    def finished(
        self, place: Place, measures: Mapping[str, float | None], *, wrong: str, reused_from: str | None = None
    ) -> Event:
        """A cell's numbers, and which test images it answers wrongly."""
        self._said[place.row] = measures
        return CellFinished(
            task=self.task.id,
            cut=place.row,
            bottom_cut=place.bottom.name,
            top_cut=place.top.name,
            identity=place.identity,
            measures=dict(measures),
            wrong=wrong,
            adapter=self.adapter(place),
            reused_from=reused_from,
        )
