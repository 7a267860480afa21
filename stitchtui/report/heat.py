"""Every cut with every cut as a drawn heat map, in the app's colours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stitchtui.report import drawing
from stitchtui.report.ramps import colour, ink
from stitchtui.report.table import Entry, Table, sides
from stitchtui.report.wording import printable, shortened, signed
from stitchtui.spec.measures import PENALTY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BESIDE = 2.0  # inches that names and the scale of colours take of a drawing's width
_SMALLEST = 3.5  # points of a number that can be read


def crosses_figure(tables: Sequence[Table], kind: drawing.Kind, width: float) -> bytes:
    """Return a file with a heat map of each table, below each other. Raises BadInput where matplotlib isn't there."""
    heights = [height_of(table, width) for table in tables]

    def draw(figure: "Figure") -> None:
        rows = figure.subplots(len(tables), squeeze=False, height_ratios=heights)
        for axes, table in zip(rows[:, 0], tables, strict=True):
            draw_heat_map(axes, width, table)

    return drawing.saved(kind, (width, sum(heights)), draw)


def height_of(table: Table, width: float) -> float:
    """How many inches a heat map takes in a drawing of this width."""
    cell = max(0.12, min(0.35, (width - _BESIDE) / len(table.columns)))
    return 0.85 + drawing.names_height([heading.name for heading in table.columns]) + cell * len(table.rows)


def draw_heat_map(axes: "Axes", width: float, table: Table) -> None:
    """Draw a heat map with its scale of colours; `width` is the whole drawing's, in inches."""
    shade = PENALTY.shade
    assert shade is not None
    values = [[entry.interval.value if entry.interval else None for entry in row] for row in table.entries]
    shares = [[float("nan") if value is None else shade.share(value) for value in row] for row in values]
    mesh = axes.pcolormesh(shares, cmap="cividis", vmin=0, vmax=1, edgecolor="white", linewidth=0.5)
    axes.invert_yaxis()
    texts = [[_text(entry) for entry in row] for row in table.entries]
    room = 72 * (width - _BESIDE) / len(table.columns)
    size = min(7.0, room / (0.62 * max(1, *(len(text) for row in texts for text in row))))
    for y, row in enumerate(table.entries):
        for x, entry in enumerate(row):
            ground = colour("cividis", shares[y][x]) if entry.interval else (255, 255, 255)
            if size >= _SMALLEST:
                black = [part / 255 for part in ink(ground)]
                axes.text(x + 0.5, y + 0.5, texts[y][x], color=black, fontsize=size, ha="center", va="center")
            if entry.marked:
                axes.plot([x, x + 1, x + 1, x, x], [y, y, y + 1, y + 1, y], color="black", linewidth=1.2)
    upright = [drawing.elided(heading.name) for heading in table.columns]
    axes.set_xticks([x + 0.5 for x in range(len(upright))], upright, rotation=90, fontsize=7)
    axes.set_yticks([y + 0.5 for y in range(len(table.rows))], map(drawing.elided, table.rows), fontsize=7)
    axes.set(xlabel=f"top cut\n{_signs(table)}", ylabel="bottom cut")
    axes.set_title(shortened(printable(table.title), int((width - 0.6) / 0.068)), loc="left")
    axes.tick_params(length=0)
    scale = axes.figure.colorbar(
        mesh, ax=axes, ticks=[shade.share(mark) for mark in shade.marks], label="penalty, points"
    )
    scale.ax.set_yticklabels([f"{mark:g}" for mark in shade.marks])


def _text(entry: Entry) -> str:
    return f"{entry.prefix}{signed(entry.interval.value)}{entry.mark()}" if entry.interval else entry.glyph


def _signs(table: Table) -> str:
    return "; ".join(["boxed: both about equally deep", *sides(table.epsilon)[: table.is_judged]])
