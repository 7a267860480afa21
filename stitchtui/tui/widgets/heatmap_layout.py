"""Where the heatmap's parts are: how wide its cells, which of its rows and columns fit, and which are shown."""

from dataclasses import dataclass, field

from rich.cells import cell_len
from textual.geometry import Region

from stitchtui.report.wording import printable
from stitchtui.tui.gridview import GridView, headings

_NARROWEST, _ROOMY, _WIDEST = 5, 7, 15  # terminal cells; from `_WIDE` columns on, a cell is `_ROOMY` at least
_WIDE = 160
_LABEL, _LONGEST_LABEL = 8, 25  # with the space that follows; "verdict" and "top cut" have room


@dataclass
class Layout:
    """Lines and columns of the heatmap for one size; `scroll_to` moves what is shown."""

    label: int = _LABEL  # terminal cells of a row's name
    cell: int = _NARROWEST
    headings: list[list[str]] = field(default_factory=list)
    rows: int = 0
    all_columns: int = 0
    rows_fit: int = 0
    columns_fit: int = 0
    has_title: bool = True
    has_legend: bool = True
    first_row: int = 0
    first_column: int = 0

    @property
    def title_line(self) -> int:
        """The line of the measure's name; -1 where there is no room for it."""
        return 0 if self.has_title else -1

    @property
    def heading_lines(self) -> range:
        """The lines of the columns' names."""
        tallest = len(self.headings[0]) if self.headings else 0
        return range(int(self.has_title), int(self.has_title) + tallest)

    @property
    def verdict_line(self) -> int:
        """The line below the rows that are shown."""
        return self.heading_lines.stop + self.rows_fit

    @property
    def legend_line(self) -> int:
        """The last line; -1 where there is no room for it."""
        return self.verdict_line + 1 if self.has_legend else -1

    @property
    def columns(self) -> range:
        """The columns that are shown."""
        return range(self.first_column, min(self.all_columns, self.first_column + self.columns_fit))

    @property
    def needed(self) -> int:
        """How many lines everything takes."""
        return (self.rows + self.heading_lines.stop + 2) if self.rows else 0

    def row_at(self, y: int) -> int | None:
        """The row that line `y` shows."""
        row = y - self.heading_lines.stop + self.first_row
        return row if self.heading_lines.stop <= y < self.verdict_line and row < self.rows else None

    def cell_at(self, x: int, y: int) -> tuple[int, int] | None:
        """The row and column at a point of the widget."""
        row, column = self.row_at(y), (x - self.label) // self.cell + self.first_column
        return (row, column) if row is not None and x >= self.label and column in self.columns else None

    def shows(self, row: int, column: int) -> bool:
        """Whether a cell is among those that are shown."""
        return self.first_row <= row < self.first_row + self.rows_fit and column in self.columns

    def region(self, row: int, column: int) -> Region:
        """Where a cell that is shown lies in the widget."""
        return self.across(column, self.heading_lines.stop + row - self.first_row)

    def across(self, column: int, y: int) -> Region:
        """Where a column that is shown crosses line `y`."""
        return Region(self.label + (column - self.first_column) * self.cell, y, self.cell, 1)

    def marks(self, row: int, column: int) -> list[Region]:
        """Where it is seen that the cursor is on a cell: the cell, its row's name, its column's heading."""
        cell = self.region(row, column)
        return [cell, Region(0, cell.y, self.label, 1), *(self.across(column, y) for y in self.heading_lines)]

    def scroll_to(self, row: int, column: int) -> bool:
        """Show the cell; returns whether that moved anything."""
        before = (self.first_row, self.first_column)
        self.first_row = _moved(self.first_row, row, self.rows_fit, self.rows)
        self.first_column = _moved(self.first_column, column, self.columns_fit, self.all_columns)
        return before != (self.first_row, self.first_column)

    def where(self) -> str:
        """Which part is shown; empty when all is."""
        parts = []
        if self.rows_fit < self.rows:
            parts.append(f"rows {self.first_row + 1}-{self.first_row + self.rows_fit}/{self.rows}")
        if self.columns_fit < self.all_columns:
            parts.append(f"columns {self.columns.start + 1}-{self.columns.stop}/{self.all_columns}")
        return " ".join(parts)


def _moved(first: int, wanted: int, fit: int, count: int) -> int:
    fit = max(1, fit)
    first = min(first, wanted, max(0, count - fit))
    return max(first, wanted - fit + 1)


def lay_out(view: GridView, width: int, height: int, ascii: bool, before: Layout | None = None) -> Layout:
    """The layout of `view` in `width` by `height` terminal cells; what `before` had scrolled to stays where it can."""
    count = len(view.table.columns)
    names = max((cell_len(printable(cut, ascii)) for cut in view.table.rows), default=0) + 1
    least = _ROOMY if width >= _WIDE else _NARROWEST
    label = max(_LABEL, min(names, _LONGEST_LABEL, width - count * least))
    cell = max(least, min(_WIDEST, (width - label) // max(1, count)))
    tops = headings(view, cell - 1, ascii)
    room = height - (len(tops[0]) if tops else 0) - 1
    rows = len(view.table.rows)
    has_legend, has_title = room - 2 >= min(rows, 3), room - 1 >= min(rows, 3)
    return Layout(
        label=label,
        cell=cell,
        headings=tops,
        rows=rows,
        all_columns=count,
        rows_fit=max(0, min(rows, room - has_legend - has_title)),
        columns_fit=max(1, min(count, (width - label) // cell)),
        has_title=has_title,
        has_legend=has_legend,
        first_row=before.first_row if before else 0,
        first_column=before.first_column if before else 0,
    )
