"""The grid of penalties as a table for a terminal: rows are cuts, columns are pairs and then their controls."""

from dataclasses import dataclass
from functools import cache

from rich.box import Box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from stitchtui.report import cells
from stitchtui.report.summary import summary_lines
from stitchtui.report.wording import column_name, counted, heading_lines, listed, printable, shortened, to_ascii
from stitchtui.run.state import RunState

__all__ = ["grid_table", "summary_lines"]

# Rules above and below the numbers and none between them, as in print.
_RULES = Box(" ── \n    \n ── \n    \n ── \n ── \n    \n ── \n")
_ASCII_RULES = Box(" -- \n    \n -- \n    \n -- \n -- \n    \n -- \n", ascii=True)
_NARROWEST_PAIR = 9  # "connected", "undecided"
_NOT_CONNECTED = "not connected"  # in two lines where there is no room for one
_NARROWEST_CONTROL = 6  # "stitch", "random"

_NOTHING = "no cells planned yet"


@dataclass(frozen=True)
class _Layout:
    # How much each cell says. A pair's penalty never goes without its interval.
    decimals: int
    control_decimals: int
    control_intervals: bool
    names: int  # the widest that a network's name may be
    gap: int  # between two columns
    whole_verdicts: bool = False  # whether columns are wide enough for every verdict to stay in one line


_LEVELS = ((2, 2, True), (2, 1, True), (2, 2, False), (2, 1, False), (1, 1, False))
# A verdict in two lines is worse than little space and fewer decimals of the controls, and better than shorter names.
_WHOLE = [
    _Layout(*levels, *room, whole_verdicts=True)
    for levels in _LEVELS[:-1]
    for room in ((24, 2), (12, 2), (24, 1), (12, 1))
]
_LAYOUTS = [_Layout(*levels, *room) for levels in _LEVELS for room in ((24, 2), (12, 2), (8, 2), (8, 1))]


class _Grid:
    # What the table holds, before and after it is known how wide it may be.
    def __init__(self, state: RunState, ascii: bool, most_rows: int | None = None) -> None:
        self.state, self.ascii = state, ascii
        cuts = state.cuts()
        self.cuts = cuts[:most_rows]
        self.cuts_left_out = len(cuts) - len(self.cuts)
        self.columns = state.columns()
        self.cells = [[cells.cell_of(state, c, cut) for cut in self.cuts] for c in self.columns]
        self.verdicts = [state.verdict(column) for column in self.columns]
        self.texts = cache(self._texts)

    def _texts(self, index: int, decimals: int, interval: bool) -> list[str]:
        texts = cells.texts(self.cells[index], decimals, interval)
        return [to_ascii(text) for text in texts] if self.ascii else texts

    def column_texts(self, index: int, layout: _Layout) -> list[str]:
        if self.columns[index].control:
            return self.texts(index, layout.control_decimals, layout.control_intervals)
        return self.texts(index, layout.decimals, True)

    def heading(self, index: int, width: int = 0) -> list[str]:
        return [printable(line, self.ascii) for line in heading_lines(self.columns[index], width)]

    def width(self, index: int, layout: _Layout) -> int:
        body = max(map(len, self.column_texts(index, layout)), default=1)
        heading = max(map(cell_len, self.heading(index)))
        least = _NARROWEST_CONTROL if self.columns[index].control else _NARROWEST_PAIR
        if layout.whole_verdicts and self.verdicts[index] == _NOT_CONNECTED:
            least = len(_NOT_CONNECTED)
        return max(body, least, min(heading, layout.names))

    def cut_width(self, width: int | None) -> int:
        if not self.columns:
            return len(_NOTHING) if width is None else min(width, len(_NOTHING))
        widest = max((cell_len(printable(cut, self.ascii)) for cut in self.cuts), default=0)
        return max(len("verdict"), min(widest, 32 if width is None else max(12, width // 4)))

    def fit(self, width: int | None) -> tuple[_Layout, int]:
        """The richest layout in which as many columns as possible stay within `width`."""
        room = None if width is None else width - self.cut_width(width)
        layouts = _WHOLE + _LAYOUTS if _NOT_CONNECTED in self.verdicts else _LAYOUTS
        for count in range(len(self.columns), 0, -1):
            for layout in layouts:
                taken = sum(layout.gap + self.width(index, layout) for index in range(count))
                if room is None or taken <= room:
                    return layout, count
        return _LAYOUTS[-1], min(1, len(self.columns))


def grid_table(
    state: RunState,
    width: int | None = None,
    ascii: bool = False,
    *,
    title: bool = True,
    legend: bool = True,
    most_rows: int | None = None,
) -> Table:
    """The grid as a rich table: the penalty in points with half of its 95 % interval, and each pair's verdict.

    At most `width` cells wide: decimals and intervals of the controls go first, then columns from the right, which
    the caption names. `ascii` keeps to ASCII. Names from outside are made plain, and no markup in them is read.
    Where lines are few, `title` and `legend` can be left out and rows after `most_rows`; the caption counts what
    isn't shown all the same.
    """
    grid = _Grid(state, ascii, most_rows)
    cut_width = grid.cut_width(width)
    layout, shown = grid.fit(width)
    table = _empty_table(grid, layout, title)
    table.show_footer = bool(shown)
    caption = _caption(grid, shown) if legend else _left_out(grid, shown)
    table.caption = Text(to_ascii(caption) if ascii else caption, style="dim") if caption else None
    table.add_column(Text("cut"), footer=Text("verdict"), no_wrap=True, width=cut_width)
    _add_columns(table, grid, layout, shown)
    for row, cut in enumerate(grid.cuts):
        name = Text(shortened(printable(cut, ascii), cut_width, ascii))
        table.add_row(name, *(_cell(grid, layout, index, row) for index in range(shown)))
    return table


def _empty_table(grid: _Grid, layout: _Layout, titled: bool) -> Table:
    title = printable(grid.state.title or grid.state.name or "", grid.ascii)
    return Table(
        title=Text(title, style="bold") if titled and title else None,
        title_justify="left",
        caption_justify="left",
        box=_ASCII_RULES if grid.ascii else _RULES,
        show_edge=False,
        padding=(0, 0, 0, layout.gap - 1),
        pad_edge=False,
        header_style="",
        footer_style="",
    )


def _caption(grid: _Grid, shown: int) -> str:
    used = {kind for column in grid.cells[:shown] for cell in column for kind in cell.kinds}
    lines = [text for kind, text in cells.LEGEND.items() if kind in used]
    if left_out := grid.columns[shown:]:
        names = listed(printable(column_name(column)) for column in left_out)
        lines.append(f"no room for {len(left_out)} of {len(grid.columns)} columns: {names}")
    if grid.cuts_left_out:
        lines.append(counted(grid.cuts_left_out, "more cut"))
    if not grid.columns:
        lines.append(_NOTHING)
    return "\n".join(lines)


def _left_out(grid: _Grid, shown: int) -> str:
    """How many columns and rows aren't shown: `2 more columns, 1 more cut`."""
    counts = ((len(grid.columns) - shown, "more column"), (grid.cuts_left_out, "more cut"))
    return ", ".join(counted(count, noun) for count, noun in counts if count)


def _add_columns(table: Table, grid: _Grid, layout: _Layout, shown: int) -> None:
    widths = [grid.width(index, layout) for index in range(shown)]
    headings = [grid.heading(index, width) for index, width in enumerate(widths)]
    tallest = max(map(len, headings), default=0)
    for index, (column, width, heading) in enumerate(zip(grid.columns, widths, headings, strict=False)):
        lines = [shortened(line, width, grid.ascii) for line in heading]
        table.add_column(
            # Rich sets headings at the bottom; with lines below, every bottom and top stands in the same line.
            Text("\n".join(lines + [""] * (tallest - len(lines))), style="dim" if column.control else "bold"),
            footer=_verdict(grid, index, width),
            justify="right",
            no_wrap=True,
            width=width,
        )


def _verdict(grid: _Grid, index: int, width: int) -> Text:
    if grid.columns[index].control:
        return Text("")
    verdict = grid.verdicts[index]
    if verdict is None:
        return Text("." if grid.ascii else "·", style="dim")
    style = {"connected": "bold", _NOT_CONNECTED: cells.CLEARLY_WORSE}.get(verdict, "")
    return Text(verdict if len(verdict) <= width else verdict.replace(" ", "\n"), style=style)


def _cell(grid: _Grid, layout: _Layout, index: int, row: int) -> Text:
    text = grid.column_texts(index, layout)[row]
    return Text(text, style=cells.colour(grid.cells[index][row], grid.state.epsilon))
