"""Penalty against depth as characters: a line for each pair, points alone for its controls."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rich.cells import cell_len

from stitchtui.report.depths import depths
from stitchtui.report.references import Reference, references
from stitchtui.report.table import Take, penalty
from stitchtui.report.wording import column_name, printable, shortened, signed, to_ascii
from stitchtui.run.state import Column, RunState
from stitchtui.stats.penalty import Interval

# Marker shapes tell columns apart where colours can't; a pair's are filled, a control's hollow.
_PAIR_MARKS, _CONTROL_MARKS = "●■▲◆★▼", "○□△◇☆▽"
_ASCII_PAIR_MARKS, _ASCII_CONTROL_MARKS = "123456789", "abcdefghijklmnopqrstuvwxyz"
_REFERENCE_MARKS, _ASCII_REFERENCE_MARKS = "×✚✳✕", "*+=%"
_INTERVAL_SIGN, _BAND_SIGN = ("│", "|"), ("┊", ":")  # the second in ASCII
_PAIR_COLOURS = (33, 166, 36, 169, 178, 74)  # of 256: apart for every kind of colour vision, on light and dark
_CONTROL_COLOUR = 244
_REFERENCE_COLOUR = 137
_ROOM_FOR_BANDS = (60, 16)
_FRAME = str.maketrans("┌┐└┘┤├┬┴┼─│", "+++++++++-|")
_OTHERS_MAY_STRETCH = 3.0  # how many times the pairs' range the axis may grow for controls and the paper's curves


_Bar = tuple[float, float, float]  # depth, and the ends of an interval


@dataclass(frozen=True)
class _Series:
    """What is drawn with one mark: a pair, a control, or a curve of the paper."""

    name: str
    kind: Literal["pair", "control", "reference"]
    mark: str
    colour: int
    points: list[tuple[float, float]]  # (depth, penalty in points), by depth
    bars: list[_Bar] = field(default_factory=list)  # 95 % intervals
    band: list[_Bar] = field(default_factory=list)  # limits that hold at all cuts together


@dataclass(frozen=True)
class Quantity:
    """A number of each cell that can be drawn: what stands above, where it comes from, and its level lines."""

    title: str = "penalty (points) against"  # goes on with what depth is
    take: Take = penalty
    has_zero: bool = True
    has_epsilon: bool = True

    def levels(self, epsilon: float) -> dict[str, float]:
        """What is marked across the plot, by what the legend calls it."""
        found = {"zero": 0.0} if self.has_zero else {}
        return found | ({f"epsilon ({epsilon:g})": epsilon} if self.has_epsilon else {})


def depth_plot(
    state: RunState,
    width: int,
    height: int,
    *,
    ascii: bool = False,
    colour: bool = True,
    quantity: Quantity = Quantity(),
    banded: bool = True,
) -> str:
    """The penalty, or another quantity, of every finished cell against its cut's depth, in `width` by `height`.

    Depth is the share of the FLOPs before the cut, or the number of the cut where a network doesn't say. Controls
    and the paper's curves of penalties that go far beyond the pairs leave the plot and the legend says how far.
    Upright bars are the pairs' 95 % intervals; if `banded`, where there is room, they go on, dotted, to the limits
    that hold at all cuts together. `colour` adds ANSI colours.
    """
    share = _knows_depth(state)
    banded = banded and quantity == Quantity() and width >= _ROOM_FOR_BANDS[0] and height >= _ROOM_FOR_BANDS[1]
    series = [one for one in _series(state, share, ascii, quantity.take, banded) if one.points]
    if not series:
        return shortened("no finished cell to draw yet", width, ascii)
    if quantity == Quantity():
        series += _paper(references(state, None if share else _numbers(state)), ascii)
    levels = quantity.levels(state.epsilon)
    low, high = _range(series, list(levels.values()))
    series = _visible(series, (low, high), (high - low) / height)
    legend = _legend(series, (low, high), " and ".join(levels), width, ascii)
    depth = "depth (share of FLOPs)" if share else "the cut's number, from the input"
    title = shortened(f"{quantity.title} {depth}", width, ascii)
    size = (width, max(6, height - 1 - len(legend)))
    drawing = _draw(series, share=share, limits=(low, high), levels=list(levels.values()), size=size, ascii=ascii)
    lines = drawing.string(colorless=not colour).rstrip("\n")
    return "\n".join([title, lines.translate(_FRAME) if ascii else lines, *legend])


def _knows_depth(state: RunState) -> bool:
    cuts = set(state.cuts())
    return all(
        cuts.intersection(_measured(state, c, penalty)) <= depths(state, c.bottom, c.top).keys()
        for c in state.columns()
    )


def _measured(state: RunState, column: Column, take: Take) -> dict[str, Interval]:
    """The number of each row that is finished; the direct matching that stands in for another is none of its own."""
    rows = [
        (row.cut, take(column, row)) for cut in state.cuts() if (row := state.summary(column, cut)).status == "finished"
    ]
    return {cut: entry.interval for cut, entry in rows if entry.interval is not None and entry.kind != "direct"}


def _numbers(state: RunState) -> dict[str, float]:
    return {cut: float(index) for index, cut in enumerate(state.cuts(), start=1)}


def _series(state: RunState, share: bool, ascii: bool, take: Take, banded: bool) -> list[_Series]:
    columns = state.columns()
    pairs = [column for column in columns if not column.control]
    controls = [column for column in columns if column.control]
    pair_marks, control_marks = (_ASCII_PAIR_MARKS, _ASCII_CONTROL_MARKS) if ascii else (_PAIR_MARKS, _CONTROL_MARKS)
    found = []
    for group, marks in ((pairs, pair_marks), (controls, control_marks)):
        for index, column in enumerate(group):
            place = depths(state, column.bottom, column.top) if share else _numbers(state)
            bars = sorted(
                (place[cut], value.value, value.low, value.high)
                for cut, value in _measured(state, column, take).items()
            )
            shade = _CONTROL_COLOUR if column.control else _PAIR_COLOURS[index % len(_PAIR_COLOURS)]
            name = printable(column_name(column), ascii)
            kind: Literal["pair", "control"] = "control" if column.control else "pair"
            points = [(depth, value) for depth, value, _, _ in bars]
            ends = [(depth, low, high) for depth, _, low, high in bars if low < high]
            together = state.band(column) if banded and not column.control and len(points) > 1 else {}
            band = [(place[cut], limits.low, limits.high) for cut, limits in together.items()]
            found.append(_Series(name, kind, marks[index % len(marks)], shade, points, ends, band))
    return found


def _visible(series: list[_Series], limits: tuple[float, float], row: float) -> list[_Series]:
    """The series with what of their bands is seen: a row of the plot or more beyond every interval at that depth."""
    low, high = limits
    own: dict[float, tuple[float, float]] = {}
    for depth, start, end in (bar for one in series if one.kind == "pair" for bar in one.bars):
        least, most = own.get(depth, (high, low))
        own[depth] = max(low, min(least, start)), min(high, max(most, end))

    def seen(bar: _Bar) -> bool:
        depth, start, end = bar
        least, most = own.get(depth, (high, low))
        return least - max(low, start) >= row or min(high, end) - most >= row

    return [replace(one, band=list(filter(seen, one.band))) for one in series]


def _paper(found: list[Reference], ascii: bool) -> list[_Series]:
    marks = _ASCII_REFERENCE_MARKS if ascii else _REFERENCE_MARKS
    return [
        _Series(
            to_ascii(one.legend()) if ascii else one.legend(),
            "reference",
            marks[index % len(marks)],
            _REFERENCE_COLOUR,
            list(one.points),
        )
        for index, one in enumerate(found)
    ]


def _range(series: list[_Series], levels: list[float]) -> tuple[float, float]:
    """The ends of the axis: all of the pairs and the level lines, and the others as far as they may go."""
    pairs = [value for one in series if one.kind == "pair" for _, value in one.points]
    every = [value for one in series for _, value in one.points]
    if not pairs:
        pairs = every
    low, high = min([*levels, *pairs]), max([*levels, *pairs])
    stretch = _OTHERS_MAY_STRETCH * ((high - low) or 1.0)
    low, high = max(low - stretch, min([low, *every])), min(high + stretch, max([high, *every]))
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _draw(
    series: list[_Series],
    *,
    share: bool,
    limits: tuple[float, float],
    levels: list[float],
    size: tuple[int, int],
    ascii: bool,
) -> Any:
    import plotext  # takes longer to load than all of the rest here

    figure = plotext.figure
    plotext.terminal.limit(False, False)
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(*size)
    last = max(place for one in series for place, _ in one.points)
    ends = (0.0, 1.0) if share else (1.0, max(2.0, last))
    for level in levels:
        figure.draw(figure.signal(list(ends), [level, level], marker=mark("-" if ascii else "┈", 244)).lines())
    for one in series:
        _draw_intervals(figure, one, ascii)
    for one in reversed(series):  # the first pair last, so that nothing covers it
        _draw_series(figure, one, ascii)
    rule(figure.ruler("x"), *ends, most=6, whole=not share)
    rule(figure.ruler("y"), *limits, most=max(2, size[1] // 3), whole=False)
    return figure.build()


def _draw_intervals(figure: Any, one: _Series, ascii: bool) -> None:
    for bars, sign in ((one.band, _BAND_SIGN), (one.bars, _INTERVAL_SIGN)) if one.kind == "pair" else ():
        for depth, *ends in bars:
            figure.draw(figure.signal([depth, depth], ends, marker=mark(sign[ascii], one.colour)).lines())


def _draw_series(figure: Any, one: _Series, ascii: bool) -> None:
    x, y = (list(values) for values in zip(*one.points, strict=True))
    if one.kind == "pair":
        figure.draw(figure.signal(x, y, marker=mark("." if ascii else "braille", one.colour)).lines())
    figure.draw(figure.signal(x, y, marker=mark(one.mark, one.colour)))


def mark(symbol: str, colour: int) -> Any:
    """A plotext marker of one colour (0 to 255)."""
    import plotext

    return plotext.marker(symbol, plotext.pixel(colour))


def rule(ruler: Any, low: float, high: float, most: int, whole: bool) -> None:
    """Limit a plotext ruler to `low` and `high`, with at most `most` + 1 round ticks."""
    ticks = round_ticks(low, high, most, whole)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    ruler.lim(low, high)
    ruler.ticks(ticks, [f"{tick:.{decimals}f}" for tick in ticks])


def round_ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """At most `most` + 1 round numbers (steps of 1, 2 or 5 times a power of ten) from `low` to `high`."""
    least = (high - low) / max(1, most)
    power = 10.0 ** math.floor(math.log10(least))
    steps = [factor * power for factor in (0.5, 1, 2, 5, 10)]
    coarse = next(index for index, step in enumerate(steps) if step >= least * (1 - 1e-9))
    # A step as long as the whole range may have no multiple in it; the next finer one then has few enough.
    return _multiples(steps[coarse], low, high, whole) or _multiples(steps[max(0, coarse - 1)], low, high, whole)


def _multiples(step: float, low: float, high: float, whole: bool) -> list[float]:
    step = max(1.0, step) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step + 0.0 for index in range(first, last + 1)]


def _legend(series: list[_Series], limits: tuple[float, float], levels: str, width: int, ascii: bool) -> list[str]:
    entries = [f"{'-' if ascii else '┈'} {levels}"] if levels else []
    if any(one.bars for one in series if one.kind == "pair"):
        entries.append(f"{_INTERVAL_SIGN[ascii]} 95 % interval")
    if any(one.band for one in series):
        entries.append(f"{_BAND_SIGN[ascii]} for all cuts")
    for one in series:
        lowest, highest = (edge(value for _, value in one.points) for edge in (min, max))
        beyond = f", up to {signed(highest)}" if highest > limits[1] else ""
        beyond += f", down to {signed(lowest)}" if lowest < limits[0] else ""
        entries.append(f"{one.mark} {one.name}{beyond}")
    return _packed([shortened(entry, width, ascii) for entry in entries], width)


def _packed(entries: list[str], width: int) -> list[str]:
    lines: list[str] = []
    for entry in entries:
        if lines and cell_len(lines[-1]) + 3 + cell_len(entry) <= width:
            lines[-1] += "   " + entry
        else:
            lines.append(entry)
    return lines
