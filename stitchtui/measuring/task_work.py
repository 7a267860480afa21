"""The work of one task, from its cuts to `cell_finished`: what every kind of it has in common."""

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import UNSET

from stitchtui.base.work import Pass, mapped
from stitchtui.measuring import identity
from stitchtui.measuring.feed import steps_in
from stitchtui.measuring.history import History
from stitchtui.measuring.planned_cells import PlannedCell
from stitchtui.measuring.saying import Pace, Saying
from stitchtui.measuring.session import Session
from stitchtui.run.events import CellFailed, CellFinished, Event, Step, TaskFinished, TaskStarted
from stitchtui.run.records import row_name
from stitchtui.spec.identity import cell_identity
from stitchtui.spec.plan import Task
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.evaluate import Scores, compare

T = TypeVar("T")

MEMORY_RAN_OUT = "out of memory; try a lower stitch.batch_size or evaluation_batch"


class TaskWork(ABC):
    """The work of one task: a column's cells in one seed. Subclasses say how they are measured."""

    trains = True  # whether its steps are those of training, or of passes over the images

    def __init__(self, session: Session, task: Task, history: History) -> None:
        self.session, self.task, self.history = session, task, history
        self.pace = Pace()
        self.stitch = session.stitch_of(task)
        self.ends = session.ends(task)
        self.material = session.material(task, self.ends)
        epochs = self.stitch.passes(self.converges)
        self.steps = self.stitch.steps or steps_in(epochs, self.material.images, self.stitch.batch_size)
        self.cells = [self._cell(b, t) for b, t in session.column_cuts(task)]
        self._began = 0.0  # by the monotonic clock
        self._done = self._total = 0  # steps of training, or images of all passes where nothing is trained
        self._said: dict[str, Mapping[str, float | None]] = {}  # measures by row

    @property
    def converges(self) -> bool:
        """Whether its steps are a limit, and each cell takes as many of them as it needs."""
        return False

    @abstractmethod
    def measure(self, cells: Sequence[PlannedCell]) -> Saying[None]:
        """Measure these cells together, and yield the events of each."""

    @abstractmethod
    def amount(self) -> int:
        """Steps of training, or images of all passes."""

    def misfit(self, _cell: PlannedCell) -> str | None:
        """The reason why the cell's cuts can't be joined; None if they can."""
        return None

    def groups(self, cells: Sequence[PlannedCell]) -> list[Sequence[PlannedCell]]:
        """Split the cells into groups that are measured together."""
        return [cells]

    def remark(self) -> Iterator[Event]:
        """Yield what the cells show as a whole, once each of them is measured."""
        return iter(())

    def _cell(self, bottom: Cut, top: Cut) -> PlannedCell:
        facts = identity.facts(
            self.session,
            self.task,
            (bottom, top),
            ends=self.ends,
            material=self.material,
            steps=self.steps,
            converges=self.converges,
        )
        return PlannedCell(row_name(bottom.name, top.name), bottom, top, cell_identity(facts))

    def run(self) -> Saying[None]:
        """Measure every cell, and yield the events of all of them."""
        measured = yield from self.begin()
        for group in self.groups(measured) if measured else ():
            yield from self.measure(group)
        yield from self.end()

    def begin(self, together: int = 1) -> Saying[list[PlannedCell]]:
        """Yield the start, and the cells that are known or can't be measured; return those that are to be measured.

        `together` is how many columns are trained in one go with it, itself included.
        """
        self._began, self._done, self._total = time.monotonic(), 0, self.amount()
        yield TaskStarted(
            task=self.task.id,
            steps=self._steps(self._total),
            cuts=[p.row for p in self.cells],
            ends=[[p.bottom.name, p.top.name] for p in self.cells],
            at_most=self.converges or UNSET,
            together=together if together > 1 else UNSET,
            held_out=len(self.material.held_out) or UNSET,
        )
        self.pace = Pace()
        fresh = [p for p in self.cells if p.identity not in self.history.cells]
        for cell in self.cells:
            if known := self.history.cells.get(cell.identity):
                yield self.finished(cell, known.measures, wrong=known.wrong, reused_from=known.run)
        misfits = {p: reason for p in fresh if (reason := self.misfit(p)) is not None}
        for cell, reason in misfits.items():
            yield self.failed(cell, reason, misfit=True)
        return [p for p in fresh if p not in misfits]

    def end(self) -> Iterator[Event]:
        """Yield what the cells show as a whole, and the end."""
        yield from self.remark()
        yield TaskFinished(task=self.task.id, seconds=time.monotonic() - self._began)

    def is_open(self, cell: PlannedCell) -> bool:
        """Whether the cell is still to be measured, and can be."""
        return cell.identity not in self.history.cells and self.misfit(cell) is None

    def is_finished(self) -> bool:
        """Whether this run has every cell as it would be measured now.

        A task with a gap, or with a cell of other weights or data, is trained again as a whole: only then is a
        resumed run's result equal to an undisturbed one's to the last bit. Cells that no stitch can join are no gap.
        """
        done = self.history.tasks.get(self.task.id)
        return done is not None and all(
            cell.row in done
            and (done[cell.row] == cell.identity or (done[cell.row] is None and self.misfit(cell) is not None))
            for cell in self.cells
        )

    def failed(self, cell: PlannedCell, reason: str, *, misfit: bool = False) -> Event:
        """The event that a cell has no number, and why; with `misfit` none can be, whatever is tried."""
        return CellFailed(
            task=self.task.id,
            cut=cell.row,
            bottom_cut=cell.bottom.name,
            top_cut=cell.top.name,
            misfit=misfit or UNSET,
            reason=reason,
        )

    def counted(self, work: Pass[T]) -> Saying[T]:
        """Run a pass over images, and yield its steps where nothing else is counted as such."""
        return mapped(work, lambda images: None if self.trains else self._step_of_pass(images))

    def _step_of_pass(self, images: int) -> Event | None:
        self._done += images
        step, steps = self._steps(min(self._done, self._total)), self._steps(self._total)
        return Step(task=self.task.id, step=step, steps=steps) if self.pace.due(last=step >= steps) else None

    def _steps(self, amount: int) -> int:
        """Work in steps: those of training as they are; of a pass, its batches, which cost about as much as a step."""
        return amount if self.trains else -(-amount // self.session.experiment.evaluation_batch)

    def compared(self, scores: Scores) -> dict[str, Any]:
        """Errors, penalties and agreement of a stitched network beside the top and, where it has any, the bottom's."""
        top = self.session.base(self.session.loaded[self.task.top])
        has_bottom = self.ends.noise is None and not self.session.has_own_classes(self.ends.bottom)
        return compare(scores, top, self.session.base(self.ends.bottom) if has_bottom else None)

    def adapter(self, _cell: PlannedCell) -> str:
        """What leads from the shape of the bottom's tensor to the top's, in words; empty where nothing has to."""
        return ""

    def finished(
        self, cell: PlannedCell, measures: Mapping[str, float | None], *, wrong: str, reused_from: str | None = None
    ) -> Event:
        """The event of a cell's numbers, and which test images it answers wrongly."""
        self._said[cell.row] = measures
        return CellFinished(
            task=self.task.id,
            cut=cell.row,
            bottom_cut=cell.bottom.name,
            top_cut=cell.top.name,
            identity=cell.identity,
            measures=dict(measures),
            wrong=wrong,
            adapter=self.adapter(cell),
            reused_from=reused_from,
        )
