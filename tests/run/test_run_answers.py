"""A run's numbers by the answers in its log: over seeds and images, in a band over depth, and in the verdict."""

import random

import numpy as np
import pytest
from made_events import CUTS, experiment, run_started, whole_run

from stitchtui.report.summary import summary_lines
from stitchtui.run.state import RunState
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.crossed import Crossed, crossed_interval
from stitchtui.stats.penalty import over_seeds, paired_interval

IMAGES = 1000


def drawn(share, seed):
    return [random.Random(f"{seed} {image}").random() < share for image in range(IMAGES)]


def answered(shares, seeds=1, known=True):
    """A run whose stitches answer these shares of the images wrongly, a cut each; both networks err on a tenth."""
    state = RunState()
    state.apply_all(whole_run(experiment(seeds=list(range(seeds)))))
    state.data["digest"] = "digits"
    top = drawn(0.1, "top")
    for network in state.networks.values():
        network.wrong = AnswerBits.of(top).text if known else ""
    for (task, cut), cell in state.cells.items():
        wrong = drawn(shares[CUTS.index(cut)], f"{cut} {state.tasks[task].seed}")
        worse = sum(a and not b for a, b in zip(wrong, top, strict=True))
        found = paired_interval(IMAGES, worse, worse - sum(wrong) + sum(top))
        cell.measures |= {"penalty": found.value, "penalty_low": found.low, "penalty_high": found.high}
        cell.measures["images"], cell.wrong = float(IMAGES), AnswerBits.of(wrong).text
    return state


def table(cut, share, seeds):
    return np.array([drawn(share, f"{cut} {k}") for k in range(seeds)], float) - np.array(drawn(0.1, "top"), float)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_a_penalty_is_of_the_table_of_seeds_by_images_with_what_the_images_make_of_its_spread(seeds):
    state = answered([0.2] * 5, seeds)
    summary = state.summary(state.columns()[0], "conv1")
    values = table("conv1", 0.2, seeds)
    expected = crossed_interval(values)
    found = summary.penalty
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    if seeds == 1:
        assert summary.spread_by_images is None
    else:
        assert summary.spread_by_images == pytest.approx(100 * (Crossed.of(values).left / IMAGES) ** 0.5)
        assert any("seeds differ by" in line for line in summary_lines(state))


def test_where_the_log_does_not_say_what_the_top_gets_wrong_seeds_are_put_together_without_it():
    state = answered([0.2] * 5, seeds=3, known=False)
    column = state.columns()[0]
    found = state.summary(column, "conv1").penalty
    expected = over_seeds([state.cells[task, "conv1"].interval() for task in column.task_ids])
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)


def test_a_cut_that_lies_above_epsilon_alone_is_said_of_an_undecided_pair():
    state = answered([0.1, 0.1, 0.159, 0.1, 0.1])
    column = state.columns()[0]
    assert state.verdict(column) == "undecided"
    assert state.above_alone(column) == ["layer1.0"]
    assert any("undecided" in line and "; above 3 at layer1.0 taken alone" in line for line in summary_lines(state))
    worse = answered([0.1, 0.1, 0.25, 0.1, 0.1])
    assert (worse.verdict(worse.columns()[0]), worse.above_alone(worse.columns()[0])) == ("not connected", [])


@pytest.mark.parametrize("known", [True, False])
def test_a_band_holds_each_cuts_own_interval(known):
    state = answered([0.1, 0.12, 0.15, 0.2, 0.3], known=known)
    column = state.columns()[0]
    band = state.band(column)
    assert list(band) == CUTS
    for cut, limit in band.items():
        own = state.summary(column, cut).penalty
        assert limit.low < own.low < own.value == limit.value < own.high < limit.high


def test_an_epsilon_that_was_changed_after_the_run_began_is_said():
    state = RunState()
    changed = experiment().model_copy(update={"epsilon": 5.0})
    state.apply_all([run_started(), run_started(resumed=True)])
    assert state.warnings == []
    state.apply(run_started(changed, resumed=True))
    assert state.warnings == ["epsilon was 3 points when the run began, and is 5 since it went on"]
