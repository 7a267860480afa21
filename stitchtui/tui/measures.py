"""What the grid can show: each measure's name, unit, where it comes from, and its place on a scale that never moves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from stitchtui.report.table import Entry, Take, penalty
from stitchtui.run.state import Column, Summary
from stitchtui.spec.measures import DIRECT_PENALTY, MEASURES, PENALTY, VERSUS_BOTTOM, WIDTH, Shade
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.penalty import Interval


@dataclass(frozen=True)
class Measure:
    """One measure as the grid shows it: `take` finds it."""

    shade: Shade
    take: Take


def _absent(summary: Summary) -> Entry:
    return Entry("failed" if summary.status == "failed" else "pending")


def _own(take: Callable[[Summary], Interval | None]) -> Take:
    """Entry as a penalty is, with another number in its place."""

    def entry(column: Column, summary: Summary) -> Entry:
        value = take(summary)
        found = penalty(column, summary)
        return Entry(found.kind, value) if value and found.kind not in ("direct", "failed") else _absent(summary)

    return entry


def _mean(name: str) -> Callable[[Summary], Interval | None]:
    def take(summary: Summary) -> Interval | None:
        value = summary.measures.get(name)
        return None if value is None else Interval(value, value, value)

    return take


def _width(summary: Summary) -> Interval | None:
    if summary.penalty is None:
        return None
    width = summary.penalty.high - summary.penalty.low
    return Interval(width, width, width)


def _direct(column: Column, summary: Summary) -> Entry:
    if summary.direct is not None:
        return Entry("measured", summary.direct)
    return penalty(column, summary) if column.objective == DIRECT.name else Entry("pending")


def _shown() -> Iterator[Measure]:
    for name, measure in MEASURES.items():
        if measure.shade:
            yield Measure(measure.shade, _TAKES.get(name) or _own(_mean(name)))
        if measure is DIRECT_PENALTY:
            yield Measure(WIDTH, _own(_width))


_TAKES: dict[str, Take] = {
    PENALTY.name: penalty,
    VERSUS_BOTTOM.name: _own(lambda summary: summary.versus_bottom),
    DIRECT_PENALTY.name: _direct,
}
assert PENALTY.shade is not None
FIRST = Measure(PENALTY.shade, penalty)
"""What the grid shows before another is asked for."""


@cache
def shown_measures() -> tuple[Measure, ...]:
    """Every measure that the grid can show, in order."""
    return tuple(_shown())


def number(value: float, width: int, decimals: int, signed: bool) -> str:
    """`value` in at most `width` characters: decimals go first, then the plus sign, then precision."""
    pluses = (True, False) if signed else (False,)
    some = [(plus, places) for plus in pluses for places in range(decimals, 0, -1)]
    for plus, places in [*some, *((plus, 0) for plus in pluses)]:
        text = f"{value:+.{places}f}" if plus else f"{value:.{places}f}"
        if not float(text):
            text = text.lstrip("+-")
        if len(text) <= width:
            return text
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")[:width]
