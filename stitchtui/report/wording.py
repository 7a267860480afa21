"""How a report says things: safe names, signed numbers, what each control is called. Shared by every output."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

from stitchtui import __version__
from stitchtui.base.text import duration, plain
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import control_named
from stitchtui.stats.penalty import Interval

_ASCII = str.maketrans(
    {"±": "+-", "…": "..", "·": ".", "≤": "<=", "–": "-", "×": "x", "▸": ">", "†": "!", "■": "#", "✓": "+"}
)


def printable(text: object, ascii: bool = False) -> str:
    """`text` from outside as a terminal may show it: no control characters, and only ASCII where asked."""
    return plain(text).encode("ascii" if ascii else "utf-8", "replace").decode()


def to_ascii(text: str) -> str:
    """`text` with our own signs spelt in ASCII and whatever is left of others' shown as `?`."""
    return text.translate(_ASCII).encode("ascii", "replace").decode()


def signed(value: float, decimals: int = 2) -> str:
    """A penalty with its sign, in points: `+1.23`, `-0.40`; what rounds to nothing has none: `0.00`."""
    text = f"{value:+.{decimals}f}"
    return text if float(text) else text[1:]


def points(interval: Interval, decimals: int = 2) -> str:
    """A penalty with half of its 95 % interval: `+1.23 ±0.41`."""
    return f"{signed(interval.value, decimals)} ±{interval.half_width:.{decimals}f}"


def bounds(interval: Interval, decimals: int = 2) -> str:
    """A penalty with the ends of its 95 % interval: `+1.23 [+0.82, +1.64]`."""
    low, high = signed(interval.low, decimals), signed(interval.high, decimals)
    return f"{signed(interval.value, decimals)} [{low}, {high}]"


def run_name(state: RunState) -> str:
    """A run as a sentence names it, unescaped: with its label, if it has one."""
    name = state.run or "a run without a name"
    return f"{name} ({state.about.label})" if state.about.label else name


def measured_by(state: RunState) -> str:
    """Return the version of this program that measured a run, as far as its log says."""
    return str(state.versions.get("stitchtui", __version__))


def margin(epsilon_star: float, epsilon: float) -> str:
    """The margin from which on a pair is connected, rounded up: `2.4`; told apart from `epsilon`."""
    for decimals in (1, 2, 3, 6):
        rounded = max(0.0, math.ceil(epsilon_star * 10**decimals - 1e-6) / 10**decimals)
        if (rounded <= epsilon) == (epsilon_star <= epsilon):
            break
    return f"{rounded:.{decimals}f}"


def above_alone(state: RunState, column: Column) -> str:
    """Of an undecided pair `; above 3 at conv1 taken alone` where a cut's own interval lies so, else nothing."""
    cuts = state.above_alone(column)
    return f"; above {state.epsilon:g} at {listed(cuts, 3)} taken alone" if cuts else ""


def column_name(column: Column) -> str:
    """A column as a sentence names it, unescaped: `a > b`, `b > b (self-stitch)`, `random(a) > b`."""
    control = control_named(column.control)
    plain_heading = control.heading("", "") == " > "  # such as a random bottom's says itself what it is
    said = [control.words] if control.words and plain_heading else []
    said += column.apart
    return f"{column.heading} ({', '.join(said)})" if said else column.heading


def shortened(text: str, width: int, ascii: bool = False) -> str:
    """`text` in at most `width` terminal cells; what is left out of its end shows as an ellipsis."""
    if cell_len(text) <= width:
        return text
    mark = ".." if ascii else "…"
    return set_cell_size(text, width - len(mark)) + mark if width > len(mark) else set_cell_size(text, width)


def ending(text: str, width: int, ascii: bool = False) -> str:
    """The end of a name or path in at most `width` terminal cells, where that tells more than its start."""
    if cell_len(text) <= width:
        return text
    mark = ".." if ascii else "…"
    if width <= len(mark):
        return set_cell_size(text, width)
    while cell_len(text) > width - len(mark):
        text = text[1:]
    return mark + text


def progress_bar(share: float, width: int, ascii: bool = False) -> str:
    """A bar of `width` terminal cells of which `share`, 0 to 1, is full."""
    full, empty = ("#", "-") if ascii else ("━", "─")
    filled = round(share * width)
    return full * filled + empty * (width - filled)


def listed(names: Iterable[str], most: int = 6) -> str:
    """Names in a row, the first `most` of them, and how many more there are."""
    all_names = list(names)
    more = f" and {len(all_names) - most} more" if len(all_names) > most else ""
    return ", ".join(all_names[:most]) + more


def time_taken(state: RunState) -> str:
    """How long a run's workers took and, where it says so, what its processors computed; empty before it ends.

    On a shared machine the first depends on the others there, the second hardly.
    """
    if state.started is None or state.finished is None:
        return ""
    computed = f" ({duration(state.processor)} of a processor)" if state.processor else ""
    return duration(state.took()) + computed


def counted(count: int, noun: str) -> str:
    """A number with its noun: `1 cell`, `3 cells`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def data_words(state: RunState) -> str:
    """A run's images, which must be there: how many, how many are held out, how those are augmented that stitches see.

    What older logs don't say is left out.
    """
    data = state.data or {}
    held_out = sorted({task.held_out for task in state.tasks.values() if task.held_out and not task.control})
    apart = f" ({' or '.join(map(str, held_out))} held out)" if held_out else ""
    images = f"{data['train']} training{apart} and {data['test']} test images"
    kind = f", augmentation {data['augment']}" if "augment" in data else ""
    return f"{data['name']}, {images}, {len(data['classes'])} classes{kind}"


def normalisation(mean: object, std: object) -> str:
    """How a network's images are normalised: `normalised by mean 0.31, std 0.38`; empty where that isn't known."""
    means, deviations = _numbers(mean), _numbers(std)
    if not means or len(means) != len(deviations):
        return ""
    if not any(means) and all(value == 1 for value in deviations):
        return "not normalised"
    return f"normalised by mean {_each(means)}, std {_each(deviations)}"


def _numbers(values: object) -> list[float]:
    if not isinstance(values, Sequence):
        return []
    found = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return found if len(found) == len(values) else []


def _each(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3g}" for value in values)


def verdict_counts(state: RunState) -> str:
    """How many pairs are connected, not connected and undecided: `1 connected, 1 undecided`."""
    found = Counter(verdict for column in state.columns() if (verdict := state.verdict(column)) is not None)
    return ", ".join(f"{found[each]} {each}" for each in ("connected", "not connected", "undecided") if found[each])
