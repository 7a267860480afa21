"""Which cuts of two networks meet in a column: by name, by depth, all with all, or as they were named in pairs."""

import itertools
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol, TypeVar, get_args

from stitchtui.base.text import plain
from stitchtui.spec.families import AFFINE, AT_RANDOM, FAMILIES, check_fit
from stitchtui.spec.shapes import Misfit, Shape, Shaped, layouts, positioned

Level = Literal["blocks", "all"]
Cuts = Level | tuple[str, ...] | dict[str, str]
"""Where both networks are cut; a table says of each bottom cut which cut of the top it meets."""
TopCuts = Level | tuple[str, ...]
Pairing = Literal["auto", "equal", "all"]
SAME_DEPTH = 1e-9  # shares of FLOPs that differ by less than this differ by rounding


class Uneven(ValueError):
    """More cuts in one network than in the other, where they were to meet in order; its text says how many."""


class Place(Shaped, Protocol):
    """A cut of a network."""

    @property
    def name(self) -> str:
        """What it is called; no other of its network is."""


C = TypeVar("C", bound=Place)


class Cuttable(Protocol[C]):
    """A network, as far as its cuts go."""

    def select(self, wanted: str | Sequence[str]) -> Sequence[C]:
        """The cuts that `blocks`, `all` or names mean, from input to output; raises for a name that is no cut."""

    def knows(self, name: str) -> bool:
        """Whether a cut is called so."""

    def depth(self, cut: C) -> float:
        """The share of the network's FLOPs that are spent before the cut."""


@dataclass(frozen=True)
class Meeting:
    """What of a stitch decides which cuts of its two networks meet.

    "all": every bottom cut meets every top cut. "equal": the first meets the first, and so on. "auto": cuts meet those
    of their names where both networks have the same; those that are named for either network, as many for both, meet
    in order; and of networks that differ each bottom cut meets the top cut nearest in depth, the share of FLOPs spent
    before it, among those that the stitch's family can be joined with, where there are any. Of the two that come next
    before and after it in depth, one that is joined without an adapter comes before one that has to be resized.
    """

    cuts: Cuts = "blocks"
    top_cuts: TopCuts | None = None  # of the top, where they aren't called as the bottom's
    pairing: Pairing = "auto"
    family: str = AFFINE.name
    start: str = AT_RANDOM

    def below(self, bottom: Cuttable[C]) -> Sequence[C]:
        """The cuts of the bottom that are used, from input to output."""
        return bottom.select(tuple(self.cuts) if isinstance(self.cuts, Mapping) else self.cuts)

    def above(self, top: Cuttable[C]) -> Sequence[C]:
        """The cuts of the top that may be used, from input to output.

        Where the names are the bottom's alone, these are the top's blocks, but with "equal".
        """
        if isinstance(self.cuts, Mapping):
            return top.select(tuple(dict.fromkeys(self.cuts.values())))
        if self.top_cuts is not None:
            return top.select(self.top_cuts)
        return top.select(self.cuts if self.pairing == "equal" or _knows(top, self.cuts) else "blocks")

    def joined(self, bottom: Cuttable[C], top: Cuttable[C]) -> list[tuple[C, C]]:
        """The (bottom, top) cuts of a column, from the bottom's input to its output.

        Raises Misfit where two that were named as a pair can't be joined whatever the stitch, and Uneven where "equal"
        finds more cuts in one network than in the other.
        """
        lows, highs = self.below(bottom), self.above(top)
        if self.pairing == "all":
            return list(itertools.product(lows, highs))
        if isinstance(self.cuts, Mapping):
            return self._named(self.cuts, bottom, top)
        if self.pairing == "equal":
            return _in_order(lows, highs)
        by_name = {cut.name: cut for cut in highs}
        if by_name.keys() == {cut.name for cut in lows}:
            return [(cut, by_name[cut.name]) for cut in lows]
        if len(lows) == len(highs) and self._names_both(top):
            return _in_order(lows, highs)
        return self._nearest(bottom, top, lows, highs)

    def misfit(self, low: Shaped, high: Shaped) -> str:
        """Why the stitch can't join the two cuts, in one line, as the run itself will find; empty where it can."""
        family = self.family if self.family in FAMILIES else AFFINE.name  # a ladder has one that can, if any can
        try:
            check_fit(family, self.start, low, high)
        except Misfit as reason:
            return str(reason)
        return ""

    def _named(self, table: Mapping[str, str], bottom: Cuttable[C], top: Cuttable[C]) -> list[tuple[C, C]]:
        named = ((bottom.select((low,)), top.select((high,))) for low, high in table.items())
        ends = [end for cuts in named for end in zip(*cuts, strict=False)]
        for low, high in ends:
            try:
                layouts(low, high)
            except Misfit as reason:
                raise Misfit(f"{low.name}:{high.name}: {reason}") from None
        return in_order(ends, self.below(bottom), self.above(top))

    def _names_both(self, top: Cuttable[C]) -> bool:
        if isinstance(self.cuts, str):
            return False
        return _knows(top, self.cuts) if self.top_cuts is None else not isinstance(self.top_cuts, str)

    def _nearest(
        self, bottom: Cuttable[C], top: Cuttable[C], lows: Sequence[C], highs: Sequence[C]
    ) -> list[tuple[C, C]]:
        """Each bottom cut with one of those the stitch can join it with that come next before and after it in depth.

        The one that needs no adapter, where just one does; else the nearer, the earlier of two that are as near. Of
        several at one depth, between which nothing is multiplied: that of its name, of its shape, as far along.
        """
        above = [(_level(top.depth(high)), _along(place, highs), high) for place, high in enumerate(highs)]

        @cache
        def joinable(shape: tuple[int, ...], axis: int) -> tuple[list[int], dict[int, list[tuple[float, C]]]]:
            """The depths of the top cuts that one of this shape can be joined with, in order, and those at each."""
            at: dict[int, list[tuple[float, C]]] = {}
            for level, along, high in [one for one in above if not self.misfit(Shape(shape, axis), one[2])] or above:
                at.setdefault(level, []).append((along, high))
            return sorted(at), at

        def met(place: int, low: C) -> C:
            depth, (levels, at) = _level(bottom.depth(low)), joinable(low.shape, low.channel_axis)
            after = bisect_right(levels, depth)
            candidates = ((level, *one) for level in levels[max(0, after - 1) : after + 1] for one in at[level])

            def distance(one: tuple[int, float, C]) -> tuple[object, ...]:
                level, along, high = one
                is_shaped_alike = (high.shape, high.channel_axis) == (low.shape, low.channel_axis)
                apart = abs(along - _along(place, lows))
                needs_adapter = positioned(low) != positioned(high)
                return needs_adapter, abs(level - depth), level, high.name != low.name, not is_shaped_alike, apart

            return min(candidates, key=distance)[2]

        return [(low, met(place, low)) for place, low in enumerate(lows)] if highs else []


def read_names(text: str) -> TopCuts:
    """What a field says of the cuts of one network: `blocks`, `all`, or names with commas between them."""
    match text:
        case "blocks" | "all":
            return text
    return tuple(filter(None, map(str.strip, text.split(","))))


def read_cuts(text: str) -> Cuts:
    """What a flag or a field says of cuts: `blocks`, `all`, or names and BOTTOM:TOP pairs with commas between them.

    Beside pairs a name is that of both. A colon always divides: a name that holds one has to be said in TOML. Raises
    ValueError for a pair that has no two names, and for a bottom cut with two tops.
    """
    if ":" not in text:
        return read_names(text)
    table: dict[str, str] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        low, _, high = (part.strip() for part in (word if ":" in word else f"{word}:{word}").partition(":"))
        if not low or not high or ":" in high:
            raise ValueError(f"expected BOTTOM:TOP, got '{plain(word)}'")
        if table.setdefault(low, high) != high:
            raise ValueError(f"'{plain(low)}' meets '{plain(table[low])}' already; one top cut for each bottom cut")
    return table


def cuts_text(cuts: Cuts | None, comma: str = ",") -> str:
    """The text that `read_cuts` reads as these; empty for None."""
    if isinstance(cuts, Mapping):
        return comma.join(f"{low}:{high}" for low, high in cuts.items())
    return cuts if isinstance(cuts, str) else comma.join(cuts or ())


def in_order(pairs: Sequence[tuple[C, C]], lows: Sequence[C], highs: Sequence[C]) -> list[tuple[C, C]]:
    """The pairs, each once, from the bottom's input to its output, and then from the top's."""
    low_at, high_at = ({cut.name: place for place, cut in enumerate(cuts)} for cuts in (lows, highs))
    return sorted(dict.fromkeys(pairs), key=lambda pair: (low_at[pair[0].name], high_at[pair[1].name]))


def turned(pairs: Sequence[tuple[C, C]], bottom: Cuttable[C], top: Cuttable[C]) -> list[tuple[C, C]]:
    """The same cuts with bottom and top in each other's places."""
    return in_order([(high, low) for low, high in pairs], top.select("all"), bottom.select("all"))


def _in_order(lows: Sequence[C], highs: Sequence[C]) -> list[tuple[C, C]]:
    if len(lows) != len(highs):
        raise Uneven(f"{len(lows)} cuts of one and {len(highs)} of the other")
    return list(zip(lows, highs, strict=True))


def _knows(top: Cuttable[C], wanted: Cuts) -> bool:
    return wanted in get_args(Level) or all(map(top.knows, wanted))


def _level(depth: float) -> int:
    return round(depth / SAME_DEPTH)


def _along(place: int, cuts: Sequence[object]) -> float:
    return (place + 1) / (len(cuts) + 1)
