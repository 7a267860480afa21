"""Claims in sentences: each is generated from its data, so that what is read is what is judged."""

from collections.abc import Sequence

from stitchtui.report.claim_numbers import Number, name_of
from stitchtui.spec.claims import ClaimSpec, CutRange, Measure, Where
from stitchtui.spec.measures import MEASURES, PENALTY
from stitchtui.stats.penalty import Interval

_REGIONS = {
    "all": "at {} cut",
    "diagonal": "at {} two equally deep cuts",
    "later": "at {} cut of the bottom that is deeper than the top's",
    "earlier": "at {} cut of the bottom that is less deep than the top's",
}


def sentence(claim: ClaimSpec) -> str:
    """The claim as a plain sentence; names from outside are as they are, so print it plain."""
    return _SENTENCES[claim.kind](claim)


def _columns(claim: ClaimSpec, joint: str = " and ") -> str:
    names = [name_of(ref) for ref in claim.refs]
    return ", ".join(names[:-1]) + (joint if len(names) > 1 else "") + names[-1]


def _subject(claim: ClaimSpec) -> str:
    each = "each of " if len(claim.refs) > 1 and claim.kind != "within" else ""
    return f"{measure_name(claim.measure)} of {each}{_columns(claim)}"


def measure_name(measure: Measure) -> str:
    """What a sentence calls a measure."""
    return MEASURES[measure].claimed


def _amount(claim: ClaimSpec, value: float | None) -> str:
    return _value(claim.measure, value or 0.0)


def _value(measure: Measure, value: float) -> str:
    return f"{value:g}{MEASURES[measure].unit}"


def condition_text(where: Where, whose: str = "") -> str:
    """A condition in words: `its penalty is at most 3 points`, or that of `whose` column."""
    words = "at least" if where.at_most is None else "at most"
    measure = measure_name(where.measure)
    of = f"the {measure} of {whose}" if whose else f"its {measure}"
    return f"{of} is {words} {_value(where.measure, where.limit)}"


def _where(claim: ClaimSpec) -> str:
    if claim.where is None:
        return _place(claim)
    comparing = claim.kind == "below"
    return f"{_place(claim)}, where {condition_text(claim.where, name_of(claim.refs[0]) if comparing else '')}"


def _place(claim: ClaimSpec) -> str:
    cuts = claim.cuts
    if isinstance(cuts, str):
        return _REGIONS[cuts].format(claim.at)
    if isinstance(cuts, tuple):
        return f"at {' and '.join(cuts)}" if claim.at == "every" or len(cuts) == 1 else f"at one of {', '.join(cuts)}"
    return f"at {claim.at} cut {_stretch(cuts)} of the depth" + (" on" if cuts.until is None else "")


def _stretch(cuts: CutRange) -> str:
    if cuts.past is None:
        return f"up to {cuts.until:g}"
    return f"from {cuts.past:g}" if cuts.until is None else f"between {cuts.past:g} and {cuts.until:g}"


def _bounded(claim: ClaimSpec) -> str:
    words = "at most" if claim.kind == "at_most" else "at least"
    return f"{_subject(claim)} is {words} {_amount(claim, claim.value)} {_where(claim)}"


def _below(claim: ClaimSpec) -> str:
    names = [name_of(ref) for ref in claim.refs]
    rest = "".join(f", which is below that of {name}" for name in names[2:])
    least = f", by at least {_amount(claim, claim.by)}" + (" each" if rest else "") if claim.by else ""
    return f"{measure_name(claim.measure)} of {names[0]} is below that of {names[1]}{rest}{least}, {_where(claim)}"


def _within(claim: ClaimSpec) -> str:
    return f"{_subject(claim)} differ by at most {_amount(claim, claim.value)} {_where(claim)}"


def _peak(claim: ClaimSpec) -> str:
    assert claim.between is not None
    return f"{_subject(claim)} is largest between {claim.between[0]:g} and {claim.between[1]:g} of the depth"


def _monotone(claim: ClaimSpec) -> str:
    back = f" by more than {_amount(claim, claim.slack)}" if claim.slack else ""
    apart = f" by at least {_amount(claim, claim.by)}" if claim.by else ""
    span = "" if claim.cuts == "all" else f", {_where(claim)}"
    less, more = ("lower", "higher") if claim.kind == "rises" else ("higher", "lower")
    return (
        f"{_subject(claim)} {claim.kind} with depth: nowhere is it {less} than at a cut before{back}, and it ends"
        f" {more} than it begins{apart}{span}"
    )


def _jumps(claim: ClaimSpec) -> str:
    assert claim.between is not None
    first, second = claim.between
    return (
        f"{_subject(claim)} rises by at least {_amount(claim, claim.by)} between {first:g} and {second:g} of the depth"
    )


def _error_gap(claim: ClaimSpec) -> str:
    one, other = claim.networks
    return f"test error of {one} is at most {_amount(claim, claim.value)} above that of {other}"


_SENTENCES = {
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


def interval_text(interval: Interval, measure: Measure = PENALTY.name) -> str:
    """A number with the ends of its 95 % interval: `+1.23 [+0.82, +1.64]`; a CKA has none: `0.83`."""
    if not MEASURES[measure].low and interval.low == interval.high:
        return f"{interval.value:.2f}"
    return f"{_signed(interval.value)} [{_signed(interval.low)}, {_signed(interval.high)}]"


def _signed(value: float) -> str:
    text = f"{value:+.2f}"
    return text if float(text) else text[1:]


def number_text(number: Number, measure: Measure, named: bool) -> str:
    """One number where it stands: `layer2.0 (0.38) +1.23 [+0.82, +1.64]`; `named` says whose it is."""
    whose = f"{number.of} at " if named else ""
    if number.interval is None:
        return f"{whose}{number.place}: {number.missing}"
    return f"{whose}{number.place} {value_text(number.interval, measure, number.note)}"


def value_text(interval: Interval, measure: Measure, note: str = "") -> str:
    """A number, and by what it was reached where it wasn't by training."""
    return interval_text(interval, measure) + (f" by {note}" if note else "")


def missing_text(numbers: Sequence[Number], measure: Measure) -> str:
    """Which of the numbers that belong together are missing, and why."""
    return ", ".join(number_text(number, measure, True) for number in numbers if number.interval is None)
