"""One cell of the grid as text: number, interval, glyph; colour only repeats what the number says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stitchtui.report.wording import signed
from stitchtui.run.state import Column, RunState, Summary
from stitchtui.stats.penalty import Interval

Kind = Literal["pending", "failed", "direct", "some_seeds", "reused", "measured"]

# Blue and vermilion stay apart for every kind of colour vision; both are legible on light and dark ground.
WORSE, CLEARLY_WORSE, BETTER = "#d75f00", "bold #d75f00", "#0087d7"

LEGEND: dict[Kind, str] = {
    "pending": "· not measured yet",
    "direct": "~ direct matching only, not trained yet",
    "some_seeds": "* some seeds still to come",
    "failed": "x failed",
    "reused": "= reused from an earlier run",
}

_SUFFIXES: dict[Kind, str] = {"reused": "=", "some_seeds": "*"}


@dataclass(frozen=True)
class Drawn:
    """What a cell shows: a number with what kind of number it is, or why there is none."""

    kind: Kind
    interval: Interval | None = None
    also_reused: bool = False  # beside what `kind` says: a direct-matching value can be an earlier run's too

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every entry of the legend that this cell needs."""
        return (self.kind, "reused") if self.also_reused else (self.kind,)


def drawn(column: Column, summary: Summary) -> Drawn:
    """What `summary` shows: its own penalty, else the direct-matching one, else why there is none."""
    if summary.status == "failed":
        return Drawn("failed")
    if summary.penalty is not None:
        partly = summary.seeds < len(column.task_ids)
        return Drawn("some_seeds" if partly else "reused" if summary.reused else "measured", summary.penalty)
    return Drawn("direct", summary.direct) if summary.direct is not None else Drawn("pending")


def cell_of(state: RunState, column: Column, cut: str) -> Drawn:
    """What the run's cell of `column` at `cut` shows; says of a direct-matching value too whether it was reused."""
    found = drawn(column, state.summary(column, cut))
    sources = [state.cells.get((task, cut)) for task in column.direct_tasks]
    if found.kind == "direct" and all(source is not None and source.reused_from is not None for source in sources):
        return replace(found, also_reused=True)
    return found


def texts(cells: Sequence[Drawn], decimals: int, interval: bool) -> list[str]:
    """The cells of one column, aligned on the decimal point when set flush right.

    `decimals` of the penalty in points; `interval` adds half of the 95 % interval.
    """
    halves = [f"{c.interval.half_width:.{decimals}f}" if c.interval else "" for c in cells]
    widest = max(map(len, halves), default=0)
    slot = any(_suffix(c) for c in cells)
    return [_text(c, h.rjust(widest), decimals, interval, slot) for c, h in zip(cells, halves, strict=True)]


def _suffix(cell: Drawn) -> str:
    return "".join(_SUFFIXES.get(kind, "") for kind in cell.kinds)


def _text(cell: Drawn, half: str, decimals: int, interval: bool, slot: bool) -> str:
    suffix = (_suffix(cell) or " ") if slot else ""
    if cell.interval is None:
        return ("x" if cell.kind == "failed" else "·") + suffix
    prefix = "~" if cell.kind == "direct" else ""
    spread = f" ±{half}" if interval else ""
    return f"{prefix}{signed(cell.interval.value, decimals)}{spread}{suffix}"


def colour(cell: Drawn, epsilon: float) -> str:
    """A rich style: vermilion above `epsilon` (bold where the whole interval is), blue where wholly below zero."""
    if cell.kind == "failed":
        return CLEARLY_WORSE
    if cell.interval is None or cell.kind == "direct":
        return "dim"
    if cell.interval.low > epsilon:
        return CLEARLY_WORSE
    if cell.interval.value > epsilon:
        return WORSE
    return BETTER if cell.interval.high < 0 else ""
