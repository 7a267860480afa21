"""The depth plot: penalty against depth, one line a pair, its controls as points."""

from stitchtui.run.state import RunState
from stitchtui.tui.plots import depth_lines
from stitchtui.tui.widgets.lines import Lines


class DepthPlot(Lines):
    """Draws every finished cell's penalty against its cut's depth."""

    def draw(self, state: RunState, ascii: bool = False) -> None:
        """Draw what is finished; nothing where the room is too small to read it."""
        measured = any(cell.status == "finished" for cell in state.cells.values())
        self.show(depth_lines(state, self.size.width - 1, self.size.height, ascii) if measured else [])
