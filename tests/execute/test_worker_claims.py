"""A worker says each claim of its experiment at the end of the run, from that run's own numbers."""

import csv
import io
from statistics import fmean

import pytest
from small_runs import experiment, new_run, run_here

from stitchtui.report.claim_judging import judge_all
from stitchtui.report.columns import meaning
from stitchtui.report.export import csv_text
from stitchtui.run.directory import create
from stitchtui.run.events import Claim, PairJudged, read_events
from stitchtui.spec.experiment import Experiment
from stitchtui.stats.rules import RULES

PAIR = "seed0 > seed1"
CLAIMS = [
    {"kind": "at_most", "columns": [PAIR], "value": 100, "source": "E1"},
    {"kind": "at_least", "columns": [PAIR], "value": 100},
    {"kind": "at_most", "columns": [{"pair": PAIR, "control": "random_top"}], "value": 100},
]


def claimed(**changes) -> Experiment:
    made = experiment(pairs=[{"bottom": "seed0", "top": "seed1"}], controls=[], stitch={"objective": "direct"})
    return Experiment.model_validate({**made.plain(), "claims": CLAIMS, **changes})


def test_claims_are_said_after_the_last_cell_and_again_by_a_run_that_goes_on():
    directory, state = new_run(claimed())
    assert [claim.verdict for claim in state.claims] == ["confirmed", "rejected", "undecided"]
    assert state.claims[0].source == "E1"
    assert state.claims[2].reason == "seed0 > random(seed1) is no column of this run"
    types = [type(event) for event in read_events(directory.events)]
    assert types[-4:] == [PairJudged, *[Claim] * 3]
    again = run_here(directory, claimed())
    assert again.claims == state.claims == judge_all(state)


def test_the_log_has_each_pairs_verdict_and_the_rules_that_it_and_the_claims_were_called_by():
    _, state = new_run(claimed())
    (column,) = state.columns()
    called = state.verdicts[column.task_ids]
    assert (called.verdict, called.rules) == (state.verdict_now(column), RULES)
    assert called.connected_from == max(state.summary(column, cut).penalty.high for cut in state.cuts())
    assert {claim.rules for claim in state.claims} == {RULES}


def test_network_seeds_are_networks_of_their_own_and_the_grid_has_their_mean():
    directory = create(claimed(network_seeds=2))
    state = run_here(directory, directory.read_experiment())
    assert len({network.digest for network in state.networks.values()}) == len(state.networks) == 4
    (column,) = state.columns()
    for cut in state.cuts():
        cells = [state.cells[task, cut] for task in column.task_ids]
        assert len({cell.identity for cell in cells}) == 2
        mean = fmean(cell.measures["penalty"] for cell in cells)
        assert state.summary(column, cut).penalty.value == pytest.approx(mean)
    assert state.claims[0].reason.endswith("; over 2 network seeds")


def test_every_column_of_a_real_runs_csv_is_explained():
    _, state = new_run(experiment(pairs=[{"bottom": "seed0", "top": "seed1"}], controls=["linear_probe"]))
    header = next(csv.reader(io.StringIO(csv_text(state))))
    assert [name for name in header if meaning(name) is None] == []


def test_a_run_whose_experiment_claims_nothing_says_no_claim():
    directory, state = new_run(claimed(claims=[]))
    assert state.claims == []
    assert Claim not in {type(event) for event in read_events(directory.events)}
