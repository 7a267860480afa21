"""Loss and accuracy of a training as curves: with axes where there is room for them, else as bars."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from stitchtui.report.wording import printable, shortened
from stitchtui.tui.courses import Course, Point
from stitchtui.tui.plots import ACCURACY, LOSS, Kind, Values, bars, curve_lines
from stitchtui.tui.widgets.lines import Lines

_LEAST_NAME = 20  # terminal cells of a name, before the words after it go
_AXES = 6  # rows from which on curves have axes
_LEAST = 24  # terminal cells
_NARROW = 44  # terminal cells, below which two curves don't stand side by side
_LABEL = 14  # terminal cells beside bars


class Curves(Lines):
    """Two curves, side by side or one above the other; the loss alone where there is no room for two."""

    _drawn: object = None  # what the lines show: drawing them again takes longer than all else on the screen

    def draw(self, course: Course | None, ascii: bool = False, instead: Sequence[str] = ()) -> None:
        """Draw `course`, or where there is none the lines that are to stand there `instead`."""
        width, height = self.size.width - 1, self.size.height
        if course is None:
            self._drawn = None
            self.show(
                [Text(shortened(line, width, ascii), style="dim") for line in instead[-height:]] if height else []
            )
            return
        ends = [(len(points), points[-1:]) for points in (course.training, course.held_out)]
        wanted = (course.name, course.steps, *ends, width, height, ascii)
        if wanted != self._drawn:
            self._drawn = wanted
            self.show(course_lines(course, width, height, ascii))


def course_lines(course: Course, width: int, height: int, ascii: bool = False) -> list[Text]:
    """A line of what the course is of and has reached, and below it two curves; at most `width` by `height`."""
    if height < 1 or width < _LEAST:
        return []
    lines, room = [_title(course, width, ascii)], height - 1
    if room >= _AXES:
        return [*lines, *_plots(course, width, room, ascii)]
    return [*lines, *_bars(course, width, room, ascii)] if room else lines


def values(points: Sequence[Point], kind: Kind) -> Values:
    """The losses or the accuracies by step."""
    return [(point.step, point.loss if kind is LOSS else point.accuracy) for point in points]


def said(course: Course, kind: Kind, held_out: bool = True) -> str:
    """What was reached last: `loss 0.033, held out 0.041`."""
    found = [kind.text.format(values(points[-1:], kind)[0][1]) for points in (course.training,) if points]
    if course.held_out and (held_out or not found):
        found.append("held out " + kind.text.format(values(course.held_out[-1:], kind)[0][1]))
    return f"{kind.name} {', '.join(found)}"


def _title(course: Course, width: int, ascii: bool) -> Text:
    name = printable(course.name, ascii)
    short, full = (f"{said(course, LOSS, held)}, {said(course, ACCURACY, held)}" for held in (False, True))
    forms = [f"{full}; {course.note}"] if course.note else []
    least = min(cell_len(name), _LEAST_NAME)
    numbers = next((form for form in (*forms, full) if len(form) + 2 + least <= width), short)
    name = shortened(name, max(8, width - len(numbers) - 2), ascii)
    line = Text(f"{name}: {numbers}", style="bold")
    line.truncate(width)
    return line


def _plots(course: Course, width: int, height: int, ascii: bool) -> list[Text]:
    def plot(kind: Kind, size: tuple[int, int]) -> list[Text]:
        training, held_out = values(course.training, kind), values(course.held_out, kind)
        return curve_lines(training, held_out, course.steps, size, kind, ascii=ascii)

    if (width < _NARROW and height >= 2 * _AXES) or height > width // 2:
        return [*plot(LOSS, (width, height // 2)), *plot(ACCURACY, (width, height - height // 2))]
    if width < _NARROW:
        return plot(LOSS, (width, height))
    left = plot(LOSS, (width // 2, height))
    return [Text.assemble(a, b) for a, b in zip(left, plot(ACCURACY, (width // 2, height)), strict=True)]


def _bars(course: Course, width: int, height: int, ascii: bool) -> list[Text]:
    lines = [Text(no_wrap=True) for _ in range(height)]
    kinds = (LOSS, ACCURACY) if width >= _NARROW else (LOSS,)
    each = width // len(kinds)
    for kind in kinds:
        found = values(course.training or course.held_out, kind)
        ends = [kind.text.format(end(value for _, value in found)) for end in (max, min)]
        labels = [f"{kind.name} {ends[0] if height > 1 else ''}", *[""] * (height - 2), *ends[1:]][:height]
        drawn = bars(found, each - _LABEL - 3, height, ascii)
        for line, label, bar in zip(lines, labels, drawn, strict=True):
            line.append(f"{label.strip():>{_LABEL + 2}} ", "dim").append(bar.ljust(each - _LABEL - 3), kind.style)
    return lines
