"""Two chains side by side: which cuts an experiment uses of each, and whether a stitch fits between them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stitchtui.base.errors import not_known
from stitchtui.base.text import duration, plain, size
from stitchtui.report.wording import counted
from stitchtui.spec.families import AFFINE, AT_RANDOM
from stitchtui.spec.pairing import Meeting, Uneven, cuts_text
from stitchtui.spec.shapes import Misfit, Shape, positioned

Cut = Mapping[str, Any]
Fit = Literal["equal", "mapped", "adapted", "misfit", "alone"]


@dataclass(frozen=True)
class _Place(Shape):
    """A cut as the inspector says it, as pairing sees it."""

    name: str
    said: Cut = field(compare=False)


@dataclass(frozen=True)
class _Listed:
    """A network's cuts as the inspector says them; names that aren't known are left out."""

    cuts: Sequence[Cut]

    def select(self, wanted: str | Sequence[str]) -> list[_Place]:
        return [_place(cut) for cut in selected(self.cuts, wanted)]

    def knows(self, name: str) -> bool:
        return bool(selected(self.cuts, (name,)))

    def depth(self, cut: _Place) -> float:
        return float(cut.said["depth"])


def _place(cut: Cut) -> _Place:
    return _Place(tuple(cut["shape"]), cut["channel_axis"], cut["name"], cut)


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


def selected(cuts: Sequence[Cut], wanted: str | Sequence[str]) -> list[Cut]:
    """The cuts that `wanted` means: `blocks`, `all`, or names; names that aren't known are left out."""
    if wanted == "all":
        return list(cuts)
    if wanted == "blocks":
        return [cut for cut in cuts if cut["block"]] or list(cuts)
    return [cut for cut in cuts if not {cut["name"], *cut.get("aliases", ())}.isdisjoint(wanted)]


def unknown(cuts: Sequence[Cut], names: Iterable[str]) -> str:
    """Which of `names` is no cut, and the nearest that is one, in one line; empty where all are."""
    known = {name: None for cut in cuts for name in (cut["name"], *cut.get("aliases", ()))}
    return next((not_known(plain(name), known) for name in names if name not in known), "")


def chosen(bottom: Sequence[Cut], top: Sequence[Cut], meeting: Meeting) -> tuple[list[Cut], list[Cut]]:
    """The cuts that are used of the bottom, whose cuts are all of `bottom`, and of the top."""
    if meeting.pairing != "all" and bottom and top:
        with suppress(Uneven, Misfit):
            used = {high["name"] for _, high in meet(bottom, top, meeting)}
            return [cut.said for cut in meeting.below(_Listed(bottom))], [cut for cut in top if cut["name"] in used]
    return [cut.said for cut in meeting.below(_Listed(bottom))], [cut.said for cut in meeting.above(_Listed(top))]


def meet(bottom: Sequence[Cut], top: Sequence[Cut], meeting: Meeting) -> list[tuple[Cut, Cut]]:
    """The cuts that meet of two networks, all of whose cuts are given. Raises Uneven and Misfit."""
    return [(low.said, high.said) for low, high in meeting.joined(_Listed(bottom), _Listed(top))]


def text(bottom: Sequence[Cut], top: Sequence[Cut], meeting: Meeting) -> str:
    """What can be typed to have the cuts meet that do: the bottom's names, or pairs where other names meet."""
    pairs: list[tuple[Cut, Cut]] = []
    if meeting.pairing != "all":
        with suppress(Uneven, Misfit):
            pairs = meet(bottom, top, meeting)
    if all(low["name"] == high["name"] for low, high in pairs):
        return cuts_text(tuple(cut["name"] for cut in chosen(bottom, top, meeting)[0]))
    return cuts_text({low["name"]: high["name"] for low, high in pairs})


def joints(pairs: Iterable[tuple[Cut | None, Cut | None]], meeting: Meeting) -> list[Joint]:
    """The rows of these pairs; where every cut meets every cut, a row joins nothing."""
    crosses = meeting.pairing == "all"
    return [Joint(low, high, "alone" if crosses else _fit(low, high, meeting)) for low, high in pairs]


def _fit(bottom: Cut | None, top: Cut | None, meeting: Meeting) -> Fit:
    if bottom is None or top is None:
        return "alone"
    low, high = _place(bottom), _place(top)
    if meeting.misfit(low, high):
        return "misfit"
    if (low.shape, low.channel_axis) == (high.shape, high.channel_axis):
        return "equal"
    return "mapped" if positioned(low) == positioned(high) else "adapted"


def problems(bottom: Sequence[Cut], top: Sequence[Cut], meeting: Meeting, tops: str = "cuts") -> dict[str, str]:
    """Why the two networks can't be stitched, in one line, by the field to change; empty where they can.

    The top's cuts are said in the field `tops`.
    """
    below, above = chosen(bottom, top, meeting)
    if not below or not above:
        where = "either network" if not below and not above else "the bottom" if above else "the top"
        return {tops if below else "cuts": f"no such cut in {where}"}
    try:
        count, most, reason = misfits(bottom, top, meeting)
    except Uneven:
        counts = f"the bottom has {len(below)} cuts, the top {len(above)}"
        return {tops: f"{counts}: name as many, or pair them by name or depth, or all with all"}
    except Misfit as refused:
        return {tops: str(refused)}
    if count < most:
        return {}
    least, *_ = misfits(bottom, top, replace(meeting, family=AFFINE.name, start=AT_RANDOM))
    return {"family" if least < count else tops: f"fits at no cut: {reason}"}


def misfits(bottom: Sequence[Cut], top: Sequence[Cut], meeting: Meeting) -> tuple[int, int, str]:
    """How many pairs of the chosen cuts the stitch can't join, of how many, and why not the first of them.

    Raises Uneven and Misfit where nothing can be joined.
    """
    if meeting.pairing == "all":  # pairs by the hundred thousand, of few shapes
        below, above = (Counter(map(_shape, cuts)) for cuts in chosen(bottom, top, meeting))
        met = {(low, high): below[low] * above[high] for low in below for high in above}
    else:
        met = dict(Counter((_shape(low), _shape(high)) for low, high in meet(bottom, top, meeting)))
    found = [(count, reason) for ends, count in met.items() if (reason := meeting.misfit(*ends))]
    return sum(count for count, _ in found), sum(met.values()), found[0][1] if found else ""


def _shape(cut: Cut) -> Shape:
    return Shape(tuple(cut["shape"]), cut["channel_axis"])


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
    return f"about {duration(seconds)}, at most {size(most)} of memory, {what}"
