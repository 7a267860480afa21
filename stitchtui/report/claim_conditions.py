"""A claim's `where`: only cuts at which a condition holds count, and where that is open the claim may be, too."""

from collections.abc import Sequence
from dataclasses import replace

from stitchtui.report.claim_numbers import Number, Unanswerable, name_of, numbers_of
from stitchtui.report.claim_words import condition_text, measure_name, value_text
from stitchtui.run.state import RunState
from stitchtui.spec.claims import ClaimSpec, ColumnSpec, Where
from stitchtui.stats.judgement import Comparison, Statement, at_least, at_most, every, missing, opposite, some


def where_it_counts(
    claim: ClaimSpec, state: RunState, ref: ColumnSpec, said: Sequence[tuple[str, Comparison]]
) -> list[Statement]:
    """Comparisons by cut, each with the claim's condition on the column `ref` there.

    At some cut: both must hold there; what confirms it is simultaneous over all conditions and comparisons. At every
    cut: the condition doesn't hold there or the comparison does, so that a cut where it surely doesn't is excused, and
    one where it may not can't reject the claim; either confirms a cut, simultaneously with the other, and what rejects
    the claim is simultaneous over all of them. Raises Unanswerable where the condition holds for sure at none of the
    cuts: then nothing that is said of them could fail.
    """
    if claim.where is None:
        return [comparison for _, comparison in said]
    known = {number.cut: number for number in numbers_of(state, ref, claim.where.measure)}
    found = [_worded(_condition(claim.where, known.get(cut)), comparison) for cut, comparison in said]
    if claim.at == "some":
        return [every(both) for both in found]
    if not any(condition.verdict == "confirmed" for condition, _ in found):
        raise Unanswerable(f"at no cut is it sure that {condition_text(claim.where, name_of(ref))}")
    return [some([replace(opposite(condition), excuses=True), comparison]) for condition, comparison in found]


def _condition(where: Where, number: Number | None) -> Comparison:
    name = measure_name(where.measure)
    if number is None or number.interval is None:
        return missing(f"{name} {'is no number' if number is None else number.missing}")
    compare = at_least if where.at_most is None else at_most
    words = f"{name} is {value_text(number.interval, where.measure, number.note)}"
    return replace(compare(number.interval, where.limit), words=words)


def _worded(condition: Comparison, comparison: Comparison) -> tuple[Comparison, Comparison]:
    """Both with the same words and numbers: whichever decides a cut, it is told of both."""
    words = f"{comparison.words}, where the {condition.words}"
    return replace(condition, words=words, numbers=comparison.numbers), replace(comparison, words=words)
