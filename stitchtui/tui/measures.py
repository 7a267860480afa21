"""What the grid can show: each measure's name, unit, where it comes from, and its place on a scale that never moves."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from stitchtui.report.table import Entry, Take, penalty
from stitchtui.run.state import Column, Summary
from stitchtui.stats.penalty import Interval


@dataclass(frozen=True)
class Measure:
    """One measure: `take` finds it, `share` places a value on the ramp from 0 to 1.

    `titles` say the same at different lengths, the longest first; the last fits wherever a grid does.
    The scales are fixed, so that a colour means the same in every run and one new cell never recolours the others.
    """

    name: str
    titles: tuple[str, ...]
    take: Take
    share: Callable[[float], float]
    marks: tuple[float, ...]  # values that the legend shows on the ramp
    decimals: int = 2
    signed: bool = False
    diverging: bool = False


def _rising(knee: float, top: float) -> Callable[[float], float]:
    """Linear up to about `knee`, logarithmic from there to `top`, where it ends."""
    return lambda value: min(1.0, math.log1p(max(0.0, value) / knee) / math.log1p(top / knee))


def _around_zero(knee: float, top: float) -> Callable[[float], float]:
    rising = _rising(knee, top)
    return lambda value: 0.5 + math.copysign(0.5 * rising(abs(value)), value)


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
    return penalty(column, summary) if column.objective == "direct" else Entry("pending")


_POINTS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)

MEASURES = (
    Measure(
        "penalty",
        ("penalty: error(stitched) - error(top), points", "penalty, points"),
        penalty,
        _rising(3, 100),
        _POINTS,
        signed=True,
    ),
    Measure(
        "against the bottom",
        (
            "against the bottom: error(stitched) - error(bottom), points",
            "against the bottom: stitched - bottom, points",
            "against the bottom",
        ),
        _own(lambda summary: summary.versus_bottom),
        _around_zero(3, 100),
        (-30.0, -3.0, 0.0, 3.0, 30.0),
        signed=True,
        diverging=True,
    ),
    Measure(
        "direct",
        ("direct-matching penalty, nothing trained, points", "direct matching, points"),
        _direct,
        _rising(3, 100),
        _POINTS,
        signed=True,
    ),
    Measure(
        "width",
        ("width of the 95 % interval, points", "interval width, points"),
        _own(_width),
        _rising(1, 20),
        (0.0, 1.0, 3.0, 10.0),
    ),
    Measure(
        "CKA",
        ("linear CKA of bottom and top at the cut, 0 to 1", "linear CKA, 0 to 1"),
        _own(_mean("cka")),
        float,
        (0.0, 0.5, 1.0),
        3,
    ),
    Measure(
        "gap",
        (
            "activation gap: |stitched - own|^2 / |own|^2 of what the top is fed; 0: its own activations",
            "activation gap of what the top is fed; 0: none",
            "activation gap; 0: none",
        ),
        _own(_mean("activation_gap")),
        _rising(0.2, 10),
        (0.0, 0.1, 0.3, 1.0, 3.0),
    ),
    Measure(
        "OOD",
        (
            "out-of-distribution score of what the top is fed: 0.5 as its own activations, 1 wholly outside",
            "out-of-distribution score; 0.5: as its own, 1: outside",
            "out-of-distribution score",
        ),
        _own(_mean("ood")),
        lambda value: min(1.0, max(0.0, 2 * value - 1)),
        (0.5, 0.6, 0.8, 1.0),
        3,
    ),
    Measure(
        "seconds",
        ("seconds that the cell took", "seconds"),
        _own(_mean("seconds")),
        _rising(1, 3600),
        (0.0, 1.0, 10.0, 100.0),
        1,
    ),
)


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
