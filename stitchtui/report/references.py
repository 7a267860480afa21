"""The paper's curves that a run names to be compared with, placed on the run's own axis of depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stitchtui.report.depths import depths
from stitchtui.run.records import NetworkState
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.curves import Curve, curves, named
from stitchtui.spec.measures import CKA, PENALTY


@dataclass(frozen=True)
class Reference:
    """A curve of the paper beside a run.

    `exact`: the run's bottom has the curve's architecture, so that every point stands at the run's own cut. Without
    it a point stands where the paper has it, whose axis counts layers where a run's counts FLOPs.
    """

    curve: Curve
    points: tuple[tuple[float, float], ...]  # (place, value), by place
    exact: bool

    def legend(self) -> str:
        """What it is, from which figure, how exactly it was read, and what its x counts where that isn't the run's."""
        error = self.curve.reading_error
        of = f" ({control_named(self.curve.control).words})" if self.curve.control else ""
        words = [f"paper fig. {self.curve.figure}{of}"]
        words += [f"read ±{error:g}"] if error is not None else []
        words += [self.curve.architecture]
        words += [] if self.exact else [f"x in {self.curve.axis.removeprefix('share of ')}"]
        return ", ".join(words)


def references(
    state: RunState, cuts: Mapping[str, float] | None = None, quantity: str = PENALTY.name
) -> list[Reference]:
    """Every curve of `quantity` that the run names for one of its columns, once each, where it can be placed.

    `cuts` places the run's cuts where not their depth but, say, their number is the axis; a curve of another
    architecture then has no place and is left out. So are names of curves that this version doesn't know.
    """
    found: dict[str, Reference] = {}
    for column in state.columns():
        for name in _named(state, column):
            known = curves().get(name)
            if known is not None and known.quantity == quantity and not (name in found and found[name].exact):
                placed = _placed(state, column, known, cuts)
                if placed is not None and (placed.exact or name not in found):
                    found[name] = placed
    return list(found.values())


def beside(state: RunState, column: Column, quantity: str = PENALTY.name) -> list[tuple[Curve, dict[str, float]]]:
    """The paper's curves of `quantity` for a column, each with its value at those of the run's cuts that it has.

    Empty for a curve of another architecture, whose cuts are others.
    """
    found = []
    network = state.networks.get(column.bottom)
    for name in _named(state, column):
        known = curves().get(name)
        if known is not None and known.quantity == quantity and _is_of(network, known):
            values = zip(known.cuts, known.values, strict=False)
            found.append((known, {cut: value for cut, value in values if cut in state.cuts()}))
    return [(known, values) for known, values in found if values]


def _is_of(network: NetworkState | None, curve: Curve) -> bool:
    return network is not None and network.architecture == curve.architecture


def likeness(state: RunState) -> list[Column]:
    """Of each pair a column that has its CKA, in a run that asks for it: by a claim, or by naming a curve of CKA."""
    if not _claims_of_cka(state) and all(_quantity(name) != CKA.name for name in named_curves(state)):
        return []
    found: dict[str, Column] = {}  # CKA is of the pair, whatever the stitch
    for column in state.columns():
        if not column.control and any(CKA.name in state.summary(column, cut).measures for cut in state.cuts()):
            found.setdefault(column.heading, column)
    return list(found.values())


def _claims_of_cka(state: RunState) -> bool:
    """Whether a claim is about CKA or has a condition on it; what a file holds may be anything."""
    claims = state.experiment.get("claims")
    said = [claim for claim in (claims if isinstance(claims, list) else []) if isinstance(claim, dict)]
    parts = [*said, *(where for claim in said if isinstance(where := claim.get("where"), dict))]
    return any(part.get("measure") == CKA.name for part in parts)


def named_curves(state: RunState) -> dict[str, list[Column]]:
    """The name of every curve that the run names, known or not, with the columns that it is for."""
    found: dict[str, list[Column]] = {}
    for column in (*state.columns(), *state.crosses()):
        for name in _named(state, column):
            found.setdefault(name, []).append(column)
    return found


def _named(state: RunState, column: Column) -> Iterator[str]:
    """The curves for a column: those of its pair, and of each quantity that these aren't of the experiment's."""
    ends = (column.bottom, column.top)
    pairs = [pair for pair in _pairs(state) if (pair.get("bottom"), pair.get("top")) == ends]
    own = [name for pair in pairs for name in named(pair.get("reference")) if _is_for(column, name)]
    said = {_quantity(name) for name in own}
    yield from own
    for name in named(state.experiment.get("reference")):
        if _is_for(column, name) and _quantity(name) not in said:
            yield name


def _is_for(column: Column, name: str) -> bool:
    """Whether a curve is of what the column is; one that isn't known counts as of a pair."""
    return column.control == (curves()[name].control if name in curves() else "")


def _quantity(name: str) -> str:
    return curves()[name].quantity if name in curves() else PENALTY.name


def _pairs(state: RunState) -> Iterator[dict[str, Any]]:
    also = state.experiment.get("also")
    for request in [state.experiment, *(also if isinstance(also, list) else [])]:
        pairs = request.get("pairs") if isinstance(request, dict) else None
        yield from (pair for pair in (pairs if isinstance(pairs, list) else []) if isinstance(pair, dict))


def _placed(state: RunState, column: Column, curve: Curve, cuts: Mapping[str, float] | None) -> Reference | None:
    network = state.networks.get(column.bottom)
    own = {cut.name for cut in network.cuts} if network else set()
    place = depths(state, column.bottom, column.top) if cuts is None else cuts
    of_cuts = {cut for cut in curve.cuts if cut}
    if of_cuts and _is_of(network, curve) and of_cuts <= own and of_cuts <= place.keys():
        points = [
            (place[cut] if cut else x, value)
            for x, cut, value in zip(curve.x, curve.cuts, curve.values, strict=True)
            if cut or cuts is None  # the input and the output are no numbered cuts
        ]
        return Reference(curve, tuple(sorted(points)), True)
    if cuts is not None or not curve.is_by_depth:
        return None
    return Reference(curve, tuple(zip(curve.x, curve.values, strict=True)), False)
