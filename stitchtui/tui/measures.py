"""What the grid can show: each measure's name, unit, where it comes from, and its place on a scale that never moves."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from stitchtui.report.best import Mates
from stitchtui.report.derived import finder
from stitchtui.report.table import Entry, Take, penalty
from stitchtui.run.state import Column, RunState, Summary
from stitchtui.spec import measures as spec
from stitchtui.spec.measures import BEST, DIRECT_PENALTY, ERROR, MEASURES, PENALTY, VERSUS_BOTTOM, WIDTH, Shade
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.penalty import Interval


@dataclass(frozen=True)
class Measure:
    """One measure as the grid shows it: `take` says of a run what finds it in a row of a column."""

    shade: Shade
    take: Callable[[RunState], Take]
    by_epsilon: bool = False  # whether it is a penalty, which a pair is judged by


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


def _best(state: RunState) -> Take:
    mates = Mates(state)

    def entry(column: Column, summary: Summary) -> Entry:
        found = mates.best(column, summary.cut)
        return _absent(summary) if found is None else Entry(interval=found.penalty)

    return entry


def _shown() -> Iterator[Measure]:
    yield FIRST
    yield _always(VERSUS_BOTTOM.shade, _own(lambda summary: summary.versus_bottom))
    yield from (_derived(measure) for measure in MEASURES.values() if measure.derived and measure.shade)
    yield Measure(BEST, _best, by_epsilon=True)
    yield _always(ERROR.shade, _own(_mean(ERROR.name)))
    yield replace(_always(DIRECT_PENALTY.shade, _direct), by_epsilon=True)
    yield _always(WIDTH, _own(_width))
    for name, measure in MEASURES.items():
        if measure.shade and not measure.derived and measure not in (PENALTY, VERSUS_BOTTOM, ERROR, DIRECT_PENALTY):
            yield _always(measure.shade, _own(_mean(name)))


def _derived(measure: spec.Measure) -> Measure:
    """A measure that sets columns of a run against each other."""
    assert measure.shade is not None

    def take(state: RunState) -> Take:
        find = finder(state, measure)
        return lambda column, summary: _own(lambda row: find(column, row.cut))(column, summary)

    return Measure(measure.shade, take)


def _always(shade: Shade | None, take: Take) -> Measure:
    """A measure that is found the same way in every run."""
    assert shade is not None
    return Measure(shade, lambda _state: take)


FIRST = replace(_always(PENALTY.shade, penalty), by_epsilon=True)
"""What the grid shows before another is asked for."""


@cache
def shown_measures() -> tuple[Measure, ...]:
    """Every measure that the grid can show, in order."""
    return tuple(_shown())


def number(value: float, width: int, decimals: int, signed: bool) -> str:
    """`value` in at most `width` characters: decimals go first, then the plus, a zero ahead, the point."""
    signs = ("+", "") if signed else ("",)
    forms = [f"{value:{sign}.{places}f}" for sign in signs for places in range(decimals, 0, -1)]
    forms += [f"{value:.1f}".replace("0.", ".")] if abs(value) < 1 else []
    for form in [*forms, *(f"{value:{sign}.0f}" for sign in signs)]:
        text = form if float(form) else form.lstrip("+-")
        if len(text) <= width:
            return text
    return f"{value:.0e}".replace("e+0", "e").replace("e+", "e")[:width]
