"""That what is run by hand goes on running, and measures what it says."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import clock
import end
import first
import pytest
import small_runs
import torch
from answer import WITHIN, answer, arrival, main
from growth import growth, memory
from held import Held
from hypothesis import given
from hypothesis import strategies as st
from pair import load_pair
from published import clocked, priced, prices
from speed import agreement, speed
from steps import Trained, compared
from subject import Options, Subject, random_subject
from torch import nn
from ways import RANDOM, WAYS, Laboratory

OPTIONS = Options(("stem", "block2", "block4"), batch_size=20, rounds=1, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def subject() -> Subject:
    return random_subject(OPTIONS, "digits_cnn", 0.5, (1, 8, 8))


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    recipe = {**small_runs.TRAIN, "epochs": 10}  # until a stitch makes a difference
    network = {"architecture": "digits_cnn", "width": 0.5, "train": recipe}
    experiment = small_runs.experiment(networks={f"seed{seed}": {**network, "seed": seed} for seed in (0, 1)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Laboratory(load_pair(experiment, OPTIONS))


def test_every_ratio_is_measured_and_both_ways_agree(subject: Subject) -> None:
    found, checked = speed(subject), agreement(subject)
    for spread in (found.over_published, found.over_tails, found.over_floor):
        assert 0 < spread.low <= spread.median <= spread.high
    assert checked.loss_difference < 1e-3
    assert checked.same_answers > 99


def test_bottoms_passes_grow_with_the_networks_and_not_with_their_pairs(subject: Subject) -> None:
    found = growth(subject)
    assert {size.size: size.bottom_passes for size in found if size.what == "pairs"} == {2: 2, 6: 3, 12: 4}
    assert {size.what for size in found} == {"cuts", "images", "pairs"}


def test_a_budget_bounds_what_a_step_holds() -> None:
    early = replace(OPTIONS, cuts=("stem", "block1", "block2"))  # cells that hold about as much as each other
    found = memory(random_subject(early, "digits_cnn", 0.5, (1, 8, 8)))
    assert 0 < found.in_turns <= found.budget < found.together <= found.estimate


def test_work_is_timed_by_turns_after_a_round_that_does_not_count() -> None:
    done: list[str] = []
    works = {name: lambda name=name: done.append(name) for name in ("a", "b")}
    seconds = clock.interleaved(works, 3, torch.device("cpu"))
    assert done == ["a", "b"] * 4
    assert [len(times) for times in seconds.values()] == [3, 3]


def test_a_ratio_is_taken_round_by_round() -> None:
    spread = clock.ratio({"slow": [2.0, 12.0, 9.0], "fast": [1.0, 3.0, 3.0]}, "slow", "fast")
    assert f"{spread:.0f}" == "3 (2 to 4)"


def test_held_memory_is_what_is_alive_at_once() -> None:
    with Held() as held:
        for _ in range(3):
            kept = torch.zeros(1000)
            kept = kept + 1
        nn.functional.relu(kept)
    assert 8_000 <= held.most <= 12_100


def test_parts_need_a_length_each_and_their_times_add_up() -> None:
    left = [[0.5, -0.1, 0.2], [0.1, -0.2, 0.0], [-0.1, -0.3, 0.1]]
    seconds = [[1.0, 10.0, 100.0], [2.0, 20.0, 200.0], [4.0, 40.0, 400.0]]
    found = arrival("way", [1, 2, 4], left, seconds)
    assert found.epochs == [4, 1, 2]
    assert (found.missing, found.misses_by) == (0, 0)
    assert found.seconds == 4 + 10 + 200
    assert found.at_least == 2 + 0 + 100


numbers = st.floats(-3, 3)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_the_true_time_lies_between_the_two_that_are_said(left: list[tuple[float, float]]) -> None:
    lengths = list(range(1, len(left) + 1))
    found = arrival("way", lengths, left, [[float(n), 2.0 * n] for n in lengths])
    assert 0 <= found.at_least <= found.seconds
    assert found.missing == found.epochs.count(None)
    assert (found.misses_by > 0) == (found.missing > 0)


def test_every_cut_has_its_penalty_after_one_pass_over_the_training_and_one_over_the_test_images(
    laboratory: Laboratory,
) -> None:
    found = first.first_numbers(laboratory)
    assert (found.training_passes, found.test_passes) == (1, 1)
    assert found.cells == laboratory.cells


def test_every_way_is_tried_at_every_length_and_judged_by_the_best_of_all(laboratory: Laboratory) -> None:
    found = answer(laboratory, [1], really=False)
    assert [(t.way, t.epochs) for t in found.tried] == [(w.name, n) for w in WAYS for n in w.lengths([1])]
    assert found.best == [min(cell) for cell in zip(*(t.penalties for t in found.tried), strict=True)]
    for tried in found.tried:
        above = [p - b for p, b in zip(tried.penalties, found.best, strict=True)]
        assert tried.largest_shortfall == max(above) >= tried.mean_shortfall >= 0
        assert tried.cells_short == sum(a > WITHIN + 1e-6 for a in above)
    assert any(not a.missing for a in found.mean)
    assert found.noise.within == pytest.approx(0.3)  # of 100 test images


def test_priced_and_really_trained_the_published_way_ends_with_the_same_penalties(laboratory: Laboratory) -> None:
    bought, trained = priced(laboratory, prices(laboratory), RANDOM, 2), clocked(laboratory, RANDOM, 2)
    one_image = 100 / len(laboratory.dataset.test)
    assert bought.penalties == pytest.approx(trained.penalties, abs=one_image + 1e-9)
    assert bought.penalties != pytest.approx(laboratory.in_a_column(RANDOM, 1).penalties, abs=one_image + 1e-9)


def test_the_answer_is_printed_way_by_way(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["answer.py", "quickstart", "--lengths", "1"])
    monkeypatch.setattr("answer.pair_told", lambda _told: laboratory.pair)
    main()
    out = capsys.readouterr().out
    assert "digits, 200 training and 100 test images; 3 cuts, batches of 20, float32, cpu" in out
    said = out[out.index("every cell within 0.3 points") :]
    assert [said.count(f"  {way.name}: ") for way in WAYS] == [2, 2, 2]  # cell by cell, and in the mean


def test_columns_and_runs_are_held_against_where_the_published_way_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], laboratory: Laboratory
) -> None:
    monkeypatch.setattr("sys.argv", ["end.py", "quickstart", "--epochs", "1", "--steps", "0,2", "--rounds", "1"])
    monkeypatch.setattr("end.load_pair", lambda *_: laboratory.pair)
    monkeypatch.setattr("end.trained", lambda _, way, **__: Trained(way, {"stem": (90.0, 99.0, 2.0, 2.0, 0.0)}, 0.5))
    end.main()
    said = capsys.readouterr().out.splitlines()[-5:]
    assert said[0].startswith(f"{RANDOM.name}, 1 epochs: mean penalty +")
    assert ["points short of it" in line for line in said[1:]] == [False, False, True, True]
    assert [line.split(":")[0].strip() for line in said[1:3]] == ["a column of 0 steps", "a column of 2 steps"]


def test_steps_to_convergence_are_beside_those_of_a_fixed_length(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path))
    pair = small_runs.experiment(stitch={"cuts": ["stem", "flatten"], "held_out": 20})
    few, long = compared(pair, [100], 3)
    assert [*few.cuts] == [*long.cuts] == ["stem", "flatten"]
    assert {taken for _, _, taken, *_ in long.cuts.values()} == {3 * (80 // 50)}
    assert all(0 <= chosen <= taken for _, _, taken, chosen, _ in few.cuts.values())
