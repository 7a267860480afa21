"""The depth plot by matplotlib: what it draws, that nothing covers anything, that no name can break its files."""

import xml.etree.ElementTree as ET
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from synthetic_run import CUTS, experiment, finished_run_events, fold, whole_run

from stitchtui.report.drawing import PAGE, set_apart
from stitchtui.report.figures import (
    COLOURS,
    alt_text,
    depth_figure,
    likeness_alt_text,
    likeness_lines,
    likeness_svg,
    limits,
    lines,
    run_figure,
)
from stitchtui.report.table import cross
from stitchtui.report.wording import signed
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment

COLUMN = 3.35  # inches


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


def is_whole(kind, data):
    if kind == "svg":
        return ET.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"
    begin, end = {"pdf": (b"%PDF-", b"%%EOF\n"), "png": (b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82")}[kind]
    return data.startswith(begin) and data.endswith(end)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_files_are_what_they_say_and_the_same_every_time(kind):
    assert is_whole(kind, depth_figure(RunState(), kind))
    found = depth_figure(referenced(), kind)
    assert is_whole(kind, found)
    assert depth_figure(referenced(), kind) == found


def test_a_name_is_drawn_as_it_is_whatever_it_means_elsewhere():
    names = ["$x_{", "_hidden", "日本語 😀", "<b &amp;", "${1}{0}$", "--", "\\alpha"]
    spec = experiment("_a$^", "b")
    state = fold(finished_run_events(Experiment.model_validate({**spec.plain(), "title": "<$_"}), names))
    assert is_whole("png", depth_figure(state, "png"))
    assert is_whole("pdf", depth_figure(state, "pdf"))
    texts = [each.text for each in ET.fromstring(depth_figure(state, "svg")).iter("{http://www.w3.org/2000/svg}text")]
    assert {*names, "<$_", " _a$^ > b"} <= set(texts)  # text, that an editor finds and can change


def of_cuts(cuts, at_once):
    """A run of these cuts, of which `at_once` at a time lie at the same depth."""
    spec = Experiment.model_validate({**experiment().plain(), "reference": "E1 resnet18 seeds"})
    events = finished_run_events(spec, cuts)
    for event in events:
        if event["type"] == "network_ready":
            for index, cut in enumerate(event["cuts"]):
                cut["depth"] = index // at_once * at_once / len(cuts)
    return fold(events)


@pytest.mark.parametrize(
    ("width", "count", "at_once", "name"),
    [
        (PAGE, 6, 6, "block{}"),
        (PAGE, 90, 4, "backbone.stage.with.a.long.name.block{}.conv"),
        (COLUMN, 1, 1, "fc"),
        (COLUMN, 30, 3, "layer{}.conv"),
    ],
)
def test_nothing_covers_anything_else(monkeypatch, width, count, at_once, name):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda self, *_, **__: drawn.append(self))
    depth_figure(of_cuts([name.format(index) for index in range(count)], at_once), "svg", width)
    [figure] = drawn
    figure.draw_without_rendering()
    [axes], [legend] = figure.axes, figure.legends
    said = [text for text in axes.get_children() if isinstance(text, Text) and text.get_text()]  # title, epsilon
    said += [*axes.get_xticklabels(), axes.xaxis.label, axes.yaxis.label]
    boxes = [axes.bbox, *(each.get_window_extent() for each in (legend, *said))]
    for one, other in combinations(boxes, 2):
        assert not one.padded(-1).overlaps(other.padded(-1))
    for box in boxes:
        assert figure.bbox.x0 - 1 <= box.x0 < box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 - 1 <= box.y0 < box.y1 <= figure.bbox.y1 + 1
    assert axes.bbox.width > 0.5 * figure.bbox.width
    assert axes.bbox.height > width / 5 * figure.dpi
    places = axes.lines[2].get_xdata()  # the first pair's, after zero and epsilon
    assert len(places) == count
    assert all(low < high for low, high in pairwise(places))


@given(st.lists(st.floats(0, 1), max_size=30).map(sorted))
def test_cuts_are_set_apart_in_order_and_those_apart_stay(depths):
    found = set_apart(depths, 0.02, -0.01, 1.01)
    assert all(high - low >= 0.02 - 1e-9 for low, high in pairwise(found))
    assert all(-0.01 - 1e-9 <= each <= 1.01 + 1e-9 for each in found)
    if all(high - low >= 0.02 for low, high in pairwise(depths)):
        assert found == pytest.approx(depths)


def test_neighbouring_colours_differ_in_grey_print_too():
    grey = [0.3 * r + 0.59 * g + 0.11 * b for r, g, b in map(to_rgb, COLOURS)]
    assert all(abs(one - other) > 0.1 for one, other in pairwise(grey))


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


def test_a_run_of_every_cut_with_every_cut_is_drawn_as_heat_maps_with_their_numbers():
    events = finished_run_events(experiment(pairing="all", seeds=1))
    for event in events:
        if event["type"] == "cell_finished":
            event |= {"bottom_cut": "stem", "top_cut": event["cut"]}
    state = fold(events)
    drawn = ET.fromstring(run_figure(state, "svg"))
    texts = [each.text.strip() for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    for column in state.crosses():
        assert (cross(state, column).title in texts) == (not column.control)
    shown = [entry for row in cross(state, state.crosses()[0]).entries for entry in row if entry.interval]
    assert shown
    assert {f"{entry.prefix}{signed(entry.interval.value)}{entry.mark()}" for entry in shown} <= set(texts)
    assert is_whole("pdf", run_figure(state, "pdf", COLUMN))
