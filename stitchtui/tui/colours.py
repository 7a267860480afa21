"""The colours behind numbers: ramps that every eye orders the same way, and what a terminal with few colours gets."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

from rich.color import Color, ColorSystem
from rich.style import Style

from stitchtui.stats.penalty import Side

Depth = Literal["none", "16", "256", "truecolor"]

_RAMPS: dict[str, tuple[str, ...]] = {
    "cividis": (
        *("#00204d", "#00336f", "#39486b", "#575c6d", "#707173"),
        *("#8a8779", "#a69d75", "#c4b56c", "#e4cf5b", "#ffea46"),
    ),
    "viridis": (
        *("#440154", "#482878", "#3e4a89", "#31688e", "#26828e"),
        *("#1f9e89", "#35b779", "#6dcd59", "#b4de2c", "#fde725"),
    ),
    # Blue and vermilion stay apart for every kind of colour vision; the middle sinks into the ground.
    "diverging": ("#6db5ff", "#2f78b8", "#1c4468", "#26282b", "#6b3714", "#b85f1c", "#ffa04d"),
    "diverging-light": ("#1f6fb5", "#74aeda", "#c3dcee", "#f2f2f2", "#f6d3b3", "#e6975c", "#c25a0c"),
}
# Blue and vermilion stay apart for every kind of colour vision; for the light theme, and for the dark one.
_SIDES: dict[Side, tuple[str, str]] = {
    "below": ("#005faf", "#5fafff"),
    "straddling": ("#585858", "#bcbcbc"),
    "above": ("#af3a00", "#ff8700"),
}
_SIDES_OF_16: dict[Side, tuple[str, str]] = {
    "below": ("blue", "cyan"),
    "straddling": ("default", "default"),
    "above": ("red", "red"),
}
RAMPS = ("cividis", "viridis")
_STEPS = 32  # shades that are told apart; few enough that a cell whose number hardly moves isn't drawn again


@dataclass(frozen=True)
class Palette:
    """How numbers are coloured: the ramp's name, whether the ground is dark, and how many colours there are."""

    ramp: str = "cividis"
    dark: bool = True
    depth: Depth = "truecolor"

    def side(self, side: Side) -> Style:
        """The style of the mark that says on which side of epsilon a cell lies."""
        if self.depth == "none":
            return Style(bold=side == "above")
        colours = _SIDES_OF_16 if self.depth == "16" else _SIDES
        return Style(color=colours[side][self.dark], bold=side == "above")

    def style(self, share: float, diverging: bool = False, faint: bool = False) -> Style:
        """The style of a number that lies at `share` (0 to 1) of its scale; no colour where there are too few.

        A `faint` one stands back: its ground is half the theme's own, its ink as strong as the others'.
        """
        if self.depth in ("none", "16"):
            return Style(bold=not faint and (share > 0.75 if diverging else share > 0.5))
        name = self.ramp if not diverging else "diverging" if self.dark else "diverging-light"
        theirs = (0 if self.dark else 255) if faint else None
        return _shade(name, round(min(1.0, max(0.0, share)) * _STEPS), theirs, self.depth)


@cache
def _shade(name: str, step: int, blend: int | None, depth: Depth) -> Style:
    parts = colour(name, step / _STEPS)
    ground = Color.from_rgb(*(parts if blend is None else ((part + blend) / 2 for part in parts)))
    if depth == "256":  # of which the terminal would take one that may need other ink
        ground = ground.downgrade(ColorSystem.EIGHT_BIT)
    # black and white are equally far from this brightness, at a contrast of 4.6
    ink = (0, 0, 0) if luminance(ground.get_truecolor()) > 0.179 else (255, 255, 255)
    return Style(color=Color.from_rgb(*ink), bgcolor=ground)


def colour(name: str, share: float) -> tuple[int, int, int]:
    """The red, green and blue (0 to 255) of the ramp `name` at `share`, 0 to 1."""
    stops = _RAMPS[name]
    place = share * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    first, second = (_parts(stop) for stop in stops[index : index + 2])
    red, green, blue = (round(a + (b - a) * (place - index)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _parts(code: str) -> tuple[int, int, int]:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def luminance(rgb: tuple[int, int, int]) -> float:
    """How bright a colour is to the eye, 0 to 1 (WCAG's relative luminance)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def depth_of(color_system: str | None, no_color: bool) -> Depth:
    """How many colours there are, from rich's name of the terminal's colour system."""
    if no_color or color_system is None:
        return "none"
    return {"standard": "16", "windows": "16", "256": "256"}.get(color_system, "truecolor")  # type: ignore[return-value]
