import math
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot import make_experiment, make_run

from stitchtui.base.paths import runs_directory
from stitchtui.report.ramps import colour, luminance
from stitchtui.run.state import RunState
from stitchtui.spec.controls import CONTROLS
from stitchtui.spec.families import ladder_families
from stitchtui.tui.app import StitchApp
from stitchtui.tui.colours import RAMPS, Palette, depth_of
from stitchtui.tui.gridview import grid_view, headings, verdict_text
from stitchtui.tui.measures import FIRST, number, shown_measures
from stitchtui.tui.widgets.heatmap_layout import lay_out

NAMED = {measure.shade.name: measure for measure in shown_measures()}


def state(**how):
    return RunState.load(make_run(runs_directory(), **how).events)


@pytest.mark.parametrize("ramp", RAMPS)
def test_a_ramp_gets_brighter_all_the_way_so_that_it_survives_without_hue(ramp):
    brightness = [luminance(colour(ramp, share / 100)) for share in range(101)]
    assert all(a <= b + 0.002 for a, b in pairwise(brightness))


@pytest.mark.parametrize("depth", ["256", "truecolor"])
@pytest.mark.parametrize("faint", [False, True])
def test_every_number_can_be_read_on_its_colour_in_every_theme(depth, faint):
    grounds = {theme.dark for theme in StitchApp().available_themes.values()}
    assert grounds == {True, False}
    for dark, ramp, diverging, step in product(grounds, RAMPS, (False, True), range(101)):
        style = Palette(ramp, dark, depth).style(step / 100, diverging, faint)
        inks = [luminance(tuple(part.get_truecolor())) for part in (style.color, style.bgcolor)]
        assert (max(inks) + 0.05) / (min(inks) + 0.05) >= 4.5


@pytest.mark.parametrize("depth", ["none", "16"])
@pytest.mark.parametrize("faint", [False, True])
def test_with_few_colours_numbers_have_no_ground_and_are_never_dim(depth, faint):
    style = Palette(depth=depth).style(0.9, faint=faint)
    assert style.bgcolor is None and not style.dim


def test_the_depth_is_none_without_colours():
    assert depth_of("truecolor", no_color=True) == "none"
    assert depth_of("standard", no_color=False) == "16"
    assert depth_of("256", no_color=False) == "256"
    assert depth_of(None, no_color=False) == "none"


@pytest.mark.parametrize(("dark", "ground"), [(True, 0.02), (False, 0.68)])
def test_every_mark_can_be_read_on_its_themes_ground(dark, ground):
    for side in ("below", "straddling", "above"):
        ink = luminance(Palette(dark=dark).side(side).color.get_truecolor())
        assert (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05) >= 4.5


@pytest.mark.parametrize("measure", shown_measures(), ids=lambda measure: measure.shade.name)
def test_a_scale_never_falls_and_stays_between_its_ends(measure):
    low = -120 if measure.shade.diverging else 0
    high = 1 if measure.shade.name == "CKA" else 120
    shares = [measure.shade.share(low + (high - low) * i / 200) for i in range(201)]
    assert all(a <= b for a, b in pairwise(shares))
    assert 0 <= shares[0] <= shares[-1] <= 1


@given(st.floats(-100, 100), st.integers(4, 9), st.booleans())
def test_a_number_fits_and_is_the_number(value, width, signed):
    text = number(value, width, 2, signed)
    assert len(text) <= width
    assert float(text) == pytest.approx(value, abs=0.51)


@given(st.floats(1e-3, 1e9))
def test_a_large_number_of_seconds_fits_four_characters(value):
    assert len(number(value, 4, 1, False)) <= 4


@pytest.mark.parametrize(("value", "width", "text"), [(6.5, 4, "+6.5"), (28.67, 4, "28.7"), (-12.3, 4, "-12"),
    (-0.7, 3, "-.7"), (6.5, 6, "+6.50"), (-0.001, 5, "0.00"), (100.0, 5, "100.0"), (100.0, 4, "+100")])  # fmt: skip
def test_numbers_lose_decimals_before_their_sign(value, width, text):
    assert number(value, width, 2, True) == text


def test_pairs_come_first_and_rows_go_from_input_to_output():
    view = grid_view(state(), FIRST)
    assert view.table.rows == ("stem", "block1", "block2")
    assert [column.control for column in view.columns][:2] == ["", ""]
    assert view.columns[-1].control == "random_bottom"


def test_direct_matching_stands_in_until_the_trained_number_is_there():
    before, after = (
        grid_view(state(until="direct"), FIRST),
        grid_view(RunState.load(make_run(runs_directory(), "20260103-000000-x").events), FIRST),
    )
    assert before.table.entries[0][0].kind == "direct"
    assert after.table.entries[0][0].kind == "measured"
    assert before.same_places(after)


def test_a_filter_keeps_the_columns_with_every_word():
    made = state()
    view = grid_view(made, FIRST, "random b")
    assert {column.control for column in view.columns} == {"random_bottom"}
    assert grid_view(made, FIRST, "nothing").columns == ()


def test_columns_are_sorted_by_their_largest_value():
    view = grid_view(state(), FIRST, order="largest first")
    largest = [max(row[i].interval.value for row in view.table.entries) for i in range(len(view.columns))]
    assert largest == sorted(largest, reverse=True)


def test_each_measure_takes_its_own_number():
    made = state()
    values = {m.shade.name: grid_view(made, m).table.entries[0][0].interval.value for m in shown_measures()}
    assert values["CKA"] == 0.875
    assert values["gap"] == 0.25
    assert values["OOD"] == 0.625
    assert values["seconds"] == 12.0
    assert values["width"] == pytest.approx(1.0)
    assert values["against the bottom"] == pytest.approx(values["penalty"] - 1)
    assert values["direct"] != values["penalty"]


@pytest.mark.parametrize("width", [3, 9, 14])
def test_a_verdict_fits(width):
    for verdict in ("connected", "not connected", "undecided", "pending"):
        for margin in ("", "2.4", "100.0"):
            assert 0 < len(verdict_text(verdict, margin, width)) <= width
    assert verdict_text("", "", width) == ""


def test_a_verdict_says_the_margin_from_which_on_the_pair_is_connected():
    said = [verdict_text("connected", "2.4", width) for width in (4, 9, 14)]
    assert said == ["2.4≤", "from 2.4≤", "conn. from 2.4"]
    assert [verdict_text("not connected", "63.1", width, ascii=True) for width in (4, 5)] == ["64>", "63.1>"]
    assert verdict_text("undecided", "3.1", 4) == "3.1?"


def test_headings_name_the_stitch_only_where_columns_differ_in_it():
    view = grid_view(state(), FIRST)
    assert headings(view, 13)[0][:2] == ["a", "b"]
    assert "affine" not in headings(view, 13)[0]


def test_in_the_narrowest_cells_the_stitches_of_a_ladder_are_told_apart():
    ladder = grid_view(state(experiment=make_experiment(stitch={"family": "ladder"})), FIRST)
    found = zip(ladder.columns, headings(ladder, 4), strict=True)
    names = [tuple(lines[2:]) for column, lines in found if (column.control, column.bottom) == ("", "a")]
    assert len(set(names)) == len(names) == len(ladder_families())
    assert max(len(word) for name in names for word in name) <= 4
    assert any(lines[2:4] == ["affine", "task"] for lines in headings(ladder, 6))


def test_in_the_narrowest_cells_every_control_has_a_name_of_its_own():
    every = grid_view(state(experiment=make_experiment(controls=list(CONTROLS)[1:]), until="networks"), FIRST)
    found = {column.control: lines[2] for column, lines in zip(every.columns, headings(every, 4), strict=True)}
    assert len(set(found.values())) == len(found) > len(CONTROLS) / 2
    assert max(map(len, found.values())) <= 4


@given(st.integers(20, 250), st.integers(8, 80))
def test_what_is_laid_out_fits(width, height):
    layout = lay_out(VIEW, width, height, False)
    assert layout.verdict_line < height
    assert layout.legend_line < height
    assert layout.label > len("verdict")  # so that a blank stands between it and what a column says
    assert layout.label + len(layout.columns) * layout.cell <= max(width, layout.label + layout.cell)
    for row in range(len(VIEW.table.rows)):
        layout.scroll_to(row, len(VIEW.columns) - 1)
        assert layout.rows_fit == 0 or layout.shows(row, len(VIEW.columns) - 1)


@given(st.integers(60, 200))
def test_a_point_of_a_cell_is_that_cell(width):
    layout = lay_out(VIEW, width, 30, False)
    for row in range(layout.rows_fit):
        for column in layout.columns:
            x, y, wide, _ = layout.region(row, column)
            assert layout.cell_at(x, y) == layout.cell_at(x + wide - 1, y) == (row, column)


@pytest.fixture(scope="module", autouse=True)
def _view(tmp_path_factory):
    many = {name: {"architecture": "digits_cnn", "seed": i} for i, name in enumerate("abcdef")}
    pairs = [{"bottom": "a", "top": top} for top in "bcdef"]
    experiment = make_experiment(networks=many, pairs=pairs)
    directory = make_run(tmp_path_factory.mktemp("many"), experiment=experiment, cuts=[f"layer{i}" for i in range(20)])
    global VIEW  # noqa: PLW0603
    VIEW = grid_view(RunState.load(directory.events), FIRST)
    assert math.prod((len(VIEW.table.rows), len(VIEW.columns))) > 200
