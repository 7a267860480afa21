"""Training that keeps what the bottom made of the first epochs, and goes through it again in the later ones."""

import re
from pathlib import Path
from typing import Any

import pytest
from fed_images import watched
from small_runs import TRAIN, experiment, measures, new_run, run_here

from stitchtui.measure import columns
from stitchtui.measure.recorder import Stopped
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import read_events
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import plan

TRAINED = "seed0 > seed1 affine task seed 0"
IMAGES, BATCH = 200, 40
VIEW = IMAGES // BATCH
"""Steps of an epoch."""


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(autouse=True)
def kept_networks(networks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(networks))


def wanted(augment: str = "crop", **changes: Any) -> Experiment:
    """One pair of networks that have learned something, stitched for 4 epochs of 5 steps."""
    able = {"architecture": "digits_cnn", "width": 0.5, "train": {**TRAIN, "epochs": 15}}
    plain = {
        "networks": {"seed0": able, "seed1": {**able, "seed": 1}},
        "pairs": [{"bottom": "seed0", "top": "seed1"}],
        "data": {"name": "digits", "train_size": IMAGES, "test_size": 100, "augment": augment},
        "controls": [],
    }
    stitch = {"epochs": 4, "batch_size": BATCH, **changes.pop("stitch", {})}
    return experiment(**plain | changes, stitch=stitch)


def trained(found: tuple[RunDirectory, RunState]) -> dict[str, dict[str, Any]]:
    return {cut: said for (task, cut), said in measures(found[0]).items() if task == TRAINED}


def identities(state: RunState) -> dict[tuple[str, str], str]:
    return {key: cell.identity for key, cell in state.cells.items()}


def fed_in_training(monkeypatch: pytest.MonkeyPatch, tried: Experiment, size: int = BATCH) -> int:
    """How many batches of training the bottom was fed."""
    with monkeypatch.context() as patch:
        fed = watched(patch)
        new_run(tried)
    return sum(len(images) == size for images in fed["seed0"])


@pytest.mark.parametrize("views", [0, 1, 3])
def test_the_bottom_runs_for_each_view_once_and_no_more(views: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fed_in_training(monkeypatch, wanted(stitch={"views": views})) == (views or 4) * VIEW


def test_without_augmentation_one_view_leads_where_fresh_epochs_do() -> None:
    longer = {"epochs": 8, "learning_rate": 1e-2}
    fresh, kept = (trained(new_run(wanted("none", stitch={"views": views, **longer}))) for views in (0, 1))
    for cut, said in kept.items():
        assert said["penalty"] < said["start_penalty"]
        assert said["penalty"] == pytest.approx(fresh[cut]["penalty"], abs=3)
        assert said["loss"] == pytest.approx(fresh[cut]["loss"], rel=0.05)
        assert said["loss"] != fresh[cut]["loss"]  # the images came in another order


def test_as_many_views_as_epochs_are_none(tmp_path: Path) -> None:
    fresh, kept = (new_run(wanted(stitch={"views": views}), tmp_path / str(views)) for views in (0, 4))
    assert trained(kept) == trained(fresh)
    assert identities(kept[1]) == identities(fresh[1])


def test_views_are_a_part_of_what_identifies_a_trained_cell_and_no_other() -> None:
    found = [identities(new_run(wanted(stitch={"views": views}))[1]) for views in (0, 1, 2)]
    for key in found[0]:
        assert len({each[key] for each in found}) == (3 if key[0] == TRAINED else 1)


@pytest.mark.parametrize("views", [0, 1])
def test_a_column_with_other_views_has_a_name_of_its_own(views: int) -> None:
    run = wanted(stitch={"views": 2})
    also = [{"stitch": run.stitch.model_copy(update={"views": views}).plain()}]
    tasks = [task.id for task in plan(Experiment.model_validate(run.plain() | {"also": also}))]
    assert [task for task in tasks if " task " in task] == [TRAINED, f"seed0 > seed1 affine task views {views} seed 0"]


def test_a_column_whose_views_do_not_fit_is_measured_in_parts_with_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = wanted(stitch={"views": 2})
    whole = new_run(run, tmp_path / "whole")
    monkeypatch.setattr(columns, "memory_budget", lambda *_: 2_000_000)
    fed = watched(monkeypatch)
    parts = new_run(run, tmp_path / "parts")
    assert sum(len(images) == BATCH for images in fed["seed0"]) >= 2 * 2 * VIEW  # the bottom ran for each part
    assert trained(parts).keys() == trained(whole).keys()
    for cut, said in trained(parts).items():
        assert said["penalty"] == pytest.approx(trained(whole)[cut]["penalty"], abs=1)
        assert said["loss"] == pytest.approx(trained(whole)[cut]["loss"], rel=1e-4)
    steps = [e for e in read_events(parts[0].events) if e["type"] == "step" and e["task"] == TRAINED]
    assert all(event["step"] <= event["steps"] for event in steps)
    assert steps[-1]["step"] == steps[-1]["steps"] > 4 * VIEW


def test_a_cell_whose_views_fit_in_no_part_says_what_they_take_and_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "memory_budget", lambda *_: 1_000_000)
    state = new_run(wanted(stitch={"views": 2, "cuts": ["stem", "block4"]}))[1]
    cells = {cut: cell for (task, cut), cell in state.cells.items() if task == TRAINED}
    assert cells["block4"].status == "finished"
    assert cells["stem"].status == "failed"
    assert re.fullmatch(
        r"the views' features take 803 KiB and a step [\d.]+ KiB, together more than the 977 KiB that training may "
        r"take; try a larger --memory or a lower stitch\.views",
        str(cells["stem"].reason),
    )


def test_asked_to_stop_among_kept_features_it_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    run = wanted(stitch={"views": 1, "epochs": 20})
    undisturbed, _ = new_run(run, tmp_path / "undisturbed")
    directory = create(run, tmp_path / "stopped")

    def well_under_way() -> bool:
        return any(e["type"] == "task_started" and e["task"] == TRAINED for e in read_events(directory.events))

    with pytest.raises(Stopped):
        run_here(directory, run, stopping=well_under_way)
    assert not any(task == TRAINED for task, _ in measures(directory))
    run_here(directory, run)
    assert measures(directory) == measures(undisturbed)


def test_with_less_data_as_many_batches_are_fresh_as_for_the_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    run = wanted(stitch={"views": 2}, controls=["less_data"], evaluation_batch=16)
    assert fed_in_training(monkeypatch, run, IMAGES // 10) == 2 * VIEW


def test_noise_and_several_starts_have_views_as_other_cells_do() -> None:
    stitch = {"views": 1, "start": "random", "best_of": 2, "cuts": ["block2", "block4"]}
    _, state = new_run(wanted(stitch=stitch, controls=["cluster_noise", "self_stitch", "fine_tuned_top"]))
    assert {cell.status for cell in state.cells.values()} == {"finished"}
    assert {cell.measures["steps"] for cell in state.cells.values() if "steps" in cell.measures} == {20}


@pytest.mark.parametrize(
    ("stitch", "words"),
    [
        ({"views": 2, "objective": "soft"}, "views keeps what objective 'task' needs again; with 'soft' expected 0"),
        ({"views": 2, "objective": "direct"}, "with 'direct' expected 0"),
        ({"views": 2, "frozen_bn": "batch"}, "views goes on without the bottom, which frozen_bn = 'batch' has to run"),
        ({"views": -1}, "greater than or equal to 0"),
    ],
)
def test_views_where_there_is_nothing_to_keep_are_refused(stitch: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wanted(stitch=stitch)
