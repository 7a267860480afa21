from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from small_runs import TRAIN, experiment, measures, new_run, run_here

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.work import finish
from stitchtui.data.loading import load_dataset
from stitchtui.execute.runner import Stopped
from stitchtui.measuring import stitch_work, task_work
from stitchtui.measuring.session import Session
from stitchtui.networks.obtain import cache_path, obtain
from stitchtui.report.summary import summary_lines
from stitchtui.run import asking
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import RunStarted, as_object, read_events
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import NetworkSpec, TrainSpec
from stitchtui.spec.plan import resolve
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stitching.column_trainer import Seam

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
    wanted = {(task.id, cut) for task in resolve(experiment()).tasks for cut in CUTS}
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


def test_every_cell_says_which_images_it_answers_wrongly(finished: Finished) -> None:
    for cell in finished[1].cells.values():
        wrong = AnswerBits.read(cell.wrong, cell.measures["images"])
        assert wrong is not None
        assert 100 * wrong.bits.bit_count() / wrong.images == pytest.approx(cell.measures["error"])


def test_training_starts_at_the_direct_matching_penalty(finished: Finished) -> None:
    found = measures(finished[0])
    for task in resolve(experiment()).tasks:
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
    assert [c.name for c in state.networks["seed0"].cuts] == CUTS
    assert state.data is not None
    assert (state.data["train"], state.data["test"]) == (200, 100)


def test_trained_stitches_are_kept(finished: Finished) -> None:
    from safetensors.torch import load_file

    directory, _ = finished
    kept = load_file(next(directory.stitches.glob("pair-seed0-to-seed1-affine-seed0-*.safetensors")))
    assert kept.keys() == {f"{cut}/{part}" for cut in CUTS for part in ("weight", "bias")}


def test_a_second_run_reuses_every_cell_whatever_it_is_called_and_says_from_where(
    finished: Finished, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(places / "cache"))
    directory, state = new_run(experiment(title="again", scale="mini"), places / "runs")
    assert measures(directory) == measures(finished[0])
    assert [c.wrong for c in state.cells.values()] == [c.wrong for c in finished[1].cells.values()]
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
    monkeypatch.setattr(task_work.TaskWork, "run", lambda self: pytest.fail("a finished column was run again"))
    state = run_here(directory, experiment())
    assert measures(directory) == before
    assert all(c["passed"] for c in state.checks)


def test_cells_of_different_width_fail_only_where_no_stitch_can_fit() -> None:
    networks = {
        "narrow": {"architecture": "digits_cnn", "width": 0.25, "train": {"epochs": 1}},
        "wide": {"architecture": "digits_cnn", "width": 0.5, "train": {"epochs": 1}},
    }
    wanted = experiment(networks=networks, pairs=[{"bottom": "narrow", "top": "wide"}], controls=["identity"])
    directory, state = new_run(wanted)
    for (task, _cut), cell in state.cells.items():
        assert cell.status == ("failed" if " identity " in task else "finished")
        assert cell.misfit == (cell.status == "failed")
        assert (
            cell.reason is None or "identity needs equal shapes: bottom 4x8x8" in cell.reason or "bottom" in cell.reason
        )
    assert not asking.outstanding(directory, state), "there is nothing that a resumed run could do about them"


def test_a_network_that_changes_while_frozen_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    original = task_work.TaskWork.run

    def meddling(self: stitch_work.StitchWork) -> None:
        yield from original(self)
        with torch.no_grad():
            next(self.ends.top.network.module.buffers()).add_(1)

    monkeypatch.setattr(task_work.TaskWork, "run", meddling)
    with pytest.raises(RunFailed, match="network 'seed1' changed while it was frozen"):
        new_run(experiment(controls=[], stitch={"cuts": ["block4"]}))


def test_what_a_changed_network_led_to_is_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    original = stitch_work.StitchWork.train

    def meddling(self: stitch_work.StitchWork, *arguments: Any) -> Any:
        trained = yield from original(self, *arguments)
        with torch.no_grad():
            next(self.ends.top.network.module.buffers()).add_(1)
        return trained

    monkeypatch.setattr(stitch_work.StitchWork, "train", meddling)
    directory = create(experiment(controls=[], stitch={"cuts": ["block4"]}))
    with pytest.raises(RunFailed, match="changed while it was frozen"):
        run_here(directory, experiment(controls=[], stitch={"cuts": ["block4"]}))
    assert not [key for key in measures(directory) if " task " in key[0]]


def test_one_sick_cell_leaves_its_neighbours_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    healthy, _ = new_run(experiment(controls=[]))
    original = stitch_work.StitchWork.train

    def poisoned(self: stitch_work.StitchWork, both: Any, cells: Any, seams: list[Seam], *beside: Any) -> Any:
        with torch.no_grad():
            seams[2].stitch.weight.fill_(float("nan"))
        return (yield from original(self, both, cells, seams, *beside))

    monkeypatch.setattr(stitch_work.StitchWork, "train", poisoned)
    directory = create(experiment(controls=[]), healthy.path.parent / "sick")
    state = run_here(directory, experiment(controls=[]))
    trained = {key: c for key, c in state.cells.items() if " task " in key[0]}
    assert {cut for (_, cut), c in trained.items() if c.status == "failed"} == {"block2"}
    expected = measures(healthy)
    assert all(measures(directory)[key] == expected[key] for key, c in trained.items() if c.status == "finished")
    monkeypatch.undo()
    state = run_here(directory, experiment(controls=[]))  # resumed, the cause gone
    assert measures(directory).keys() == expected.keys()


def test_a_resumed_run_measures_again_what_a_changed_checkpoint_touches(tmp_path: Path) -> None:
    saved = []
    for seed in (0, 5):
        spec = NetworkSpec.model_validate({"architecture": "digits_cnn", "width": 0.5, "seed": seed, "train": TRAIN})
        data = load_dataset(experiment().data)
        finish(obtain("n", spec, data, torch.device("cpu")))
        saved.append(cache_path(spec, data))
    file = tmp_path / "n.safetensors"
    networks = {"n": {"checkpoint": str(file)}, "seed1": experiment().networks["seed1"].model_dump(exclude_none=True)}
    wanted = experiment(networks=networks, pairs=[{"bottom": "n", "top": "seed1"}], controls=[])
    file.write_bytes(saved[0].read_bytes())
    directory, state = new_run(wanted)
    before = measures(directory)
    file.write_bytes(saved[1].read_bytes())
    state = run_here(directory, wanted)
    assert state.networks["n"].error == measures(directory)["n > seed1 affine task seed 0", "stem"]["bottom_error"]
    assert measures(directory) != before


def test_a_random_bottom_is_not_the_network_that_training_started_from() -> None:
    wanted = experiment()
    session = Session(wanted, torch.device("cpu"), load_dataset(wanted.data))
    fresh = finish(
        obtain(
            "seed0",
            wanted.networks["seed0"].model_copy(update={"train": TrainSpec(epochs=1, learning_rate=1e-12)}),
            session.dataset,
            torch.device("cpu"),
        )
    )
    session.add(fresh)
    random = session.randomised("seed0").network.module.state_dict()
    for name, value in fresh.module.state_dict().items():
        if value.dim() > 1:
            assert not torch.allclose(random[name], value, atol=1e-6), name


def test_a_random_bottom_does_not_depend_on_how_images_are_evaluated() -> None:
    digests = []
    for batch in (500, 33):
        _, state = new_run(experiment(evaluation_batch=batch, controls=["random_bottom"], stitch={"cuts": ["stem"]}))
        digests.append({c.identity for (task, _), c in state.cells.items() if "random" in task})
    assert digests[0] == digests[1]


@pytest.mark.parametrize("start", ["least_squares", "identity"])
def test_the_papers_stitch_is_scored_before_training_without_looking_at_the_batch(start: str) -> None:
    stitch = {"family": "bn_affine_bn", "start": start, "cuts": ["block4"]}
    found = {}
    for batch in (100, 7):
        directory, _ = new_run(experiment(controls=[], stitch=stitch, evaluation_batch=batch))
        task = "seed0 > seed1 bn_affine_bn task seed 0"
        found[batch] = measures(directory)[task, "block4"]["start_penalty"]
    assert found[100] == found[7]
    if start == "least_squares":
        assert found[100] == measures(directory)["seed0 > seed1 affine direct seed 0", "block4"]["penalty"]


def test_running_out_of_memory_halves_the_column_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = experiment(controls=[])
    whole, _ = new_run(wanted)
    original = stitch_work.StitchWork.train

    def small(self: stitch_work.StitchWork, both: Any, cells: Any, seams: list[Seam], *beside: Any) -> Any:
        if len(seams) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (yield from original(self, both, cells, seams, *beside))

    monkeypatch.setattr(stitch_work.StitchWork, "train", small)
    directory = create(wanted, whole.path.parent / "halves")
    run_here(directory, wanted)
    expected = measures(whole)
    for key, found in measures(directory).items():
        assert found["loss"] == pytest.approx(expected[key]["loss"], rel=1e-2)


def test_a_network_named_like_a_control_is_refused() -> None:
    for name, kind in (("random(a)", "random"), ("noise(as a)", "noise")):
        with pytest.raises(ValueError, match=f"is what the {kind} control of a network is called"):
            experiment(networks={name: {"architecture": "digits_cnn"}})


def test_a_column_that_diverges_says_so_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    original = stitch_work.StitchWork.train

    def diverging(self: stitch_work.StitchWork, both: Any, cells: Any, seams: list[Seam], *beside: Any) -> Any:
        with torch.no_grad():
            seams[0].stitch.weight.fill_(float("inf"))
        return (yield from original(self, both, cells, seams, *beside))

    monkeypatch.setattr(stitch_work.StitchWork, "train", diverging)
    wanted = experiment(controls=[], stitch={"cuts": ["block4"]})
    directory = create(wanted)
    with pytest.raises(RunFailed, match=r"no stitch that was asked for has a number: its training .* \(2 of 2 cells\)"):
        run_here(directory, wanted)
    state = RunState.load(directory.events)
    failed = [c for (task, _), c in state.cells.items() if " task " in task]
    assert {c.status for c in failed} == {"failed"}
    assert all("training diverged" in c.reason and "lower stitch.learning_rate" in c.reason for c in failed)


def test_a_run_in_which_one_column_diverges_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    original = stitch_work.StitchWork.train

    def diverging(self: stitch_work.StitchWork, both: Any, cells: Any, seams: list[Seam], *beside: Any) -> Any:
        if self.task.bottom == "seed0":
            with torch.no_grad():
                seams[0].stitch.weight.fill_(float("inf"))
        return (yield from original(self, both, cells, seams, *beside))

    monkeypatch.setattr(stitch_work.StitchWork, "train", diverging)
    _, state = new_run(experiment(controls=[], stitch={"cuts": ["block4"]}))
    said = [line for line in summary_lines(state) if "no cell has a number" in line]
    assert [line.partition(": no cell")[0] for line in said] == ["seed0 > seed1"]
    assert "its training diverged" in said[0]
    assert not any(line.startswith("seed0 > seed1: undecided") for line in summary_lines(state))


NO_CUT = """
from torch import nn
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(64, num_classes)
    def forward(self, x):
        return self.layer(x.flatten(1)) + x.mean((1, 2, 3))[:, None]
"""


def test_networks_without_a_cut_leave_nothing_to_measure(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NO_CUT)
    networks = {
        f"seed{seed}": {"architecture": f"{tmp_path}/net.py:Net", "seed": seed, "train": TRAIN} for seed in (0, 1)
    }
    for stitch in ({}, {"cuts": "all", "pairing": "all"}):
        with pytest.raises(BadInput, match="nothing to measure: network 'seed0' has no place where one tensor"):
            new_run(experiment(networks=networks, stitch=stitch))


def test_cuts_that_are_none_leave_nothing_to_measure() -> None:
    with pytest.raises(BadInput, match=r"stitch\.cuts: nothing to measure: expected a cut or more"):
        new_run(experiment(stitch={"cuts": []}))


def test_cuts_that_no_stitch_can_join_leave_nothing_to_measure() -> None:
    wider = {"seed1": {"architecture": "digits_cnn", "width": 1.0, "seed": 1, "train": TRAIN}}
    with pytest.raises(BadInput, match="no cuts of a pair can be joined: identity needs equal shapes: bottom"):
        new_run(experiment(networks=experiment().plain()["networks"] | wider, stitch={"family": "identity"}))


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


def test_an_unknown_cut_is_bad_input_that_names_the_network_before_one_is_trained() -> None:
    other = {"seed": 77, "architecture": "digits_cnn", "width": 0.25, "train": {"epochs": 1}}
    networks = {"seed0": experiment().networks["seed0"].plain(), "seed1": other}
    wanted = experiment(networks=networks, stitch={"cuts": {"block1": "blok1"}})
    directory = create(wanted)
    with pytest.raises(BadInput, match=r"network 'seed1': cuts: 'blok1' is not known; nearest: 'block1'"):
        run_here(directory, wanted)
    tasks = RunState.load(directory.events).tasks.values()
    assert {task.status for task in tasks if task.kind == "network"} == {"pending"}


def test_networks_with_different_numbers_of_cuts_are_joined_by_depth_and_can_not_be_in_order() -> None:
    networks = {
        "a": {"architecture": "digits_cnn", "width": 0.25, "train": {"epochs": 1}},
        "b": {"architecture": "vit", "options": {"patch": 4, "depth": 1, "heads": 1, "dim": 8}, "train": {"epochs": 1}},
    }
    asked = {"networks": networks, "pairs": [{"bottom": "a", "top": "b"}], "controls": []}
    _, state = new_run(experiment(**asked, stitch={"objective": "direct"}))
    assert [cell.status for cell in state.cells.values()] == ["finished"] * 6
    assert {cell.top_cut for cell in state.cells.values()} <= {cut.name for cut in state.networks["b"].cuts}
    with pytest.raises(BadInput, match=r"stitch\.cuts: a > b: 6 cuts of one and \d of the other; expected as many"):
        new_run(experiment(**asked, stitch={"pairing": "equal"}))


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


def test_notes_on_the_images_are_in_the_log_before_any_network(tmp_path: Path) -> None:
    digits = load_dataset(experiment().data).train
    images, labels = digits.images[:, 0].numpy(), digits.labels.numpy()
    numpy.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images[:80], y_test=labels[:80])
    wanted = experiment(
        data={"name": f"npz:{tmp_path / 'set.npz'}"},
        controls=[],
        stitch={"cuts": ["block4"], "objective": "direct"},
    )
    directory, state = new_run(wanted)
    assert state.warnings[0].startswith("data: 80 of 80 test images are training images too")
    types = [as_object(event)["type"] for event in read_events(directory.events)]
    assert types.index("warning") < types.index("network_ready")


def test_the_log_holds_no_number_that_is_not_finite(finished: Finished) -> None:
    text = finished[0].events.read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert len(read_events(finished[0].events)) == len(text.splitlines())


def test_a_run_whose_file_leaves_its_network_seeds_to_the_plan_starts_once(tmp_path: Path) -> None:
    wanted = experiment(controls=[], network_seeds=2, stitch={"objective": "direct", "cuts": ["flatten"]})
    directory = create(wanted)
    directory.write_experiment(wanted)  # as it was asked for, and not as it was resolved
    state = run_here(directory, wanted)
    assert state.networks.keys() == {"seed0", "seed1", "seed0#2", "seed1#2"}
    assert sum(isinstance(event, RunStarted) for event in read_events(directory.events)) == 1
