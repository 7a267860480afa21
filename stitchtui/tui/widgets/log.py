"""What happened last, a line each."""

from collections.abc import Sequence

from rich.text import Text

from stitchtui.report.wording import shortened, to_ascii
from stitchtui.tui.widgets.lines import Lines


class Log(Lines):
    """Draws the end of the run's log of events, without single steps."""

    def draw(self, lines: Sequence[str], ascii: bool = False) -> None:
        """Show as many of the last lines as there is room for."""
        width, height = self.size.width - 1, self.size.height
        if not lines or height < 2:
            self.show([])
            return
        shown = [shortened(to_ascii(line) if ascii else line, width, ascii) for line in list(lines)[-(height - 1) :]]
        self.show([Text("what happened", style="bold"), *(Text(line, style="dim") for line in shown)])
