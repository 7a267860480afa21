"""Every bottom cut with every top cut of one pair: a table of its own, with the diagonal marked."""

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stitchtui.report import cells
from stitchtui.report.wording import column_name, counted, printable, shortened, to_ascii
from stitchtui.run.records import row_name
from stitchtui.run.state import Column, RunState

_WIDEST_NAME = 24  # terminal cells
_NARROWEST_HEADING = 6
_GAP = 1


def cross_title(column: Column) -> str:
    """What is above a cross table, unescaped: the pair, the stitch, and how to read it."""
    stitch = ", ".join(word for word in (column.family, column.objective, column.recipe) if word)
    return f"{column_name(column)}, every cut with every cut: {stitch}"


def cross_texts(state: RunState, column: Column, decimals: int = 1) -> tuple[list[str], list[str], list[list[str]]]:
    """Bottom cuts, top cuts, and the penalties as texts [bottom cut][top cut]; `[...]` marks the diagonal."""
    grid = state.cross(column)
    found = []
    for low in grid.bottom_cuts:
        drawn = [cells.cell_of(state, column, row_name(low, high)) for high in grid.top_cuts]
        texts = [cells.texts([cell], decimals, False)[0].strip() for cell in drawn]
        marked = ((low, high) in grid.diagonal for high in grid.top_cuts)
        found.append([f"[{text}]" if mark else text for text, mark in zip(texts, marked, strict=True)])
    return list(grid.bottom_cuts), list(grid.top_cuts), found


def cross_tables(state: RunState, width: int, ascii: bool = False) -> list[Group]:
    """A table for each cross column, at most `width` wide; columns that don't fit are counted below it."""
    return [_table(state, column, width, ascii) for column in state.crosses()]


def _table(state: RunState, column: Column, width: int, ascii: bool) -> Group:
    bottoms, tops, texts = cross_texts(state, column)
    title = Text(shortened(printable(cross_title(column), ascii), width, ascii), style="bold", no_wrap=True)
    if not bottoms or not tops:
        return Group(title, Text("no cell is measured yet", style="dim"))
    rows = [[to_ascii(text) if ascii else text for text in row] for row in texts]
    names = [printable(name, ascii) for name in bottoms]
    name_width = min(_WIDEST_NAME, max(map(cell_len, [*names, "bottom cut"])))
    cell = max(_NARROWEST_HEADING, *(len(text) for row in rows for text in row))
    fit = max(1, min(len(tops), (width - name_width) // (cell + _GAP)))
    room = (width - name_width) // fit - _GAP
    head = max(cell, min(room, max(cell_len(printable(top, ascii)) for top in tops)))
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, _GAP), header_style="dim")
    table.add_column(Text("bottom cut"), no_wrap=True, width=name_width)
    for top in tops[:fit]:
        table.add_column(Text(shortened(printable(top, ascii), head, ascii)), justify="right", no_wrap=True, width=head)
    for name, row in zip(names, rows, strict=True):
        table.add_row(Text(shortened(name, name_width, ascii)), *(Text(text) for text in row[:fit]))
    notes = ["columns are top cuts; [..] marks the diagonal, where both cuts lie about equally deep"]
    if fit < len(tops):
        notes.append(f"no room for {counted(len(tops) - fit, 'more top cut')}; --csv has all")
    return Group(title, table, *(Text(note, style="dim") for note in notes))
