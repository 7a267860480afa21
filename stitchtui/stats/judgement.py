"""Three-valued judgement on 95 % intervals: single comparisons, and `every` and `some` over them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from stitchtui.stats.penalty import Interval
from stitchtui.stats.rules import RULES

Verdict = Literal["confirmed", "rejected", "undecided"]

_SHOWN = 3  # comparisons that a reason spells out
_KEPT = 24  # numbers that an event carries


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict, and the numbers with their intervals that decided it."""

    index: int  # its place among the experiment's claims, from 0
    sentence: str
    verdict: Verdict
    reason: str
    source: str = ""
    numbers: tuple[dict[str, Any], ...] = ()  # of, cut, depth, value, low, high, perhaps by of what decided it
    rules: int = RULES  # the version that it was judged by


@dataclass(frozen=True)
class Atom:
    """One comparison of a number with a limit. `room` orders them: less is worse for the claim."""

    verdict: Verdict
    room: float
    words: str
    numbers: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Finding:
    """What several comparisons come to: the verdict, those that decided it, and out of how many."""

    verdict: Verdict
    deciding: tuple[Atom, ...]
    total: int
    some: bool = False

    def reason(self, noun: str = "cut") -> str:
        """The numbers that decided it, in one line; `noun` is what was compared."""
        count, shown = len(self.deciding), self.deciding[:_SHOWN]
        words = "; ".join(atom.words for atom in shown) + (f"; and {count - _SHOWN} more" if count > _SHOWN else "")
        if self.total == 1:
            return words
        things, where = f"{self.total} {noun}s", "for" if noun == "column" else "at"
        if self.verdict == "undecided":
            return f"open {where} {count} of {things}: {words}"
        if self.some == (self.verdict == "confirmed"):
            return f"{'' if self.some else 'not '}{where} {count} of {things}: {words}"
        return f"{where} {'none' if self.some else 'all'} of {things}; the closest: {self.deciding[0].words}"

    def numbers(self) -> tuple[dict[str, Any], ...]:
        """Every number that decided it, once each."""
        found = {repr(number): number for atom in self.deciding for number in atom.numbers}
        return tuple(found.values())[:_KEPT]


def at_least(interval: Interval, limit: float, strict: bool = False) -> Atom:
    """Whether a number is at least `limit` (above it, if `strict`): by which side its whole interval lies on."""
    if interval.low > limit or (interval.low == limit and not strict):
        return Atom("confirmed", interval.low - limit, "")
    if interval.high < limit or (interval.high == limit and strict):
        return Atom("rejected", interval.high - limit, "")
    return Atom("undecided", interval.value - limit, "")


def at_most(interval: Interval, limit: float) -> Atom:
    """Whether a number is at most `limit`."""
    return at_least(Interval(-interval.value, -interval.high, -interval.low), -limit)


def missing(words: str) -> Atom:
    """A comparison that can't be made."""
    return Atom("undecided", float("-inf"), words)


def both(one: Atom, other: Atom) -> Atom:
    """The judgement that two comparisons hold."""
    finding = every([one, other])
    return replace(finding.deciding[0], verdict=finding.verdict)


def every(atoms: Sequence[Atom]) -> Finding:
    """The judgement that all hold: rejected by one that doesn't, whatever is missing; confirmed once all are."""
    for verdict in ("rejected", "undecided", "confirmed"):
        deciding = [atom for atom in atoms if atom.verdict == verdict]
        if deciding:
            return Finding(verdict, tuple(sorted(deciding, key=lambda atom: atom.room)), len(atoms))
    return Finding("undecided", (missing("nothing to compare"),), 1)


def some(atoms: Sequence[Atom]) -> Finding:
    """The judgement that one or more hold: confirmed by one that does, whatever is missing; rejected once none can."""
    for verdict in ("confirmed", "undecided", "rejected"):
        deciding = [atom for atom in atoms if atom.verdict == verdict]
        if deciding:
            return Finding(verdict, tuple(sorted(deciding, key=lambda atom: -atom.room)), len(atoms), some=True)
    return Finding("undecided", (missing("nothing to compare"),), 1)
