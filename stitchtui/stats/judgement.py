"""Three-valued judgement of statements about several numbers: simultaneous where one of them decides, Holm over claims.

A statement is a comparison of one number with a limit, or that `every` or `some` of its parts hold. It is confirmed
where the data reject that it is false, and rejected where they reject that it is true, each with an error of at most
2.5 %. What every part must bear out is an intersection-union test (Berger, Technometrics 24, 1982): each at its own
level, with the largest of the p values. What a single part decides is said of all comparisons that could have:
their p values are adjusted together (max-T, `stats.simultaneous`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from stitchtui.stats.contrast import negated
from stitchtui.stats.penalty import ONE_TAIL, Interval
from stitchtui.stats.rules import RULES
from stitchtui.stats.simultaneous import p_value, p_values

Verdict = Literal["confirmed", "rejected", "undecided"]
Side = Literal["confirmed", "rejected"]

LEVEL = ONE_TAIL
_SIDES: tuple[Side, ...] = ("confirmed", "rejected")
_ABOVE_LEVEL = math.nextafter(LEVEL, 1.0)
_SHOWN = 3  # comparisons that a reason spells out
_KEPT = 24  # numbers that an event carries


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict, and the numbers with their intervals that decided it."""

    index: int  # its place among the experiment's claims, from 0
    sentence: str
    verdict: Verdict  # what counts: after Holm's procedure over the experiment's claims
    reason: str
    source: str = ""
    numbers: tuple[dict[str, Any], ...] = ()  # of, cut, depth, value, low, high, perhaps by of what decided it
    rules: int = RULES  # the version that it was judged by
    raw: Verdict | None = None  # as if it were the only claim; None where nobody said it
    p: float | None = None  # of the raw verdict's side; an open claim has none
    adjusted_p: float | None = None  # by Holm's procedure


@dataclass(frozen=True)
class Comparison:
    """That a number is at least a limit, above it if `strict`, and at most another.

    The number stands with the sign by which it would fail by being too low.
    """

    interval: Interval | None  # None where the number is missing
    limit: float = 0.0
    strict: bool = False
    words: str = ""
    numbers: tuple[dict[str, Any], ...] = ()
    most: float = math.inf
    excuses: bool = False  # where it holds, the part that it belongs to asks for nothing

    @property
    def verdict(self) -> Verdict:
        """By itself: by which side of the limits the whole interval lies on."""
        if self.interval is None:
            return "undecided"
        low, high = self.interval.low, self.interval.high
        if high < self.limit or (high == self.limit and self.strict):
            return "rejected"
        inside = low > self.limit or (low == self.limit and not self.strict)
        return "confirmed" if inside and high <= self.most else "undecided"

    @property
    def room(self) -> float:
        """How far the number is from failing; less is worse."""
        if self.interval is None:
            return -math.inf
        ends = {"confirmed": self.interval.low, "rejected": self.interval.high, "undecided": self.interval.value}
        return ends[self.verdict] - self.limit

    def p(self, side: Side) -> float:
        """The p value of that side by itself, at most 2.5 % just where its verdict is that.

        That a number between two limits lies beyond one of them is said where it does so on either side.
        """
        if self.interval is None:
            return 1.0
        one, other = p_value(self.interval, self.limit), p_value(self.interval, self.most)
        p = max(one.above, other.below) if side == "confirmed" else one.below
        p = min(p, LEVEL) if self.verdict == side else max(p, _ABOVE_LEVEL)
        return p if side == "confirmed" else min(1.0, p + other.below)


@dataclass(frozen=True)
class Joined:
    """That every part holds, or that some do.

    `families` are the sets of comparisons that are adjusted together where one part decides; without them all are one.
    """

    how: Literal["every", "some"]
    parts: tuple["Statement", ...]
    families: tuple[tuple[Comparison, ...], ...] = ()


Statement = Comparison | Joined


def at_least(interval: Interval | None, limit: float, strict: bool = False) -> Comparison:
    """That a number is at least `limit` (above it, if `strict`)."""
    return Comparison(interval, limit, strict)


def at_most(interval: Interval | None, limit: float) -> Comparison:
    """That a number is at most `limit`."""
    return Comparison(interval and negated(interval), -limit)


def within(interval: Interval, limit: float) -> Comparison:
    """That a number is between `-limit` and `limit`: it could only fail at the end that it is nearer to."""
    return Comparison(negated(interval) if interval.value > 0 else interval, -limit, most=limit)


def opposite(of: Comparison) -> Comparison:
    """That a comparison with one limit doesn't hold."""
    turned = of.interval and negated(of.interval)
    return replace(of, interval=turned, limit=-of.limit, strict=not of.strict)


def missing(words: str) -> Comparison:
    """A comparison that can't be made."""
    return Comparison(None, words=words)


def every(parts: Sequence[Statement]) -> Joined:
    """That all hold: rejected by one that doesn't, whatever is missing, and confirmed once all are.

    Confirming is an intersection-union test; rejecting is simultaneous over all comparisons within, also where parts
    are themselves several: that all of every, or some, of them hold fails only where one comparison fails.
    """
    return Joined("every", tuple(parts) or (missing("nothing to compare"),))


def some(parts: Sequence[Statement]) -> Joined:
    """That one or more hold: confirmed by one that does, whatever is missing, and rejected once none can.

    The mirror image of `every`: confirming is simultaneous, rejecting an intersection-union test.
    """
    return Joined("some", tuple(parts) or (missing("nothing to compare"),))


def largest(rows: Sequence[Sequence[Comparison]]) -> Joined:
    """That some row's number is at least as large as each of the same others: `rows` compare each with all of them.

    Some of every: no row may be rejected by itself, and each is by one comparison of its own, so that rejecting is
    an intersection-union test over rows of tests that are simultaneous within a row. Where the statement is false, the
    largest of the others is larger than every row's number: comparisons with that one are all false, so that it is
    enough, whichever it is, that the comparisons with one other are adjusted together.
    """
    return Joined("some", tuple(every(row) for row in rows), tuple(zip(*rows, strict=True)))


@dataclass(frozen=True)
class Finding:
    """What a statement comes to: the verdict with its p value, and out of how many parts which decided it."""

    verdict: Verdict
    p: float | None  # of the verdict's side; of an open one None
    deciding: tuple[str, ...]  # each part that did, in words
    said: tuple[dict[str, Any], ...]  # the numbers in them
    total: int
    some: bool

    def reason(self, noun: str = "cut") -> str:
        """The numbers that decided it, in one line; `noun` is what was compared."""
        count, shown = len(self.deciding), self.deciding[:_SHOWN]
        words = "; ".join(shown) + (f"; and {count - _SHOWN} more" if count > _SHOWN else "")
        if self.total == 1:
            return words
        things, where = f"{self.total} {noun}s", "for" if noun == "column" else "at"
        if self.verdict == "undecided":
            return f"open {where} {count} of {things}: {words}"
        if self.some == (self.verdict == "confirmed"):
            return f"{'' if self.some else 'not '}{where} {count} of {things}: {words}"
        return f"{where} {'none' if self.some else 'all'} of {things}; the closest: {shown[0]}"

    def numbers(self) -> tuple[dict[str, Any], ...]:
        """Every number that decided it, once each."""
        found = {repr(number): number for number in self.said}
        return tuple(found.values())[:_KEPT]


Joint = Mapping[int, float]
"""Of comparisons, by their identity, the p values of one side that were adjusted together."""


def p_of(statement: Statement, side: Side, joint: Joint | None = None) -> float:
    """The p value of a statement's side; `joint` where a statement around it is decided by one of its comparisons."""
    if isinstance(statement, Comparison):
        return statement.p(side) if joint is None else joint[id(statement)]
    if _needs_all(statement, side):
        return max(p_of(part, side, joint) for part in statement.parts)
    joint = _joint(statement, side) if joint is None else joint
    return min(p_of(part, side, joint) for part in statement.parts)


def _needs_all(statement: Joined, side: Side) -> bool:
    return (statement.how == "every") == (side == "confirmed")


def _joint(statement: Joined, side: Side) -> Joint:
    found: dict[int, float] = {}
    for family in statement.families or (tuple(_comparisons(statement)),):
        found |= _together(family, side)
    return found


def _together(family: Sequence[Comparison], side: Side) -> Joint:
    """The p values of one side, adjusted over those that can be wrong: a number without an interval is exact."""
    alone = {id(each): each.p(side) for each in family}
    made = [(each, each.interval) for each in family if each.interval is not None and each.interval.half_width]
    if len(made) < 2 or min(alone.values()) > LEVEL:  # then nothing is decided, and how far off doesn't matter
        return alone
    intervals = [interval for _, interval in made]
    one = p_values(intervals, [each.limit for each, _ in made])
    other = p_values(intervals, [each.most for each, _ in made])
    for (each, _), near, far in zip(made, one, other, strict=True):
        p = max(near.above, far.below) if side == "confirmed" else min(1.0, near.below + far.below)
        alone[id(each)] = max(alone[id(each)], p)
    return alone


def _comparisons(statement: Statement) -> Iterator[Comparison]:
    if isinstance(statement, Comparison):
        yield statement
    else:
        for part in statement.parts:
            yield from _comparisons(part)


@dataclass(frozen=True)
class _Weighed:
    """A statement with its verdict, the comparisons that decide it, the closest call first, and its parts."""

    of: Statement
    verdict: Verdict
    comparisons: tuple[Comparison, ...]
    parts: tuple["_Weighed", ...] = ()

    @property
    def excused(self) -> bool:
        """Whether it holds because what it asks for isn't asked for here."""
        return self.verdict == "confirmed" and any(each.excuses for each in self.comparisons)


_Joints = Mapping[Side, Joint | None]
_ALONE: _Joints = {"confirmed": None, "rejected": None}


def _weigh(statement: Statement, joint: _Joints = _ALONE) -> _Weighed:
    """The verdict that `p_of` implies, and what decides it."""
    if isinstance(statement, Comparison):
        held = (side for side in _SIDES if p_of(statement, side, joint[side]) <= LEVEL)
        return _Weighed(statement, next(held, "undecided"), (statement,))
    inner = {
        side: _joint(statement, side) if joint[side] is None and not _needs_all(statement, side) else joint[side]
        for side in _SIDES
    }
    parts = tuple(_weigh(part, inner) for part in statement.parts)
    order: list[Verdict] = ["rejected", "undecided", "confirmed"]
    if statement.how == "some":
        order.reverse()
    verdict = next(each for each in order if any(part.verdict == each for part in parts))
    deciding = _closest_first(statement, [part for part in parts if part.verdict == verdict])
    return _Weighed(statement, verdict, tuple(each for part in deciding for each in part.comparisons), parts)


def _closest_first(statement: Joined, parts: Sequence[_Weighed]) -> list[_Weighed]:
    return sorted(parts, key=lambda part: part.comparisons[0].room, reverse=statement.how == "some")


def find(statement: Joined) -> Finding:
    """Judge a statement: what it comes to, and by which of its parts."""
    whole = _weigh(statement)
    parts = [part for part in whole.parts if not part.excused]
    deciding = _closest_first(statement, [part for part in parts if part.verdict == whole.verdict])
    numbers = (number for part in deciding for each in part.comparisons for number in each.numbers)
    p = None if whole.verdict == "undecided" else p_of(statement, whole.verdict)
    words = tuple(_words(statement, part) for part in deciding)
    return Finding(whole.verdict, p, words, tuple(numbers), len(parts), statement.how == "some")


def _words(statement: Joined, part: _Weighed) -> str:
    """The closest call in words, and where only the other comparisons leave the part open, that."""
    alone = "rejected" if statement.how == "every" else "confirmed"
    swayed = part.verdict == "undecided" and _weigh(part.of).verdict == alone
    return part.comparisons[0].words + (f", {alone} only by itself" if swayed else "")


def holm(claims: Sequence[Judged]) -> list[Judged]:
    """Judge claims of one experiment together: the verdicts that stand when each may be wrong, by Holm's procedure.

    The k-th smallest of m p values is multiplied by m - k + 1 (Holm, Scandinavian Journal of Statistics 6, 1979). A
    claim that is open, or that the run can't answer yet, counts as a test whose p value is 1. A claim is confirmed or
    rejected, never both, so that two-sided as it is it counts once; that the procedure then keeps its level for wrong
    verdicts of either side is proved for independent claims (Shaffer, Annals of Statistics 8, 1980).
    """
    order = sorted(range(len(claims)), key=lambda place: _p(claims[place]))
    found, least = list(claims), 0.0
    for before, place in enumerate(order):
        claim = claims[place]
        least = max(least, min(1.0, _p(claim) * (len(claims) - before)))
        verdict = claim.raw if claim.raw and least <= LEVEL else "undecided"
        found[place] = replace(claim, verdict=verdict, adjusted_p=None if claim.p is None else least)
    return found


def _p(claim: Judged) -> float:
    return 1.0 if claim.p is None else claim.p
