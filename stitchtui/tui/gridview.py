"""The grid as it is to be drawn: which columns in which order, and what each cell says. Made anew from a RunState."""

from dataclasses import dataclass, field, replace
from typing import Literal

from stitchtui.report.cells import Drawn
from stitchtui.report.wording import column_name, heading_lines, printable
from stitchtui.run.controls import control_named
from stitchtui.run.state import Column, RunState
from stitchtui.stitching.penalty import Verdict
from stitchtui.tui.measures import Measure

Order = Literal["plan", "largest first", "smallest first"]
ORDERS: tuple[Order, ...] = ("plan", "largest first", "smallest first")


@dataclass(frozen=True)
class GridView:
    """Rows are cuts, columns are pairs and controls; `cells[row][column]`."""

    cuts: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    cells: tuple[tuple[Drawn, ...], ...] = ()
    verdicts: tuple[Verdict | None, ...] = ()
    running: frozenset[str] = field(default_factory=frozenset)  # keys of columns that are being measured

    def same_places(self, other: "GridView") -> bool:
        """Whether rows and columns are those of `other`, so that only cells can differ."""
        return self.cuts == other.cuts and self.columns == other.columns


def grid_view(state: RunState, measure: Measure, words: str = "", order: Order = "plan") -> GridView:
    """What the grid of `state` shows: columns whose name holds every word of `words`, in `order`."""
    cuts = tuple(state.cuts())
    found = []
    for place, column in enumerate(state.columns()):
        if not matches(column, words):
            continue
        cells = [measure.take(column, state.summary(column, cut)) for cut in cuts]
        found.append((_rank(cells, order), place, column, cells))
    found.sort(key=lambda each: each[:2])
    columns = tuple(column for _, _, column, _ in found)
    running = frozenset(c.key for c in columns if any(_runs(state, task) for task in (*c.task_ids, c.direct_task)))
    return GridView(
        cuts,
        columns,
        tuple(zip(*(cells for _, _, _, cells in found), strict=True)) if columns else (),
        tuple(state.verdict(column) for column in columns),
        running,
    )


def matches(column: Column, words: str) -> bool:
    """Whether the column's name, family and objective together hold every word."""
    text = f"{column_name(column)} {column.family} {column.objective}".lower()
    return all(word in text for word in words.lower().split())


def _rank(cells: list[Drawn], order: Order) -> float:
    values = [cell.interval.value for cell in cells if cell.interval]
    if order == "plan":
        return 0.0
    if not values:
        return float("inf")
    return -max(values) if order == "largest first" else max(values)


def _runs(state: RunState, task: str | None) -> bool:
    return task is not None and task in state.tasks and state.tasks[task].status == "running"


_CONTROL_LINES = 6  # characters that the parts of a control's name take


def headings(columns: tuple[Column, ...], width: int, ascii: bool = False) -> list[list[str]]:
    """Each column's heading over equally many lines, unshortened: bottom, top, control; the stitch if they differ."""
    found = []
    for column in columns:
        control = heading_lines(replace(column, apart=()), width)[2:]
        if control and width < _CONTROL_LINES:
            control = [control_named(column.control).short]
        lines = [column.bottom, column.top, *control, *column.apart]
        found.append([printable(line, ascii) for line in lines])
    tallest = max(map(len, found), default=0)
    return [lines + [""] * (tallest - len(lines)) for lines in found]


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
