from pathlib import Path

import pytest
import torch
from small_runs import experiment, measures, new_run, run_here

from stitchtui.errors import BadInput, RunFailed
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import read_events
from stitchtui.run.plan import plan
from stitchtui.run.state import RunState
from stitchtui.worker import columns
from stitchtui.worker.recorder import Stopped

CUTS = ["stem", "block1", "block2", "block3", "block4", "flatten"]
Finished = tuple[RunDirectory, RunState]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("finished")


@pytest.fixture(scope="module")
def finished(places: Path) -> Finished:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(places / "cache"))
        return new_run(experiment(), places / "runs")


def test_every_cell_of_the_plan_is_measured(finished: Finished) -> None:
    directory, state = finished
    wanted = {(task.id, cut) for task in plan(experiment()) for cut in CUTS}
    assert measures(directory).keys() == wanted
    assert state.cuts() == CUTS
    assert not [c for c in state.cells.values() if c.status != "finished"]


def test_every_invariant_is_checked_and_holds(finished: Finished) -> None:
    _, state = finished
    names = " | ".join(c["name"] for c in state.checks)
    assert "the penalty at the input is 0" in names
    assert "the penalty at the output is error(bottom) - error(top)" in names
    assert "self-stitch from identity has penalty 0 before training" in names
    assert "unchanged after the run" in names
    assert all(c["passed"] for c in state.checks)


def test_every_cell_carries_every_measure(finished: Finished) -> None:
    directory, _ = finished
    for (task, _cut), values in measures(directory).items():
        wanted = {"error", "loss", "penalty", "penalty_low", "penalty_high", "versus_bottom", "agreement", "cka"}
        wanted |= {"activation_gap", "stitch_parameters", "top_error", "bottom_error", "images"}
        if " task " in task:
            wanted |= {"start_penalty", "steps"}
        assert wanted <= values.keys()
        assert all(values[name] is not None for name in wanted)
        assert values["penalty"] == pytest.approx(values["error"] - values["top_error"])
        assert values["versus_bottom"] == pytest.approx(values["error"] - values["bottom_error"])


def test_training_starts_at_the_direct_matching_penalty(finished: Finished) -> None:
    found = measures(finished[0])
    for task in plan(experiment()):
        if task.objective == "task" and task.start == "least_squares":
            direct = task.id.replace(" task ", " direct ")
            for cut in CUTS:
                assert found[task.id, cut]["start_penalty"] == found[direct, cut]["penalty"]


def test_cka_is_one_for_a_self_stitch_and_the_same_both_ways(finished: Finished) -> None:
    found = measures(finished[0])
    for cut in CUTS:
        assert found["seed0 > seed0 affine direct seed 0", cut]["cka"] == 1
        there = found["seed0 > seed1 affine direct seed 0", cut]["cka"]
        assert there == found["seed1 > seed0 affine direct seed 0", cut]["cka"]
        assert 0 < there < 1


def test_a_self_stitch_fitted_directly_costs_next_to_nothing(finished: Finished) -> None:
    found = measures(finished[0])
    for cut in CUTS:
        assert found["seed0 > seed0 affine direct seed 0", cut]["activation_gap"] < 1e-3
        assert abs(found["seed0 > seed0 affine direct seed 0", cut]["penalty"]) <= 1


def test_the_networks_facts_are_in_the_log(finished: Finished) -> None:
    _, state = finished
    assert set(state.networks) == {"seed0", "seed1"}
    assert [c["name"] for c in state.networks["seed0"].cuts] == CUTS
    assert state.data is not None
    assert (state.data["train"], state.data["test"]) == (200, 100)


def test_trained_stitches_are_kept(finished: Finished) -> None:
    from safetensors.torch import load_file

    directory, _ = finished
    kept = load_file(directory.stitches / "pair-seed0-to-seed1-affine-seed0.safetensors")
    assert kept.keys() == {f"{cut}/{part}" for cut in CUTS for part in ("weight", "bias")}


def test_a_second_run_reuses_every_cell_and_says_from_where(
    finished: Finished, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(places / "cache"))
    directory, state = new_run(experiment(), places / "runs")
    assert measures(directory) == measures(finished[0])
    assert {c.reused_from for c in state.cells.values()} == {finished[0].name}


@pytest.mark.parametrize(
    "stitch", [{"learning_rate": 2e-3}, {"epochs": 3}, {"seeds": [1]}, {"batch_size": 40}, {"weight_decay": 0.1}]
)
def test_a_different_recipe_trains_anew_but_reuses_what_it_does_not_touch(
    finished: Finished, places: Path, monkeypatch: pytest.MonkeyPatch, stitch: dict[str, object]
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(places / "cache"))
    changed = experiment(stitch={**stitch, "cuts": ["block4"]}, controls=[])
    _, state = new_run(changed, places / "runs")
    reused = {c.task: c.reused_from is not None for c in state.cells.values()}
    assert all(was == (" direct " in task) for task, was in reused.items())


def test_a_run_that_is_done_repeats_nothing_when_resumed(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = finished
    before = measures(directory)
    monkeypatch.setenv("STITCHTUI_CACHE", str(directory.path.parents[1] / "cache"))
    monkeypatch.setattr(columns.Column, "run", lambda self: pytest.fail("a finished column was run again"))
    state = run_here(directory, experiment())
    assert measures(directory) == before
    assert all(c["passed"] for c in state.checks)


def test_cells_of_different_width_fail_only_where_no_stitch_can_fit() -> None:
    networks = {
        "narrow": {"architecture": "digits_cnn", "width": 0.25, "train": {"epochs": 1}},
        "wide": {"architecture": "digits_cnn", "width": 0.5, "train": {"epochs": 1}},
    }
    wanted = experiment(networks=networks, pairs=[{"bottom": "narrow", "top": "wide"}], controls=["identity"])
    _, state = new_run(wanted)
    for (task, _cut), cell in state.cells.items():
        assert cell.status == ("failed" if " identity " in task else "finished")
        assert (
            cell.reason is None or "identity needs equal shapes: bottom 4x8x8" in cell.reason or "bottom" in cell.reason
        )


def test_a_network_that_changes_while_frozen_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    original = columns.Column.run

    def meddling(self: columns.Column) -> None:
        original(self)
        with torch.no_grad():
            next(self.top.network.module.buffers()).add_(1)

    monkeypatch.setattr(columns.Column, "run", meddling)
    with pytest.raises(RunFailed, match="network 'seed1' changed while it was frozen"):
        new_run(experiment(controls=[], stitch={"cuts": ["block4"]}))


def test_a_stitch_that_diverges_fails_its_column_and_says_what_to_do() -> None:
    wanted = experiment(controls=[], stitch={"learning_rate": 3e36, "cuts": ["block4"]})
    _, state = new_run(wanted)
    failed = [c for (task, _), c in state.cells.items() if " task " in task]
    assert failed
    for cell in failed:
        assert cell.status == "failed"
        assert "not finite" in (cell.reason or "")
        assert "lower stitch.learning_rate" in (cell.reason or "")


@pytest.mark.parametrize(
    "family, start", [("bn_affine_bn", "random"), ("bn_affine_bn", "least_squares"), ("affine", "random")]
)
def test_the_papers_recipe_runs_with_batch_statistics_and_leaves_the_networks_as_they_were(
    family: str, start: str
) -> None:
    stitch = {"family": family, "start": start, "frozen_bn": "batch", "steps": 6, "cuts": ["block2", "block4"]}
    _, state = new_run(experiment(controls=["random_bottom"], stitch=stitch))
    assert not [c for c in state.cells.values() if c.status != "finished"]
    trained = [c for (task, _), c in state.cells.items() if " task " in task]
    assert all(c.measures["steps"] == 6 for c in trained)
    assert next(c for c in state.checks if "unchanged" in c["name"])["passed"]


def test_seeds_of_the_stitch_differ_only_by_their_order_of_images() -> None:
    wanted = experiment(controls=[], pairs=[{"bottom": "seed0", "top": "seed1"}], stitch={"seeds": [0, 1]})
    directory, state = new_run(wanted)
    found = measures(directory)
    first, second = ([found[f"seed0 > seed1 affine task seed {seed}", cut] for cut in CUTS] for seed in (0, 1))
    assert [m["start_penalty"] for m in first] == [m["start_penalty"] for m in second]
    assert [m["loss"] for m in first] != [m["loss"] for m in second]
    (column,) = state.columns()
    assert state.summary(column, "block1").seeds == 2


def test_an_unknown_cut_is_bad_input_that_names_the_network() -> None:
    with pytest.raises(BadInput, match=r"network 'seed0': cuts: 'blok1' is not known; nearest: 'block1'"):
        new_run(experiment(stitch={"cuts": ["blok1"]}))


def test_networks_with_different_numbers_of_cuts_need_named_ones() -> None:
    networks = {
        "a": {"architecture": "digits_cnn", "width": 0.25, "train": {"epochs": 1}},
        "b": {"architecture": "vit", "options": {"patch": 4, "depth": 1, "heads": 1, "dim": 8}, "train": {"epochs": 1}},
    }
    with pytest.raises(BadInput, match=r"stitch\.cuts: a has 6 cuts and b has \d; expected as many"):
        new_run(experiment(networks=networks, pairs=[{"bottom": "a", "top": "b"}]))


def test_asked_to_stop_it_ends_within_a_step_and_goes_on_to_the_same_numbers() -> None:
    wanted = experiment(controls=[], pairs=[{"bottom": "seed0", "top": "seed1"}])
    undisturbed, _ = new_run(wanted)
    asked: list[int] = []
    directory = create(wanted, undisturbed.path.parent / "elsewhere")
    with pytest.raises(Stopped):
        run_here(directory, wanted, stopping=lambda: asked.append(1) or len(asked) > 12)
    done = measures(directory)
    assert len(done) < len(measures(undisturbed))
    run_here(directory, wanted)
    assert measures(directory) == measures(undisturbed)


def test_a_network_no_better_than_chance_is_warned_about() -> None:
    wanted = experiment(controls=[], stitch={"cuts": ["block4"], "objective": "direct"})
    untrained = {"architecture": "digits_cnn", "width": 0.5, "train": {"epochs": 1, "learning_rate": 1e-9}}
    wanted = experiment(
        controls=[],
        stitch={"cuts": ["block4"], "objective": "direct"},
        networks={"seed0": untrained, "seed1": untrained},
    )
    _, state = new_run(wanted)
    assert any("about chance" in w and "seed0" in w for w in state.warnings)


def test_the_log_holds_no_number_that_is_not_finite(finished: Finished) -> None:
    text = finished[0].events.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert len(read_events(finished[0].events)) == len(text.splitlines())
