"""The measures that no cell says by itself, since they set columns of a run against each other."""

from collections.abc import Callable
from dataclasses import replace

from stitchtui.base.registry import load
from stitchtui.run.state import Column, RunState, Summary
from stitchtui.spec.measures import MEASURES, Measure
from stitchtui.stats.penalty import Interval

Find = Callable[[Column, str], Interval | None]
"""Finds a measure in a row of a column, over the column's seeds."""


def finder(state: RunState, measure: Measure) -> Find:
    """What finds a derived measure in the run as it is now."""
    find: Find = load(measure.derived)(state)
    return find


class Derived:
    """Every derived measure of a run as it is now."""

    def __init__(self, state: RunState) -> None:
        self._finders = [(each, finder(state, each)) for each in MEASURES.values() if each.derived]

    def measures(self, column: Column, row: str) -> dict[str, float]:
        """Those that are known in a row of a column, with their ends, by name."""
        found: dict[str, float] = {}
        for measure, find in self._finders:
            if interval := find(column, row):
                names = (measure.name, *measure.ends)
                found |= zip(names, (interval.value, interval.low, interval.high), strict=False)
        return found

    def beside(self, column: Column, summary: Summary) -> Summary:
        """The summary of a row with them among its measures."""
        return replace(summary, measures=summary.measures | self.measures(column, summary.cut))
