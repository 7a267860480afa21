"""Training curves and the depth plot as lines of text; plotext draws them, and is loaded when the first is drawn."""

from collections.abc import Sequence

from rich.text import Text

from stitchtui.report.depth import Quantity, depth_plot, mark, rule
from stitchtui.run.state import RunState
from stitchtui.tui.measures import FIRST, Measure

LOSS, ACCURACY = 33, 172  # of 256: apart for every kind of colour vision, on light and dark
_FRAME = str.maketrans("┌┐└┘┤├┬┴┼─│", "+++++++++-|")


def curve_lines(
    points: Sequence[tuple[float, float]], steps: int, size: tuple[int, int], shade: int, ascii: bool = False
) -> list[Text]:
    """A line through `points` (step, value) of `steps`, exactly `size` (width, height) characters with axes."""
    width, height = size
    if width < 16 or height < 4 or not points:
        return []
    import plotext

    figure = plotext.figure
    plotext.terminal.limit(False, False)
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(width, height)
    x, y = (list(values) for values in zip(*points, strict=True))
    if len(points) == 1:
        figure.draw(figure.signal(x, y, marker=mark("." if ascii else "•", shade)))
    else:
        figure.draw(figure.signal(x, y, marker=mark("." if ascii else "braille", shade)).lines())
    rule(figure.ruler("x"), 0.0, max(1.0, float(steps), *x), max(2, width // 12), whole=True)
    low, high = min(y), max(y)
    margin = 0.05 * (high - low) or abs(high) * 0.1 or 1.0
    rule(figure.ruler("y"), low - margin, high + margin, max(3, height // 2), whole=False)
    drawing = figure.build().string(colorless=False).rstrip("\n")
    return _texts(drawing.translate(_FRAME) if ascii else drawing)


def depth_lines(state: RunState, measure: Measure, width: int, height: int, ascii: bool = False) -> list[Text]:
    """The depth plot, at most `width` by `height` characters; nothing where there is no room for one."""
    if width < 30 or height < 9:
        return []
    if measure == FIRST:
        return _texts(depth_plot(state, width, height, ascii=ascii))
    shade, take = measure.shade, measure.take(state)
    quantity = Quantity(f"{shade.titles[-1]}, by", take, has_zero=shade.signed, has_epsilon=measure.by_epsilon)
    return _texts(depth_plot(state, width, height, ascii=ascii, quantity=quantity))


def _texts(drawing: str) -> list[Text]:
    return [Text.from_ansi(line) for line in drawing.split("\n")]
