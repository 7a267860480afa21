"""Two chains side by side: which cuts an experiment uses of each, and whether a stitch fits between them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from stitchtui.base.errors import not_known
from stitchtui.base.text import duration, plain, size
from stitchtui.report.wording import counted
from stitchtui.spec.families import AFFINE, AT_RANDOM, FAMILIES, check_fit
from stitchtui.spec.shapes import Misfit, Shape

Cut = Mapping[str, Any]
Fit = Literal["equal", "mapped", "adapted", "misfit", "alone"]


@dataclass(frozen=True)
class Stitching:
    """What of an experiment decides which cuts meet, and whether a stitch fits between them."""

    family: str = AFFINE.name
    start: str = AT_RANDOM
    cross: bool = False  # every bottom cut with every top cut
    top_cuts: str = "cuts"  # the field that the top's cuts are said in


@dataclass(frozen=True)
class Joint:
    """One row: the bottom's cut, the top's in the same place, and how they fit."""

    bottom: Cut | None
    top: Cut | None
    fit: Fit


def shape_text(cut: Cut | None) -> str:
    """A cut's shape: `16x8x8`."""
    return "x".join(map(str, cut["shape"])) if cut else ""


def names_of(wanted: str) -> list[str]:
    """The names in `wanted`, which are separated by commas."""
    return [word.strip() for word in wanted.split(",") if word.strip()]


def selected(cuts: Sequence[Cut], wanted: str) -> list[Cut]:
    """The cuts that `wanted` means: `blocks`, `all`, or names with commas; names that aren't known are left out."""
    if wanted == "all":
        return list(cuts)
    if wanted == "blocks":
        return [cut for cut in cuts if cut["block"]] or list(cuts)
    names = set(names_of(wanted))
    return [cut for cut in cuts if names & {cut["name"], *cut.get("aliases", ())}]


def unknown(cuts: Sequence[Cut], wanted: str) -> str:
    """Which name in `wanted` is no cut, and the nearest that is one, in one line; empty where all are."""
    known = {name: None for cut in cuts for name in (cut["name"], *cut.get("aliases", ()))}
    if wanted in ("all", "blocks"):
        return ""
    return next((not_known(plain(name), known) for name in names_of(wanted) if name not in known), "")


def joints(bottom: Sequence[Cut], top: Sequence[Cut], stitching: Stitching) -> list[Joint]:
    """The two lists of cuts row by row; where every cut meets every cut, a row joins nothing."""
    rows = []
    for index in range(max(len(bottom), len(top))):
        below = bottom[index] if index < len(bottom) else None
        above = top[index] if index < len(top) else None
        rows.append(Joint(below, above, "alone" if stitching.cross else _fit(below, above, stitching)))
    return rows


def _fit(bottom: Cut | None, top: Cut | None, stitching: Stitching) -> Fit:
    if bottom is None or top is None:
        return "alone"
    if misfit(bottom, top, stitching):
        return "misfit"
    if bottom["shape"] == top["shape"] and bottom["channel_axis"] == top["channel_axis"]:
        return "equal"
    return "mapped" if _place(bottom) == _place(top) else "adapted"


def misfit(bottom: Cut, top: Cut, stitching: Stitching) -> str:
    """Why the stitch can't join the two cuts, in one line, as the run itself will find; empty where it can."""
    return _misfit(_shape(bottom), _shape(top), stitching)


def _place(cut: Cut) -> tuple[tuple[int, ...], int]:
    shape = _shape(cut)
    return shape.positions, shape.channel_axis if shape.positions else -1


def problems(bottom: Sequence[Cut], top: Sequence[Cut], stitching: Stitching) -> dict[str, str]:
    """Why the chosen cuts can't be stitched, in one line, by the field to change; empty where they can."""
    tops = stitching.top_cuts
    if not bottom or not top:
        where = "either network" if not bottom and not top else "the bottom" if top else "the top"
        return {tops if bottom else "cuts": f"no such cut in {where}"}
    if not stitching.cross and len(bottom) != len(top):
        return {tops: f"the bottom has {len(bottom)} cuts, the top {len(top)}: name as many, or pair all with all"}
    count, reason = misfits(bottom, top, stitching)
    if count < (len(bottom) * len(top) if stitching.cross else len(bottom)):
        return {}
    least, _ = misfits(bottom, top, replace(stitching, family=AFFINE.name, start=AT_RANDOM))
    return {"family" if least < count else tops: f"fits at no cut: {reason}"}


def misfits(bottom: Sequence[Cut], top: Sequence[Cut], stitching: Stitching) -> tuple[int, str]:
    """How many pairs of the chosen cuts the stitch can't join, and why not the first of them."""
    if stitching.cross:  # pairs by the hundred thousand, of few shapes
        below, above = Counter(map(_shape, bottom)), Counter(map(_shape, top))
        met = {(low, high): below[low] * above[high] for low in below for high in above}
    else:
        met = dict(Counter((_shape(low), _shape(high)) for low, high in zip(bottom, top, strict=False)))
    found = [(count, reason) for ends, count in met.items() if (reason := _misfit(*ends, stitching))]
    return sum(count for count, _ in found), found[0][1] if found else ""


def _shape(cut: Cut) -> Shape:
    return Shape(tuple(cut["shape"]), cut["channel_axis"])


def _misfit(bottom: Shape, top: Shape, stitching: Stitching) -> str:
    family = stitching.family if stitching.family in FAMILIES else AFFINE.name
    try:
        check_fit(family, stitching.start, bottom, top)
    except Misfit as reason:
        return str(reason)
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
    what = f"{counted(cells, 'cell')} in {counted(len(rows), 'task')}"
    time = "at most" if any(row.get("at_most") for row in rows) else "about"
    return f"{time} {duration(seconds)}, at most {size(most)} of memory, {what}"
