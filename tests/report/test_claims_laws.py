"""Laws of judging: what no numbers may do to a verdict."""

from claimed_run import run
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.report.claim_judging import judge
from stitchtui.spec.claims import ClaimSpec
from stitchtui.stats.judgement import (
    LEVEL,
    Comparison,
    Joined,
    Judged,
    at_least,
    every,
    find,
    holm,
    opposite,
    p_of,
    some,
)
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


compared = st.builds(at_least, raw, points, st.booleans())
statements = st.recursive(
    compared,
    lambda inner: st.builds(
        Joined, st.sampled_from(["every", "some"]), st.lists(inner, min_size=1, max_size=4).map(tuple)
    ),
    max_leaves=12,
).map(lambda statement: every([statement]))


def turned(statement):
    """That the statement doesn't hold: every becomes some, and each comparison its opposite."""
    if isinstance(statement, Comparison):
        return opposite(statement)
    return Joined("some" if statement.how == "every" else "every", tuple(map(turned, statement.parts)))


def alone(statement):
    """The verdict if each comparison's own interval were enough."""
    if isinstance(statement, Comparison):
        return statement.verdict
    order = ["rejected", "undecided", "confirmed"][:: 1 if statement.how == "every" else -1]
    return min(map(alone, statement.parts), key=order.index)


@given(statements)
def test_a_statement_is_confirmed_as_its_contrary_is_rejected(statement):
    swapped = {"confirmed": "rejected", "rejected": "confirmed", "undecided": "undecided"}
    there, back = find(statement), find(turned(statement))
    assert (there.verdict, there.p) == (swapped[back.verdict], back.p)


@given(statements)
def test_what_is_decided_of_many_comparisons_is_what_their_own_intervals_say(statement):
    found = find(statement)
    assert found.verdict in (alone(statement), "undecided")
    assert (found.p is not None and found.p <= LEVEL) == (found.verdict != "undecided")


@given(st.lists(compared, min_size=1, max_size=6))
def test_what_all_must_bear_out_is_not_adjusted(comparisons):
    assert (find(every(comparisons)).verdict == "confirmed") == (alone(every(comparisons)) == "confirmed")
    assert (find(some(comparisons)).verdict == "rejected") == (alone(some(comparisons)) == "rejected")
    assert p_of(every(comparisons), "confirmed") == max(each.p("confirmed") for each in comparisons)


@given(compared)
def test_of_one_comparison_nothing_is_adjusted(comparison):
    assert {find(of([comparison])).verdict for of in (every, some)} == {comparison.verdict}


@given(st.lists(compared, min_size=1, max_size=6), compared)
def test_more_comparisons_never_make_a_rejection_easier(comparisons, other):
    before, after = (p_of(every(each), "rejected") for each in (comparisons, [*comparisons, other]))
    assert after >= min(before, p_of(every([other]), "rejected"))


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


some_p = st.one_of(st.none(), st.floats(0, LEVEL), st.sampled_from([0.0, LEVEL / 4, LEVEL / 3, LEVEL / 2, LEVEL]))


@st.composite
def judged(draw):
    p = draw(some_p)
    raw = "undecided" if p is None else draw(st.sampled_from(["confirmed", "rejected"]))
    return Judged(draw(st.integers(0, 9)), "s", raw, "r", raw=raw, p=p)


@given(st.lists(judged(), min_size=1, max_size=8))
def test_claims_beside_it_only_ever_leave_a_claim_open(claims):
    for claim, adjusted in zip(claims, holm(claims), strict=True):
        assert (adjusted.raw, adjusted.p) == (claim.raw, claim.p)
        assert adjusted.verdict in (claim.raw, "undecided")
        assert (adjusted.adjusted_p is None) == (claim.p is None)
        assert claim.p is None or adjusted.adjusted_p >= claim.p


@given(judged())
def test_a_claim_alone_is_judged_as_by_itself(claim):
    (adjusted,) = holm([claim])
    assert adjusted.verdict == claim.raw


@given(st.lists(judged(), min_size=1, max_size=8), st.randoms())
def test_the_order_of_claims_does_not_matter(claims, chance):
    shuffled = list(enumerate(claims))
    chance.shuffle(shuffled)
    again = holm([claim for _, claim in shuffled])
    back = dict(zip([place for place, _ in shuffled], again, strict=True))
    assert [back[place] for place in range(len(claims))] == holm(claims)


@given(st.lists(judged(), min_size=1, max_size=8))
def test_holms_procedure_steps_down_to_the_first_claim_that_fails(claims):
    """By its definition: a claim stands if at every count k of smaller p values p_(k) times m - k holds the level."""
    p = [1.0 if claim.p is None else claim.p for claim in claims]
    for claim, mine, adjusted in zip(claims, p, holm(claims), strict=True):
        stands = all(each * sum(other >= each for other in p) <= LEVEL for each in p if each <= mine)
        assert (adjusted.verdict != "undecided") == (stands and claim.raw != "undecided")


@given(st.floats(0, LEVEL), st.integers(0, 6))
def test_a_claim_that_the_run_cannot_answer_counts_as_a_test(p, others):
    unanswered = Judged(9, "s", "undecided", "not measured", raw="undecided")
    claim, *_ = holm([Judged(0, "s", "rejected", "r", raw="rejected", p=p), *[unanswered] * others])
    assert claim.adjusted_p == p * (1 + others)
