"""The depth plot by matplotlib: what it draws, that the same run gives the same file, that no name can break it."""

import xml.etree.ElementTree as ET

import pytest
from synthetic_run import CUTS, experiment, finished_run_events, fold, whole_run

from stitchtui.report.figures import (
    alt_text,
    depth_png,
    depth_svg,
    likeness_alt_text,
    likeness_lines,
    likeness_svg,
    limits,
    lines,
)
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment

PNG = b"\x89PNG\r\n\x1a\n"


def named(first, second, **more):
    spec = Experiment.model_validate({**experiment(first, second).plain(), **more})
    return fold(finished_run_events(spec))


def referenced():
    return named("a", "b", reference="E1 resnet18 seeds")


def test_pairs_come_first_then_controls_then_the_papers_curve():
    kinds = [one.kind for one in lines(referenced())]
    assert kinds == sorted(kinds, key=["pair", "control", "paper"].index)
    assert kinds.count("pair") == 2
    assert kinds.count("paper") == 1


def test_points_are_the_grids_numbers_at_their_depth():
    state = whole_run()
    first = lines(state)[0]
    assert first.name == "a > b"
    column = state.columns()[0]
    assert [interval for _, interval in first.points] == [state.summary(column, cut).penalty for cut in CUTS]
    assert [place for place, _ in first.points] == pytest.approx([1 / 6, 1 / 2, 5 / 6])


def test_without_depths_cuts_stand_in_order():
    events = finished_run_events(experiment())
    for event in events:
        if event["type"] == "network_ready":
            event["cuts"] = [{**cut, "depth": None} for cut in event["cuts"]]
    assert [place for place, _ in lines(fold(events))[0].points] == [1.0, 2.0, 3.0]


def test_the_papers_curve_comes_with_its_reading_error():
    paper = lines(referenced())[-1]
    assert "paper fig. 6B, read ±0.2" in paper.name
    assert all(interval.high - interval.low == pytest.approx(0.4) for _, interval in paper.points)


def test_a_control_far_above_the_pairs_does_not_flatten_them():
    state = whole_run()
    low, high = limits(lines(state), state.epsilon)
    highest = max(interval.high for one in lines(state) if one.kind == "pair" for _, interval in one.points)
    assert highest < high < 20
    assert max(interval.value for one in lines(state) for _, interval in one.points) > 40
    assert low < 0


@pytest.mark.parametrize("draw", [whole_run, referenced, RunState])
def test_both_files_are_what_they_say_and_the_same_every_time(draw):
    assert depth_png(draw()).startswith(PNG)
    assert depth_svg(draw()) == depth_svg(draw())
    assert ET.fromstring(depth_svg(draw())).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize("name", ["$x_{", "_hidden", "日本語 😀", "<b &amp;", "${1}{0}$", "--"])
def test_a_name_is_drawn_as_it_is_whatever_it_means_elsewhere(name):
    state = named(name, "b", title=name)
    assert depth_png(state).startswith(PNG)
    ET.fromstring(depth_svg(state))


def test_cka_is_drawn_with_the_papers_where_the_run_names_its_curve():
    state = named("a", "b", reference=["E1 resnet18 seeds", "E11 cka width"])
    found = likeness_lines(state)
    assert [one.kind for one in found] == ["pair", "pair", "paper"]
    assert [interval.value for _, interval in found[0].points] == [0.875] * 3
    assert likeness_svg(state, found) == likeness_svg(state, found)
    assert "linear CKA of ResNet-18 at 0.25 and at 2 times the width" in found[-1].name
    assert f"{found[-1].name}: 0.71 to 0.88" in likeness_alt_text(found)
    assert likeness_lines(referenced()) == likeness_lines(RunState()) == []


def test_the_words_for_who_cannot_see_it_name_every_line():
    words = alt_text(referenced())
    for one in lines(referenced()):
        assert one.name in words
    assert "No finished cell" in alt_text(RunState())
