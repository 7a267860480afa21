"""Training curves and the depth plot as lines of text; plotext draws them, and is loaded when the first is drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.color import Color
from rich.style import Style
from rich.text import Text

from stitchtui.report.depth import Quantity, depth_plot, mark, rule
from stitchtui.run.state import RunState
from stitchtui.tui.measures import FIRST, Measure

Values = Sequence[tuple[int, float]]
"""A value by step, steps ascending."""

_FRAME = str.maketrans("┌┐└┘┤├┬┴┼─│", "+++++++++-|")
_BARS, _ASCII_BARS = " ▁▂▃▄▅▆▇█", " .:-=+*#@"


@dataclass(frozen=True)
class Kind:
    """What a curve is of: its name, its colour, how its values are said, and the largest there can be."""

    name: str
    colour: int  # of 256: apart for every kind of colour vision, on light and dark
    text: str
    most: float = math.inf

    @property
    def style(self) -> Style:
        """How it is drawn."""
        return Style(color=Color.from_ansi(self.colour))


LOSS, ACCURACY = Kind("loss", 33, "{:.3f}"), Kind("accuracy", 172, "{:.1f} %", 100.0)


def curve_lines(
    values: Values, held_out: Values, steps: int, size: tuple[int, int], kind: Kind, *, ascii: bool = False
) -> list[Text]:
    """A line through `values` and a dot for each held-out one, exactly `size` (width, height) with axes."""
    width, height = size
    if width < 16 or height < 4 or not (values or held_out):
        return []
    import plotext

    figure = plotext.figure
    plotext.terminal.limit(False, False)
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    dot = mark("o" if ascii else "•", kind.colour)
    if len(values) > 1:
        line = figure.signal(*_columns(values), marker=mark("." if ascii else "braille", kind.colour))
        figure.draw(line.lines())
    elif values:
        figure.draw(figure.signal(*_columns(values), marker=mark("." if ascii else "·", kind.colour)))
    if held_out:
        figure.draw(figure.signal(*_columns(held_out), marker=dot))
    found = [*values, *held_out]
    rule(figure.ruler("x"), 0.0, float(max(1, steps, *(step for step, _ in found))), max(2, width // 12), whole=True)
    rule(figure.ruler("y"), *_limits([value for _, value in found], kind), max(3, height // 2), whole=False)
    drawing = figure.build().string(colorless=False).rstrip("\n")
    return _texts(drawing.translate(_FRAME) if ascii else drawing)


def _columns(values: Values) -> tuple[list[float], list[float]]:
    return [float(step) for step, _ in values], [value for _, value in values]


def _limits(values: Sequence[float], kind: Kind) -> tuple[float, float]:
    """The ends of an axis: a little beyond what is drawn, and not beyond what there can be."""
    low, high = min(values), max(values)
    margin = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    return max(0.0, low - margin), min(kind.most, high + margin)


def bars(values: Values, width: int, height: int = 1, ascii: bool = False) -> list[str]:
    """Bars from the first step to the last, at most `width` wide and exactly `height` high, which they fill."""
    found = _binned(values, width)
    low, high = min(found, default=0.0), max(found, default=0.0)
    most, signs = 8 * height, _ASCII_BARS if ascii else _BARS
    levels = [1 + round((most - 1) * (value - low) / (high - low)) if high > low else most // 2 for value in found]
    floors = range(8 * (height - 1), -1, -8)
    return ["".join(signs[min(8, max(0, level - floor))] for level in levels) for floor in floors]


def _binned(values: Values, width: int) -> list[float]:
    """At most `width` means over as many equal parts of the steps; a part without one has that of the part before."""
    count = min(width, len(values))
    if count < 1:
        return []
    first, last = values[0][0], values[-1][0]
    parts: list[list[float]] = [[] for _ in range(count)]
    for step, value in values:
        parts[min(count - 1, (step - first) * count // max(1, last - first))].append(value)
    means: list[float] = []
    for part in parts:
        means.append(fmean(part) if part else means[-1])
    return means


def depth_lines(
    state: RunState, measure: Measure, width: int, height: int, ascii: bool = False, *, banded: bool = True
) -> list[Text]:
    """The depth plot, at most `width` by `height` characters; nothing where there is no room for one.

    `banded` as `depth_plot` has it.
    """
    if width < 30 or height < 9:
        return []
    if measure == FIRST:
        return _texts(depth_plot(state, width, height, ascii=ascii, banded=banded))
    shade, take = measure.shade, measure.take(state)
    quantity = Quantity(f"{shade.titles[-1]}, by", take, has_zero=shade.signed, has_epsilon=measure.by_epsilon)
    return _texts(depth_plot(state, width, height, ascii=ascii, quantity=quantity))


def _texts(drawing: str) -> list[Text]:
    return [Text.from_ansi(line) for line in drawing.split("\n")]
