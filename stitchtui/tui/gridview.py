"""The grid as it is to be drawn: which columns in which order, and what each cell says. Made anew from a RunState."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from rich.cells import cell_len

from stitchtui.report.table import MARKS, Entry, Table, cross, grid
from stitchtui.report.terminal import heading_lines
from stitchtui.report.wording import column_name, printable
from stitchtui.run.records import row_name
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.stats.penalty import Side
from stitchtui.tui.measures import Measure

Order = Literal["plan", "largest first", "smallest first"]
ORDERS: tuple[Order, ...] = ("plan", "largest first", "smallest first")


@dataclass(frozen=True)
class GridView:
    """A table of cuts by pairs and controls, or of every cut with every cut, and what else the app draws of it."""

    table: Table = field(default_factory=lambda: Table((), (), ()))
    running: frozenset[str] = field(default_factory=frozenset)  # keys of columns that are being measured
    order: Order = "plan"  # of the columns

    @property
    def is_cross(self) -> bool:
        """Whether rows are bottom cuts, and columns top cuts of one pair."""
        return self.table.look == "brief"

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """Whose numbers stand in each column."""
        return tuple(heading.column for heading in self.table.columns if heading.column is not None)

    @property
    def words(self) -> tuple[str, ...]:
        """What stands below each column: a pair's verdict."""
        return self.table.footer or ("",) * len(self.table.columns)

    @property
    def margins(self) -> tuple[str, ...]:
        """From which margin on each pair is connected; empty where that isn't known."""
        return self.table.connected_from or ("",) * len(self.table.columns)

    @property
    def keys(self) -> tuple[str, ...]:
        """What tells each column from the others."""
        tops = (f" {heading.name}" if self.is_cross else "" for heading in self.table.columns)
        return tuple(f"{column.key}{top}" for column, top in zip(self.columns, tops, strict=True))

    def place(self, row: int, column: int) -> tuple[Column, str]:
        """The column and the cut, as `RunState.summary` takes them, of a cell."""
        cut = self.table.rows[row]
        return self.columns[column], row_name(cut, self.table.columns[column].name) if self.is_cross else cut

    def same_places(self, other: "GridView") -> bool:
        """Whether rows and columns and their order are those of `other`, so that only cells can differ."""
        mine, others = ((view.table.rows, view.table.columns, view.order) for view in (self, other))
        return mine == others


def with_lost(view: GridView, state: RunState) -> GridView:
    """The view with a mark on each cell that was in training when the run was lost."""
    entries = (
        tuple(
            replace(entry, lost=state.summary(*view.place(row, column)).status == "running")
            for column, entry in enumerate(entries)
        )
        for row, entries in enumerate(view.table.entries)
    )
    return replace(view, table=replace(view.table, entries=tuple(entries)), running=frozenset())


def grid_view(state: RunState, measure: Measure, words: str = "", order: Order = "plan") -> GridView:
    """What the grid of `state` shows: columns whose name holds every word of `words`, in `order`."""
    columns = [column for column in state.columns() if matches(column, words)]
    table = grid(state, measure.take(state), columns, measure.by_epsilon)
    ranks = [_rank([row[index] for row in table.entries], order) for index in range(len(columns))]
    table = table.part(sorted(range(len(columns)), key=lambda index: ranks[index]))
    return GridView(table, _running(state, columns), order)


def cross_view(state: RunState, measure: Measure, column: Column) -> GridView:
    """Every bottom cut with every top cut of `column`, one of `state.crosses()`."""
    return GridView(cross(state, column, measure.take(state), measure.by_epsilon), _running(state, [column]))


def _running(state: RunState, columns: Iterable[Column]) -> frozenset[str]:
    running = {task.id for task in state.tasks.values() if task.status == "running"}
    return frozenset(
        column.key for column in columns if not running.isdisjoint((*column.task_ids, *column.direct_tasks))
    )


def matches(column: Column, words: str) -> bool:
    """Whether the column's name, family and objective together hold every word."""
    text = f"{column_name(column)} {column.family} {column.objective}".lower()
    return all(word in text for word in words.lower().split())


def _rank(entries: list[Entry], order: Order) -> float:
    values = [entry.interval.value for entry in entries if entry.interval]
    if order == "plan":
        return 0.0
    if not values:
        return float("inf")
    return -max(values) if order == "largest first" else max(values)


_CONTROL_LINES = 6  # characters that the parts of a control's name take


def headings(view: GridView, width: int, ascii: bool = False) -> list[list[str]]:
    """Each column's heading over equally many lines, unshortened: bottom, top, control; the stitch if they differ."""
    if view.is_cross:
        return _top_headings([printable(heading.name, ascii) for heading in view.table.columns], width)
    found = []
    for heading, column in zip(view.table.columns, view.columns, strict=True):
        said = heading_lines(heading, width)
        control = said[2 : len(said) - len(column.apart)]
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
    known = FAMILIES.get(word) or OBJECTIVES.get(word)
    return (known.brief if known else "") or word


def _top_headings(tops: list[str], width: int) -> list[list[str]]:
    """Names of top cuts in one line each, or where they are too long for that, in a line for each part of the path."""
    if all(cell_len(top) <= width for top in tops):
        return [[top] for top in tops]
    parts = [top.split(".") for top in tops]
    tallest = max(map(len, parts))
    return [[""] * (tallest - len(each)) + each for each in parts]


_SHORT = {"connected": "yes", "not connected": "no", "undecided": "open"}
_FROM = {"connected": "conn. from {}", "not connected": "no, from {}", "undecided": "open, from {}"}
VERDICTS: dict[str, Side] = {"connected": "below", "not connected": "above", "undecided": "straddling"}
"""The side of epsilon that a pair's verdict is about: the same marks and colours say both."""


def verdict_text(verdict: str, margin: str, width: int, ascii: bool = False) -> str:
    """What stands below a column in at most `width` characters, three at least.

    It is the verdict and, where that is known, the margin from which on the pair is connected.
    """
    if verdict == "pending":
        return "." if ascii else "·"
    if verdict not in _SHORT:
        return verdict
    mark = MARKS[VERDICTS[verdict]][ascii]
    whole = f"{math.ceil(float(margin))}{mark}" if margin else ""
    with_margin = (_FROM[verdict].format(margin), f"from {margin}{mark}", f"{margin}{mark}", whole)
    forms = with_margin if margin else (verdict, _SHORT[verdict])
    return next((form for form in forms if len(form) <= width), mark)
