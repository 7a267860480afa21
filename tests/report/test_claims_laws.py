"""Laws of judging: what no numbers may do to a verdict."""

from dataclasses import replace

from claimed_run import run
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.report.claim_judging import judge
from stitchtui.spec.claims import ClaimSpec
from stitchtui.stats.judgement import at_least, every, some
from stitchtui.stats.penalty import Interval, difference, error_interval

A, B = "a > c", "b > c"
points = st.integers(-40, 80).map(lambda quarter: quarter / 4)
widths = st.integers(0, 12).map(lambda quarter: quarter / 4)
intervals = st.tuples(points, widths, widths).map(lambda p: (p[0], p[0] - p[1], p[0] + p[2]))
columns = st.lists(st.one_of(intervals, intervals, intervals, st.none()), min_size=5, max_size=5)
limits = st.integers(0, 40).map(lambda quarter: quarter / 4)
two_depths = st.sampled_from([(0.1, 0.3), (0.3, 0.6), (0.4, 0.8), (0.6, 0.9), (0.0, 0.5)])


@st.composite
def claims(draw):
    kind = draw(st.sampled_from(["at_most", "at_least", "below", "within", "peak", "rises", "falls", "jumps"]))
    both = kind in ("below", "within")
    keys = {"columns": (A, B) if both else (A,)}
    if kind in ("at_most", "at_least", "within"):
        keys["value"] = draw(limits)
    if kind in ("below", "jumps"):
        keys["by"] = draw(limits)
    if kind in ("rises", "falls"):
        keys |= {"by": draw(limits), "slack": draw(limits)}
    if kind in ("peak", "jumps"):
        keys["between"] = draw(two_depths)
    if kind in ("at_most", "at_least", "below"):
        keys["at"] = draw(st.sampled_from(["every", "some"]))
    return ClaimSpec(kind=kind, **keys)


def verdict(claim, first, second=(0,) * 5):
    state = run({"a > c affine task": first, "b > c affine task": second})
    return judge(claim, state).verdict


def wider(column, by):
    return [None if cell is None else (cell[0], cell[1] - by, cell[2] + by) for cell in column]


def shifted(column, by):
    return [None if cell is None else tuple(end + by for end in cell) for cell in column]


@given(claims(), columns, columns, widths)
def test_widening_every_interval_decides_nothing(claim, first, second, by):
    before, after = verdict(claim, first, second), verdict(claim, wider(first, by), wider(second, by))
    assert after in (before, "undecided")


@given(claims(), st.tuples(columns, columns), widths, st.integers(0, 4), st.booleans())
def test_widening_one_interval_decides_nothing(claim, both, by, place, other):
    first, second = both
    column = second if other else first
    changed = [*column[:place], *wider([column[place]], by), *column[place + 1 :]]
    before = verdict(claim, first, second)
    after = verdict(claim, first, changed) if other else verdict(claim, changed, second)
    assert after in (before, "undecided")


@given(columns, limits, widths, st.sampled_from(["every", "some"]))
def test_higher_penalties_never_help_a_claim_that_bounds_them_from_above(column, value, by, at):
    claim = ClaimSpec(kind="at_most", columns=(A,), value=value, at=at)
    order = ["rejected", "undecided", "confirmed"]
    assert order.index(verdict(claim, shifted(column, by))) <= order.index(verdict(claim, column))


@given(columns, limits, widths)
def test_a_looser_bound_never_hurts(column, value, by):
    tight, loose = (ClaimSpec(kind="at_most", columns=(A,), value=v) for v in (value, value + by))
    order = ["rejected", "undecided", "confirmed"]
    assert order.index(verdict(tight, column)) <= order.index(verdict(loose, column))


@given(columns, limits)
def test_a_bound_and_its_negation_are_never_both_confirmed_nor_both_rejected(column, value):
    claim = ClaimSpec(kind="at_most", columns=(A,), value=value)
    beyond = ClaimSpec(kind="at_least", columns=(A,), value=value + 2**-20, at="some")  # of quarters: `> value`
    found = {verdict(claim, column), verdict(beyond, column)}
    assert found in ({"confirmed", "rejected"}, {"undecided"})


@given(columns, columns)
def test_below_and_its_converse_are_never_both_confirmed(first, second):
    there = verdict(ClaimSpec(kind="below", columns=(A, B)), first, second)
    back = verdict(ClaimSpec(kind="below", columns=(B, A)), first, second)
    assert not there == back == "confirmed"


@given(columns, limits, limits)
def test_rising_and_falling_are_never_both_confirmed(column, slack, by):
    both = [ClaimSpec(kind=kind, columns=(A,), slack=slack, by=by) for kind in ("rises", "falls")]
    assert [verdict(claim, column) for claim in both] != ["confirmed", "confirmed"]


@given(columns)
def test_a_peak_is_confirmed_in_one_of_two_places_only_where_they_tie(column):
    first = verdict(ClaimSpec(kind="peak", columns=(A,), between=(0.0, 0.3)), column)
    second = verdict(ClaimSpec(kind="peak", columns=(A,), between=(0.4, 1.0)), column)
    if first == second == "confirmed":
        known = [cell for cell in column if cell is not None]
        assert max(cell[0] for cell in known[:2]) == max(cell[0] for cell in known[2:])
    assert not first == second == "rejected"


@given(columns, columns)
def test_within_does_not_depend_on_the_order_of_its_columns(first, second):
    there = verdict(ClaimSpec(kind="within", columns=(A, B), value=2), first, second)
    assert there == verdict(ClaimSpec(kind="within", columns=(B, A), value=2), first, second)


@given(claims(), columns, columns)
def test_turning_every_number_unknown_leaves_every_claim_undecided(claim, first, second):
    assert verdict(claim, [None] * 5, [None] * 5) == "undecided"


@given(claims(), columns, columns)
def test_a_verdict_always_comes_with_a_reason(claim, first, second):
    state = run({"a > c affine task": first, "b > c affine task": second})
    judged = judge(claim, state)
    assert judged.reason
    assert judged.sentence
    assert "\n" not in judged.reason + judged.sentence
    assert bool(judged.numbers) or judged.verdict == "undecided"


raw = st.tuples(points, widths, widths).map(lambda p: Interval(p[0], p[0] - p[1], p[0] + p[2]))


@given(st.lists(st.tuples(raw, points), min_size=1, max_size=6), st.integers(0, 5))
def test_more_comparisons_never_turn_a_rejection_round(drawn, kept):
    atoms = [at_least(interval, limit) for interval, limit in drawn]
    if every(atoms[: kept + 1]).verdict == "rejected":
        assert every(atoms).verdict == "rejected"
    if some(atoms[: kept + 1]).verdict == "confirmed":
        assert some(atoms).verdict == "confirmed"


@given(st.lists(st.tuples(raw, points), min_size=1, max_size=6))
def test_every_is_not_some_not(drawn):
    atoms = [at_least(interval, limit) for interval, limit in drawn]
    turned = {"confirmed": "rejected", "rejected": "confirmed", "undecided": "undecided"}
    negated = [replace(atom, verdict=turned[atom.verdict]) for atom in atoms]
    assert every(atoms).verdict == turned[some(negated).verdict]


@given(raw, raw)
def test_the_interval_of_a_difference_holds_it_and_turns_round_with_it(one, other):
    there, back = difference(one, other), difference(other, one)
    assert there.low <= there.value <= there.high
    assert (there.value, there.low) == (-back.value, -back.high)


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_interval_of_an_error_holds_it_and_stays_between_0_and_100(images, share):
    error = 100 * round(share * images) / images
    found = error_interval(error, images)
    assert -1e-9 <= found.low <= error <= found.high <= 100 + 1e-9
