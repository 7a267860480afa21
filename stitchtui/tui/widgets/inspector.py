"""The inspector: what is known of the selected cell, as a few packed lines or as a panel."""

from collections.abc import Sequence

from rich.text import Text

from stitchtui.report.wording import shortened
from stitchtui.run.state import Column, RunState
from stitchtui.tui.facts import Fact, cell_facts, cell_title, packed, short_facts
from stitchtui.tui.widgets.lines import Lines

_LABEL = 14  # terminal cells of a label in the panel
_PANEL = 8  # rows from which on the inspector is a panel


class Inspector(Lines):
    """Draws the facts of one cell."""

    def draw(
        self, state: RunState, selected: tuple[Column, str] | None, *, lost: bool = False, ascii: bool = False
    ) -> None:
        """Say what is known of the selected cell; `lost`: of a run whose worker died."""
        width, height = self.size.width - 1, self.size.height
        if selected is None:
            self.show([Text("no cell yet", style="dim")] if state.run else [])
            return
        title = Text(cell_title(*selected, ascii, width), style="bold")
        facts = cell_facts(state, *selected, lost=lost)
        if height < _PANEL:
            lines = packed(short_facts(facts), width, height - 1)
            self.show([title, *(Text(shortened(line, width, ascii)) for line in lines)])
        else:
            self.show([title, *fact_lines(facts, width)])


def fact_lines(facts: Sequence[Fact], width: int) -> list[Text]:
    """A label and its value a line, values wrapped where they are longer than the room beside the labels."""
    lines = []
    for label, value in facts:
        for index, part in enumerate(wrapped(value, max(8, width - _LABEL))):
            line = Text(f"{label if index == 0 else '':<{_LABEL}}", style="dim", no_wrap=True)
            lines.append(line.append(Text(part, style="not dim")))
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """`text` over lines of at most `width` characters, broken between words where it can be."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        rest = word if not lines[-1] else f" {word}"
        lines[-1] += rest
        while len(lines[-1]) > width:
            lines[-1:] = [lines[-1][:width], lines[-1][width:]]
    return lines
