import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.benchmark.answer import WITHIN, answer, arrival
from stitchtui.benchmark.ways import OURS, WAYS, Laboratory


def test_parts_need_a_length_each_and_their_times_add_up() -> None:
    left = [[0.5, -0.1, 0.2], [0.1, -0.2, 0.0], [-0.1, -0.3, 0.1]]
    seconds = [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0], [4.0, 40.0, 400.0]]
    found = arrival("way", [1, 2, 4], left, seconds)
    assert found.epochs == [4, 1, 2]
    assert (found.missing, found.misses_by) == (0, 0)
    assert found.seconds == 4 + 10 + 200
    assert found.at_least == 2 + 0 + 100


def test_what_is_there_without_training_took_just_that() -> None:
    found = arrival("way", [0, 1], [[-0.1, 0.1], [-0.2, -0.1]], [[1.0, 10.0], [2.0, 20.0]])
    assert (found.epochs, found.seconds, found.at_least) == ([0, 1], 21, 11)


def test_what_never_gets_there_says_by_how_much_it_misses_and_what_its_longest_training_took() -> None:
    found = arrival("way", [1, 2], [[0.7, 3.0], [0.2, 4.0]], [[1.0, 10.0], [2.0, 20.0]])
    assert found.epochs == [None, None]
    assert (found.missing, found.misses_by) == (2, 3.0)
    assert found.seconds == found.at_least == 22


numbers = st.floats(-3, 3)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_the_true_time_lies_between_the_two_that_are_said(left: list[tuple[float, float]]) -> None:
    lengths = list(range(1, len(left) + 1))
    found = arrival("way", lengths, left, [[float(n), 2.0 * n] for n in lengths])
    assert 0 <= found.at_least <= found.seconds
    assert found.missing == found.epochs.count(None)
    assert (found.misses_by > 0) == (found.missing > 0)


def test_every_way_is_tried_at_every_length_and_judged_by_the_best_of_all(laboratory: Laboratory) -> None:
    said: list[str] = []
    found = answer(laboratory, [2, 1], really=False, tell=said.append)
    assert [(t.way, t.epochs) for t in found.tried] == [(w.name, n) for w in WAYS for n in w.lengths([1, 2])]
    for k, best in enumerate(found.best):
        assert best == min(t.penalties[k] for t in found.tried)
    for tried in found.tried:
        above = [p - b for p, b in zip(tried.penalties, found.best, strict=True)]
        assert tried.largest_shortfall == max(above) >= tried.mean_shortfall >= 0
        assert tried.cells_short == sum(a > WITHIN + 1e-6 for a in above)
    assert found.best_mean == min(t.mean_penalty for t in found.tried)
    assert found.noise.within == pytest.approx(0.3)  # of 100 test images
    assert 0 < found.noise.mean <= found.noise.cell
    assert not any(a.missing for a in found.mean if a.way == _best_in_the_mean(found.tried))
    assert len(said) == 2 * len(found.tried) + 1
    json.dumps(asdict(found))


def _best_in_the_mean(tried: list) -> str:
    return str(min(tried, key=lambda t: t.mean_penalty).way)


def test_the_published_way_can_be_trained_with_the_clock_running(laboratory: Laboratory) -> None:
    found = answer(laboratory, [1], really=True)
    assert found.really_trained and found.prices is None
    assert all(t.seconds > 0 for t in found.tried)
    ours = next(a for a in found.mean if a.way == OURS.name)
    for other in found.mean:
        if not ours.missing and other is not ours:
            assert other.times_ours == pytest.approx(other.seconds / ours.seconds)
