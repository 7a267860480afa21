"""Two runs as a grid of differences: what the second costs more or less than the first, cell by cell."""

import contextlib
import threading
from typing import ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.coordinate import Coordinate
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Static

from stitchtui.base.files import stamp
from stitchtui.report import difference
from stitchtui.report.markdown import difference_text
from stitchtui.report.table import Entry, Heading, Table
from stitchtui.report.terminal import BETTER, WORSE, heading_lines
from stitchtui.report.wording import ending, printable, to_ascii
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import quick_state
from stitchtui.tui import keys
from stitchtui.tui.clipboard import copy
from stitchtui.tui.shell import Shell
from stitchtui.tui.widgets.hints import Hints

LOOK = 2.0  # seconds between looks at the two logs
_CUTS, _WIDTH = 12, 13  # terminal cells; "+12.34 ±12.34", "not connected"


class _Compared(Message):
    def __init__(self, table: Table, order: tuple[str, str]) -> None:
        super().__init__()
        self.table, self.order = table, order


class CompareScreen(Screen[None]):
    """Both runs are read in a thread, again when one of them goes on; only cells that differ are drawn again."""

    DEFAULT_CSS = """
    CompareScreen #which { height: 2; text-style: bold; }
    CompareScreen DataTable { height: 1fr; }
    CompareScreen #cell { height: auto; max-height: 5; border-top: solid $primary; }
    CompareScreen #notes { height: auto; max-height: 6; color: $text-muted; }
    CompareScreen.-short #notes { max-height: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.COMPARE]

    def __init__(self, first: RunDirectory, second: RunDirectory) -> None:
        super().__init__()
        self._runs = (first, second)
        self._shown: Table | None = None
        self._order = ("", "")  # of the runs in what is shown
        self._reading = False
        self._stamps: tuple[object, ...] = ()

    @property
    def _ascii(self) -> bool:
        return cast(Shell, self.app).ascii

    @property
    def unready(self) -> bool:
        """Whether the two runs are still to be compared, or the other way round now."""
        return self._shown is None or self._order != self._names()

    def compose(self) -> ComposeResult:
        """Which runs, the grid, the cell under the cursor, what to know, the keys."""
        yield Static(id="which", markup=False)
        yield DataTable(cursor_type="cell", fixed_columns=1, zebra_stripes=False)
        yield Static("reading both runs", id="cell", markup=False)
        yield Static(id="notes", markup=False)
        yield Hints()

    def on_mount(self) -> None:
        """Begin to read."""
        self.set_focus(self.query_one(DataTable))
        self._look()
        self.set_interval(LOOK, self._look)

    def _look(self) -> None:
        """Read both runs in a thread, unless nothing was written to them since."""
        stamps = tuple((run.name, stamp(run.events)) for run in self._runs)
        if self._reading or stamps == self._stamps or not self.is_current:
            return
        self._reading, self._stamps = True, stamps
        threading.Thread(target=self._read, args=self._runs, daemon=True).start()

    def _read(self, first: RunDirectory, second: RunDirectory) -> None:
        table = difference.compare(quick_state(first), quick_state(second))
        with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
            self.post_message(_Compared(table, (first.name, second.name)))

    @on(_Compared)
    def _take(self, message: _Compared) -> None:
        self._reading = False
        if message.order != self._names():
            return self._look()  # swapped while it was read
        old, self._shown, self._order = self._shown, message.table, message.order
        with contextlib.suppress(NoMatches):  # the screen is being left, its widgets are gone
            self._draw(old, message.table)
        return None

    def _draw(self, old: Table | None, new: Table) -> None:
        table = self.query_one(DataTable)
        self.query_one("#which", Static).update(self._text("\n".join(self._which())))
        if old is None or _axes(old) != _axes(new):
            self._fill(table, new)
        else:
            for row, entries in enumerate(new.entries):
                for column, entry in enumerate(entries):
                    if entry != old.entries[row][column]:
                        table.update_cell_at(Coordinate(row, column + 1), self._cell(entry))
        self.query_one("#notes", Static).update(self._text("\n".join(new.notes)))
        self._draw_cell()

    def _names(self) -> tuple[str, str]:
        return self._runs[0].name, self._runs[1].name

    def _which(self) -> list[str]:
        return [f"{word} {name}" for word, name in zip(("first ", "second"), self._names(), strict=True)]

    def _fill(self, table: "DataTable[Text]", new: Table) -> None:
        table.clear(columns=True)
        if not new.columns:
            return
        headings = [self._heading(heading) for heading in new.columns]
        table.header_height = tallest = max(map(len, headings))
        for width, lines in ((_CUTS, [new.corner]), *((_WIDTH, lines) for lines in headings)):
            text = self._text("\n".join([""] * (tallest - len(lines)) + lines))
            text.justify = "left" if width == _CUTS else "right"
            table.add_column(text, width=width)
        for cut, entries in zip(new.rows, new.entries, strict=True):
            table.add_row(self._text(self._short(cut, _CUTS)), *map(self._cell, entries))

    def _heading(self, heading: Heading) -> list[str]:
        return [self._short(line, _WIDTH) for line in heading_lines(heading, _WIDTH)]

    def _short(self, text: str, width: int) -> str:
        return ending(printable(text, self._ascii), width, self._ascii)

    def _cell(self, entry: Entry) -> Text:
        between = entry.interval
        style = "dim" if between is None else WORSE if between.low > 0 else BETTER if between.high < 0 else ""
        return Text(to_ascii(entry.text) if self._ascii else entry.text, style=style, justify="right")

    def _text(self, text: str) -> Text:
        lines = [printable(line) for line in text.split("\n")]
        return Text("\n".join(map(to_ascii, lines) if self._ascii else lines))

    @on(DataTable.CellHighlighted)
    def _draw_cell(self) -> None:
        """Say everything about the cell under the cursor."""
        shown, place = self._shown, self.query_one(DataTable).cursor_coordinate
        if shown is None:
            return
        if place.column == 0 and shown.columns:  # what a row is called is no cell
            self.query_one(DataTable).move_cursor(column=1)
            return
        text = "" if shown.columns else "nothing to compare"
        if place.row < len(shown.rows) and shown.columns:
            column = max(0, min(place.column - 1, len(shown.columns) - 1))
            heading = shown.columns[column]
            verdict = f"; verdict {heading.note}" if heading.note else ""
            text = f"{heading.name} at {shown.rows[place.row]}{verdict}\n{shown.entries[place.row][column].note}"
        self.query_one("#cell", Static).update(self._text(text))

    def action_table(self, action: str) -> None:
        """Move in the grid, as its own keys do."""
        getattr(self.query_one(DataTable), f"action_{action}")()

    def action_swap(self) -> None:
        """Take the difference the other way round."""
        self._runs = (self._runs[1], self._runs[0])
        self._stamps = ()
        self._look()

    def action_copy(self) -> None:
        """Copy the differences as a Markdown table."""
        if self._shown is None:
            return
        text = difference_text(self._shown, *self._order)
        copy(self.app, text, "the differences")

    def action_back(self) -> None:
        """Leave."""
        self.dismiss()


def _axes(table: Table) -> tuple[object, ...]:
    return table.rows, [heading.parts for heading in table.columns]
