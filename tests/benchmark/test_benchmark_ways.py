import pytest
import torch

from stitchtui.benchmark import published
from stitchtui.benchmark.ways import FEW, OURS, RANDOM, Laboratory, Way


def test_the_whole_networks_and_the_chains_compute_the_same(laboratory: Laboratory) -> None:
    images = torch.rand(4, 1, 8, 8)
    for base, chain in ((laboratory.subject.bottom, laboratory.bottom), (laboratory.subject.top, laboratory.top)):
        torch.testing.assert_close(base.whole(images), chain.features(images)[-1])


def test_all_ways_train_on_the_same_batches(laboratory: Laboratory) -> None:
    for first, second, _ in zip(laboratory.batches(), laboratory.batches(), range(3), strict=False):
        assert torch.equal(first[0], second[0]) and torch.equal(first[1], second[1])


@pytest.mark.parametrize("way", [RANDOM, FEW], ids=lambda way: way.family)
def test_priced_and_really_trained_the_published_way_ends_with_the_same_penalties(
    laboratory: Laboratory, way: Way
) -> None:
    price = published.prices(laboratory)
    priced, clocked = published.priced(laboratory, way, 2, price), published.clocked(laboratory, way, 2)
    one_image = 100 / len(laboratory.dataset.test)
    assert priced.penalties == pytest.approx(clocked.penalties, abs=one_image + 1e-9)
    assert float((priced.wrong == clocked.wrong).double().mean()) > 0.995
    assert priced.penalties != pytest.approx(laboratory.in_a_column(way, 1).penalties, abs=one_image + 1e-9)
    steps = 2 * len(laboratory.dataset.train) // 20
    for k, (cost, real) in enumerate(zip(priced.costs, clocked.costs, strict=True)):
        assert cost.train == pytest.approx(steps * price.steps[way.family][k].median)
        assert cost.evaluate == pytest.approx(
            len(laboratory.dataset.test) / 20 * price.evaluations[way.family][k].median
        )
        assert (cost.start > 0) == (way is FEW)
        assert real.train > 0 and real.evaluate > 0


def test_a_column_is_timed_as_a_whole_and_is_an_answer_before_training(laboratory: Laboratory) -> None:
    trial = laboratory.in_a_column(OURS, 0)
    (cost,) = trial.costs
    assert cost.start > 0 and cost.evaluate > 0
    assert len(trial.penalties) == laboratory.cells == len(trial.wrong)
    trained = laboratory.in_a_column(OURS, 2)
    assert sum(trained.penalties) < sum(trial.penalties)
    assert trained.costs[0].start == cost.start


def test_a_start_from_few_images_is_worse_than_one_from_all(laboratory: Laboratory) -> None:
    few = Way("few", "affine", 5)
    assert sum(laboratory.in_a_column(few, 0).penalties) > sum(laboratory.in_a_column(OURS, 0).penalties)


def test_a_stitch_without_finite_scores_is_wrong_everywhere(laboratory: Laboratory) -> None:
    stitch = laboratory.stitch(OURS, 0, laboratory.matched[0][0])
    with torch.no_grad():
        stitch.weight.fill_(float("nan"))  # type: ignore[operator, union-attr]
    scores = published._evaluate(laboratory, 0, stitch)
    trial = laboratory.trial(OURS, 0, [scores], [])
    assert trial.penalties == [pytest.approx(100 - laboratory.pair.top.error)]


@pytest.mark.parametrize(("way", "lengths"), [(OURS, [0, 1, 3]), (FEW, [0, 1, 3]), (RANDOM, [1, 3])])
def test_a_way_that_starts_from_least_squares_is_tried_untrained_too(way: Way, lengths: list[int]) -> None:
    assert way.lengths([3, 1]) == lengths
