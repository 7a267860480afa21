"""The depth plot as SVG and PNG, by matplotlib (the extra `report`), which is loaded when the first is drawn."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stitchtui.errors import BadInput
from stitchtui.report.places import depths
from stitchtui.report.references import references
from stitchtui.report.wording import column_name, printable, shortened, signed
from stitchtui.run.state import Column, RunState
from stitchtui.stitching.penalty import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without yellow: apart for every kind of colour vision, on white and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_CONTROL, _PAPER = "#777777", "#000000"
_MARKS, _PAPER_MARKS = "os^Dv*P", "x+1234"
_DASHES = (":", "--", "-.")
_OTHERS_MAY_STRETCH = 3.0  # how many times the pairs' range the axis may grow for controls and the paper's curves


@dataclass(frozen=True)
class Line:
    """What is drawn as one line: a pair, a control, or a curve of the paper; points (x, interval) by x."""

    name: str
    kind: Literal["pair", "control", "paper"]
    points: tuple[tuple[float, Interval], ...]


def lines(state: RunState) -> list[Line]:
    """Everything that the depth plot shows, pairs first, then controls, then the paper's curves."""
    by_depth = _knows_depth(state)
    numbers = {cut: float(index) for index, cut in enumerate(state.cuts(), start=1)}
    found = []
    for column in sorted(state.columns(), key=lambda column: bool(column.control)):
        place = depths(state, column.bottom, column.top) if by_depth else numbers
        points = sorted(((place[cut], value) for cut, value in _measured(state, column)), key=lambda point: point[0])
        if points:
            found.append(Line(column_name(column), "control" if column.control else "pair", tuple(points)))
    for one in references(state, None if by_depth else numbers):
        error = one.curve.reading_error or 0.0
        points = [(x, Interval(value, value - error, value + error)) for x, value in one.points]
        found.append(Line(f"{one.curve.title} ({one.legend()})", "paper", tuple(points)))
    return found


def _measured(state: RunState, column: Column) -> list[tuple[str, Interval]]:
    rows = [state.summary(column, cut) for cut in state.cuts()]
    return [(row.cut, row.penalty) for row in rows if row.status == "finished" and row.penalty is not None]


def _knows_depth(state: RunState) -> bool:
    return all(
        cut in depths(state, column.bottom, column.top)
        for column in state.columns()
        for cut, _ in _measured(state, column)
    )


def limits(found: Sequence[Line], epsilon: float) -> tuple[float, float]:
    """The ends of the penalty axis: all of the pairs, zero and epsilon, and the others as far as they may go."""
    pairs = [end for one in found if one.kind == "pair" for _, i in one.points for end in (i.low, i.high)]
    every = [i.value for one in found for _, i in one.points]
    low, high = min([0.0, *(pairs or every)]), max([0.0, epsilon, *(pairs or every)])
    stretch = _OTHERS_MAY_STRETCH * ((high - low) or 1.0)
    low, high = max(low - stretch, min([low, *every])), min(high + stretch, max([high, *every]))
    margin = 0.04 * ((high - low) or 1.0)
    return low - margin, high + margin


def alt_text(state: RunState) -> str:
    """What the depth plot shows, for who can't see it."""
    words = []
    for one in lines(state):
        values = [interval.value for _, interval in one.points]
        words.append(f"{printable(one.name)}: {signed(min(values))} to {signed(max(values))} points")
    return "Stitching penalty against depth. " + ("; ".join(words) if words else "No finished cell to draw yet") + "."


def depth_svg(state: RunState) -> bytes:
    """The depth plot as an SVG file. Raises BadInput where matplotlib isn't installed."""
    return _saved(state, "svg")


def depth_png(state: RunState) -> bytes:
    """The depth plot as a PNG file. Raises BadInput where matplotlib isn't installed."""
    return _saved(state, "png")


def _saved(state: RunState, kind: str) -> bytes:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise BadInput(
            f"report --{'png' if kind == 'png' else 'html'}: the plots need matplotlib;"
            " install it with: pip install 'stitchtui[report]'"
        ) from None
    out = io.BytesIO()
    # The same run gives the same file. A name may be in a script that no font here knows: it is drawn as boxes.
    with mpl.rc_context({"svg.hashsalt": "stitchtui", "font.size": 9}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=(9.0, 3.8 + 0.2 * len(lines(state))), dpi=150, layout="constrained")
        _draw(figure, state)
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": "stitchtui"}
        figure.savefig(out, format=kind, metadata=metadata, facecolor="white")
    return out.getvalue()


def _draw(figure: "Figure", state: RunState) -> None:
    axes, found = figure.add_subplot(), lines(state)
    low, high = limits(found, state.epsilon)
    axes.axhline(0.0, color="#111111", linewidth=0.8)
    axes.axhline(state.epsilon, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)))
    drawn = []
    for kind in ("pair", "control", "paper"):
        for index, one in enumerate(line for line in found if line.kind == kind):
            drawn.append((_line(axes, one, index), _label(one, low, high)))
    axes.set_ylim(low, high)
    axes.set_ylabel("stitching penalty (points of test error)")
    axes.set_xlabel("depth of the cut (share of FLOPs)" if _knows_depth(state) else "number of the cut, from the input")
    axes.set_title(shortened(printable(state.title or state.name), 110), loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    if drawn:
        legend = figure.legend(
            [handle for handle, _ in drawn], [label for _, label in drawn], loc="outside lower left", frameon=False
        )
        for entry in legend.get_texts():
            entry.set_parse_math(False)
    axes.annotate(
        f"dashed: epsilon ({state.epsilon:g})",
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        color="#666666",
    )


def _line(axes: "Axes", one: Line, index: int) -> Any:
    x = [place for place, _ in one.points]
    y = [interval.value for _, interval in one.points]
    down = [interval.value - interval.low for _, interval in one.points]
    up = [interval.high - interval.value for _, interval in one.points]
    mark = _MARKS[index % len(_MARKS)]
    if one.kind == "pair":
        colour = COLOURS[index % len(COLOURS)]
        return axes.errorbar(x, y, [down, up], color=colour, marker=mark, markersize=4.5, capsize=2, linewidth=1.4)
    if one.kind == "control":
        style = _DASHES[index % len(_DASHES)]
        colours: dict[str, Any] = {"color": _CONTROL, "markerfacecolor": "white"}
        return axes.plot(x, y, marker=mark, markersize=4, linestyle=style, linewidth=0.9, **colours)[0]
    axes.fill_between(
        x, [i.low for _, i in one.points], [i.high for _, i in one.points], color=_PAPER, alpha=0.12, linewidth=0
    )
    paper = _PAPER_MARKS[index % len(_PAPER_MARKS)]
    return axes.plot(x, y, color=_PAPER, marker=paper, markersize=5, linestyle=(0, (1, 2)), linewidth=0.9)[0]


def _label(one: Line, low: float, high: float) -> str:
    """The legend's words; a leading underscore would make matplotlib leave it out."""
    values = [interval.value for _, interval in one.points]
    beyond = f", up to {signed(max(values))}" if max(values) > high else ""
    beyond += f", down to {signed(min(values))}" if min(values) < low else ""
    name = shortened(printable(one.name), 100) + beyond
    return f" {name}" if name.startswith("_") else name
