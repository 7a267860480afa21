"""What else each cut of a pair says: direct matching, agreement, activation gap, CKA and the stitch's parameters."""

from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stitchtui.report import cells
from stitchtui.report.cells import Drawn
from stitchtui.report.wording import bounds, column_name, printable, shortened, signed, significant, to_ascii
from stitchtui.run.state import Column, RunState, Summary

_NARROWEST_CUT = 12  # terminal cells
_WIDEST_CUT = 48
_GAP = 2

MEANINGS = {
    "direct": "direct: the penalty of direct matching, with nothing trained",
    "agree %": "agree: images on which the stitched network says what the top says",
    "gap": "gap: activation gap, how far what the top is fed is from its own activations (0: not at all)",
    "OOD": "OOD: how far outside its own activations the top is fed (0.5: as its own, 1: wholly outside)",
    "CKA": "CKA: linear, of bottom and top at the cut, 0 to 1",
    "parameters": "parameters: the stitch's",
}
"""What each heading stands for."""


@dataclass(frozen=True)
class Details:
    """One pair's table: a row a cut, and under each heading its text; `·` where there is no number."""

    title: str  # from outside, so print it plain
    cuts: tuple[str, ...]
    columns: dict[str, list[str]]


def details(state: RunState, exact: bool = False) -> list[Details]:
    """A table for every pair of which something is known; controls have none. `exact` gives penalties' bounds."""
    found = []
    for column in state.columns():
        cuts = tuple(state.cuts())
        rows = [state.summary(column, cut) for cut in cuts]
        if not column.control and any(row.penalty or row.direct for row in rows):
            title = f"{column_name(column)}: {column.family}, {column.objective}"
            found.append(Details(title, cuts, _columns(state, column, rows, exact)))
    return found


def _columns(state: RunState, column: Column, rows: list[Summary], exact: bool) -> dict[str, list[str]]:
    found = {"penalty": _penalties(state, column, rows, exact)}
    if column.objective != "direct":  # else it is the penalty itself
        found["direct"] = ["·" if row.direct is None else _direct(row, exact) for row in rows]
    found["agree %"] = _measure(rows, "agreement", "{:.1f}")
    gaps = [row.measures.get("activation_gap") for row in rows]
    found["gap"] = ["·" if gap is None else significant(gap) for gap in gaps]
    if any("ood" in row.measures for row in rows):
        found["OOD"] = _measure(rows, "ood", "{:.2f}")
    found["CKA"] = _measure(rows, "cka", "{:.2f}")
    found["parameters"] = _measure(rows, "stitch_parameters", "{:,.0f}")
    return found


def _penalties(state: RunState, column: Column, rows: list[Summary], exact: bool) -> list[str]:
    drawn = [cells.cell_of(state, column, row.cut) for row in rows]
    own = [Drawn("pending") if cell.kind == "direct" else cell for cell in drawn]
    if exact:
        return [cell.kind if cell.interval is None else bounds(cell.interval) for cell in own]
    return cells.texts(own, 2, True)


def _direct(row: Summary, exact: bool) -> str:
    assert row.direct is not None
    return bounds(row.direct) if exact else signed(row.direct.value)


def _measure(rows: list[Summary], name: str, words: str) -> list[str]:
    return [words.format(row.measures[name]) if name in row.measures else "·" for row in rows]


def details_tables(state: RunState, width: int, ascii: bool = False) -> list[Group]:
    """`details` for a terminal, each at most `width` wide: the names of cuts give way, then columns from the right."""
    return [_table(one, width, ascii) for one in details(state)]


def _table(one: Details, width: int, ascii: bool) -> Group:
    texts = _texts(one, ascii)
    widths = _widths(texts, width)
    names = [printable(cut, ascii) for cut in one.cuts]
    room = max(3, width - sum(widths.values()) - _GAP * len(widths))
    cut_width = min(room, _WIDEST_CUT, max(map(cell_len, [*names, "cut"])))
    title = shortened(printable(one.title, ascii), width, ascii)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    table.add_column(Text("cut"), no_wrap=True, width=cut_width)
    for heading, size in widths.items():
        table.add_column(Text(heading), justify="right", no_wrap=True, width=size)
    for index, name in enumerate(names):
        table.add_row(Text(shortened(name, cut_width, ascii)), *(Text(texts[heading][index]) for heading in widths))
    return Group(Text(title, style="bold", no_wrap=True), table)


def _texts(one: Details, ascii: bool) -> dict[str, list[str]]:
    return {heading: [to_ascii(text) if ascii else text for text in texts] for heading, texts in one.columns.items()}


def _widths(texts: dict[str, list[str]], width: int | None) -> dict[str, int]:
    """How wide each column that has room in `width` is, beside the name of the cut."""
    widths = {heading: max(len(heading), *map(len, column)) for heading, column in texts.items()}
    while width is not None and len(widths) > 1 and width - sum(widths.values()) < _NARROWEST_CUT + _GAP * len(widths):
        widths.popitem()
    return widths


def meanings(state: RunState, width: int | None = None, ascii: bool = False) -> str:
    """A sentence on what the headings of the tables mean, in as much `width`; empty where there is no table."""
    used = {heading for one in details(state) for heading in _widths(_texts(one, ascii), width)}
    return "; ".join(text for heading, text in MEANINGS.items() if heading in used)
