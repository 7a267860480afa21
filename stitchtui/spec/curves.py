"""The paper's digitised curves: what was read off its figures, how exactly, and at which cuts. Neither torch nor UI."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from stitchtui.base.errors import BadInput, not_known
from stitchtui.spec.measures import CKA, ERROR, PENALTY

QUANTITIES = (PENALTY.name, ERROR.name, CKA.name)
"""The measures that curves of the paper show."""


@dataclass(frozen=True)
class Curve:
    """One curve of a figure: its points, in the order of x, and what a reader must know of them."""

    id: str
    figure: str  # such as "6B"
    title: str  # what was measured
    quantity: str  # penalty and error are in percentage points of test error
    architecture: str
    axis: str  # what x counts
    x: tuple[float, ...]
    values: tuple[float, ...]
    cuts: tuple[str, ...]  # of `architecture`, "" for the input and the output; empty where they aren't known
    control: str  # the control that it is of; empty for a pair's own
    reading_error: float | None  # half the width of what the figure leaves open; None where that isn't known
    note: str

    @property
    def is_by_depth(self) -> bool:
        """Whether x runs from the input (0) to the output (1)."""
        return self.axis.startswith("share")


@cache
def curves() -> Mapping[str, Curve]:
    """Every curve by its id, in the order of the paper's experiments."""
    document = tomllib.loads(Path(__file__).with_name("curves.toml").read_text("utf-8"))
    found = [_curve(entry, document["axes"][entry["axis"]], document["reading_error"]) for entry in document["curves"]]
    return {curve.id: curve for curve in found}


def named(reference: object) -> tuple[str, ...]:
    """The curves that a `reference` names: one, several, or none; what a file holds may be anything."""
    names = reference if isinstance(reference, list | tuple) else [reference]
    return tuple(name for name in names if isinstance(name, str))


def curve(id: str) -> Curve:
    """The curve called `id`. Raises BadInput that suggests the nearest."""
    if id not in curves():
        raise BadInput.at("reference", not_known(id, curves()))
    return curves()[id]


def _curve(entry: dict[str, Any], axis: dict[str, Any], reading_error: float) -> Curve:
    quantity = entry.get("quantity", PENALTY.name)
    kept = [index for index, value in enumerate(entry["values"]) if not math.isnan(value)]
    return Curve(
        id=entry["id"],
        figure=entry["figure"],
        title=entry["title"],
        quantity=quantity,
        architecture=axis["architecture"],
        axis=axis["label"],
        x=tuple(float(axis["x"][index]) for index in kept),
        values=tuple(float(entry["values"][index]) for index in kept),
        cuts=tuple(axis["cuts"][index] for index in kept) if "cuts" in axis else (),
        control=entry.get("control", ""),
        reading_error=None if quantity == CKA.name else reading_error,
        note=entry.get("note", ""),
    )
