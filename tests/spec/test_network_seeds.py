"""Networks and pairs in every network seed, as an experiment and as a run's grid, verdicts and claims."""

from statistics import fmean

import pytest
from claimed_run import experiment, reason, run, verdict
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.report.summary import summary_lines
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.network_seeds import in_every_seed
from stitchtui.spec.plan import resolve
from stitchtui.spec.presets import list_presets, load_preset
from stitchtui.stats.penalty import Interval, over_seeds

PAIR = "a > c"


def made(seeds: int, **more) -> Experiment:
    return in_every_seed(experiment(network_seeds=seeds, **more))


def in_each(*values, task="affine task"):
    """The same penalty at every cut of pair a > c, another in each network seed."""
    ends = [PAIR, *(f"a#{seed} > c#{seed}" for seed in range(2, len(values) + 1))]
    return {f"{pair} {task}": [value] * 5 for pair, value in zip(ends, values, strict=True)}


# as an experiment


def test_one_network_seed_changes_nothing():
    assert in_every_seed(experiment()) == experiment()


@given(st.integers(2, 6))
@settings(max_examples=5)
def test_each_network_and_pair_is_there_once_for_each_seed(seeds):
    found = made(seeds)
    assert len(found.networks) == 3 * seeds
    assert len(found.pairs) == len(set(found.pairs)) == 2 * seeds
    for name in "abc":
        mine = [found.networks[name], *(found.networks[f"{name}#{seed}"] for seed in range(2, seeds + 1))]
        assert len({each.seed for each in mine}) == seeds
        assert len({each.model_copy(update={"seed": 0}).model_dump_json() for each in mine}) == 1
    assert all(pair.bottom.partition("#")[2] == pair.top.partition("#")[2] for pair in found.pairs)
    assert in_every_seed(found) == found
    assert Experiment.model_validate(found.plain()) == found


def test_a_network_from_a_file_is_the_same_in_every_seed_and_pairs_of_such_are_there_once():
    networks = {"a": {"architecture": "digits_cnn"}, "b": {"checkpoint": "b.pt"}, "c": {"architecture": "hf:x/y"}}
    found = made(3, networks=networks)
    assert set(found.networks) == {"a", "a#2", "a#3", "b", "c"}
    ends = [(pair.bottom, pair.top) for pair in found.pairs]
    assert ends == [("a", "c"), ("b", "c"), ("a#2", "c"), ("a#3", "c")]


def test_training_goes_on_from_the_same_seeds_network():
    found = made(2, networks={**{n: {"architecture": "digits_cnn"} for n in "ac"}, "b": {
        "architecture": "digits_cnn", "start_from": "a", "frozen": ["stem"],
    }})  # fmt: skip
    assert found.networks["b#2"].start_from == "a#2"


def test_what_was_asked_for_later_is_there_in_every_seed_too():
    found = made(2, also=[{"stitch": {"family": "conv3"}, "pairs": [{"bottom": "b", "top": "c"}]}])
    assert [(pair.bottom, pair.top) for pair in found.also[0].pairs or ()] == [("b", "c"), ("b#2", "c#2")]


def test_a_name_that_is_taken_is_one_line():
    networks = {name: {"architecture": "digits_cnn"} for name in ("a", "b", "c", "a#2")}
    with pytest.raises(BadInput, match=r"networks\.a#2: network_seeds = 2 gives this name to 'a' trained from another"):
        made(2, networks=networks)


def test_seeds_of_networks_that_are_all_from_files_are_refused():
    with pytest.raises(BadInput, match="network_seeds: expected 1, got 2: no network of this experiment is trained"):
        made(2, networks={name: {"checkpoint": f"{name}.pt"} for name in "abc"})


@pytest.mark.parametrize("name", [info.name for info in list_presets() if "paper" in info.scales])
def test_networks_of_a_preset_start_from_seeds_of_their_own(name):
    """Those that start alike in the first seed, such as epochs of one training, do so in every one; no others."""
    wanted = load_preset(name, "paper")
    if wanted.network_seeds > 1:
        found = in_every_seed(wanted).networks
        assert len({spec.seed for spec in found.values()}) == 3 * len({s.seed for s in wanted.networks.values()})


# as a run


def test_a_column_holds_all_seeds_and_the_grid_has_no_more_columns_than_with_one():
    several, one = run({}, made(3)), run({}, experiment())
    assert [column.heading for column in several.columns()] == [column.heading for column in one.columns()]
    held = {task for column in several.columns() for task in (*column.task_ids, *column.direct_tasks)}
    assert held == {task.id for task in resolve(made(3)).tasks}
    assert [len(column.in_seeds) for column in several.columns()] == [3] * len(one.columns())


@given(st.lists(st.floats(-5, 50), min_size=2, max_size=4))
@settings(max_examples=25)
def test_a_row_is_the_mean_over_the_seeds_with_their_spread_in_its_interval(values):
    state = run(in_each(*values), made(len(values)))
    row = state.summary(state.columns()[0], "two")
    expected = over_seeds([Interval(value, value - 0.5, value + 0.5) for value in values])
    assert row.penalty == expected
    assert row.penalty.value == pytest.approx(fmean(values))
    assert (row.seeds, row.status) == (len(values), "finished")
    assert [each.penalty.value for each in state.summaries(state.columns()[0], "two")] == values


def test_stitch_seeds_are_averaged_within_each_network_seed_first():
    """Three stitches of one network must not pass for three networks."""
    wanted = made(2, stitch={"seeds": [0, 1, 2]})
    values = {"a > c affine task seed": [1.0] * 5, "a#2 > c#2 affine task seed": [3.0] * 5}
    row = (state := run(values, wanted)).summary(state.columns()[0], "one")
    assert row.penalty == over_seeds([Interval(1.0, 0.5, 1.5), Interval(3.0, 2.5, 3.5)])
    assert row.seeds == 6


def test_seeds_that_are_still_to_come_are_not_counted_in_and_one_that_failed_leaves_no_penalty():
    partly = run(dict(list(in_each(1.0, 3.0, 9.0).items())[:2]), made(3))
    row = partly.summary(partly.columns()[0], "one")
    assert (row.penalty.value, row.seeds, row.status) == (2.0, 2, "pending")
    assert verdict(partly, kind="at_most", columns=[PAIR], value=50) == "undecided"
    failed = run(in_each(1.0, None, 1.0), made(3))
    row = failed.summary(failed.columns()[0], "one")
    assert (row.penalty, row.status, row.reason) == (None, "failed", "it broke")


def test_a_verdict_goes_by_all_seeds():
    alike = run(in_each(1.0, 1.1, 0.9), made(3))
    assert alike.verdict(alike.columns()[0]) == "connected"
    apart = run(in_each(0.0, 0.0, 8.0), made(3))
    assert apart.verdict(apart.columns()[0]) == "undecided"
    lines = summary_lines(apart)
    assert any("over 3 network seeds: mean, and the interval holds their spread too" in line for line in lines)
    assert any("means over 3 network seeds, at the output" in line for line in lines)


def test_claims_are_judged_over_the_network_seeds_and_say_so():
    state = run(in_each(1.0, 1.1, 0.9), made(3))
    assert verdict(state, kind="at_most", columns=[PAIR], value=3) == "confirmed"
    assert reason(state, kind="at_most", columns=[PAIR], value=3).endswith("; over 3 network seeds")
    both = run(in_each(1.0, 1.1), made(2, stitch={"seeds": [0, 1]}))
    told = reason(both, kind="at_most", columns=[PAIR], value=3)
    assert told.endswith("; over 2 network seeds with 2 stitch seeds each")


def test_by_direct_matching_a_claim_is_over_the_network_seeds_too():
    state = run(in_each(1.0, 3.0, task="affine direct"), made(2, stitch={"objective": "task"}))
    direct = {"pair": PAIR, "stitch": {"objective": "direct"}}
    assert verdict(state, kind="at_most", columns=[direct], value=1.5) == "undecided"
    assert verdict(state, kind="at_least", columns=[direct], value=-30) == "confirmed"


def test_cka_has_an_interval_over_network_seeds_only():
    def number(cka: float) -> dict[str, float]:
        return {"penalty": 1.0, "penalty_low": 0.5, "penalty_high": 1.5, "cka": cka}

    claim = {"kind": "at_most", "columns": [PAIR], "measure": "cka", "value": 0.2}
    assert verdict(run({PAIR + " affine task": [number(0.15)] * 5}), **claim) == "confirmed"
    assert verdict(run(in_each(number(0.05), number(0.25)), made(2)), **claim) == "undecided"
    assert verdict(run(in_each(number(0.15), number(0.1501)), made(2)), **claim) == "confirmed"


def test_a_gap_between_errors_is_the_mean_over_the_network_seeds():
    errors = {"a": 10.0, "a#2": 12.0, "b": 8.0, "b#2": 10.1, "c": 50.0, "c#2": 50.0}
    state = run({}, made(2), errors)
    assert verdict(state, kind="error_gap", networks=["a", "b"], value=9) == "confirmed"
    told = reason(state, kind="error_gap", networks=["a", "b"], value=9)
    assert told.startswith("a 11.00 % [") and "apart +1.95 [" in told and told.endswith("; over 2 network seeds")
