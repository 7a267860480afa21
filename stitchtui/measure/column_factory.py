"""Which kind of column a task is, and what the columns of a run share."""

from stitchtui.base.registry import load
from stitchtui.measure.column import Column, Keep, Reuse
from stitchtui.measure.columns import StitchColumn
from stitchtui.measure.matching import Matching
from stitchtui.measure.recorder import Recorder
from stitchtui.measure.session import Session
from stitchtui.measure.similarity_cache import Likeness
from stitchtui.spec.controls import control_named
from stitchtui.spec.plan import Task


class Columns:
    """Makes the columns of one session, which share what was computed for an earlier one."""

    def __init__(self, session: Session, record: Recorder, *, reuse: Reuse, keep: Keep) -> None:
        self.session, self.record, self.reuse, self.keep = session, record, reuse, keep
        self.likeness, self.matching = Likeness(session), Matching(session)

    def column(self, task: Task) -> Column:
        """The work that `task` is."""
        kind = load(control_named(task.control).column)
        shared = (self.likeness, self.matching) if issubclass(kind, StitchColumn) else ()
        return kind(self.session, *shared, task, self.record, reuse=self.reuse, keep=self.keep)
