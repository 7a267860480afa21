"""The depth plot, the plot of CKA and the capacity ladders: what they show, and their drawings as SVG, PDF and PNG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from stitchtui.report import drawing
from stitchtui.report.depths import depths
from stitchtui.report.drawing import PAGE
from stitchtui.report.heat import crosses_figure, draw_heat_map, height_of
from stitchtui.report.references import Reference, likeness, references
from stitchtui.report.table import Table, cross
from stitchtui.report.wording import column_name, printable, signed
from stitchtui.run.state import Column, RunState
from stitchtui.spec.measures import CKA
from stitchtui.stats.penalty import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without yellow, which every kind of colour vision tells apart, in an order in which
# neighbours differ in brightness too; in grey print each line's own mark tells the rest.
COLOURS = ("#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#009E73", "#CC79A7")
_CONTROL, _PAPER = "#777777", "#000000"
_MARKS, _PAPER_MARKS = "os^Dv*P", "x+1234"
_DASHES = (":", "--", "-.")
_PENALTY = "stitching penalty\n(points of test error)"
_BAND = "bars: 95 % interval; band: for all cuts"
_OTHERS_MAY_STRETCH = 3.0  # how many times the pairs' range the axis may grow for controls and the paper's curves


@dataclass(frozen=True)
class Line:
    """What is drawn as one line: a pair, a control, or a curve of the paper; points (x, interval) by x.

    `cuts` has the name of each point's cut; it is empty where points stand at no cut of the run's own. `band` has the
    limits that hold at all points together, for a pair of several.
    """

    name: str
    kind: Literal["pair", "control", "paper"]
    points: tuple[tuple[float, Interval], ...]
    cuts: tuple[str, ...] = ()
    band: tuple[Interval, ...] = ()


def lines(state: RunState) -> list[Line]:
    """Everything that the depth plot shows, pairs first, then controls, then the paper's curves."""
    numbers = None if _knows_depth(state) else _numbers(state)
    found = []
    for column in sorted(state.columns(), key=lambda column: bool(column.control)):
        measured = _measured(state, column)
        if measured:
            place = numbers or depths(state, column.bottom, column.top)
            line = _line(column_name(column), "control" if column.control else "pair", measured, place)
            found.append(line if column.control or len(measured) < 2 else _banded(line, state.band(column)))
    return found + _paper(references(state, numbers))


def likeness_lines(state: RunState) -> list[Line]:
    """Linear CKA against depth, of each pair and of the paper; nothing where the run doesn't ask for it."""
    columns, numbers = likeness(state), None if _knows_depth(state) else _numbers(state)
    found = []
    for column in columns:
        place = numbers or depths(state, column.bottom, column.top)
        known = {cut: state.summary(column, cut).measures.get(CKA.name) for cut in state.cuts()}
        values = {cut: Interval(v, v, v) for cut, v in known.items() if cut in place and v is not None}
        found.append(_line(column.heading, "pair", values, place))
    return found + _paper(references(state, numbers, CKA.name)) if columns else []


def _numbers(state: RunState) -> dict[str, float]:
    return {cut: float(index) for index, cut in enumerate(state.cuts(), start=1)}


def _line(
    name: str, kind: Literal["pair", "control"], values: Mapping[str, Interval], place: Mapping[str, float]
) -> Line:
    cuts = tuple(sorted(values, key=lambda cut: place[cut]))
    return Line(name, kind, tuple((place[cut], values[cut]) for cut in cuts), cuts)


def _banded(line: Line, band: Mapping[str, Interval]) -> Line:
    return replace(line, band=tuple(band[cut] for cut in line.cuts))


def _paper(found: Sequence[Reference]) -> list[Line]:
    drawn = []
    for one in found:
        error = one.curve.reading_error or 0.0
        points = [(x, Interval(value, value - error, value + error)) for x, value in one.points]
        drawn.append(Line(f"{one.curve.title} ({one.legend()})", "paper", tuple(points)))
    return drawn


def _measured(state: RunState, column: Column) -> dict[str, Interval]:
    rows = [state.summary(column, cut) for cut in state.cuts()]
    return {row.cut: row.penalty for row in rows if row.status == "finished" and row.penalty is not None}


def _knows_depth(state: RunState) -> bool:
    return all(
        cut in depths(state, column.bottom, column.top)
        for column in state.columns()
        for cut in _measured(state, column)
    )


def limits(found: Sequence[Line], epsilon: float) -> tuple[float, float]:
    """The ends of the penalty axis: all of the pairs, zero and epsilon, and the others as far as they may go."""
    drawn = [i for one in found if one.kind == "pair" for i in (*(i for _, i in one.points), *one.band)]
    pairs = [end for i in drawn for end in (i.low, i.high)]
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


def depth_figure(state: RunState, kind: drawing.Kind, width: float = PAGE) -> bytes:
    """The depth plot as a file of this kind, `width` inches wide. Raises BadInput where matplotlib isn't installed."""
    found = lines(state)
    names = _names(state, found)

    def draw(figure: "Figure") -> None:
        _draw_depth(figure.add_subplot(), figure, width, state)

    return drawing.saved(kind, (width, _height(found, names, width)), draw)


def run_axes(state: RunState, axes: "Axes | None" = None) -> "Axes":
    """What `run_figure` shows on axes, those of a new figure of pyplot's unless given; of heat maps the first alone.

    Raises BadInput where matplotlib isn't installed.
    """
    crosses = [] if state.columns() else state.crosses()
    table = cross(state, min(crosses, key=lambda column: bool(column.control))) if crosses else None
    found = lines(state)
    with drawing.style():
        if axes is not None:
            _draw_run(axes, axes, drawing.width_around(axes), state, table)
            return axes
        from matplotlib import pyplot

        height = height_of(table, PAGE) if table else _height(found, _names(state, found), PAGE)
        figure = pyplot.figure(figsize=(PAGE, height), layout="constrained")
        own = figure.add_subplot()
        _draw_run(own, figure, PAGE, state, table)
        return own


def _draw_run(axes: "Axes", around: "Figure | Axes", width: float, state: RunState, table: Table | None) -> None:
    if table:
        draw_heat_map(axes, width, table)
    else:
        _draw_depth(axes, around, width, state)


def _names(state: RunState, found: Sequence[Line]) -> list[str]:
    low, high = limits(found, state.epsilon)
    return [_label(one, low, high) for one in found] + [_BAND] * any(one.band for one in found)


def _draw_depth(axes: "Axes", around: "Figure | Axes", width: float, state: RunState) -> None:
    """Draw the depth plot; its legend belongs to what is `around`."""
    found = lines(state)
    drawing.frame(axes, width, state.title or state.name, _PENALTY)
    drawing.mark_epsilon(axes, state.epsilon)
    handles = _draw(axes, width, found, _knows_depth(state))
    axes.set_ylim(*limits(found, state.epsilon))
    drawing.legend(around, width, list(zip(handles, _names(state, found), strict=True)))


def run_figure(state: RunState, kind: drawing.Kind, width: float = PAGE) -> bytes:
    """The depth plot or, of a run that has none, heat maps of every cut with every cut. Raises BadInput too."""
    if state.crosses() and not state.columns():
        pairs = [column for column in state.crosses() if not column.control]
        return crosses_figure([cross(state, column) for column in pairs or state.crosses()], kind, width)
    return depth_figure(state, kind, width)


def likeness_svg(state: RunState, found: Sequence[Line]) -> bytes:
    """The run's `likeness_lines` as an SVG file. Raises BadInput where matplotlib isn't installed."""
    names = [one.name for one in found]

    def draw(figure: "Figure") -> None:
        axes = figure.add_subplot()
        drawing.frame(axes, PAGE, "Linear CKA of bottom and top", "linear CKA, 0 to 1")
        handles = _draw(axes, PAGE, found, _knows_depth(state))
        axes.set_ylim(-0.04, 1.04)
        drawing.legend(figure, PAGE, list(zip(handles, names, strict=True)))

    return drawing.saved("svg", (PAGE, _height(found, names, PAGE)), draw)


def _height(found: Sequence[Line], names: Sequence[str], width: float) -> float:
    cuts = drawing.names_height([cut for one in found for cut in one.cuts])
    return 1.0 + 0.38 * width + cuts + drawing.legend_height(names, width)


def _draw(axes: "Axes", width: float, found: Sequence[Line], by_depth: bool) -> list[Any]:
    """Draw the lines with their cuts' names below, and return what a legend is to name."""
    cuts = dict.fromkeys((cut, x) for one in found for cut, (x, _) in zip(one.cuts, one.points, strict=False))
    places = drawing.placed(sorted(cuts, key=lambda each: each[1]), width)
    handles = []
    for kind in ("pair", "control", "paper"):
        of_kind = [one for one in found if one.kind == kind]
        handles += [
            _drawn(axes, one, index, drawing.moved([x for x, _ in one.points], one.cuts, places))
            for index, one in enumerate(of_kind)
        ]
    if any(one.band for one in found):
        handles.append(_shaded(axes, [], [], _CONTROL))
    axes.set_xmargin(0.04)
    drawing.name_cuts(axes, width, places, by_depth)
    return handles


def ladder_svg(ladder: Table) -> bytes:
    """A capacity ladder as an SVG file: a line a cut. Raises BadInput where matplotlib isn't installed."""
    height = 1.5 + 0.38 * PAGE + drawing.legend_height(ladder.rows, PAGE)
    return drawing.saved("svg", (PAGE, height), lambda figure: _draw_ladder(figure, ladder))


def ladder_alt_text(ladder: Table) -> str:
    """What the drawing of a ladder shows, for who can't see it."""
    words = []
    for place, heading in enumerate(ladder.columns):
        values = [interval.value for row in ladder.entries if (interval := row[place].interval) is not None]
        if values:
            words.append(f"{printable(heading.name)}: {signed(min(values))} to {signed(max(values))} points")
    return f"Stitching penalty against the stitch's capacity, {printable(ladder.title)}. {'; '.join(words)}."


def _draw_ladder(figure: "Figure", ladder: Table) -> None:
    from matplotlib import colormaps

    axes, drawn = figure.add_subplot(), []
    drawing.frame(axes, PAGE, f"Capacity ladder of {ladder.title}", _PENALTY)
    drawing.mark_epsilon(axes, ladder.epsilon)
    for index, (cut, row) in enumerate(zip(ladder.rows, ladder.entries, strict=True)):
        points = [(place, entry.interval) for place, entry in enumerate(row) if entry.interval is not None]
        shade = colormaps["cividis"](0.85 * index / max(1, len(ladder.rows) - 1))  # dark next to the input
        drawn.append((_bars(axes, [x for x, _ in points], [i for _, i in points], index, shade), cut))
    axes.set_xticks(range(len(ladder.columns)))
    families = [printable(heading.name).split("_") for heading in ladder.columns]
    labels = ("\n".join([*words, size]) for words, size in zip(families, ladder.footer or (), strict=True))
    axes.set_xticklabels([label.rstrip("\n") for label in labels], fontsize=6)
    axes.set_xlabel("family of the stitch, from least to most capacity, with its number of parameters over the cuts")
    drawing.legend(figure, PAGE, drawn)


def _bars(axes: "Axes", x: Sequence[float], values: Sequence[Interval], index: int, shade: Any) -> Any:
    """Draw a line with a mark and a 95 % interval at each of its points."""
    y, mark = [each.value for each in values], _MARKS[index % len(_MARKS)]
    ends = [[each.value - each.low for each in values], [each.high - each.value for each in values]]
    return axes.errorbar(x, y, ends, color=shade, marker=mark, markersize=4, capsize=2, linewidth=1.2, elinewidth=0.9)


def _shaded(axes: "Axes", x: Sequence[float], values: Sequence[Interval], shade: str) -> Any:
    """Draw a light band between the ends of intervals."""
    return axes.fill_between(x, [i.low for i in values], [i.high for i in values], color=shade, alpha=0.14, linewidth=0)


def _drawn(axes: "Axes", one: Line, index: int, x: Sequence[float]) -> Any:
    values = [interval for _, interval in one.points]
    if one.kind == "pair":
        shade = COLOURS[index % len(COLOURS)]
        if one.band:
            _shaded(axes, x, one.band, shade)
        return _bars(axes, x, values, index, shade)
    y = [each.value for each in values]
    if one.kind == "control":
        mark, style = _MARKS[index % len(_MARKS)], _DASHES[index % len(_DASHES)]
        colours: dict[str, Any] = {"color": _CONTROL, "markerfacecolor": "white"}
        return axes.plot(x, y, marker=mark, markersize=3.5, linestyle=style, linewidth=0.9, **colours)[0]
    _shaded(axes, x, values, _PAPER)
    paper = _PAPER_MARKS[index % len(_PAPER_MARKS)]
    return axes.plot(x, y, color=_PAPER, marker=paper, markersize=4.5, linestyle=(0, (1, 2)), linewidth=0.9)[0]


def _label(one: Line, low: float, high: float) -> str:
    values = [interval.value for _, interval in one.points]
    beyond = f", up to {signed(max(values))}" if max(values) > high else ""
    beyond += f", down to {signed(min(values))}" if min(values) < low else ""
    return one.name + beyond
