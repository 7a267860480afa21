"""Depth plot and capacity ladders as SVG and PNG, by matplotlib (extra `report`), loaded when the first is drawn."""

import io
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stitchtui.base.errors import BadInput
from stitchtui.report.depths import depths
from stitchtui.report.references import Reference, likeness, references
from stitchtui.report.table import Table
from stitchtui.report.wording import column_name, printable, shortened, signed
from stitchtui.run.state import Column, RunState
from stitchtui.spec.measures import CKA
from stitchtui.stats.penalty import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without yellow: apart for every kind of colour vision, on white and in print.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_CONTROL, _PAPER = "#777777", "#000000"
_MARKS, _PAPER_MARKS = "os^Dv*P", "x+1234"
_DASHES = (":", "--", "-.")
_LEGEND_COLUMNS = 4  # of a ladder's legend
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
    return found + _paper(references(state, None if by_depth else numbers))


def likeness_lines(state: RunState) -> list[Line]:
    """Linear CKA against depth, of each pair and of the paper; nothing where the run doesn't ask for it."""
    columns, by_depth = likeness(state), _knows_depth(state)
    numbers = {cut: float(index) for index, cut in enumerate(state.cuts(), start=1)}
    found = []
    for column in columns:
        place = depths(state, column.bottom, column.top) if by_depth else numbers
        known = {cut: state.summary(column, cut).measures.get(CKA.name) for cut in state.cuts()}
        values = [(place[cut], value) for cut, value in known.items() if cut in place and value is not None]
        points = tuple((x, Interval(value, value, value)) for x, value in sorted(values))
        found.append(Line(column.heading, "pair", points))
    return found + _paper(references(state, None if by_depth else numbers, CKA.name)) if columns else []


def _paper(found: Sequence[Reference]) -> list[Line]:
    drawn = []
    for one in found:
        error = one.curve.reading_error or 0.0
        points = [(x, Interval(value, value - error, value + error)) for x, value in one.points]
        drawn.append(Line(f"{one.curve.title} ({one.legend()})", "paper", tuple(points)))
    return drawn


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


def likeness_alt_text(found: Sequence[Line]) -> str:
    """What the plot of CKA shows, for who can't see it."""
    ranges = [(one.name, [interval.value for _, interval in one.points]) for one in found]
    return f"Linear CKA against depth. {'; '.join(f'{printable(n)}: {min(v):.2f} to {max(v):.2f}' for n, v in ranges)}."


def depth_svg(state: RunState) -> bytes:
    """The depth plot as an SVG file. Raises BadInput where matplotlib isn't installed."""
    return _saved("svg", _height(lines(state)), lambda figure: _draw(figure, state))


def likeness_svg(state: RunState, found: Sequence[Line]) -> bytes:
    """The run's `likeness_lines` as an SVG file. Raises BadInput where matplotlib isn't installed."""
    return _saved("svg", _height(found), lambda figure: _draw_likeness(figure, found, _depth_label(state)))


def depth_png(state: RunState) -> bytes:
    """The depth plot as a PNG file. Raises BadInput where matplotlib isn't installed."""
    return _saved("png", _height(lines(state)), lambda figure: _draw(figure, state))


def ladder_svg(ladder: Table) -> bytes:
    """A capacity ladder as an SVG file: a line a cut. Raises BadInput where matplotlib isn't installed."""
    height = 3.8 + 0.2 * math.ceil(len(ladder.rows) / _LEGEND_COLUMNS)
    return _saved("svg", height, lambda figure: _draw_ladder(figure, ladder))


def ladder_alt_text(ladder: Table) -> str:
    """What the drawing of a ladder shows, for who can't see it."""
    words = []
    for place, heading in enumerate(ladder.columns):
        values = [interval.value for row in ladder.entries if (interval := row[place].interval) is not None]
        if values:
            words.append(f"{printable(heading.name)}: {signed(min(values))} to {signed(max(values))} points")
    return f"Stitching penalty against the stitch's capacity, {printable(ladder.title)}. {'; '.join(words)}."


def _height(found: Sequence[Line]) -> float:
    return 3.8 + 0.2 * len(found)


def _saved(kind: str, height: float, draw: "Callable[[Figure], None]") -> bytes:
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
        figure = Figure(figsize=(9.0, height), dpi=150, layout="constrained")
        draw(figure)
        metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": "stitchtui"}
        figure.savefig(out, format=kind, metadata=metadata, facecolor="white")
    return out.getvalue()


def _draw(figure: "Figure", state: RunState) -> None:
    axes, found = figure.add_subplot(), lines(state)
    low, high = limits(found, state.epsilon)
    _penalty_frame(axes, state.title or state.name, state.epsilon)
    drawn = []
    for kind in ("pair", "control", "paper"):
        for index, one in enumerate(line for line in found if line.kind == kind):
            drawn.append((_line(axes, one, index), _label(one, low, high)))
    axes.set_ylim(low, high)
    axes.set_xlabel(_depth_label(state))
    _legend(figure, drawn)


def _draw_likeness(figure: "Figure", found: Sequence[Line], depth: str) -> None:
    axes, drawn = figure.add_subplot(), []
    _frame(axes, "Linear CKA of bottom and top", "linear CKA, 0 to 1")
    for kind in ("pair", "paper"):
        for index, one in enumerate(line for line in found if line.kind == kind):
            drawn.append((_line(axes, one, index), _shown(one.name, 100)))
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(depth)
    _legend(figure, drawn)


def _depth_label(state: RunState) -> str:
    return "depth of the cut (share of FLOPs)" if _knows_depth(state) else "number of the cut, from the input"


def _draw_ladder(figure: "Figure", ladder: Table) -> None:
    from matplotlib import colormaps

    axes, drawn = figure.add_subplot(), []
    _penalty_frame(axes, f"Capacity ladder of {ladder.title}", ladder.epsilon)
    for index, (cut, row) in enumerate(zip(ladder.rows, ladder.entries, strict=True)):
        points = [(float(place), entry.interval) for place, entry in enumerate(row) if entry.interval is not None]
        shade = colormaps["cividis"](0.85 * index / max(1, len(ladder.rows) - 1))  # dark next to the input
        drawn.append((_bars(axes, Line(cut, "pair", tuple(points)), index, shade), _shown(cut)))
    axes.set_xticks(range(len(ladder.columns)))
    families = [printable(heading.name).split("_") for heading in ladder.columns]
    labels = ("\n".join([*words, size]) for words, size in zip(families, ladder.footer or (), strict=True))
    axes.set_xticklabels([label.rstrip("\n") for label in labels], fontsize=7, parse_math=False)
    axes.set_xlabel("family of the stitch, from least to most capacity, with its number of parameters over the cuts")
    _legend(figure, drawn, _LEGEND_COLUMNS)


def _frame(axes: "Axes", title: str, measure: str) -> None:
    """What is around every drawing: the axis of what is measured, and the title."""
    axes.set_ylabel(measure)
    axes.set_title(shortened(printable(title), 110), loc="left", parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)


def _penalty_frame(axes: "Axes", title: str, epsilon: float) -> None:
    """What is around a drawing of penalties: zero and epsilon, too."""
    _frame(axes, title, "stitching penalty (points of test error)")
    axes.axhline(0.0, color="#111111", linewidth=0.8)
    axes.axhline(epsilon, color="#999999", linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        f"dashed: epsilon ({epsilon:g})",
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        color="#666666",
    )


def _legend(figure: "Figure", drawn: Sequence[tuple[Any, str]], columns: int = 1) -> None:
    if not drawn:
        return
    handles, labels = [handle for handle, _ in drawn], [label for _, label in drawn]
    legend = figure.legend(handles, labels, loc="outside lower left", frameon=False, ncols=columns)
    for entry in legend.get_texts():
        entry.set_parse_math(False)


def _bars(axes: "Axes", one: Line, index: int, shade: Any) -> Any:
    """A line with a mark and a 95 % interval at each of its points."""
    x, y = [place for place, _ in one.points], [interval.value for _, interval in one.points]
    down = [interval.value - interval.low for _, interval in one.points]
    up = [interval.high - interval.value for _, interval in one.points]
    mark = _MARKS[index % len(_MARKS)]
    return axes.errorbar(x, y, [down, up], color=shade, marker=mark, markersize=4.5, capsize=2, linewidth=1.4)


def _line(axes: "Axes", one: Line, index: int) -> Any:
    if one.kind == "pair":
        return _bars(axes, one, index, COLOURS[index % len(COLOURS)])
    x, y, mark = [place for place, _ in one.points], [i.value for _, i in one.points], _MARKS[index % len(_MARKS)]
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
    values = [interval.value for _, interval in one.points]
    beyond = f", up to {signed(max(values))}" if max(values) > high else ""
    beyond += f", down to {signed(min(values))}" if min(values) < low else ""
    return _shown(one.name, 100) + beyond


def _shown(name: str, most: int = 32) -> str:
    """A name as the legend has it; a leading underscore would make matplotlib leave it out."""
    name = shortened(printable(name), most)
    return f" {name}" if name.startswith("_") else name
