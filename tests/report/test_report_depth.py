"""The depth curve: finished points only, within its box, in ASCII where asked."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from results import block_lines
from rich.cells import cell_len
from synthetic_run import (
    CUTS,
    column_events,
    direct_only_run,
    experiment,
    finished_run_events,
    fold,
    started,
    whole_run,
)

from stitchtui.report.depth import depth_plot, round_ticks
from stitchtui.report.references import references
from stitchtui.report.summary import summary_lines
from stitchtui.run.events import NetworkCut
from stitchtui.run.state import RunState
from stitchtui.spec.curves import curve
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve


def one_pair(measured: list[str], **changes: object) -> RunState:
    spec = experiment(seeds=1, objective="direct").model_copy(update={"controls": ()})
    task = resolve(spec).tasks[0]
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


def test_intervals_of_pairs_are_bars_that_never_cover_a_mark() -> None:
    text = depth_plot(one_pair(list(CUTS)), 80, 40, colour=False)
    _, frame, *lines = text.splitlines()
    canvas = [line[frame.index("┌") + 1 : -1] for line in lines if line.endswith("│")]
    bars = [line.index("│") for line in canvas if "│" in line]
    assert len(bars) >= 3
    assert set(bars) <= {line.index("●") for line in canvas if "●" in line}
    assert "│ 95 % interval" in text


def test_where_there_is_room_bars_go_on_to_the_limits_that_hold_at_all_cuts() -> None:
    state = one_pair(list(CUTS))
    assert all(sign in depth_plot(state, 80, 40) for sign in ("┊", "┊ for all cuts"))
    assert ":" in depth_plot(state, 80, 40, ascii=True, colour=False).partition("\n")[2]
    assert "┊" not in depth_plot(state, 50, 40)
    assert "┊" not in depth_plot(one_pair([CUTS[0]]), 80, 40)


# the paper's curves


def compared(name: object, **of_pair: object) -> RunState:
    """A run on other networks than the paper's, which names the curve `name`."""
    spec = experiment(seeds=1, objective="direct").model_copy(update={"controls": ()})
    events = finished_run_events(spec)
    events[0]["experiment"] |= {"reference": name}
    events[0]["experiment"]["pairs"][0] |= of_pair
    return fold(events)


def on_its_architecture(name: str, *others: str, controls: tuple[str, ...] = ()) -> RunState:
    spec = experiment(seeds=1, objective="direct").model_copy(update={"controls": controls})
    events = finished_run_events(spec, [cut for cut in curve(name).cuts if cut])
    events[0]["experiment"]["reference"] = [name, *others] if others else name
    for event in events:
        if event["type"] == "network_ready":
            event["architecture"] = curve(name).architecture
    return fold(events)


def test_a_run_that_names_no_curve_has_none() -> None:
    assert references(whole_run()) == []
    assert "paper" not in depth_plot(whole_run(), 120, 30, colour=False)


def test_on_the_papers_architecture_its_points_stand_at_the_runs_own_cuts() -> None:
    name = "E8 160 epochs"
    state = on_its_architecture(name)
    (one,) = references(state)
    assert one.exact
    place = {cut.name: cut.depth for cut in state.networks["a"].cuts}
    wanted = [(place[cut] if cut else 1.0, v) for cut, v in zip(curve(name).cuts, curve(name).values, strict=True)]
    assert list(one.points) == wanted
    text = depth_plot(state, 120, 30, colour=False)
    assert "× paper fig. 3B, read ±0.2, resnet18" in text
    assert "x in" not in text


def test_at_the_papers_cuts_its_penalties_stand_beside_the_runs_in_text_and_on_a_page() -> None:
    name = "E8 160 epochs"
    state = on_its_architecture(name)
    known = {cut: value for cut, value in zip(curve(name).cuts, curve(name).values, strict=True) if cut}
    lines = [line for line in summary_lines(state) if "beside the paper's figure 3B, read to ±0.2" in line]
    assert len(lines) == len([column for column in state.columns() if not column.control])
    for cut, value in known.items():
        own = state.summary(state.columns()[0], cut).penalty
        assert (own is not None) == (f"{cut} {value:+.2f} / " in lines[0])
    page = "\n".join(block_lines(state))
    assert page.count("paper, figure 3B") == 1 and "the paper, by" not in page


def test_a_controls_curve_stands_beside_that_control_and_not_beside_the_pair() -> None:
    names = ("E1 resnet18 seeds", "E3 resnet18 random")
    state = on_its_architecture(*names, controls=("random_bottom",))
    assert [one.curve.id for one in references(state)] == list(names)
    text = depth_plot(state, 120, 40, colour=False)
    assert "× paper fig. 6B, read" in text and "✚ paper fig. 2A (random bottom), read" in text
    said = [line for line in summary_lines(state) if "beside the paper's figure" in line]
    assert [line.split(" beside ")[0] for line in said] == ["a > b", "b > a", "random(a) > b", "random(b) > a"]
    assert all(("figure 2A" in line) == line.startswith("random") for line in said)
    heads = [line for line in block_lines(state) if line.startswith("| cut |")]
    assert [("figure 6B" in head, "figure 2A" in head) for head in heads] == [(True, False), (False, True)]


def test_a_controls_curve_is_left_out_where_that_control_is_not_measured() -> None:
    assert references(on_its_architecture("E3 resnet18 random")) == []


def test_cka_stands_beside_the_papers_where_a_run_names_its_curve() -> None:
    state = on_its_architecture("E11 cka images")
    assert [one.curve.id for one in references(state, quantity="cka")] == ["E11 cka images"]
    assert references(state) == []
    said = [line for line in summary_lines(state) if line.startswith("CKA of ")]
    assert said[0].startswith("CKA of a > b beside the paper's figure 7 (paper / here): conv1 1.00 / 0.88, ")
    head = next(line for line in block_lines(state) if "CKA" in line)
    assert head == "| cut | depth | a > b, CKA | paper, figure 7 | b > a, CKA |"
    assert "| conv1 | 0.05 | 0.88 | 1.00 | 0.88 |" in block_lines(state)


def test_cka_is_told_of_a_run_that_claims_something_of_it_and_of_no_other() -> None:
    claim = {"kind": "at_least", "columns": ["a > b"], "measure": "cka", "value": 0.5}
    spec = Experiment.model_validate({**experiment(seeds=1).plain(), "claims": [claim]})
    assert any("a > b, CKA" in line for line in block_lines(fold(finished_run_events(spec))))
    where = {"kind": "at_most", "columns": ["a > b"], "value": 3, "where": {"measure": "cka", "at_least": 0.5}}
    spec = Experiment.model_validate({**experiment(seeds=1).plain(), "claims": [where]})
    assert any("a > b, CKA" in line for line in block_lines(fold(finished_run_events(spec))))
    assert not any("CKA" in line for line in block_lines(whole_run()))


def test_of_another_architecture_nothing_is_said_cut_by_cut() -> None:
    state = compared("E1 resnet18 seeds")
    assert not any("beside the paper" in line for line in summary_lines(state))
    assert "the paper, by" in "\n".join(block_lines(state))


def test_on_another_architecture_the_legend_says_what_the_papers_axis_counts() -> None:
    (one,) = references(compared("E1 resnet18 seeds"))
    assert not one.exact
    assert one.points == tuple(zip(curve("E1 resnet18 seeds").x, curve("E1 resnet18 seeds").values, strict=True))
    text = depth_plot(compared("E1 resnet18 seeds"), 120, 40, colour=False)
    assert "× paper fig. 6B, read ±0.2, resnet18, x in conv layers" in text
    assert len(one.points) <= text.count("×") <= 1 + len(one.points)  # one may lie beneath a pair's


def test_a_curve_far_above_the_pairs_is_said_with_its_largest_value() -> None:
    text = depth_plot(on_its_architecture("E6 noise 100"), 120, 30, colour=False)
    assert "paper fig. 3A, read ±0.2, resnet18, up to +80.10" in text


def test_a_pairs_own_curve_goes_before_the_experiments() -> None:
    both = references(compared("E1 resnet18 seeds", reference="E1 vit seeds"))
    assert [one.curve.id for one in both] == [
        "E1 vit seeds",
        "E1 resnet18 seeds",
    ]  # the second pair has none of its own


@pytest.mark.parametrize("name", ["E99 unheard of", 3, None, ["E1", 3], {}, "E5 cka seeds", "E10 first curve"])
def test_what_is_no_curve_of_penalties_is_left_out(name: object) -> None:
    assert references(compared(name)) == []


def test_a_curve_of_another_architecture_has_no_place_among_numbered_cuts() -> None:
    state = compared("E1 resnet18 seeds")
    for network in state.networks.values():
        network.cuts[:] = [NetworkCut(name=cut) for cut in CUTS]
    assert "paper" not in depth_plot(state, 80, 20, colour=False)
    exact = on_its_architecture("E1 resnet18 seeds")
    for network in exact.networks.values():
        network.cuts[:] = [NetworkCut(name=cut.name) for cut in network.cuts]
    assert "paper fig. 6B" in depth_plot(exact, 80, 30, colour=False)


def test_a_curve_is_drawn_in_ascii_too() -> None:
    text = depth_plot(compared("E1 resnet18 seeds"), 80, 30, ascii=True, colour=False)
    assert text.isascii()
    assert "* paper fig. 6B, read +-0.2, resnet18, x in conv layers" in text


@example(1.0, 41.0, 2)
@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(2, 12))
def test_ticks_are_few_even_and_inside(low: float, length: float, most: int) -> None:
    high = low + length
    ticks = round_ticks(low, high, most)
    assert 1 <= len(ticks) <= most + 1
    assert all(low - 1e-6 * length <= tick <= high + 1e-6 * length for tick in ticks)
    steps = [later - earlier for earlier, later in pairwise(ticks)]
    assert max(steps, default=0) == pytest.approx(min(steps, default=0))
