"""What every drawing by matplotlib (extra `report`, loaded when the first is drawn) has around its numbers."""

import io
import math
import textwrap
import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from stitchtui.base.errors import BadInput
from stitchtui.report.wording import printable, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Kind = Literal["png", "svg", "pdf"]

PAGE, NARROWEST = 6.75, 2.5
"""Widths in inches: what a page of a paper has for its text, and what a drawing needs at least."""

_NAME, _LETTER = 7.0, 0.6  # points of a name's letters; how wide one is, as a share of that
_LINE = 1.25 * _NAME  # points from a line of names to the next
_LONGEST = 26  # letters of a cut's name
_LEADERS = 8.0  # points between the axis and the names of cuts, for lines that lead from one to the other
_BESIDE = 1.25  # inches that an axis of penalties, and what is said of epsilon, take of a drawing's width
_PROPERTIES: Any = {
    "svg.hashsalt": "stitchtui",  # the same run gives the same file
    "svg.fonttype": "none",  # text stays text
    "pdf.fonttype": 42,
    "text.parse_math": False,  # a name may have a dollar sign
    "font.size": 8.0,
    "axes.titlesize": 9.0,
    "axes.linewidth": 0.6,
}
_METADATA: dict[Kind, dict[str, Any]] = {
    "png": {"Software": "stitchtui"},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
}


@dataclass(frozen=True)
class Place:
    """A cut on the axis: its name, where it lies, and where it is drawn."""

    cut: str
    depth: float
    drawn: float


def saved(kind: Kind, size: tuple[float, float], draw: "Callable[[Figure], None]") -> bytes:
    """Return the file of a drawing of this size in inches. Raises BadInput where matplotlib isn't installed."""
    out = io.BytesIO()
    # A name may be in a script that no font here knows: a file of text leaves that to its viewer, others draw boxes.
    with style(), warnings.catch_warnings():
        from matplotlib.figure import Figure

        warnings.simplefilter("ignore", UserWarning)
        figure = Figure(figsize=size, dpi=200, layout="constrained")
        draw(figure)
        figure.savefig(out, format=kind, metadata=_METADATA[kind], facecolor="white")
    return out.getvalue()


def style() -> AbstractContextManager[None]:
    """What text and lines look like that are drawn inside. Raises BadInput where matplotlib isn't installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        raise BadInput("plots need matplotlib; install it with: pip install 'stitchtui[report]'") from None
    return mpl.rc_context(_PROPERTIES)


def frame(axes: "Axes", width: float, title: str, measure: str) -> None:
    """Draw what is around every drawing, `width` inches wide: the title, and what is measured."""
    axes.set_ylabel(measure)
    axes.set_title(shortened(printable(title), int(width / 0.085)), loc="left")
    axes.spines[["top", "right"]].set_visible(False)


def width_around(axes: "Axes") -> float:
    """How many inches wide a drawing would be that has no other axes, and these as they are."""
    return axes.get_window_extent().width / axes.figure.dpi + _BESIDE


def mark_epsilon(axes: "Axes", epsilon: float) -> None:
    """Draw zero and epsilon across the axes, and epsilon's name beside them."""
    axes.axhline(0.0, color="#111111", linewidth=0.8)
    axes.axhline(epsilon, color="#777777", linewidth=0.8, linestyle=(0, (4, 3)))
    at: Any = ("axes fraction", "data")
    style: dict[str, Any] = {"fontsize": _NAME, "color": "#444444", "va": "center"}
    axes.annotate(f"epsilon {epsilon:g}", (1, epsilon), xycoords=at, xytext=(3, 0), textcoords="offset points", **style)


def legend(of: "Figure | Axes", width: float, drawn: Sequence[tuple[Any, str]]) -> None:
    """Say which line is what: below a figure's axes, in as many columns as there is room for, or inside axes."""
    if not drawn:
        return
    names, columns = _in_legend([name for _, name in drawn], width)
    handles = [handle for handle, _ in drawn]
    style: dict[str, Any] = {"frameon": False, "fontsize": _NAME, "columnspacing": 1.2}
    if hasattr(of, "add_subplot"):
        of.legend(handles, names, loc="outside lower left", ncols=columns, **style)
    else:
        of.legend(handles, names, **style)


def legend_height(names: Sequence[str], width: float) -> float:
    """How many inches a legend of these names takes in a drawing of this width."""
    shown, columns = _in_legend(names, width)
    rows = math.ceil(len(shown) / columns)
    below = [shown[start : start + rows] for start in range(0, len(shown), rows or 1)]
    return max((sum(name.count("\n") + 1.15 for name in column) for column in below), default=0.0) * _LINE / 72


def _in_legend(names: Sequence[str], width: float) -> tuple[list[str], int]:
    """The names as a legend has them, long ones in several lines, and in how many columns."""
    most = int((width - 0.7) / _inches(1))
    shown = ["\n".join(textwrap.wrap(printable(name), most)[:3]) for name in names]
    # a leading underscore would make matplotlib leave a name out
    shown = [f" {name}" if name.startswith(("_", " ")) or not name else name for name in shown]
    longest = min(most, max(map(len, shown), default=1))
    return shown, max(1, min(len(names), 4, int(width / (_inches(longest) + 0.6))))


def _inches(letters: int) -> float:
    return letters * _LETTER * _NAME / 72


def set_apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return the nearest places, in the same order, that are `gap` apart and lie between `low` and `high`.

    `places` are in order, and there is room for them.
    """
    import numpy as np
    from scipy.optimize import isotonic_regression

    if not places:
        return []
    steps = gap * np.arange(len(places))
    free = isotonic_regression(np.asarray(places) - steps).x
    return [float(each) for each in np.clip(free, low, high - steps[-1]) + steps]


def placed(cuts: Sequence[tuple[str, float]], width: float) -> list[Place]:
    """Where cuts, by depth, are drawn: those at one depth, or nearly so, a mark's width apart."""
    depths = [depth for _, depth in cuts]
    low, high = _ends(depths)
    gap = min((high - low) * 0.09 / (width - _BESIDE), (high - low) / (2 * max(1, len(cuts))))
    drawn = set_apart(depths, gap, low - gap, high + gap)
    return [Place(cut, depth, at) for (cut, depth), at in zip(cuts, drawn, strict=True)]


def _ends(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def moved(depths: Sequence[float], cuts: Sequence[str], places: Sequence[Place]) -> list[float]:
    """Return where points are drawn: those of a cut at its place, others moved as the cuts around them are."""
    import numpy as np

    known = {(place.cut, place.depth): place.drawn for place in places}
    if cuts:
        return [known[each] for each in zip(cuts, depths, strict=True)]
    if not places:
        return list(depths)
    shifts = [place.drawn - place.depth for place in places]
    return [float(x + np.interp(x, [place.depth for place in places], shifts)) for x in depths]


def name_cuts(axes: "Axes", width: float, places: Sequence[Place], with_depth: bool) -> None:
    """Write each cut's name and, where asked, depth below the axis, as many as there is room for, led to its place.

    `width` is the whole drawing's, in inches.
    """
    from matplotlib.transforms import ScaledTranslation

    low, high = axes.get_xlim()
    a_point = (high - low) / (72 * (width - _BESIDE))
    names = [(elided(place.cut), f"{place.depth:.2f}" if with_depth else "") for place in places]
    across = (1 + max((_LETTER * len(word) for name in names for word in name), default=0.0)) * _NAME
    upright = len(names) * across * a_point > high - low
    gap = (_LINE if upright else across) * a_point
    every = max(1, math.ceil(len(places) * gap / (high - low)))
    named, words = places[::every], names[::every]
    at = set_apart([place.drawn for place in named], gap, low, high)
    labels = [("  " if upright else "\n").join(filter(None, each)) for each in words]
    axes.set_xticks(at, labels, fontsize=_NAME, rotation=90 if upright else 0)
    axes.tick_params(axis="x", length=0, pad=_LEADERS + 1)
    below = axes.get_xaxis_transform() + ScaledTranslation(0, -_LEADERS / 72, axes.figure.dpi_scale_trans)
    line = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
    for place, x in zip(named, at, strict=True):
        axes.annotate(
            *("", (place.drawn, 0)),
            xycoords=axes.get_xaxis_transform(),
            xytext=(x, 0),
            textcoords=below,
            arrowprops=line,
        )
    depth = "cut and its depth (share of FLOPs before it)" if with_depth else "cut, from the input"
    axes.set_xlabel(depth if every == 1 else f"{depth}\none in {every} is named")


def names_height(cuts: Sequence[str]) -> float:
    """How many inches the names of cuts may take below the axis."""
    return _inches(6 + max((min(len(cut), _LONGEST) for cut in cuts), default=0))


def elided(name: str) -> str:
    """A cut's name, of a long one its end: that is where its number stands."""
    name = printable(name)
    return name if len(name) <= _LONGEST else "…" + name[1 - _LONGEST :]
