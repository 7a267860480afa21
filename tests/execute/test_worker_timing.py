"""Work that is timed on fewer images than it is for."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_runs import experiment

from stitchtui.execute import column_timer, timing
from stitchtui.execute.estimate import estimate
from stitchtui.execute.timing import FEWEST, LONG, TRIES, VERY_LONG, Timed, timed

CPU = torch.device("cpu")
durations = st.floats(0, 10)


def tried(fixed: float, each: float, images: int) -> tuple[Timed, list[int]]:
    """What is found of work that takes `fixed + each * images` seconds, and the numbers of images it was done on."""
    done: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "seconds", lambda work, _device: (work(), fixed + each * done[-1])[1])
        return timed(done.append, images, CPU), done


@given(durations, durations, st.integers(1, 1000))
def test_what_grows_along_a_line_is_known_from_a_part_of_it(fixed: float, each: float, images: int) -> None:
    found, _ = tried(fixed, each, images)
    assert found.seconds == pytest.approx(fixed + each * images)


@given(durations, durations, st.integers(1, 1000))
def test_long_work_is_not_done_whole(fixed: float, each: float, images: int) -> None:
    found, done = tried(fixed, each, images)
    assert max(done) == found.images <= images
    if found.images < images:
        assert fixed + each * found.images > LONG / 2
    elif images > 2 * FEWEST:
        assert fixed + each * images <= 2 * LONG


def test_every_size_is_set_up_before_it_is_timed() -> None:
    _, done = tried(0.01, 0.0, 100)
    assert done == [FEWEST] * (1 + TRIES) + [100] * (1 + TRIES)


def test_what_others_on_the_machine_add_to_short_work_counts_once_at_the_most() -> None:
    took = iter([9.0, 0.05, 0.01, 0.04, 0.03, 0.09, 3.0, 0.02, 0.08, 0.07, 0.09, 0.05])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "seconds", lambda _work, _device: next(took))
        assert timed(lambda _: None, 100, CPU) == Timed(0.02, 100)


def test_very_long_work_is_done_once_for_each_size() -> None:
    _, done = tried(VERY_LONG + 1, 0.0, 100)
    assert done == [FEWEST, 2 * FEWEST]


def test_networks_of_one_shape_are_timed_once_and_a_wider_one_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    timed_columns: list[str] = []

    def figures(_timer: object, column: column_timer.Column) -> column_timer.Figures:
        timed_columns.append(column.task.id)
        return column_timer.Figures(step=1.0)

    monkeypatch.setattr(column_timer.ColumnTimer, "_figures", figures)
    monkeypatch.setattr(timing, "seconds", lambda *_: 0.0)
    networks = experiment().plain()["networks"]
    networks["wide"] = {**networks["seed0"], "width": 0.25}
    pairs = [("seed0", "seed1"), ("seed1", "seed0"), ("wide", "seed0")]
    wanted = experiment(networks=networks, pairs=[{"bottom": b, "top": t} for b, t in pairs], controls=["self_stitch"])
    found = {row["task"]: row["seconds"] for row in estimate(wanted, "cpu") if row["cells"]}
    assert [task for task in timed_columns if " direct " in task] == [
        "seed0 > seed1 affine direct seed 0",
        "wide > seed0 affine direct seed 0",
        "seed1 > seed1 affine direct seed 0",  # one network, which runs once
    ]
    assert [task for task in timed_columns if " task " in task] == [
        "seed0 > seed1 affine task seed 0",
        "wide > seed0 affine task seed 0",
        "seed1 > seed1 affine task seed 0",  # from the identity: a kind of its own
    ]
    assert len({found[f"{b} > {t} affine task seed 0"] for b, t in pairs}) == 1


def test_memory_of_a_step_that_was_only_tried_shorter_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("estimate", "column_timer"):
        monkeypatch.setattr(f"stitchtui.execute.{module}.peak_memory", lambda _: 0)
    whole, shortened = ({row["task"]: row["bytes"] for row in estimated(monkeypatch, long)} for long in (math.inf, 0))
    assert set(whole.values()) == {0}
    batch, pixels = 50, 64
    assert all(bytes > 4 * batch * pixels for bytes in shortened.values())


def estimated(monkeypatch: pytest.MonkeyPatch, long: float) -> list[dict[str, Any]]:
    monkeypatch.setattr(timing, "LONG", long)
    return estimate(experiment(controls=["self_stitch"]), "cpu")
