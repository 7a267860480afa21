"""Runs with networks of every recipe: other classes, other tasks, other beginnings and ends."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import TRAIN, experiment, measures, new_run

from stitchtui.base import paths
from stitchtui.base.errors import BadInput
from stitchtui.execute.estimate import estimate
from stitchtui.networks.by_name import build
from stitchtui.networks.checkpoints import Metadata, save
from stitchtui.report.summary import summary_lines
from stitchtui.run.state import RunState
from stitchtui.spec import families
from stitchtui.spec.experiment import Experiment, NetworkSpec
from stitchtui.spec.plan import resolve
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.cuts import Cut

PROBE = {"epochs": 3, "batch_size": 100, "learning_rate": 0.1, "weight_decay": 0.0, "precision": "float32"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def run_of(bottom: dict[str, Any], others: dict[str, Any] | None = None, **changes: Any) -> Experiment:
    """`bottom` under a plain network called top, stitched for a few steps; `others` are more networks."""
    plain = {"architecture": "digits_cnn", "width": 0.25, "train": TRAIN}
    networks = {"bottom": plain | bottom, "top": plain | {"seed": 1}}
    networks |= {name: plain | said for name, said in (others or {}).items()}
    pairs = changes.pop("pairs", [{"bottom": "bottom", "top": "top"}])
    stitch = {"steps": 4, "cuts": ["block2", "flatten"], **changes.pop("stitch", {})}
    return experiment(networks=networks, pairs=pairs, stitch=stitch, controls=changes.pop("controls", []), **changes)


def networks_of(state: RunState) -> list[str]:
    return list(state.networks)


def test_a_kernel_starts_from_the_affine_map_even_where_its_own_closed_form_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_cut: Cut, kernel: int = 1) -> None:
        if kernel > 1:
            raise Misfit("too large")

    monkeypatch.setattr(families, "check_covariance", refused)
    directory, state = new_run(run_of({}, stitch={"family": "conv5", "start": "affine", "cuts": ["block2"]}))
    assert not [c for c in state.cells.values() if c.status != "finished"]
    found = measures(directory)
    trained, direct = (found[f"bottom > top {words} seed 0", "block2"] for words in ("conv5 task", "affine direct"))
    assert trained["start_penalty"] == direct["penalty"]


# a bottom of other classes

PARITY = {"labels": {"groups": "even_odd"}}


def test_a_bottom_of_other_classes_is_compared_with_the_top_alone() -> None:
    directory, state = new_run(run_of(PARITY, controls=["random_bottom", "self_stitch"]))
    assert state.status != "failed"
    for (task, _), found in measures(directory).items():
        assert {"penalty", "top_error", "agreement", "cka"} <= found.keys()
        assert ("versus_bottom" in found) == ("bottom_error" in found) == task.startswith("top > top")
    assert state.networks["bottom"].error < 60  # of two classes; against ten it would be 80 or more
    assert all(check["passed"] for check in state.checks)
    names = [check["name"] for check in state.checks]
    assert "bottom > top: the penalty at the input is 0" in names
    assert not any("at the output" in name for name in names)


def test_what_only_classes_of_its_own_can_say_is_left_out_of_the_summary() -> None:
    _, state = new_run(run_of(PARITY))
    lines = list(summary_lines(state))
    assert not any(line.startswith("end points of bottom > top") for line in lines)
    assert any("network bottom: test error" in line and "on classes of its own" in line for line in lines)
    assert not any("network top:" in line and "of its own" in line for line in lines)


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"pairs": [{"bottom": "top", "top": "bottom"}]}, "top > bottom"),
        ({"controls": ["self_stitch_bottom"]}, "bottom > bottom"),
        ({"controls": ["freeze_training"]}, "bottom > bottom"),
    ],
)
def test_a_top_of_other_classes_is_one_line_before_anything_is_trained(changes: dict, column: str) -> None:
    wanted = run_of(PARITY, **changes)
    for start in (new_run, lambda wanted: estimate(wanted, "cpu")):
        with pytest.raises(BadInput) as caught:
            start(wanted)
        assert str(caught.value).startswith("networks.bottom.labels.groups: its classes aren't the data's")
        assert str(caught.value).endswith(f"it would be the top of '{column}'")
    assert not (paths.cache_directory() / "networks").exists()


def test_a_checkpoint_for_other_classes_is_refused_before_images_are_read_or_networks_trained(tmp_path: Path) -> None:
    checkpoint = tmp_path / "top.safetensors"
    said = Metadata(architecture="digits_cnn", classes=10, shape=(1, 8, 8), mean=(0.5,), std=(0.5,))
    save(checkpoint, build("digits_cnn", 10, said.shape), said)
    for name in "abc":
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "1.png").write_bytes(b"no image")
    wanted = run_of({}, data={"name": f"folder:{tmp_path / 'images'}"})
    top = NetworkSpec(checkpoint=str(checkpoint))
    wanted = wanted.model_copy(update={"networks": {**wanted.networks, "top": top}})
    with pytest.raises(BadInput, match="was trained for 10 classes, the data has 3"):
        new_run(wanted)
    order = [unit.network for unit in resolve(wanted).networks]
    assert order == ["top", "bottom"], "what other files hold is seen before anything is trained"
    assert not (paths.cache_directory() / "networks").exists()


# other recipes


def test_a_network_that_another_begins_with_is_trained_first_and_shown() -> None:
    begun = {"start_from": "few", "frozen": ["stem"]}
    _, state = new_run(run_of(begun, {"few": {"subset": {"train_size": 100}}}))
    assert networks_of(state) == ["few", "bottom", "top"]
    assert state.tasks["network few"].status == "finished"
    assert state.networks["few"].source == "trained"
    assert [task.id for task in state.tasks.values() if task.kind == "column" and "few" in task.id] == []


def test_the_shorter_part_of_one_training_comes_first_whichever_end_it_is() -> None:
    whole = {"seed": 5, "train": {**TRAIN, "epochs": 3}}
    part = {"seed": 5, "train": {**TRAIN, "epochs": 3, "stop_epoch": 1}}
    wanted = run_of(whole, {"part": part}, pairs=[{"bottom": "bottom", "top": "part"}])
    assert networks_of(new_run(wanted)[1]) == ["part", "bottom"]


@pytest.mark.parametrize("said", [{"untrained": True}, {"labels": {"noise": 1.0}}])
def test_a_network_that_is_meant_to_know_nothing_raises_no_alarm(said: dict) -> None:
    _, state = new_run(run_of(said))
    assert state.networks["bottom"].error > 85
    assert not any(warning.startswith("bottom has a test error") for warning in state.warnings)


@pytest.mark.parametrize("task", ["simclr", "rotation"])
def test_a_bottom_that_learned_without_labels_is_measured_as_any_other(task: str) -> None:
    directory, state = new_run(run_of({"task": task, "probe": PROBE}, stitch={"objective": "direct"}))
    assert all("versus_bottom" in found for found in measures(directory).values())
    assert state.tasks["network bottom"].steps == 2 * 4 + 3 * 2


def test_a_beginning_that_doesnt_fit_is_found_before_a_run_is_started() -> None:
    with pytest.raises(BadInput, match="network bottom: start_from: 'few' is built otherwise"):
        estimate(run_of({"start_from": "few"}, {"few": {"width": 0.5}}), "cpu")
    with pytest.raises(BadInput, match="network bottom: frozen layer 'stme' is not known"):
        estimate(run_of({"start_from": "few", "frozen": ["stme"]}, {"few": {}}), "cpu")
