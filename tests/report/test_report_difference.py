import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_run import CUTS, experiment, fold, started, whole_run

from stitchtui.report.difference import between, compare, pairings
from stitchtui.report.markdown import difference_text
from stitchtui.report.wording import bounds
from stitchtui.run.state import RunState
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import Interval, paired_interval


def moved(state, by):
    """The same run with every penalty `by` points higher."""
    for cell in state.cells.values():
        for name in ("penalty", "penalty_low", "penalty_high"):
            cell.measures[name] += by
    return state


def test_a_run_differs_from_itself_by_nothing():
    found = compare(whole_run(), whole_run())
    assert found.rows == CUTS
    assert len(found.columns) == len(whole_run().columns())
    assert {entry.interval.value for row in found.entries for entry in row} == {0.0}


def test_the_difference_is_the_second_less_the_first():
    found = compare(whole_run(), moved(whole_run(), 2.0))
    assert all(entry.interval.value == pytest.approx(2.0) for row in found.entries for entry in row)


intervals = st.tuples(st.floats(-50, 50), st.floats(0, 20), st.floats(0, 20)).map(
    lambda parts: Interval(parts[0], parts[0] - parts[1], parts[0] + parts[2])
)


@given(intervals, intervals)
def test_swapping_the_runs_turns_the_difference_round(one, other):
    there, back = between(one, other), between(other, one)
    assert there.value == -back.value
    assert math.isclose(there.low, -back.high, abs_tol=1e-9)
    assert there.low <= there.value <= there.high


@given(intervals, intervals)
def test_the_interval_is_no_narrower_than_either(one, other):
    less = between(one, other)
    widest = max(one.half_width, other.half_width)
    assert less.half_width >= widest - 1e-9


def test_a_cell_that_only_one_run_measured_has_no_difference_and_says_whose_it_is():
    first = whole_run()
    alone = compare(first, fold(started(experiment()))).entries[0][0]
    penalty = first.summary(first.columns()[0], CUTS[0]).penalty
    assert alone.interval is None
    assert alone.text == "first only"
    assert alone.note == f"first {bounds(penalty)}, second not measured"


def test_runs_of_another_recipe_are_compared_place_by_place_and_say_so():
    first, second = whole_run(), whole_run(experiment(family="bn_affine_bn"))
    found = compare(first, second)
    trained = [pair for pair in pairings(first, second) if pair.first.objective == "task" and not pair.first.control]
    assert {pair.second.family for pair in trained} == {"bn_affine_bn"}
    assert "* a > b: affine, task > bn_affine_bn, task" in found.notes


def test_settings_that_differ_are_said_with_both_numbers():
    found = compare(whole_run(experiment(epochs=4.0)), whole_run(experiment(learning_rate=3.0, epochs=7.0)))
    (note,) = [note for note in found.notes if note.startswith("not set the same")]
    assert note == (
        "not set the same, the second in place of the first: stitch.epochs 7.0 in place of 4.0,"
        " stitch.learning_rate 3.0 in place of 0.01"
    )
    older = whole_run()
    older.experiment = {**older.experiment, "stitch": {**older.experiment["stitch"], "views": 0}}  # a key that is gone
    for first in (whole_run(), older):
        assert not any("not set the same" in note for note in compare(first, whole_run()).notes)


def test_networks_of_other_names_are_not_compared():
    found = compare(whole_run(), whole_run(experiment("c", "d")))
    assert found.columns == () and found.entries == ()
    assert found.notes[0].startswith("nothing to compare")


def test_other_weights_under_the_same_name_are_said():
    second = whole_run()
    second.networks["a"].digest = "another"
    assert "not the same weights in both runs: a" in compare(whole_run(), second).notes


def answering(wrong):
    """A run of one seed whose every cell answers these of 1,000 images wrongly, over a top that errs on 100."""
    state = whole_run(experiment(seeds=1))
    state.data["digest"] = "digits"
    value = (len(wrong) - 100) / 10
    for cell in state.cells.values():
        ends = {"penalty": value, "penalty_low": value - 2, "penalty_high": value + 2}
        cell.measures = {**cell.measures, **ends, "images": 1000.0}
        cell.wrong = AnswerBits.of(image in wrong for image in range(1000)).text
    return state


def apart(first, second):
    intervals = [entry.interval for row in compare(first, second).entries for entry in row]
    return {(apart.value, apart.low, apart.high) for apart in intervals}


def test_stitches_into_the_same_network_are_compared_image_by_image():
    found = paired_interval(1000, 2, 1)
    assert apart(answering(range(120)), answering(range(1, 122))) == {(found.value, found.low, found.high)}


def other_weights(state):
    for network in state.networks.values():
        network.digest += "c"


def other_images(state):
    state.data["digest"] = "others"


def unknown_images(state):
    del state.data["digest"]


def no_answers(state):
    for cell in state.cells.values():
        cell.wrong = ""


@pytest.mark.parametrize("change", [other_weights, other_images, unknown_images, no_answers])
def test_else_their_difference_is_that_of_independent_numbers(change):
    first, second = answering(range(120)), answering(range(120))
    change(second)
    (found,) = apart(first, second)
    assert found == pytest.approx((0, -math.hypot(2, 2), math.hypot(2, 2)))


def test_other_data_are_said():
    second = whole_run()
    second.data["name"] = "mnist"
    assert "not the same data in both runs" in compare(whole_run(), second).notes


def test_a_run_that_has_only_begun_compares_as_far_as_it_is():
    begun = fold(started(experiment()))
    found = compare(whole_run(), begun)
    assert {entry.text for row in found.entries for entry in row} == {"first only"}
    assert compare(RunState(), begun).columns == ()


def test_the_markdown_escapes_names_and_holds_every_cut():
    found = compare(whole_run(experiment("a|b", "c")), whole_run(experiment("a|b", "c")))
    text = difference_text(found, "one\x1b[2J", "two")
    assert "\x1b" not in text and "a\\|b" in text
    assert all(f"| {cut} |" in text for cut in CUTS)
