"""The colours behind numbers: ramps that every eye orders the same way, and what a terminal with few colours gets."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from rich.color import Color, ColorSystem
from rich.style import Style

from stitchtui.report.ramps import colour, ink

if TYPE_CHECKING:
    from stitchtui.stats.penalty import Side

Depth = Literal["none", "16", "256", "truecolor"]

# Blue and vermilion stay apart for every kind of colour vision; for the light theme, and for the dark one.
_SIDES: "dict[Side, tuple[str, str]]" = {
    "below": ("#005299", "#5fafff"),
    "straddling": ("#484848", "#bcbcbc"),
    "above": ("#9a3200", "#ff8700"),
}
_SIDES_OF_16: "dict[Side, tuple[str, str]]" = {
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

    def side(self, side: "Side") -> Style:
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
    red, green, blue = ground.get_truecolor()
    return Style(color=Color.from_rgb(*ink((red, green, blue))), bgcolor=ground)


def depth_of(color_system: str | None, no_color: bool) -> Depth:
    """How many colours there are, from rich's name of the terminal's colour system."""
    if no_color or color_system is None:
        return "none"
    return {"standard": "16", "windows": "16", "256": "256"}.get(color_system, "truecolor")  # type: ignore[return-value]
