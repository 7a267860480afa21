"""The grid as it is to be drawn: which columns in which order, and what each cell says. Made anew from a RunState."""

from dataclasses import dataclass, field, replace
from typing import Literal

from rich.cells import cell_len

from stitchtui.report.table import Entry, cross, entry, heading
from stitchtui.report.wording import column_name, printable
from stitchtui.run.records import row_name
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.families import FAMILIES
from stitchtui.stats.penalty import Verdict
from stitchtui.tui.measures import Measure

Order = Literal["plan", "largest first", "smallest first"]
ORDERS: tuple[Order, ...] = ("plan", "largest first", "smallest first")


@dataclass(frozen=True)
class GridView:
    """Rows are cuts, columns are pairs and controls; `cells[row][column]`.

    Of every cut with every cut of one pair: rows are bottom cuts, and each column is for one of `tops`.
    """

    cuts: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    cells: tuple[tuple[Entry, ...], ...] = ()
    verdicts: tuple[Verdict | None, ...] = ()
    running: frozenset[str] = field(default_factory=frozenset)  # keys of columns that are being measured
    tops: tuple[str, ...] = ()
    diagonal: frozenset[tuple[int, int]] = frozenset()  # (row, column) of cuts that lie equally deep
    name: str = ""  # which grid it is, where there are several
    order: Order = "plan"  # of the columns

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells each column from the others."""
        if self.tops:
            return tuple(f"{column.key} {top}" for column, top in zip(self.columns, self.tops, strict=True))
        return tuple(column.key for column in self.columns)

    def place(self, row: int, column: int) -> tuple[Column, str]:
        """The column and the cut, as `RunState.summary` takes them, of a cell."""
        cut = self.cuts[row]
        return self.columns[column], row_name(cut, self.tops[column]) if self.tops else cut

    def same_places(self, other: "GridView") -> bool:
        """Whether rows and columns and their order are those of `other`, so that only cells can differ."""
        mine, others = ((view.cuts, view.columns, view.tops, view.order) for view in (self, other))
        return mine == others


def grid_view(state: RunState, measure: Measure, words: str = "", order: Order = "plan") -> GridView:
    """What the grid of `state` shows: columns whose name holds every word of `words`, in `order`."""
    cuts = tuple(state.cuts())
    found = []
    for place, column in enumerate(state.columns()):
        if not matches(column, words):
            continue
        cells = [_cell(state, measure, column, cut) for cut in cuts]
        found.append((_rank(cells, order), place, column, cells))
    found.sort(key=lambda each: each[:2])
    columns = tuple(column for _, _, column, _ in found)
    running = frozenset(c.key for c in columns if any(_runs(state, task) for task in (*c.task_ids, *c.direct_tasks)))
    return GridView(
        cuts,
        columns,
        tuple(zip(*(cells for _, _, _, cells in found), strict=True)) if columns else (),
        tuple(state.verdict(column) for column in columns),
        running,
        order=order,
    )


def cross_view(state: RunState, measure: Measure, column: Column) -> GridView:
    """Every bottom cut with every top cut of `column`, one of `state.crosses()`."""
    grid = state.cross(column)
    rows = [[_cell(state, measure, column, row_name(low, high)) for high in grid.top_cuts] for low in grid.bottom_cuts]
    places = ((grid.bottom_cuts.index(low), grid.top_cuts.index(high)) for low, high in grid.diagonal)
    running = any(_runs(state, task) for task in (*column.task_ids, *column.direct_tasks))
    return GridView(
        grid.bottom_cuts,
        (column,) * len(grid.top_cuts),
        tuple(map(tuple, rows)),
        (None,) * len(grid.top_cuts),
        frozenset({column.key}) if running else frozenset(),
        grid.top_cuts,
        frozenset(places),
        cross(state, column).title,
    )


def _cell(state: RunState, measure: Measure, column: Column, cut: str) -> Entry:
    return entry(state, column, cut, measure.take)


def matches(column: Column, words: str) -> bool:
    """Whether the column's name, family and objective together hold every word."""
    text = f"{column_name(column)} {column.family} {column.objective}".lower()
    return all(word in text for word in words.lower().split())


def _rank(cells: list[Entry], order: Order) -> float:
    values = [cell.interval.value for cell in cells if cell.interval]
    if order == "plan":
        return 0.0
    if not values:
        return float("inf")
    return -max(values) if order == "largest first" else max(values)


def _runs(state: RunState, task: str | None) -> bool:
    return task is not None and task in state.tasks and state.tasks[task].status == "running"


_CONTROL_LINES = 6  # characters that the parts of a control's name take
# of objectives, where their names don't fit
_BRIEF = {
    "direct": "dir", "trajectory": "traj",
}  # fmt: skip


def headings(view: GridView, width: int, ascii: bool = False) -> list[list[str]]:
    """Each column's heading over equally many lines, unshortened: bottom, top, control; the stitch if they differ."""
    if view.tops:
        return _top_headings([printable(top, ascii) for top in view.tops], width)
    columns, found = view.columns, []
    for column in columns:
        control = heading(replace(column, apart=())).lines(width)[2:]
        if control and width < _CONTROL_LINES:
            known = control_named(column.control)
            control = [known.short if cell_len(known.short) <= width else known.brief or known.short]
        lines = [column.bottom, column.top, *control, *(_brief(word, width) for word in column.apart)]
        found.append([printable(line, ascii) for line in lines])
    tallest = max(map(len, found), default=0)
    return [lines + [""] * (tallest - len(lines)) for lines in found]


def _brief(word: str, width: int) -> str:
    if cell_len(word) <= width:
        return word
    family = FAMILIES.get(word)
    return (family.brief if family else _BRIEF.get(word)) or word


def _top_headings(tops: list[str], width: int) -> list[list[str]]:
    """Names of top cuts in one line each, or where they are too long for that, in a line for each part of the path."""
    if all(cell_len(top) <= width for top in tops):
        return [[top] for top in tops]
    parts = [top.split(".") for top in tops]
    tallest = max(map(len, parts))
    return [[""] * (tallest - len(each)) + each for each in parts]


def verdict_text(verdict: Verdict | None, control: bool, width: int, ascii: bool = False) -> str:
    """A verdict in at most `width` characters, three at least."""
    if control:
        return ""
    if verdict is None:
        return "." if ascii else "·"
    if width >= len("not connected"):
        return verdict
    if width >= len("connected"):
        return {"not connected": "not conn."}.get(verdict, verdict)
    return {"connected": "yes", "not connected": "no", "undecided": "?"}[verdict]
