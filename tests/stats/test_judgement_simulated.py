"""How often a statement is decided wrongly where every number lies just at its limit: at most 2.5 percent."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.contrast import PairableInterval, SeedAnswers
from stitchtui.stats.judgement import (
    LEVEL,
    Joined,
    Judged,
    at_least,
    at_most,
    every,
    find,
    holm,
    largest,
    some,
    within,
)
from stitchtui.stats.paired_difference import difference_of, paired
from stitchtui.stats.penalty import Interval

pytestmark = pytest.mark.slow  # a minute each

IMAGES, CUTS, TOP, LIMIT, APART = 2000, 8, 10.0, 3.0, 2.0
AT_LIMIT = [TOP + LIMIT] * CUTS

Column = list[Interval]


def columns(rng: np.random.Generator, errors: Sequence[Sequence[float]], shared: float) -> list[Column]:
    """Penalties of one top, of cells that err on so many percent of all images; the more `shared`, on the same ones."""
    from scipy.special import ndtri

    hard = math.sqrt(shared) * rng.standard_normal(IMAGES)

    def bits(error: float) -> AnswerBits:
        wrong = hard + math.sqrt(1 - shared) * rng.standard_normal(IMAGES) < ndtri(error / 100)
        return AnswerBits(IMAGES, int.from_bytes(np.packbits(wrong, bitorder="little").tobytes(), "little"))

    top = bits(TOP)
    return [[_penalty(SeedAnswers("top", (bits(error),), (top,), "images")) for error in each] for each in errors]


def _penalty(answers: SeedAnswers) -> PairableInterval:
    found = paired((answers,))
    assert found is not None
    return found


def bounded(of: Callable[[Sequence[object]], Joined]) -> Callable[[list[Column]], Joined]:
    return lambda found: of([at_most(each, LIMIT) for each in found[0]])


def close(found: list[Column]) -> Joined:
    return every([within(difference_of(*both), APART) for both in zip(*found, strict=True)])


def rising(found: list[Column]) -> Joined:
    (column,) = found
    return every([at_least(difference_of(a, b), 0.0) for k, a in enumerate(column) for b in column[k + 1 :]])


def peaking(found: list[Column]) -> Joined:
    (column,) = found
    return largest([[at_least(difference_of(other, each), 0.0) for other in column[3:]] for each in column[:3]])


def conditional(found: list[Column]) -> Joined:
    """That at some cut the other column's number is at least the limit, which it is, and the first's at most."""
    both = zip(*found, strict=True)
    return some([every([at_most(one, LIMIT), at_least(other, LIMIT)]) for one, other in both])


UP_AND_DOWN = [TOP + LIMIT + APART * (1 - 2 * (k % 2)) for k in range(CUTS)]
HIGH, LOW = TOP + LIMIT, TOP - LIMIT
CASES = {
    "every cut at most": ([AT_LIMIT], bounded(every), "rejected"),
    "some cut at most": ([AT_LIMIT], bounded(some), "confirmed"),
    "within": ([AT_LIMIT, UP_AND_DOWN], close, "rejected"),
    "rises": ([AT_LIMIT], rising, "rejected"),
    # at three cuts as high as at one of the others; at one of three as high as at all of the others
    "peak, confirmed": ([[HIGH] * 4 + [LOW] * 4], peaking, "confirmed"),
    "peak, rejected": ([[HIGH, LOW, LOW] + [HIGH] * 5], peaking, "rejected"),
    "some cut, where": ([AT_LIMIT, [2 * HIGH] * CUTS], conditional, "confirmed"),
}


def share(errors: Sequence[Sequence[float]], shared: float, wrong: Callable[[list[Column]], bool], count: int) -> float:
    """How often the numbers of that many made runs are judged wrongly."""
    rng = np.random.default_rng(1)
    return sum(wrong(columns(rng, errors, shared)) for _ in range(count)) / count


@pytest.mark.parametrize("shared", [0.3, 0.8])
@pytest.mark.parametrize("case", CASES)
def test_a_statement_whose_numbers_are_all_at_the_limit_is_decided_wrongly_in_so_few_runs(case, shared) -> None:
    errors, statement, side = CASES[case]
    count = 1500
    found = share(errors, shared, lambda found: find(statement(found)).verdict == side, count)
    assert found <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / count)


@pytest.mark.parametrize("shared", [0.3, 0.8])
def test_any_of_several_claims_is_rejected_wrongly_in_so_few_runs(shared) -> None:
    def rejected(found: list[Column]) -> bool:
        claims = []
        for index, column in enumerate(found):
            each = find(bounded(every)([column]))
            claims.append(Judged(index, "", each.verdict, "", raw=each.verdict, p=each.p))
        return any(claim.verdict == "rejected" for claim in holm(claims))

    count = 1000
    assert share([AT_LIMIT] * 4, shared, rejected, count) <= LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / count)
