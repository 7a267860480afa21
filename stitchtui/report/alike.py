"""Columns of a run that are stitched alike, so that the number of one may be set against that of the other."""

from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import SELF_STITCH, Control, column_of

# Of a [stitch], what doesn't say how one cell is stitched, or what the column itself says.
_ELSEWHERE = ("cuts", "top_cuts", "pairing", "seeds", "family", "objective")


def is_alike(state: RunState, one: Column, other: Column, but: tuple[str, ...] = ()) -> bool:
    """Whether two columns are of the same stitch, trained the same way `but` for these settings, wherever cut."""
    if (one.family, one.objective) != (other.family, other.objective):
        return False
    first, second = (state.stitch(column.request) for column in (one, other))
    asked = (first.keys() | second.keys()) - {*_ELSEWHERE, *but}
    return all(first.get(key) == second.get(key) for key in asked)


def control_beside(state: RunState, column: Column, control: Control) -> Column | None:
    """The control's column for this pair, if it was stitched as the pair is: a weaker stitch would say nothing."""
    wanted = column_of(control.name, column.bottom, column.top)
    columns = state.crosses() if column.cross else state.columns()
    found = [c for c in columns if (c.control, (c.bottom, c.top)) == wanted]
    return next((c for c in found if is_alike(state, c, column)), None)


def row_beside(state: RunState, column: Column, row: str, control: str) -> str:
    """The row of a control that stands beside a column's: of a top stitched to itself, that of the top's cut."""
    if control != SELF_STITCH.name:
        return row
    cells = (state.cells.get((task, row)) for task in column.task_ids)
    return next((cell.top_cut for cell in cells if cell and cell.top_cut), row)
