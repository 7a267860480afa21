"""A claim's `where`: only cuts at which a condition holds count, and where that is open the claim may be, too."""

from collections.abc import Sequence
from dataclasses import replace

from stitchtui.report.claim_numbers import Number, Unanswerable, name_of, numbers_of
from stitchtui.report.claim_words import condition_text, measure_name, value_text
from stitchtui.run.state import RunState
from stitchtui.spec.claims import ClaimSpec, ColumnSpec, Where
from stitchtui.stats.judgement import Atom, at_least, at_most, both, missing


def where_it_counts(claim: ClaimSpec, state: RunState, ref: ColumnSpec, said: Sequence[tuple[str, Atom]]) -> list[Atom]:
    """Of comparisons by cut those that the claim's condition on the column `ref` leaves, each with what it leaves.

    At every cut: what is said must hold wherever the condition does, so a cut where it surely doesn't is left out,
    and one where it may not can't reject the claim. At some cut: both must hold there. Raises Unanswerable where the
    condition holds for sure at none of the cuts: then nothing that is said of them could fail.
    """
    if claim.where is None:
        return [atom for _, atom in said]
    known = {number.cut: number for number in numbers_of(state, ref, claim.where.measure)}
    found = [(_condition(claim.where, known.get(cut)), atom) for cut, atom in said]
    if claim.at == "some":
        return [_worded(both(condition, atom), atom, condition) for condition, atom in found]
    if not any(condition.verdict == "confirmed" for condition, _ in found):
        raise Unanswerable(f"at no cut is it sure that {condition_text(claim.where, name_of(ref))}")
    return [_implied(condition, atom) for condition, atom in found if condition.verdict != "rejected"]


def _condition(where: Where, number: Number | None) -> Atom:
    name = measure_name(where.measure)
    if number is None or number.interval is None:
        return missing(f"{name} {'is no number' if number is None else number.missing}")
    compare = at_least if where.at_most is None else at_most
    return replace(
        compare(number.interval, where.limit),
        words=f"{name} is {value_text(number.interval, where.measure, number.note)}",
    )


def _implied(condition: Atom, atom: Atom) -> Atom:
    open_ = condition.verdict == "undecided" and atom.verdict == "rejected"
    return _worded(replace(atom, verdict="undecided") if open_ else atom, atom, condition)


def _worded(judged: Atom, atom: Atom, condition: Atom) -> Atom:
    return replace(judged, words=f"{atom.words}, where the {condition.words}", numbers=atom.numbers)
