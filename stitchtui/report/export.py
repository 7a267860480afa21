"""A run's numbers as CSV and JSON: everything that the table rounds or leaves out."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import msgspec

from stitchtui.report import csv
from stitchtui.report.claim_lines import claims
from stitchtui.report.columns import PLACES
from stitchtui.report.depths import depths
from stitchtui.report.derived import Derived
from stitchtui.report.harm import warnings
from stitchtui.report.table import Entry, Heading, Table
from stitchtui.run.records import row_name
from stitchtui.run.state import Cell, Column, RunState, Summary
from stitchtui.spec.measures import DIRECT_PENALTY, PENALTY, columns, counts
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.penalty import Interval

FORMAT = 1
"""Raised when a key of the JSON or a column of the CSV changes its meaning or goes."""

_OF_TASK = ("bottom", "top", "control", "family", "objective", "start", "place", "recipe", "seed")
_OF_CELL = ("cut", "bottom_cut", "top_cut", "adapter", "status", "reused_from", "reason", "identity")
_Place = tuple[str, str]  # task, cut


def csv_text(state: RunState) -> str:
    """The run's `cells_table` as CSV."""
    return csv.rendered(cells_table(state))


def cells_table(state: RunState) -> Table:
    """The run's `cell_rows`; what each column holds is said in `report.columns`."""
    rows, corner = cell_rows(state), next(iter(PLACES))
    names = [name for name in cell_columns(state) if name != corner]
    entries = tuple(tuple(_entry(row[name]) for name in names) for row in rows)
    return Table((state.run,) * len(entries), tuple(map(Heading, names)), entries, corner=corner)


def cell_rows(state: RunState) -> list[dict[str, Any]]:
    """One row a cell, controls and failed cells included: what and where it is, and each of its measures, unrounded.

    What each column holds `stitchtui report --columns` prints. All rows have all of them; None is what isn't known.
    """
    names, measures_of, bands = cell_columns(state), _measures(state), _bands(state)
    pairs = {(task.bottom, task.top) for task in state.tasks.values() if task.kind == "column"}
    depth = {pair: depths(state, *pair) for pair in pairs}
    rows = []
    for cell in _ordered(state):
        task = state.tasks[cell.task]
        facts: dict[str, Any] = {name: getattr(task, name) for name in _OF_TASK}
        facts |= {name: getattr(cell, name) for name in _OF_CELL}
        band = bands.get((cell.task, cell.cut))
        facts |= {"band_low": band and band.low, "band_high": band and band.high}
        facts |= asdict(state.about) | {"run": state.run, "task": task.id}
        facts |= {"depth": depth[task.bottom, task.top].get(cell.cut)} | measures_of(cell)
        rows.append({name: facts.get(name) for name in names})
    return rows


def cell_columns(state: RunState) -> list[str]:
    """What `cell_rows` have, in order."""
    known = {name for cell in state.cells.values() for name in cell.measures}
    declared = columns()  # ones that a run knows besides follow in alphabetical order
    return [*PLACES, *declared, *sorted(known.difference(declared))]


_OF_CLAIM = ("source", "verdict", "raw", "p", "adjusted_p", "rules", "sentence", "reason")


def claims_text(state: RunState) -> str:
    """The run's claims as CSV, one row a claim: the verdict that counts, its own, and the p values of both."""
    found = claims(state)
    entries = tuple(tuple(_entry(getattr(claim, name)) for name in _OF_CLAIM) for claim in found)
    rows = tuple(str(claim.index + 1) for claim in found)
    return csv.rendered(Table(rows, tuple(map(Heading, _OF_CLAIM)), entries, corner="claim"))


def _entry(value: str | float | None) -> Entry:
    return Entry(text=value) if isinstance(value, str) else Entry(number=value)


def _direct_penalties(state: RunState) -> Mapping[_Place, float]:
    """What direct matching costs beside each trained cell, by the trained cell's task and cut."""
    columns = (*state.columns(), *state.crosses())
    beside = {task: each.direct_task for c in columns for each in c.in_seeds for task in each.task_ids}
    found = {}
    for cell in state.cells.values():
        direct = state.cells.get((beside.get(cell.task) or "", cell.cut))
        penalty = direct.measures.get(PENALTY.name) if direct and direct.status == "finished" else None
        if penalty is not None:
            found[cell.task, cell.cut] = penalty
    return found


def _alone(columns: Iterable[Column]) -> Iterator[tuple[str, Column]]:
    """Each task of some columns, as a column of its own."""
    for column in columns:
        for each in column.in_seeds:
            for task in each.task_ids:
                yield task, replace(column, in_seeds=(replace(each, task_ids=(task,)),))


def _derived(state: RunState) -> Mapping[_Place, dict[str, float]]:
    """The derived measures of each cell by itself."""
    derived, columns = Derived(state), _alone([*state.columns(), *state.crosses()])
    return {(task, cut): derived.measures(alone, cut) for task, alone in columns for cut in state.tasks[task].cuts}


def _bands(state: RunState) -> Mapping[_Place, Interval]:
    """Each penalty over depth with the limits that hold at all cuts of its task together."""
    tasks = _alone(state.columns())
    return {(task, cut): limits for task, alone in tasks for cut, limits in state.band(alone).items()}


def _measures(state: RunState) -> Callable[[Cell], dict[str, float | None]]:
    """What gives a cell's measures, counts as whole numbers, what is derived and beside a trained penalty direct's."""
    direct, derived = _direct_penalties(state), _derived(state)

    def measures(cell: Cell) -> dict[str, float | None]:
        place = cell.task, cell.cut
        found: dict[str, float | None] = {
            name: _whole(value) if name in counts() else value for name, value in cell.measures.items()
        }
        trained = cell.status == "finished" and state.tasks[cell.task].objective != DIRECT.name
        if trained and found.get(DIRECT_PENALTY.name) is None:
            found[DIRECT_PENALTY.name] = direct.get(place)
        return {**found, **derived.get(place, {})}

    return measures


def _whole(value: float | None) -> float | None:
    return int(value) if value is not None and math.isfinite(value) and value == int(value) else value


def _ordered(state: RunState) -> list[Cell]:
    tasks = {name: index for index, name in enumerate(state.tasks)}
    cuts = {name: index for index, name in enumerate(state.cuts())}
    last = len(cuts)
    return sorted(state.cells.values(), key=lambda cell: (tasks[cell.task], cuts.get(cell.cut, last)))


def json_text(state: RunState, *, condition: str | None = None) -> str:
    """One JSON object: run, experiment, data, networks, columns with a row a cut, cells, claims, checks, warnings.

    A column's rows hold what the table shows, over the seeds; `cells` holds every measure of each seed. Penalties
    are in points. What isn't known is null; there is no NaN. Everything outside ASCII is escaped. The run's
    `condition` is what `run.control.status` said: its `status`, or `starting`, `lost`, `elsewhere`.
    """
    derived = Derived(state)
    report = {
        "format": FORMAT,
        "run": {**_run(state), "condition": condition},
        "experiment": state.experiment,
        "data": state.data,
        "networks": {name: msgspec.to_builtins(network) for name, network in state.networks.items()},
        "cuts": state.cuts(),
        "columns": [_column(state, column, derived) for column in state.columns()],
        "crosses": [_cross(state, column, derived) for column in state.crosses()],
        "cells": cells(state),
        "claims": [asdict(claim) for claim in claims(state)],
        "checks": state.checks,
        "warnings": warnings(state),
        "unknown_events": state.unknown_events,
    }
    return json.dumps(_finite(report), indent=2, allow_nan=False) + "\n"


def _run(state: RunState) -> dict[str, Any]:
    names = ["run", "name", "title", "status", "reason", "started", "updated", "finished"]
    names += ["processor", "device", "versions"]
    facts = {name: getattr(state, name) for name in names} | asdict(state.about)
    return {**facts, "took": state.took(), "epsilon": state.epsilon}


def _column(state: RunState, column: Column, derived: Derived) -> dict[str, Any]:
    depth = depths(state, column.bottom, column.top)
    facts = asdict(column)
    facts |= {"verdict": state.verdict(column), "connected_from": state.connected_from(column)}
    rows = [derived.beside(column, state.summary(column, cut)) for cut in state.cuts()]
    ends = {cut: {"low": limits.low, "high": limits.high} for cut, limits in state.band(column).items()}
    facts["cuts"] = [{**_summary(row), "band": ends.get(row.cut), "depth": depth.get(row.cut)} for row in rows]
    return facts


def _cross(state: RunState, column: Column, derived: Derived) -> dict[str, Any]:
    grid = state.cross(column)
    places = [(low, high) for low in grid.bottom_cuts for high in grid.top_cuts]
    rows = [
        {"bottom_cut": low, "top_cut": high, "diagonal": (low, high) in grid.diagonal}
        | _summary(derived.beside(column, state.summary(column, row_name(low, high))))
        for low, high in places
    ]
    return {**asdict(column), "bottom_cuts": grid.bottom_cuts, "top_cuts": grid.top_cuts, "cells": rows}


def _summary(summary: Summary) -> dict[str, Any]:
    """A row over its seeds; of each interval its value and ends."""
    return {
        name: {"value": said.value, "low": said.low, "high": said.high} if isinstance(said, Interval) else said
        for name, said in vars(summary).items()
    }


def cells(state: RunState) -> list[dict[str, Any]]:
    """Every cell, controls and failed ones included: what it is, every measure, the images that it answers wrongly."""
    measures_of, names = _measures(state), ("bottom", "top", "control", "family", "objective", "start", "seed")
    found = []
    for cell in _ordered(state):
        task = state.tasks[cell.task]
        facts = {**{name: getattr(task, name) for name in names}, **asdict(cell)}
        found.append({**facts, "measures": measures_of(cell)})
    return found


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
