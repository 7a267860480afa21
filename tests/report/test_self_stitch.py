"""Each penalty against the top's own self-stitch at the same cut, image by image."""

import csv
import io
from collections.abc import Collection
from typing import Any

from claimed_run import experiment, measures, run
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.report.export import csv_text
from stitchtui.report.self_stitch import versus_self_stitch
from stitchtui.run.state import RunState
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.penalty import Interval

IMAGES = 40
WRONG = st.sets(st.integers(0, IMAGES - 1))


def answers(wrong: Collection[int]) -> AnswerBits:
    return AnswerBits.of(image in wrong for image in range(IMAGES))


def cell(wrong: Collection[int]) -> dict[str, Any]:
    """A cell that answers these images wrongly, over a top that errs on none."""
    value = 100 * len(wrong) / IMAGES
    return measures((value, value - 9, value + 9), images=IMAGES) | {"wrong": answers(wrong).text}


def versus(state: RunState, heading: str, row: str = "stem") -> Interval | None:
    (column,) = [each for each in state.columns() if each.heading == heading]
    return versus_self_stitch(state)(column, row)


@settings(max_examples=25, deadline=None)
@given(WRONG, WRONG)
def test_it_is_the_difference_image_by_image_and_nothing_against_what_equals_the_self_stitch(
    own: set[int], pair: set[int]
) -> None:
    state = run({"a > c affine task": [cell(pair)], "b > c affine task": [cell(own)], "c > c affine task": [cell(own)]})
    found, same = versus(state, "a > c"), versus(state, "b > c")
    expected = answers(pair).less(answers(own))
    assert found is not None
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert same is not None
    assert same.value == 0


def test_it_is_absent_without_a_self_stitch_of_that_cut_and_of_the_self_stitch_itself() -> None:
    pair = {"a > c affine task": [cell({1})] * 2}
    state = run({**pair, "c > c affine task": [cell({2}), None]})
    assert versus(state, "a > c") is not None
    assert versus(state, "a > c", "one") is None
    assert versus(state, "c > c") is None
    assert versus(run(pair), "a > c") is None
    assert versus(run(pair, experiment(controls=[])), "a > c") is None


def test_it_goes_by_the_tops_cut_where_the_bottoms_is_called_differently() -> None:
    state = run({"a > c affine task": [cell({1, 2})], "c > c affine task": [cell(()), cell({1})]})
    state.cells["a > c affine task seed 0", "stem"].top_cut = "one"
    found = versus(state, "a > c")
    assert found is not None
    assert found.value == 2.5


def test_each_seed_goes_by_the_self_stitch_of_its_own_and_the_mean_by_all() -> None:
    made = experiment(stitch={"seeds": [0, 1]})
    ends = {"a > c": ({1, 2}, {3}), "c > c": ({1}, {3, 4})}
    numbers = {f"{of} affine task seed {k}": [cell(wrong[k])] for of, wrong in ends.items() for k in (0, 1)}
    state = run(numbers, made)
    rows = {r["task"]: r["versus_self_stitch"] for r in csv.DictReader(io.StringIO(csv_text(state))) if r["penalty"]}
    assert [rows[f"a > c affine task seed {k}"] for k in (0, 1)] == ["2.5", "-2.5"]
    assert rows["c > c affine task seed 0"] == ""
    found = versus(state, "a > c")
    assert found is not None
    assert found.value == 0
    without = run({of: each for of, each in numbers.items() if of != "c > c affine task seed 1"}, made)
    assert versus(without, "a > c") is None
