"""The depth plot: a measure against depth, one line a pair, its controls as points."""

from stitchtui.run.state import RunState
from stitchtui.tui.measures import Measure
from stitchtui.tui.plots import depth_lines
from stitchtui.tui.widgets.lines import Lines


class DepthPlot(Lines):
    """Draws every finished cell's number against its cut's depth; of a task that goes on, once all its cells are in.

    One more point moves the axis and with it the whole picture, and those of one task come close together.
    """

    _drawn: object = None  # what the lines show

    def draw(
        self, state: RunState, measure: Measure, cells: int, going_on: bool, ascii: bool = False, *, whole: bool = False
    ) -> None:
        """Draw `measure` of what is finished, `cells` being a number that changes with it, where there is room.

        `going_on` says whether a worker is at it: one that is gone ends no task. If it is `whole` it has the grid's
        place, and bands: these need libraries that the app starts without.
        """
        ended = sum(task.status == "finished" for task in state.tasks.values()) if going_on else -cells
        wanted = (self.size, whole, ascii, measure, id(state), state.run, state.status, ended)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        measured = any(cell.status == "finished" for cell in state.cells.values())
        size = (self.size.width - 1, self.size.height)
        self.show(depth_lines(state, measure, *size, ascii, banded=whole) if measured else [])
