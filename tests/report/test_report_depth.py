"""The depth curve: finished points only, within its box, in ASCII where asked."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from synthetic_run import CUTS, column_events, direct_only_run, experiment, fold, started, whole_run

from stitchtui.report.depth import depth_plot, round_ticks
from stitchtui.run.plan import plan
from stitchtui.run.state import RunState


def one_pair(measured: list[str], **changes: object) -> RunState:
    spec = experiment(seeds=1, objective="direct").model_copy(update={"controls": ()})
    task = plan(spec)[0]
    events = started(spec)
    for event in events:
        if event["type"] == "network_ready":
            event.update(changes)
    done = [event for event in column_events(task) if event.get("cut") in (None, *measured)]
    return fold([*events, *done[:-1]])


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize(("width", "height"), [(60, 16), (80, 24), (120, 30)])
def test_plot_stays_within_its_box(width: int, height: int, ascii: bool) -> None:
    lines = depth_plot(whole_run(), width, height, ascii=ascii, colour=False).splitlines()
    assert len(lines) <= height
    assert all(cell_len(line) <= width for line in lines)


def test_one_marker_a_finished_cell_and_none_for_the_others() -> None:
    for count in (1, 2, 3):
        text = depth_plot(one_pair(list(CUTS[:count])), 80, 20, colour=False)
        assert text.count("●") == count + 1  # and one in the legend


def test_points_stand_at_their_depth_and_penalty() -> None:
    state = one_pair(list(CUTS))
    _, frame, *lines = depth_plot(state, 80, 20, colour=False).splitlines()
    start, end = frame.index("┌") + 1, frame.index("┐")
    canvas = [line[start:end] for line in lines if line.endswith("│")]
    marks = sorted((line.index("●"), row) for row, line in enumerate(canvas) if "●" in line)
    assert [column / (end - start - 1) for column, _ in marks] == pytest.approx([1 / 6, 3 / 6, 5 / 6], abs=0.02)
    assert [row for _, row in marks] == sorted((row for _, row in marks), reverse=True)  # the penalties rise


def test_pairs_and_controls_have_different_markers() -> None:
    legend = depth_plot(whole_run(), 120, 24, colour=False)
    assert "● a > b" in legend
    assert "■ b > a" in legend
    assert "△ a > b (identity)" in legend


def test_control_beyond_the_axis_is_said_with_its_largest_penalty() -> None:
    state = whole_run()
    column = next(c for c in state.columns() if c.control == "identity")
    top = max(p.value for cut in CUTS if (p := state.summary(column, cut).penalty))
    assert f"(identity), up to {top:+.2f}" in depth_plot(state, 120, 24, colour=False)


def test_nothing_finished_says_so() -> None:
    for state in (RunState(), fold(started(experiment()))):
        assert depth_plot(state, 80, 20) == "no finished cell to draw yet"


def test_direct_matching_values_of_a_pair_to_be_trained_are_not_drawn() -> None:
    assert "● a > b" not in depth_plot(direct_only_run(), 80, 20, colour=False)


def test_cuts_without_a_known_depth_are_drawn_by_number() -> None:
    text = depth_plot(one_pair(list(CUTS), cuts=[{"name": cut} for cut in CUTS]), 80, 20, colour=False)
    assert "the cut's number" in text
    assert text.count("●") == 4
    assert "share of FLOPs" in depth_plot(one_pair(list(CUTS)), 80, 20, colour=False)


def test_colour_is_left_out_where_it_is_not_wanted() -> None:
    assert "\x1b" not in depth_plot(whole_run(), 80, 20, colour=False)
    assert "\x1b[38;5;33m" in depth_plot(whole_run(), 80, 20, colour=True)


def test_ascii_plot_has_only_ascii() -> None:
    state = whole_run(experiment("é", "b"))
    text = depth_plot(state, 80, 20, ascii=True, colour=False)
    assert text.isascii()
    assert "1 ? > b" in text


@example(1.0, 41.0, 2)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 12))
def test_ticks_are_few_even_and_inside(low: float, length: float, most: int) -> None:
    high = low + length
    ticks = round_ticks(low, high, most)
    assert 1 <= len(ticks) <= most + 1
    assert all(low - 1e-6 * length <= tick <= high + 1e-6 * length for tick in ticks)
    steps = [later - earlier for earlier, later in pairwise(ticks)]
    assert max(steps, default=0) == pytest.approx(min(steps, default=0))
