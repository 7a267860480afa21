"""Two runs beside each other: for every cell that both measured, by how much the penalty differs."""

from collections.abc import Iterator
from dataclasses import dataclass

from stitchtui.report.markdown import escaped, table
from stitchtui.report.settings_diff import unlike
from stitchtui.report.wording import bounds, column_name, counted, listed, signed
from stitchtui.run.answers import penalty_of
from stitchtui.run.state import Column, RunState
from stitchtui.stats.paired_difference import apart_of
from stitchtui.stats.penalty import Interval

APART = (
    "± counts only images that one of the two gets wrong where both stitch into the same network on the same images, "
    "and the logs say which; else it joins both 95 % intervals as if they were independent"
)
_SAID_ELSEWHERE = ("name", "pairs", "claims", "controls")  # or says nothing of numbers that both have
_SETTINGS = 8  # that are spelt out

HOW = f"second - first, in points; {APART}"


@dataclass(frozen=True)
class Pairing:
    """A column of the first run and the one of the second that it is compared with."""

    first: Column
    second: Column

    @property
    def differs(self) -> str:
        """What differs between the two besides the numbers: `affine, task > affine, direct`; empty where nothing."""
        one, other = (f"{column.family}, {column.objective}" for column in (self.first, self.second))
        return "" if one == other else f"{one} > {other}"


@dataclass(frozen=True)
class Difference:
    """One cell in both runs; either is None where that run has no penalty there."""

    first: Interval | None
    second: Interval | None

    @property
    def interval(self) -> Interval | None:
        """The second's penalty less the first's, with its 95 % interval; None unless both are known."""
        return None if self.first is None or self.second is None else apart_of(self.first, self.second)


@dataclass(frozen=True)
class Comparison:
    """Two runs' common grid: `cells[row][column]` for `cuts[row]` and `pairings[column]`."""

    cuts: tuple[str, ...]
    pairings: tuple[Pairing, ...]
    cells: tuple[tuple[Difference, ...], ...]
    notes: tuple[str, ...]  # what the reader must know, a sentence each; from outside, so print it plain


def compare(first: RunState, second: RunState) -> Comparison:
    """The grid of `second` less that of `first`, over what both have."""
    pairings = tuple(_pairings(first, second))
    order = [*first.cuts(), *second.cuts()]
    used = {cut for pair in pairings for cut in _cuts(first, pair.first) | _cuts(second, pair.second)}
    cuts = tuple(cut for cut in dict.fromkeys(order) if cut in used)
    cells = tuple(tuple(_difference(first, second, pair, cut) for pair in pairings) for cut in cuts)
    return Comparison(cuts, pairings, cells, tuple(_notes(first, second, pairings)))


def _cuts(state: RunState, column: Column) -> set[str]:
    return {cut for task in column.task_ids if task in state.tasks for cut in state.tasks[task].cuts}


def _difference(first: RunState, second: RunState, pair: Pairing, cut: str) -> Difference:
    return Difference(penalty_of(first, pair.first, cut), penalty_of(second, pair.second, cut))


def _pairings(first: RunState, second: RunState) -> Iterator[Pairing]:
    """The same column where there is one, else the one of the same place with another stitch or objective."""
    left = second.columns()
    same = {column.key: column for column in left}
    taken = {column.key for column in first.columns()}
    for column in first.columns():
        others = [other for other in left if _place(other) == _place(column) and other.key not in taken]
        found = same.get(column.key) or (others[0] if others else None)
        if found is not None:
            left.remove(found)
            yield Pairing(column, found)


def _place(column: Column) -> tuple[str, str, str]:
    return column.control, column.bottom, column.top


def _notes(first: RunState, second: RunState, pairings: tuple[Pairing, ...]) -> Iterator[str]:
    if not pairings:
        yield "nothing to compare: no column has the same bottom, top and control in both runs"
        return
    yield from _changed(first, second)
    for pair in pairings:
        if pair.differs:
            yield f"* {column_name(pair.first)}: {pair.differs}"
    for state, mine in ((first, {p.first.key for p in pairings}), (second, {p.second.key for p in pairings})):
        alone = [column_name(column) for column in state.columns() if column.key not in mine]
        if alone:
            yield f"{counted(len(alone), 'column')} only in {state.run}: {listed(alone)}"
    yield HOW


def _changed(first: RunState, second: RunState) -> Iterator[str]:
    """What makes the difference about more than the stitch: other weights, other data."""
    both = [name for name in first.networks if name in second.networks]
    other = [name for name in both if first.networks[name].digest != second.networks[name].digest]
    if other:
        yield f"not the same weights in both runs: {listed(other)}"
    one, two = ((state.data or {}).get("digest") or (state.data or {}).get("name") for state in (first, second))
    if one != two:
        yield "not the same data in both runs"
    settings = [key for key in unlike(first.experiment, second.experiment) if not key.startswith(_SAID_ELSEWHERE)]
    if settings:
        yield f"not set the same, the second in place of the first: {listed(settings, _SETTINGS)}"


def words(difference: Difference) -> str:
    """One cell in a sentence: both penalties with their intervals, and the difference with its own."""
    one, other = ("not measured" if each is None else bounds(each) for each in (difference.first, difference.second))
    between = difference.interval
    return f"first {one}, second {other}" + ("" if between is None else f", difference {bounds(between)}")


def short(difference: Difference, decimals: int = 2) -> str:
    """One cell as the grid shows it: the difference with half of its interval, or which run has a number."""
    between = difference.interval
    if between is not None:
        return f"{signed(between.value, decimals)} ±{between.half_width:.{decimals}f}"
    if difference.first is None and difference.second is None:
        return "·"
    return "first only" if difference.second is None else "second only"


def markdown_text(comparison: Comparison, first: str, second: str) -> str:
    """The grid of differences as a GitHub table, with what its reader must know below."""
    heading = ["cut", *(escaped(column_name(pair.first)) for pair in comparison.pairings)]
    rows = [
        [escaped(cut), *(short(cell) for cell in cells)]
        for cut, cells in zip(comparison.cuts, comparison.cells, strict=True)
    ]
    notes = [f"First: {escaped(first)}; second: {escaped(second)}.", *map(escaped, comparison.notes)]
    return "\n".join([*table(heading, rows), "", *notes]) + "\n"
