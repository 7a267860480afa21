"""Claims against a run: confirmed, rejected or undecided. Pure functions of a RunState, no torch.

Each kind makes a statement of comparisons, which `stats.judgement` judges: what one comparison of several decides is
simultaneous over all of them, what they must all bear out is not adjusted.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, pairwise
from typing import Any

from pydantic import ValidationError

from stitchtui.report.claim_conditions import where_it_counts
from stitchtui.report.claim_numbers import Number, Unanswerable, chosen, column_of, numbers_of
from stitchtui.report.claim_words import interval_text, missing_text, number_text, sentence
from stitchtui.run.events import PlannedTask, RunStarted
from stitchtui.run.state import RunState
from stitchtui.spec.claims import ClaimSpec, ColumnSpec
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve
from stitchtui.spec.seed_names import in_each, said_in
from stitchtui.stats.judgement import (
    Comparison,
    Joined,
    Judged,
    Statement,
    at_least,
    at_most,
    every,
    find,
    holm,
    largest,
    missing,
    some,
    within,
)
from stitchtui.stats.paired_difference import difference_of
from stitchtui.stats.penalty import Interval, difference, error_interval, over_seeds


def claims_of(state: RunState) -> list[ClaimSpec | None]:
    """The claims of the run's experiment; None for one that this version can't read."""
    listed = state.experiment.get("claims")
    return [_read(entry) for entry in listed] if isinstance(listed, list) else []


def _read(entry: object) -> ClaimSpec | None:
    try:
        return ClaimSpec.model_validate(entry)
    except ValidationError:
        return None


def judge_all(state: RunState) -> list[Judged]:
    """Every claim of the run's experiment with its verdict, as far as the run has come, by itself and among them."""
    found = []
    for index, claim in enumerate(claims_of(state)):
        if claim is None:
            unread = "a claim that this version can't read"
            found.append(Judged(index, unread, "undecided", "not understood", raw="undecided"))
        else:
            found.append(judge(claim, state, index))
    return holm(found)


def judge(claim: ClaimSpec, state: RunState, index: int = 0) -> Judged:
    """The claim's verdict by itself, and the numbers that decide it; undecided, with why, where some are missing."""
    said = sentence(claim)
    try:
        statement, noun = _KINDS[claim.kind](claim, state)
    except Unanswerable as reason:
        return Judged(index, said, "undecided", str(reason), claim.source, raw="undecided")
    found = find(statement)
    told = found.reason(noun) + _over_seeds(claim, state)
    return Judged(index, said, found.verdict, told, claim.source, found.numbers(), raw=found.verdict, p=found.p)


def _over_seeds(claim: ClaimSpec, state: RunState) -> str:
    """How many seeds the numbers are over; nothing where there is only one."""
    columns = [column_of(state, ref) for ref in claim.refs]
    each = [len(found.task_ids) for column in columns for found in column.in_seeds]
    networks = _count([len(column.in_seeds) for column in columns] or [said_in(state.experiment)])
    stitches = _count(each or [1])
    kinds = ((networks, "network seeds"), (stitches, "stitch seeds" + (" each" if networks else "")))
    said = " with ".join(f"{count} {kind}" for count, kind in kinds if count)
    return f"; over {said}" if said else ""


def _count(counts: Sequence[int]) -> str:
    """`3`, or `1 to 3` where they differ; empty where none is over one."""
    least, most = min(counts), max(counts)
    return "" if most == 1 else str(most) if least == most else f"{least} to {most}"


def _columns(claim: ClaimSpec, state: RunState) -> list[list[Number]]:
    return [numbers_of(state, ref, claim.measure) for ref in claim.refs]


def _all_columns(claim: ClaimSpec, state: RunState, of_one: Callable[[list[Number]], Joined]) -> Joined:
    """That a statement about one column holds for each."""
    return _all_hold([of_one(numbers) for numbers in _columns(claim, state)])


def _all_hold(found: Sequence[Joined]) -> Joined:
    """That each of the statements about a column holds: rejected simultaneously over the comparisons of all."""
    return found[0] if len(found) == 1 else every(found)


def _bounded(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    compare = at_most if claim.kind == "at_most" else at_least
    named, value = len(claim.refs) > 1, claim.value or 0.0

    def compared(number: Number) -> Comparison:
        if number.interval is None:
            return _lost(claim, number)
        return _told(compare(number.interval, value), claim, [number], named)

    def at_cuts(ref: ColumnSpec, numbers: list[Number]) -> list[Statement]:
        return where_it_counts(claim, state, ref, [(number.cut, compared(number)) for number in chosen(claim, numbers)])

    columns = list(zip(claim.refs, _columns(claim, state), strict=True))
    if claim.at == "every":
        return every([each for column in columns for each in at_cuts(*column)]), "cut"
    return _all_hold([some(at_cuts(*column)) for column in columns]), "column" if named else "cut"


def _told(
    comparison: Comparison, claim: ClaimSpec, numbers: Sequence[Number], named: bool, after: str = ""
) -> Comparison:
    """The comparison with its numbers in words."""
    words = ", ".join(number_text(number, claim.measure, named) for number in numbers)
    return replace(comparison, words=words + after, numbers=tuple(number.fact() for number in numbers))


def _lost(claim: ClaimSpec, *numbers: Number) -> Comparison:
    return missing(missing_text(numbers, claim.measure))


def _below(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    by = claim.by or 0.0
    found = []
    for lower, higher in _side_by_side(claim, _columns(claim, state), pairwise):
        apart = _apart(lower, higher)
        if apart is None:
            found.append((lower.cut, _lost(claim, lower, higher)))
        else:
            comparison = at_least(apart, by, strict=not by)
            found.append((lower.cut, _compared(comparison, claim, lower, higher, apart)))
    counted = where_it_counts(claim, state, claim.refs[0], found)
    return (some(counted) if claim.at == "some" else every(counted)), "cut" if len(claim.refs) == 2 else "comparison"


def _within(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    found = []
    for one, other in _side_by_side(claim, _columns(claim, state), lambda columns: combinations(columns, 2)):
        apart = _apart(one, other)
        if apart is None:
            found.append(_lost(claim, one, other))
        else:
            found.append(_compared(within(apart, claim.value or 0.0), claim, one, other, apart))
    return every(found), "cut" if len(claim.refs) == 2 else "comparison"


def _apart(one: Number, other: Number) -> Interval | None:
    if one.interval is None or other.interval is None:
        return None
    return difference_of(one.interval, other.interval)


def _side_by_side(
    claim: ClaimSpec,
    columns: list[list[Number]],
    two_of: Callable[[list[list[Number]]], Any],
) -> Iterator[tuple[Number, Number]]:
    """Of every two columns that are compared, the numbers at the same cut; the first column says which cuts."""
    cuts = [number.cut for number in chosen(claim, columns[0])]
    for first, second in two_of(columns):
        one, other = ({number.cut: number for number in column} for column in (first, second))
        for cut in cuts:
            yield one.get(cut) or _no_cut(first, cut), other.get(cut) or _no_cut(second, cut)


def _no_cut(column: list[Number], cut: str) -> Number:
    return Number(column[0].of, cut, None, None, "is no cut of it")


def _compared(comparison: Comparison, claim: ClaimSpec, one: Number, other: Number, apart: Interval) -> Comparison:
    values = [
        f"{number.of} {interval_text(number.interval, claim.measure)}{f' by {number.note}' if number.note else ''}"
        for number in (one, other)
        if number.interval
    ]
    words = f"{one.place} {values[0]}, {values[1]}, apart {interval_text(apart, claim.measure)}"
    return replace(comparison, words=words, numbers=(one.fact(), other.fact()))


def _peak(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    def of_one(numbers: list[Number]) -> Joined:
        inside, outside = _split(claim, numbers)
        return largest([[_no_lower(claim, number, other) for other in outside] for number in inside])

    return _all_columns(claim, state, of_one), "column" if len(claim.refs) > 1 else "cut"


def _split(claim: ClaimSpec, numbers: list[Number]) -> tuple[list[Number], list[Number]]:
    assert claim.between is not None
    low, high = claim.between
    placed = [(number, _depth(number)) for number in numbers]
    inside = [number for number, depth in placed if low <= depth <= high]
    outside = [number for number, depth in placed if not low <= depth <= high]
    if not inside or not outside:
        where = "between" if not inside else "outside"
        raise Unanswerable(f"{numbers[0].of} has no cut {where} {low:g} and {high:g} of the depth")
    return inside, outside


def _depth(number: Number) -> float:
    if number.depth is None:
        raise Unanswerable(f"how deep {number.cut} of {number.of} lies isn't known")
    return number.depth


def _no_lower(claim: ClaimSpec, number: Number, other: Number) -> Comparison:
    """That the number is at least as high as the other."""
    apart = _apart(other, number)
    if apart is None:
        return _lost(claim, other, number)
    return _told(at_least(apart, 0.0), claim, [number, other], len(claim.refs) > 1, _gap(claim, apart))


def _gap(claim: ClaimSpec, apart: Interval) -> str:
    return f", apart {interval_text(apart, claim.measure)}"


def _monotone(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    """Of every two cuts the step between them: rejected simultaneously over all, and over all columns."""
    named = len(claim.refs) > 1

    def of_one(numbers: list[Number]) -> Joined:
        mine = chosen(claim, numbers)
        if len(mine) < 2:
            raise Unanswerable(f"{mine[0].of} has a single cut there")
        steps = [_step(claim, one, other, -(claim.slack or 0.0), False) for one, other in combinations(mine, 2)]
        by = claim.by or 0.0
        return every([*steps, _step(claim, mine[0], mine[-1], by, not by)])

    return _all_columns(claim, state, of_one), "column" if named else "step"


def _step(claim: ClaimSpec, one: Number, other: Number, least: float, strict: bool) -> Comparison:
    """Whether from one cut to a deeper one the penalty goes on by at least so much, in the claim's direction."""
    low, high = (one, other) if claim.kind != "falls" else (other, one)
    apart = _apart(low, high)
    if apart is None:
        return _lost(claim, one, other)
    named = len(claim.refs) > 1
    return _told(at_least(apart, least, strict), claim, [one, other], named, _gap(claim, apart))


def _jumps(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    assert claim.between is not None
    low, high = claim.between

    def of_one(numbers: list[Number]) -> Joined:
        before = [number for number in numbers if _depth(number) <= low]
        after = [number for number in numbers if _depth(number) >= high]
        if not before or not after:
            raise Unanswerable(f"{numbers[0].of} has no cut {'before' if not before else 'after'} these depths")
        return every([_step(claim, before[-1], after[0], claim.by or 0.0, False)])

    return _all_columns(claim, state, of_one), "column"


def _error_gap(claim: ClaimSpec, state: RunState) -> tuple[Joined, str]:
    mine, other = (_errors(state, name) for name in claim.networks)
    apart = over_seeds([difference(its, one) for one, its in zip(mine, other, strict=True)])
    known = [(name, over_seeds(errors)) for name, errors in zip(claim.networks, (mine, other), strict=True)]
    facts = [
        {"of": name, "cut": "", "depth": None, "value": e.value, "low": e.low, "high": e.high} for name, e in known
    ]
    words = ", ".join(f"{name} {error_text(error)}" for name, error in known) + _gap(claim, apart)
    return every([replace(at_most(apart, claim.value or 0.0), words=words, numbers=tuple(facts))]), "network"


def _errors(state: RunState, name: str) -> list[Interval]:
    """A network's test error in every network seed."""
    images = (state.data or {}).get("test")
    networks = [state.networks.get(each) for each in in_each(name, said_in(state.experiment), state.networks)]
    if not isinstance(images, int) or images < 1 or None in networks:
        raise Unanswerable("the networks' test errors aren't all known yet")
    return [error_interval(network.error, images) for network in networks if network is not None]


def error_text(error: Interval) -> str:
    """A test error with the ends of its 95 % interval: `8.30 % [7.77, 8.86]`."""
    return f"{error.value:.2f} % [{error.low:.2f}, {error.high:.2f}]"


def unplanned(experiment: Experiment) -> Iterator[str]:
    """A sentence for each column that a claim names and that isn't planned, so that the claim can't be decided."""
    state = RunState()
    tasks = [PlannedTask(**task.as_dict()) for task in resolve(experiment).tasks]
    shown = RunStarted(
        run=experiment.name, experiment=experiment.plain(), tasks=tasks, device="", versions={}, resumed=False
    )
    state.apply(shown)
    for number, claim in enumerate(experiment.claims, start=1):
        for ref in claim.refs:
            try:
                column_of(state, ref)
            except Unanswerable as reason:
                yield f"claim {number} can't be decided: {reason}"


_KINDS: dict[str, Callable[[ClaimSpec, RunState], tuple[Joined, str]]] = {
    "at_most": _bounded,
    "at_least": _bounded,
    "below": _below,
    "within": _within,
    "peak": _peak,
    "rises": _monotone,
    "falls": _monotone,
    "jumps": _jumps,
    "error_gap": _error_gap,
}
