"""How a run can be, in the order in which a list puts them: the glyph of each, its look, and what it means."""

from dataclasses import dataclass

from stitchtui.run.control import RunCondition


@dataclass(frozen=True)
class Look:
    """How a condition is told from others, without colour by its `glyph`; `style` is a part of the list's CSS."""

    glyph: str
    style: str
    meaning: str


CONDITIONS: dict[RunCondition, Look] = {
    "running": Look("▸", "going", "a worker is at it"),
    "starting": Look("▸", "going", "its worker has not spoken yet"),
    "lost": Look("†", "trouble", "its worker died without saying so; resume goes on with what is missing"),
    "failed": Look("x", "trouble", "its worker said why it could not go on"),
    "stopped": Look("■", "dim", "somebody stopped it; resume goes on with what is missing"),
    "elsewhere": Look("@", "dim", "its worker is on another machine; shown as of the last copy"),
    "done": Look("✓", "", "all is measured"),
}


def legend() -> dict[str, str]:
    """What each glyph means."""
    found: dict[str, str] = {}
    for name, look in CONDITIONS.items():
        words = f"{name}: {look.meaning}"
        found[look.glyph] = f"{found[look.glyph]}; {words}" if look.glyph in found else words
    return found
