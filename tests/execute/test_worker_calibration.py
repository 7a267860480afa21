"""How long batches take, from two that are tried."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.execute import calibration
from stitchtui.execute.calibration import ENOUGH, FEW, MOST, Line, line

CPU = torch.device("cpu")
durations = st.floats(1e-6, 1)


def tried(fixed: float, each: float) -> tuple[Line, list[int]]:
    """What is found of work that takes `fixed + each * images` seconds, and the numbers of images it was done on."""
    done: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "least", lambda work, _device: (work(), fixed + each * done[-1])[1])
        return line(done.append, CPU), done


@given(durations, durations)
def test_the_largest_batch_that_is_tried_is_known_and_no_larger_one_too_short(fixed: float, each: float) -> None:
    found, done = tried(fixed, each)
    assert found.seconds(done[-1]) == pytest.approx(fixed + each * done[-1])
    assert found.seconds(10 * MOST) >= (1 - 1e-9) * (fixed + each * 10 * MOST)


@given(durations, durations)
def test_what_grows_along_a_line_is_known_from_two_batches(fixed: float, each: float) -> None:
    found, done = tried(fixed, each)
    if len(done) > 1:
        assert (found.fixed, found.each) == pytest.approx((fixed, each), abs=1e-9)


@given(durations, durations)
def test_no_batch_but_the_smallest_takes_more_than_there_is_time_for(fixed: float, each: float) -> None:
    _, done = tried(fixed, each)
    assert done[0] == FEW
    assert all(fixed + each * images <= ENOUGH for images in done[1:])
    assert done[-1] <= MOST


def test_the_shortest_try_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 0.09, 1.0, 1.02, 2.0, 2.05, 3.0, 3.03, 4.0, 4.08])
    monkeypatch.setattr(calibration.time, "perf_counter", lambda: next(clock))
    assert calibration.least(lambda: None, CPU) == pytest.approx(0.02)
