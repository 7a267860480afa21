"""The grid of penalties as a table for a terminal: rows are cuts, columns are pairs and then their controls."""

from dataclasses import dataclass
from functools import cache

from rich.box import Box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from stitchtui.report import cells
from stitchtui.report.summary import summary_lines
from stitchtui.report.wording import column_name, heading_lines, listed, printable, shortened, to_ascii
from stitchtui.run.state import Column, RunState

__all__ = ["grid_table", "summary_lines"]

# Rules above and below the numbers and none between them, as in print.
_RULES = Box(" ── \n    \n ── \n    \n ── \n ── \n    \n ── \n")
_ASCII_RULES = Box(" -- \n    \n -- \n    \n -- \n -- \n    \n -- \n", ascii=True)
_NARROWEST_PAIR = 9  # "connected", "undecided"; "not connected" takes two lines
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


_LAYOUTS = [
    _Layout(*levels, *room)
    for levels in ((2, 2, True), (2, 1, True), (2, 2, False), (2, 1, False), (1, 1, False))
    for room in ((24, 2), (12, 2), (8, 2), (8, 1))
]


class _Grid:
    # What the table holds, before and after it is known how wide it may be.
    def __init__(self, state: RunState, ascii: bool) -> None:
        self.state, self.ascii = state, ascii
        self.cuts = state.cuts()
        self.columns = state.columns()
        self.cells = [[cells.drawn(c, state.summary(c, cut)) for cut in self.cuts] for c in self.columns]
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
        return max(body, least, min(heading, layout.names))

    def cut_width(self, width: int | None) -> int:
        if not self.columns:
            return len(_NOTHING) if width is None else min(width, len(_NOTHING))
        widest = max((cell_len(printable(cut, self.ascii)) for cut in self.cuts), default=0)
        return max(len("verdict"), min(widest, 32 if width is None else max(12, width // 4)))

    def fit(self, width: int | None) -> tuple[_Layout, int]:
        """The richest layout in which as many columns as possible stay within `width`."""
        room = None if width is None else width - self.cut_width(width)
        for count in range(len(self.columns), 0, -1):
            for layout in _LAYOUTS:
                taken = sum(layout.gap + self.width(index, layout) for index in range(count))
                if room is None or taken <= room:
                    return layout, count
        return _LAYOUTS[-1], min(1, len(self.columns))


def grid_table(state: RunState, width: int | None = None, ascii: bool = False) -> Table:
    """The grid as a rich table: the penalty in points with half of its 95 % interval, and each pair's verdict.

    At most `width` cells wide: decimals and intervals of the controls go first, then columns from the right, which
    the caption names. `ascii` keeps to ASCII. Names from outside are made plain, and no markup in them is read.
    """
    grid = _Grid(state, ascii)
    cut_width = grid.cut_width(width)
    layout, shown = grid.fit(width)
    table = _empty_table(grid, layout, shown)
    table.add_column(Text("cut"), footer=Text("verdict"), no_wrap=True, width=cut_width)
    _add_columns(table, grid, layout, shown)
    for row, cut in enumerate(grid.cuts):
        name = Text(shortened(printable(cut, ascii), cut_width, ascii))
        table.add_row(name, *(_cell(grid, layout, index, row) for index in range(shown)))
    return table


def _empty_table(grid: _Grid, layout: _Layout, shown: int) -> Table:
    title = printable(grid.state.title or grid.state.name or "", grid.ascii)
    caption = _caption(grid, shown)
    return Table(
        title=Text(title, style="bold") if title else None,
        caption=Text(caption, style="dim") if caption else None,
        title_justify="left",
        caption_justify="left",
        box=_ASCII_RULES if grid.ascii else _RULES,
        show_edge=False,
        show_footer=bool(shown),
        padding=(0, 0, 0, layout.gap - 1),
        pad_edge=False,
        header_style="",
        footer_style="",
    )


def _caption(grid: _Grid, shown: int) -> str:
    used = {cell.kind for column in grid.cells[:shown] for cell in column}
    lines = [text for kind, text in cells.LEGEND.items() if kind in used]
    if left_out := grid.columns[shown:]:
        names = listed(printable(column_name(column)) for column in left_out)
        lines.append(f"no room for {len(left_out)} of {len(grid.columns)} columns: {names}")
    if not grid.columns:
        lines.append(_NOTHING)
    text = "\n".join(lines)
    return to_ascii(text) if grid.ascii else text


def _add_columns(table: Table, grid: _Grid, layout: _Layout, shown: int) -> None:
    widths = [grid.width(index, layout) for index in range(shown)]
    headings = [grid.heading(index, width) for index, width in enumerate(widths)]
    tallest = max(map(len, headings), default=0)
    for column, width, heading in zip(grid.columns, widths, headings, strict=False):
        lines = [shortened(line, width, grid.ascii) for line in heading]
        table.add_column(
            # Rich sets headings at the bottom; with lines below, every bottom and top stands in the same line.
            Text("\n".join(lines + [""] * (tallest - len(lines))), style="dim" if column.control else "bold"),
            footer=_verdict(grid, column),
            justify="right",
            no_wrap=True,
            width=width,
        )


def _verdict(grid: _Grid, column: Column) -> Text:
    if column.control:
        return Text("")
    verdict = grid.state.verdict(column)
    if verdict is None:
        return Text("." if grid.ascii else "·", style="dim")
    style = {"connected": "bold", "not connected": cells.CLEARLY_WORSE}.get(verdict, "")
    return Text(verdict.replace(" ", "\n"), style=style)


def _cell(grid: _Grid, layout: _Layout, index: int, row: int) -> Text:
    text = grid.column_texts(index, layout)[row]
    return Text(text, style=cells.colour(grid.cells[index][row], grid.state.epsilon))
