"""Two chains side by side: which cuts an experiment uses of each, and whether a stitch fits between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stitchtui.text import duration, plain, size

Cut = Mapping[str, Any]
Fit = Literal["equal", "mapped", "misfit", "alone"]


@dataclass(frozen=True)
class Joint:
    """One row: the bottom's cut, the top's in the same place, and how they fit."""

    bottom: Cut | None
    top: Cut | None
    fit: Fit


def shape_text(cut: Cut | None) -> str:
    """A cut's shape: `16x8x8`."""
    return "x".join(map(str, cut["shape"])) if cut else ""


def selected(cuts: Sequence[Cut], wanted: str) -> list[Cut]:
    """The cuts that `wanted` means: `blocks`, `all`, or names with commas; names that aren't known are left out."""
    if wanted == "all":
        return list(cuts)
    if wanted == "blocks":
        return [cut for cut in cuts if cut["block"]] or list(cuts)
    names = {word.strip() for word in wanted.split(",")}
    return [cut for cut in cuts if cut["name"] in names]


def joints(bottom: Sequence[Cut], top: Sequence[Cut], family: str) -> list[Joint]:
    """The two lists of cuts row by row."""
    rows = []
    for index in range(max(len(bottom), len(top))):
        below = bottom[index] if index < len(bottom) else None
        above = top[index] if index < len(top) else None
        rows.append(Joint(below, above, _fit(below, above, family)))
    return rows


def _fit(bottom: Cut | None, top: Cut | None, family: str) -> Fit:
    if bottom is None or top is None:
        return "alone"
    if bottom["shape"] == top["shape"] and bottom["channel_axis"] == top["channel_axis"]:
        return "equal"
    fits = family != "identity" and _positions(bottom) == _positions(top)
    return "mapped" if fits and bottom["channel_axis"] == top["channel_axis"] else "misfit"


def _positions(cut: Cut) -> list[int]:
    return list(cut["shape"][1:] if cut["channel_axis"] == 1 else cut["shape"][:-1])


def problem(bottom: Sequence[Cut], top: Sequence[Cut], family: str) -> str:
    """Why the chosen cuts can't be stitched, in one line; empty where they can."""
    if not bottom or not top:
        return "no such cut in " + ("either network" if not bottom and not top else "the bottom" if top else "the top")
    if len(bottom) != len(top):
        return f"the bottom has {len(bottom)} cuts, the top {len(top)}; choose a cut that both have"
    rows = joints(bottom, top, family)
    if all(row.fit == "misfit" for row in rows):
        return f"family {family} fits at no cut: the shapes differ in more than channels"
    return ""


def shared(bottom: Sequence[Cut], top: Sequence[Cut]) -> list[str]:
    """The names of cuts that both networks have, those where a block ends first."""
    above = {cut["name"] for cut in top}
    both = [cut for cut in bottom if cut["name"] in above]
    return [cut["name"] for cut in sorted(both, key=lambda cut: not cut["block"])]


def estimate_text(answer: Mapping[str, Any]) -> str:
    """The inspector's estimate in one line, or why there is none."""
    if "error" in answer:
        return f"no estimate: {plain(answer['error'])}"
    rows = answer.get("rows", [])
    cells, seconds = sum(row["cells"] for row in rows), sum(row["seconds"] for row in rows)
    most = max((row["bytes"] for row in rows), default=0)
    return f"about {duration(seconds)}, at most {size(most)} of memory, {cells} cells in {len(rows)} tasks"
