"""The paper's curves that a run names to be compared with, placed on the run's own axis of depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stitchtui.paper.curves import Curve, curves
from stitchtui.report.places import depths
from stitchtui.run.state import Column, RunState


@dataclass(frozen=True)
class Reference:
    """A curve of the paper beside a run.

    `exact`: the run's bottom has the curve's architecture, so that every point stands at the run's own cut. Without
    it a point stands where the paper has it, whose axis counts layers where a run's counts FLOPs.
    """

    curve: Curve
    points: tuple[tuple[float, float], ...]  # (place, penalty in points), by place
    exact: bool

    def legend(self) -> str:
        """What it is, from which figure, how exactly it was read, and what its x counts where that isn't the run's."""
        error = self.curve.reading_error
        words = [f"paper fig. {self.curve.figure}"]
        words += [f"read ±{error:g}"] if error is not None else []
        words += [self.curve.architecture]
        words += [] if self.exact else [f"x in {self.curve.axis.removeprefix('share of ')}"]
        return ", ".join(words)


def references(state: RunState, cuts: Mapping[str, float] | None = None) -> list[Reference]:
    """Every curve of penalties that the run's pairs name, once each, where it can be placed.

    `cuts` places the run's cuts where not their depth but, say, their number is the axis; a curve of another
    architecture then has no place and is left out. So are names of curves that this version doesn't know.
    """
    found: dict[str, Reference] = {}
    for column in state.columns():
        for name in _named(state, column):
            known = curves().get(name)
            if known is not None and known.quantity == "penalty" and not (name in found and found[name].exact):
                placed = _placed(state, column, known, cuts)
                if placed is not None and (placed.exact or name not in found):
                    found[name] = placed
    return list(found.values())


def beside(state: RunState, column: Column) -> list[tuple[Curve, dict[str, float]]]:
    """The paper's curves that a column names, each with its value at those of the run's cuts that it was measured at.

    Empty for a curve of another architecture, whose cuts are others.
    """
    found = []
    network = state.networks.get(column.bottom)
    for name in _named(state, column):
        known = curves().get(name)
        if known is None or known.quantity != "penalty" or network is None:
            continue
        if network.architecture == known.architecture:
            values = zip(known.cuts, known.values, strict=False)
            found.append((known, {cut: value for cut, value in values if cut in state.cuts()}))
    return [(known, values) for known, values in found if values]


def named_curves(state: RunState) -> dict[str, list[Column]]:
    """The name of every curve that the run's pairs name, known or not, with the columns that it is for."""
    found: dict[str, list[Column]] = {}
    for column in (*state.columns(), *state.crosses()):
        for name in _named(state, column):
            found.setdefault(name, []).append(column)
    return found


def _named(state: RunState, column: Column) -> Iterator[str]:
    """The curves for a pair's column: its own, else the experiment's; what a file holds may be anything."""
    if column.control:
        return
    ends = (column.bottom, column.top)
    own = [pair.get("reference") for pair in _pairs(state) if (pair.get("bottom"), pair.get("top")) == ends]
    named = [name for name in own if isinstance(name, str)]
    general = state.experiment.get("reference")
    yield from named or ([general] if isinstance(general, str) else [])


def _pairs(state: RunState) -> Iterator[dict[str, Any]]:
    also = state.experiment.get("also")
    for request in [state.experiment, *(also if isinstance(also, list) else [])]:
        pairs = request.get("pairs") if isinstance(request, dict) else None
        yield from (pair for pair in (pairs if isinstance(pairs, list) else []) if isinstance(pair, dict))


def _placed(state: RunState, column: Column, curve: Curve, cuts: Mapping[str, float] | None) -> Reference | None:
    network = state.networks.get(column.bottom)
    own = {cut["name"] for cut in network.cuts} if network else set()
    place = depths(state, column.bottom, column.top) if cuts is None else cuts
    named = {cut for cut in curve.cuts if cut}
    exact = bool(named) and network is not None and network.architecture == curve.architecture
    if exact and named <= own and named <= place.keys():
        points = [
            (place[cut] if cut else x, value)
            for x, cut, value in zip(curve.x, curve.cuts, curve.values, strict=True)
            if cut or cuts is None  # the input and the output are no numbered cuts
        ]
        return Reference(curve, tuple(sorted(points)), True)
    if cuts is not None or not curve.is_by_depth:
        return None
    return Reference(curve, tuple(zip(curve.x, curve.values, strict=True)), False)
