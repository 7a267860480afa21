"""What happened last, a line each."""

from collections.abc import Sequence

from rich.text import Text

from stitchtui.report.wording import to_ascii
from stitchtui.tui.widgets.inspector import wrapped
from stitchtui.tui.widgets.lines import Lines

_INDENT = 2  # terminal cells before what goes on from the line above


class Log(Lines):
    """Draws the end of the run's log of events, without single steps."""

    def draw(self, lines: Sequence[str], ascii: bool = False) -> None:
        """Show as many of the last lines as there is room for, each whole."""
        width, height = self.size.width - 1, self.size.height
        if not lines or height < 2:
            self.show([])
            return
        shown: list[str] = []
        for line in reversed(lines):
            first, *rest = wrapped(to_ascii(line) if ascii else line, width - _INDENT)
            said = [first, *(" " * _INDENT + each for each in rest)]
            if len(shown) + len(said) >= height and shown:
                break
            shown = [*said, *shown]
        self.show([Text("what happened", style="bold"), *(Text(line, style="dim") for line in shown[: height - 1])])
