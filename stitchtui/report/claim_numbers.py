"""From a claim's column to its numbers in a run: which column is meant, and what each of its cuts says."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from stitchtui.report.depths import depths
from stitchtui.run.state import Column, RunState
from stitchtui.spec.claims import ClaimSpec, ColumnSpec, CutRange, Measure
from stitchtui.spec.controls import column_of as planned_column
from stitchtui.spec.controls import control_named
from stitchtui.spec.measures import PAIRED, VERSUS_BOTTOM
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.penalty import Interval, over_seeds


class Unanswerable(Exception):
    """A claim that the run can't answer; says why in one line."""


@dataclass(frozen=True)
class Number:
    """What a column says at one cut: an interval, or why there is none."""

    of: str  # the column's name
    cut: str
    depth: float | None  # share of the FLOPs before the cut
    interval: Interval | None
    missing: str = ""
    note: str = ""
    region: str = ""  # of a grid of every cut with every cut: diagonal, later or earlier

    @property
    def place(self) -> str:
        """The cut with its depth, as a sentence names it."""
        return self.cut if self.depth is None else f"{self.cut} ({self.depth:.2f})"

    def fact(self) -> dict[str, Any]:
        """The number as an event carries it."""
        assert self.interval is not None
        said = {"of": self.of, "cut": self.cut, "depth": self.depth, "value": self.interval.value}
        said |= {"low": self.interval.low, "high": self.interval.high}
        return {**said, "by": self.note} if self.note else said


def name_of(ref: ColumnSpec) -> str:
    """A column as a sentence names it: `a > b`, `b > b (self-stitch)`, `random(a) > b`, `a > b (conv3)`."""
    control = control_named(ref.control)
    heading = control.heading(*control.ends(*ref.ends))
    said = [control.words] if ref.control and control.heading("", "") == " > " else []
    said += [str(value) if key in ("family", "objective") else f"{key} {value}" for key, value in ref.stitch.items()]
    return f"{heading} ({', '.join(said)})" if said else heading


def column_of(state: RunState, ref: ColumnSpec) -> Column:
    """The one column that is meant, of the earliest request that has it. Raises Unanswerable."""
    wanted = planned_column(ref.control, *ref.ends)
    mine = [c for c in (*state.columns(), *state.crosses()) if (c.control, (c.bottom, c.top)) == wanted]
    objective, family = ref.stitch.get("objective"), ref.stitch.get("family")
    rest = {key: value for key, value in ref.stitch.items() if key not in ("objective", "family")}
    if objective == DIRECT.name:
        mine = _direct(mine)
    found = {
        column.task_ids: column
        for column in mine
        if objective in (None, column.objective)
        and family in (None, column.family)
        and state.stitch(column.request).items() >= rest.items()
    }
    if not found:
        raise Unanswerable(f"{name_of(ref)} is no column of this run")
    first = min(column.request for column in found.values())
    columns = [column for column in found.values() if column.request == first]
    if len(columns) > 1:
        stitches = ", ".join(f"{c.family} {c.objective}" for c in columns)
        raise Unanswerable(f"{name_of(ref)} is several columns of this run: {stitches}; say `stitch`")
    return columns[0]


def _direct(columns: Iterable[Column]) -> list[Column]:
    """Each column's direct matching as a column of its own."""
    found = []
    for column in columns:
        if column.objective == DIRECT.name:
            found.append(column)
        elif column.direct_tasks:
            found.append(column.matched())
    return found


def numbers_of(state: RunState, ref: ColumnSpec, measure: Measure) -> list[Number]:
    """The column's numbers from input to output. Raises Unanswerable where nothing of it is known yet."""
    column = column_of(state, ref)
    rows = dict.fromkeys(cut for task in column.task_ids for cut in state.tasks[task].cuts)
    if not rows:
        raise Unanswerable(f"{name_of(ref)} isn't measured yet")
    depth, regions = depths(state, column.bottom, column.top), _regions(state, column)
    note = "direct matching" if column.by_direct and "objective" not in ref.stitch else ""
    found = []
    for cut in rows:
        number = _number(state, column, cut, measure, note)
        found.append(replace(number, of=name_of(ref), depth=depth.get(cut), region=regions.get(cut, "")))
    return sorted(found, key=lambda number: number.depth or 0.0) if len(depth.keys() & rows) == len(rows) else found


def _number(state: RunState, column: Column, cut: str, measure: Measure, note: str) -> Number:
    summary = state.summary(column, cut)
    if summary.status == "failed":
        return Number("", cut, None, None, f"failed: {summary.reason or 'no reason given'}")
    if summary.status != "finished":
        return Number("", cut, None, None, "not measured")
    if measure not in PAIRED:
        found = [row.measures.get(measure) for row in state.summaries(column, cut)]
        known = [Interval(value, value, value) for value in found if value is not None]
        # of all test images, so that it has an interval over network seeds only
        return _sound(cut, over_seeds(known) if len(known) == len(found) else None, measure)
    interval = summary.versus_bottom if measure == VERSUS_BOTTOM.name else summary.penalty
    return _sound(cut, interval, measure, note)


def _sound(cut: str, interval: Interval | None, measure: str, note: str = "") -> Number:
    if interval is None:
        return Number("", cut, None, None, f"has no {measure.replace('_', ' ')}")
    ends = (interval.low, interval.value, interval.high)
    if not all(map(math.isfinite, ends)) or not interval.low <= interval.value <= interval.high:
        return Number("", cut, None, None, "its interval doesn't hold its value")
    return Number("", cut, None, interval, note=note)


def _regions(state: RunState, column: Column) -> dict[str, str]:
    """For a grid of every cut with every cut: whether the bottom is cut as deep as the top, later or earlier."""
    if not column.cross:
        return {}
    diagonal = state.cross(column).diagonal
    below, above = (depths(state, name, name) for name in (column.bottom, column.top))
    found = {}
    for (task, row), cell in state.cells.items():
        if task in column.task_ids and cell.bottom_cut and cell.top_cut:
            low, high = below.get(cell.bottom_cut), above.get(cell.top_cut)
            if (cell.bottom_cut, cell.top_cut) in diagonal:
                found[row] = "diagonal"
            elif low is not None and high is not None and low != high:
                found[row] = "later" if low > high else "earlier"
    return found


def chosen(claim: ClaimSpec, numbers: list[Number]) -> list[Number]:
    """Those of a column's numbers that the claim is about. Raises Unanswerable where there are none."""
    cuts = claim.cuts
    if isinstance(cuts, CutRange):
        found = list(_in_range(cuts, numbers))
    elif isinstance(cuts, str):
        found = numbers if cuts == "all" else [number for number in numbers if number.region == cuts]
    else:
        known = {number.cut: number for number in numbers}
        none = Number(numbers[0].of, "", None, None, "is no cut of it")
        found = [known.get(cut) or replace(none, cut=cut) for cut in cuts]
    if not found:
        raise Unanswerable(f"{numbers[0].of} has no such cut")
    return found


def _in_range(cuts: CutRange, numbers: list[Number]) -> Iterator[Number]:
    for number in numbers:
        if number.depth is None:
            raise Unanswerable(f"how deep {number.cut} of {number.of} lies isn't known")
        if cuts.holds(number.depth):
            yield number
