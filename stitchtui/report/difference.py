"""Two runs beside each other: for every cell that both measured, by how much the penalty differs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from stitchtui.report.settings_diff import settings_diff
from stitchtui.report.table import Entry, Heading, Table, connected_from, heading
from stitchtui.report.wording import bounds, column_name, counted, listed, points
from stitchtui.run.state import Column, RunState
from stitchtui.stats.paired_difference import difference_of
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


def compare(first: RunState, second: RunState) -> Table:
    """The grid of `second` less that of `first`, over what both have; each heading notes both verdicts."""
    pairs = pairings(first, second)
    used = {cut for pair in pairs for cut in _cuts(first, pair.first) | _cuts(second, pair.second)}
    cuts = [cut for cut in dict.fromkeys([*first.cuts(), *second.cuts()]) if cut in used]
    return Table(
        tuple(cuts),
        tuple(_heading(first, second, pair) for pair in pairs),
        tuple(tuple(_entry(first, second, pair, cut) for pair in pairs) for cut in cuts),
        notes=(*notes(first, second), *([HOW] if pairs else [])),
        look="plain",
    )


def _heading(first: RunState, second: RunState, pair: Pairing) -> Heading:
    found = heading(pair.first)
    verdicts = [_verdict(first, pair.first), _verdict(second, pair.second)]
    parts = (*found.parts, (("not alike *",),)) if pair.differs else found.parts
    return replace(found, parts=parts, note="" if found.control else ", then ".join(verdicts))


def _verdict(state: RunState, column: Column) -> str:
    found, margin = state.verdict(column) or "none yet", connected_from(state, column)
    return f"{found} (from {margin})" if margin else found


def _entry(first: RunState, second: RunState, pair: Pairing, cut: str) -> Entry:
    """One cell: the difference with half of its interval, or which run has a number; both in its note."""
    one, other = first.summary(pair.first, cut).penalty, second.summary(pair.second, cut).penalty
    less = between(one, other)
    said = [f"{name} {'not measured' if i is None else bounds(i)}" for name, i in (("first", one), ("second", other))]
    if less is not None:
        return Entry(interval=less, text=points(less), note=", ".join([*said, f"difference {bounds(less)}"]))
    alone = "second only" if one is None else "first only"
    return Entry(text="·" if one is None and other is None else alone, note=", ".join(said))


def between(first: Interval | None, second: Interval | None) -> Interval | None:
    """The second penalty less the first, with its 95 % interval; None unless both are known."""
    return None if first is None or second is None else difference_of(first, second)


def _cuts(state: RunState, column: Column) -> set[str]:
    return {cut for task in column.task_ids if task in state.tasks for cut in state.tasks[task].cuts}


def pairings(first: RunState, second: RunState) -> list[Pairing]:
    """The same column where there is one, else the one of the same place with another stitch or objective."""
    left = second.columns()
    same = {column.key: column for column in left}
    taken = {column.key for column in first.columns()}
    found = []
    for column in first.columns():
        others = [each for each in left if _place(each) == _place(column) and each.key not in taken]
        other = same.get(column.key) or (others[0] if others else None)
        if other is not None:
            left.remove(other)
            found.append(Pairing(column, other))
    return found


def _place(column: Column) -> tuple[str, str, str]:
    return column.control, column.bottom, column.top


def notes(first: RunState, second: RunState) -> Iterator[str]:
    """What the reader of their difference must know, a sentence each; from outside, so print it plain."""
    pairs = pairings(first, second)
    if not pairs:
        yield "nothing to compare: no column has the same bottom, top and control in both runs"
        return
    yield from _changed(first, second)
    for pair in pairs:
        if pair.differs:
            yield f"* {column_name(pair.first)}: {pair.differs}"
    for state, mine in ((first, {p.first.key for p in pairs}), (second, {p.second.key for p in pairs})):
        alone = [column_name(column) for column in state.columns() if column.key not in mine]
        if alone:
            yield f"{counted(len(alone), 'column')} only in {state.run}: {listed(alone)}"


def _changed(first: RunState, second: RunState) -> Iterator[str]:
    """What makes the difference about more than the stitch: other weights, other data."""
    both = [name for name in first.networks if name in second.networks]
    other = [name for name in both if first.networks[name].digest != second.networks[name].digest]
    if other:
        yield f"not the same weights in both runs: {listed(other)}"
    one, two = ((state.data or {}).get("digest") or (state.data or {}).get("name") for state in (first, second))
    if one != two:
        yield "not the same data in both runs"
    settings = [
        key for key in settings_diff(first.experiment, second.experiment) if not key.startswith(_SAID_ELSEWHERE)
    ]
    if settings:
        yield f"not set the same, the second in place of the first: {listed(settings, _SETTINGS)}"
