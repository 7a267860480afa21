"""How often intervals hold the truth and verdicts are wrong, over and over on made-up answers; run by hand.

An image is answered wrongly where a sum of normal parts lies above a limit: how hard the image is for all, for one
network seed, for one network, by chance, and how good the seed is. The true penalty is known from the limits.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import ndtri

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.connectivity import connectivity
from stitchtui.stats.contrast import SeedAnswers
from stitchtui.stats.crossed import crossed_interval
from stitchtui.stats.paired_difference import paired
from stitchtui.stats.penalty import Interval, paired_interval, side
from stitchtui.stats.simultaneous import simultaneous

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Design:
    """A pair of networks with stitches at several cuts, as it is drawn over and over."""

    images: int
    top: float  # the top's error, as a share
    stitched: float  # each stitched network's
    cuts: int = 1
    seeds: int = 1
    hard: float = 0.5  # the share of the variance that is the image's, for all networks of all seeds
    own: float = 0.2  # for all networks of one seed
    shared: float = 0.0  # for all stitched networks of one seed
    uneven: float = 0.0  # the standard deviation of how good a seed is, beside that of all the rest
    together: bool = False  # whether a seed is as good at every cut

    @property
    def truth(self) -> float:
        """The penalty at every cut, in points."""
        return 100 * (self.stitched - self.top)

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """What the top gets wrong, [seeds, images], and the stitched networks, [seeds, cuts, images]."""
        k, m, n = self.seeds, self.cuts, self.images
        common = self.hard**0.5 * rng.standard_normal(n) + self.own**0.5 * rng.standard_normal((k, n))
        rest = 1 - self.hard - self.own
        of_top = common + rest**0.5 * rng.standard_normal((k, n))
        of_top += self.uneven * rng.standard_normal((k, 1))
        of_stitched = common[:, None] + self.shared**0.5 * rng.standard_normal((k, 1, n))
        of_stitched = of_stitched + (rest - self.shared) ** 0.5 * rng.standard_normal((k, m, n))
        of_stitched += self.uneven * rng.standard_normal((k, 1 if self.together else m, 1))
        limits = [ndtri(1 - share) * (1 + self.uneven**2) ** 0.5 for share in (self.top, self.stitched)]
        return of_top > limits[0], of_stitched > limits[1]

    def penalties(self, rng: np.random.Generator) -> list[Interval]:
        """The penalty at each cut, as a run finds it."""
        top, stitched = self.draw(rng)
        bases = [(packed(wrong),) for wrong in top]
        found = []
        for cut in range(self.cuts):
            cells = [packed(wrong) for wrong in stitched[:, cut]]
            answers = [SeedAnswers("top", (cell,), base, "images") for cell, base in zip(cells, bases, strict=True)]
            number = paired(tuple(answers))
            assert number is not None
            found.append(number)
        paired.cache_clear()
        return found


def packed(wrong: np.ndarray) -> AnswerBits:
    return AnswerBits(len(wrong), int.from_bytes(np.packbits(wrong, bitorder="little").tobytes(), "little"))


def often(design: Design, times: int) -> Iterator[list[Interval]]:
    rng = np.random.default_rng(0)
    for _ in range(times):
        yield design.penalties(rng)


@pytest.mark.parametrize(("worse", "better"), [(0.01, 0.01), (0.06, 0.04), (0.2, 0.1), (0.3, 0.2)])
@pytest.mark.parametrize("images", [500, 2000, 10_000])
def test_one_cuts_interval_holds_the_truth_in_95_percent(images: int, worse: float, better: float) -> None:
    times = 20_000
    drawn = np.random.default_rng(0).multinomial(images, [worse, better, 1 - worse - better], times)
    found = [paired_interval(images, int(w), int(b)) for w, b, _ in drawn]
    held = sum(i.low <= 100 * (worse - better) <= i.high for i in found) / times
    print(f"{images} images, {worse} and {better}: {held:.4f}")
    # where so few images differ that their numbers are coarse it holds more, as it should rather than less
    assert 0.94 < held < (0.96 if images * better >= 20 else 0.98)


@pytest.mark.parametrize("uneven", [0.0, 0.02, 0.05, 0.2])
@pytest.mark.parametrize("errors", [(0.05, 0.06), (0.45, 0.5)])
@pytest.mark.parametrize("images", [500, 2000, 10_000])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_over_seeds_an_interval_holds_the_truth(
    seeds: int, images: int, errors: tuple[float, float], uneven: float
) -> None:
    design, times = Design(images, *errors, seeds=seeds, uneven=uneven), 3000
    rng, held = np.random.default_rng(0), 0
    for _ in range(times):
        top, stitched = design.draw(rng)
        found = crossed_interval(stitched[:, 0].astype(float) - top)
        held += found.low <= design.truth <= found.high
    print(f"{design}: {held / times:.4f}")
    # 95 +- 1 %, of two seeds up to 98 %, and three standard errors of so many draws
    assert 0.94 - 0.012 < held / times < (0.98 if seeds == 2 else 0.96) + 0.012


SINGLE = [
    Design(images, *errors, cuts=10, shared=shared)
    for images, errors, shared in [
        (500, (0.10, 0.13), 0.1),
        (500, (0.05, 0.08), 0.28),
        (2000, (0.10, 0.13), 0.0),
        (2000, (0.10, 0.13), 0.2),
        (2000, (0.45, 0.48), 0.1),
        (10_000, (0.10, 0.13), 0.1),
    ]
]
SEVERAL = [
    Design(1000, 0.10, 0.13, cuts=6, seeds=seeds, uneven=uneven, together=together, shared=0.1)
    for seeds, uneven, together in [
        (2, 0.0, False),
        (3, 0.0, False),
        (3, 0.05, False),
        (3, 0.05, True),
        (2, 0.3, False),
        (3, 0.3, False),
        (3, 0.3, True),
        (5, 0.1, False),
    ]
]


@pytest.mark.parametrize("design", [*SINGLE, *SEVERAL], ids=str)
def test_a_pair_at_epsilon_is_called_not_connected_in_at_most_2_5_percent(design: Design) -> None:
    times, wrong, alone, outside, each = 3000, 0, 0, 0, 0
    for found in often(design, times):
        wrong += connectivity(found, design.truth) == "not connected"
        alone += any(side(penalty, design.truth) == "above" for penalty in found)
        outside += any(not limit.low <= design.truth <= limit.high for limit in simultaneous(found, tails=2))
        each += sum(not penalty.low <= design.truth <= penalty.high for penalty in found)
    print(
        f"{design}: not connected {wrong / times:.4f}, by cuts alone {alone / times:.4f}, "
        f"band {1 - outside / times:.4f}, pointwise {1 - each / times / design.cuts:.4f}"
    )
    assert wrong / times < 0.025 + 0.0086  # three standard errors of so many draws
    assert outside / times < 0.06 + 0.012  # over several seeds mostly less: those limits are Bonferroni's
    if design.seeds == 1:
        assert alone > 2 * wrong
        assert outside / times > 0.04 - 0.012
