"""Two numbers of one top are compared image by image; all others as if they were independent."""

import msgspec
import pytest
from claimed_run import CUTS, experiment, measures, network, reason, run, verdict

from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import paired_interval

IMAGES, TOP = 1000, 100  # the top of the runs errs on 10 percent


def cell(wrong: range):
    """A cell that answers just these images wrongly, with a penalty of two points to either side."""
    value = 100 * (len(wrong) - TOP) / IMAGES
    said = measures((value, value - 2, value + 2), images=float(IMAGES))
    return {**said, "wrong": AnswerBits.of(k in wrong for k in range(IMAGES)).text}


def compared(first, second, **more):
    columns = {"a > c affine task": [first] * len(CUTS), "b > c affine task": [second] * len(CUTS)}
    return run(columns, **more)


WITHIN = {"kind": "within", "columns": ["a > c", "b > c"], "value": 1}


def test_two_stitches_that_err_on_nearly_the_same_images_are_told_to_be_close():
    state = compared(cell(range(120)), cell(range(2, 122)))
    assert verdict(state, **WITHIN) == "confirmed"
    only_one_wrong = 2  # of either
    expected = paired_interval(IMAGES, only_one_wrong, only_one_wrong)
    assert f"apart 0.00 [{expected.low:+.2f}, {expected.high:+.2f}]" in reason(state, **WITHIN)


def test_the_same_numbers_on_other_images_leave_it_open():
    assert verdict(compared(cell(range(120)), cell(range(500, 620))), **WITHIN) == "undecided"


@pytest.mark.parametrize("lost", [{"wrong": ""}, {"wrong": "not base64"}, {"images": None}, {"images": 8.0}])
def test_where_the_log_does_not_say_which_images_two_numbers_count_as_independent(lost):
    state = compared(cell(range(120)), {**cell(range(120)), **lost})
    assert verdict(state, **WITHIN) == "undecided"
    assert "apart 0.00 [-2.83, +2.83]" in reason(state, **WITHIN)


def test_answers_that_are_not_the_penaltys_are_not_believed():
    other = {**cell(range(120)), "wrong": cell(range(50))["wrong"]}
    assert "apart 0.00 [-2.83, +2.83]" in reason(compared(cell(range(120)), other), **WITHIN)


def test_penalties_of_different_tops_count_as_independent():
    pairs = [{"bottom": "a", "top": "c"}, {"bottom": "a", "top": "b"}]
    columns = {f"a > {top} affine task": [cell(range(120))] * len(CUTS) for top in "cb"}
    state = run(columns, experiment(pairs=pairs))
    assert "apart 0.00 [-2.83, +2.83]" in reason(state, kind="within", columns=["a > c", "a > b"], value=1)


@pytest.mark.parametrize("measure, paired", [("penalty", True), ("versus_bottom", False)])
def test_a_random_bottom_stands_under_the_same_top_but_is_another_bottom(measure, paired):
    numbers = cell(range(120))
    against = {f"versus_bottom{end}": numbers[f"penalty{end}"] for end in ("", "_low", "_high")}
    state = run({"a > c affine": [{**numbers, **against}] * len(CUTS), "random(a) > c": [{**numbers, **against}] * 5})
    columns = ["a > c", {"pair": "a > c", "control": "random_bottom"}]
    words = reason(state, kind="within", columns=columns, value=1, measure=measure)
    assert ("apart 0.00 [-2.83, +2.83]" not in words) == paired


def test_cuts_of_one_column_are_compared_image_by_image_too():
    row = [cell(range(100 + 10 * height)) for height in (0, 1, 3, 1, 0)]
    peak = {"kind": "peak", "columns": ["a > c"], "between": [0.4, 0.6]}
    assert verdict(run({"a > c affine task": row}), **peak) == "confirmed"
    independent = [{**each, "wrong": ""} for each in row]
    assert verdict(run({"a > c affine task": independent}), **peak) == "undecided"


def test_cuts_that_err_on_the_same_images_are_hardly_more_than_one_comparison():
    state = run({"a > c affine task": [cell(range(140))] * len(CUTS)})
    claim = {"kind": "at_most", "columns": ["a > c"], "value": 1.6}
    assert verdict(state, **claim, cuts=["two"]) == "rejected"
    assert verdict(state, **claim) == "undecided"  # Bonferroni: the log doesn't say which images the top gets wrong
    top = AnswerBits.of(k < TOP for k in range(IMAGES)).text
    state.apply(msgspec.structs.replace(network("c"), wrong=top))
    assert verdict(state, **claim) == "rejected"
