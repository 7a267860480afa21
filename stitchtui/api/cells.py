"""A run's cells as a result gives them: what was stitched, and every measure of it."""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from stitchtui.report.export import cells as exported
from stitchtui.run.records import Cell, Status
from stitchtui.run.state import RunState
from stitchtui.spec.measures import IMAGES
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CellResult:
    """One measurement: what was stitched to what, where, how, and what came of it."""

    task: str
    bottom: str
    top: str
    control: str  # empty for a pair itself
    family: str
    objective: str
    start: str
    seed: int
    cut: str
    bottom_cut: str | None
    top_cut: str | None
    adapter: str  # between the shapes of the two cuts, in words
    status: Status
    reason: str | None  # why there is no number
    reused_from: str | None  # the run that measured it, if another
    identity: str | None  # SHA-256 of all that its number depends on
    measures: dict[str, float | None]  # by name; `stitchtui report --columns` says what each is
    answers: str = field(repr=False)  # which test images are answered wrongly, as a log has it

    @property
    def penalty(self) -> Interval | None:
        """error(stitched) - error(top) with its 95 % interval, in percentage points; None where there is none."""
        return Cell(self.task, self.cut, measures=self.measures).interval()

    @property
    def wrong(self) -> "NDArray[np.bool_] | None":
        """Which test images the stitched network answers wrongly: bool [images]; None where it isn't known."""
        found = AnswerBits.read(self.answers, self.measures.get(IMAGES.name))
        return None if found is None else found.array.astype(bool)


def cells_of(state: RunState) -> list[CellResult]:
    """Every cell of a run, controls and failed ones too, in the order of its plan."""
    own = {each.name for each in fields(CellResult)}
    return [
        CellResult(**{key: value for key, value in said.items() if key in own}, answers=said["wrong"])
        for said in exported(state)
    ]
