"""What a run will take: laws of the counting, at made-up speeds, and what may and may not be done for it."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import TRAIN, experiment

from stitchtui.base import paths
from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.execute import estimate as estimation
from stitchtui.execute.calibration import Calibration, Line, Speed
from stitchtui.execute.estimate import estimate
from stitchtui.networks.by_name import build
from stitchtui.networks.obtain import obtain
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.length import USUAL_STEPS
from stitchtui.spec.plan import resolve
from stitchtui.stitching.chain import Chain

DIRECT, TRAINED = "seed0 > seed1 affine direct seed 0", "seed0 > seed1 affine task seed 0"
TEST = 100
"""Test images, which every network's chain is scored on."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def known_speeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for an image forward, and two forward and back; nothing for all else."""
    for name in ("operation", "flop", "cubed"):
        monkeypatch.setattr(Calibration, name, 0.0)
    monkeypatch.setattr(Calibration, "speed", lambda *_: Speed(Line(0.0, 1.0), Line(0.0, 2.0)))


def seconds(wanted: Experiment) -> dict[str, float]:
    return {row["task"]: row["seconds"] for row in estimate(wanted, "cpu")}


def with_networks(change: dict[str, Any]) -> dict[str, Any]:
    return {name: spec | change for name, spec in experiment().plain()["networks"].items()}


# laws of the counting


@pytest.mark.usefixtures("known_speeds")
def test_twice_the_epochs_of_a_network_are_twice_the_seconds_of_its_training() -> None:
    two, four = (
        seconds(experiment(networks=with_networks({"train": TRAIN | {"epochs": n}})))["network seed0"] for n in (2, 4)
    )
    assert four - TEST == 2 * (two - TEST) == 4 * 200 * 3  # seconds: three times the forward pass of 200 images


@pytest.mark.usefixtures("known_speeds")
def test_twice_the_steps_of_a_stitch_are_twice_the_seconds_of_its_training_and_nothing_else_changes() -> None:
    none, few, many = (seconds(experiment(stitch={"steps": n, "held_out": 0}, controls=[])) for n in (1, 101, 201))
    assert many[TRAINED] - few[TRAINED] == pytest.approx(few[TRAINED] - none[TRAINED])
    assert many[TRAINED] > few[TRAINED]
    assert many[DIRECT] == few[DIRECT]


@pytest.mark.usefixtures("known_speeds")
def test_what_may_end_before_its_limit_is_taken_to_need_the_usual_steps() -> None:
    def taken(steps: int, length: str) -> float:
        return seconds(experiment(stitch={"steps": steps, "length": length, "held_out": 20}, controls=[]))[TRAINED]

    assert taken(USUAL_STEPS, "converged") < taken(2 * USUAL_STEPS, "fixed")
    assert taken(10 * USUAL_STEPS, "converged") == taken(USUAL_STEPS, "converged")


@pytest.mark.usefixtures("known_speeds")
def test_a_step_runs_the_bottom_below_the_cut_and_the_top_after_it_forward_and_back() -> None:
    """Of two networks alike, of which the share d lies before the cut, a step takes d + 2 (1 - d) seconds an image."""

    def step(cut: str) -> float:
        few, more = (seconds(experiment(stitch=plain | {"cuts": [cut], "steps": n}, controls=[])) for n in (1, 2))
        return (more[TRAINED] - few[TRAINED]) / 50  # images of a batch

    plain = {"held_out": 0}
    early, late = step("stem"), step("flatten")
    assert 1 < late < early < 2
    depth = 2 - early
    both = ({**plain, "cuts": ["stem", "flatten"], "steps": n} for n in (1, 2))
    few, more = (seconds(experiment(stitch=stitch, controls=[]))[TRAINED] for stitch in both)
    assert (more - few) / 50 == pytest.approx((2 - late) + 2 * (1 - depth) + 2 * (1 - (2 - late)))


@pytest.mark.usefixtures("known_speeds")
def test_each_look_at_held_out_images_takes_a_pass_of_the_bottom_and_of_the_tops_after_each_cut() -> None:
    def took(**stitch: Any) -> float:
        return seconds(experiment(stitch={"cuts": ["flatten"], "steps": 2, **stitch}, controls=[]))[TRAINED]

    # Of both networks what lies beside the cut is one network, and there are three looks, after steps 0, 1 and 2.
    assert took(held_out=40) - took(held_out=0) == pytest.approx(3 * 40, rel=0.01)


@pytest.mark.usefixtures("known_speeds")
def test_passes_take_as_much_longer_as_there_are_more_images() -> None:
    half, whole = (
        seconds(experiment(data={"name": "digits", "train_size": n, "test_size": n // 2})) for n in (100, 200)
    )
    for task in resolve(experiment()).tasks:
        if task.objective == "direct":
            assert whole[task.id] == pytest.approx(2 * half[task.id])
            assert half[task.id] > 0


@pytest.mark.usefixtures("known_speeds")
def test_a_network_that_is_at_hand_costs_no_training_and_a_part_of_a_training_is_paid_for_once() -> None:
    spec = experiment().networks["seed0"]
    whole, part = ({"train": {**TRAIN, "epochs": 5, "stop_epoch": epoch}, "seed": 7} for epoch in (None, 2))
    networks = {"seed0": spec.plain(), "whole": spec.plain() | whole, "part": spec.plain() | part}
    pairs = [{"bottom": name, "top": "seed0"} for name in ("whole", "part")]
    wanted = experiment(networks=networks, pairs=pairs, controls=[])
    before = seconds(wanted)
    assert before["network part"] - TEST == 2 * 200 * 3
    assert before["network whole"] - TEST == 3 * 200 * 3
    data = estimation.load_dataset(wanted.data)
    finish(obtain("seed0", wanted.networks["seed0"], data, torch.device("cpu")))
    after = seconds(wanted)
    assert before["network seed0"] - TEST == 2 * 200 * 3
    assert after == before | {"network seed0": TEST}


@pytest.mark.usefixtures("known_speeds")
@pytest.mark.parametrize(("task", "often"), [("rotation", 1), ("simclr", 2)])
def test_a_training_without_labels_takes_its_own_epochs_and_its_heads(task: str, often: int) -> None:
    networks = with_networks({"task": task, "probe": {"epochs": 3, "batch_size": 100}})
    assert seconds(experiment(networks=networks))["network seed0"] - TEST == 2 * 200 * 3 * often + 3 * 200


@pytest.mark.usefixtures("known_speeds")
def test_what_several_columns_share_is_paid_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Calibration, "cubed", 1.0)  # so that closed forms and likeness outweigh all else
    wanted = experiment(controls=["identity"], also=[{"stitch": {"family": "orthogonal", "steps": 10}}])
    found = seconds(wanted)
    dear = [task for task, taken in found.items() if taken > 10_000]
    assert dear == [f"{pair} affine direct seed 0" for pair in ("seed0 > seed1", "seed1 > seed0")]
    assert found[dear[0]] > found[dear[1]]  # the likeness of two networks is that of the other order, too


@pytest.mark.usefixtures("known_speeds")
def test_a_tail_that_learns_takes_half_as_long_again_as_one_that_is_frozen() -> None:
    stitch = {"steps": 1000, "cuts": ["stem"]}
    found = seconds(experiment(stitch=stitch, controls=["fine_tuned_top"]))
    tuned = found["seed0 > seed1 fine_tuned_top tail task seed 0"]
    assert 1.3 < tuned / found[TRAINED] < 1.5  # both run the bottom forward as well


def test_the_bytes_of_a_step_grow_with_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "held_memory", lambda _: 0)
    small, large = (
        {
            row["task"]: row["bytes"]
            for row in estimate(
                experiment(
                    networks=with_networks({"train": TRAIN | {"batch_size": n}}),
                    stitch={"batch_size": n},
                    controls=["fine_tuned_top"],
                    evaluation_batch=10,
                ),
                "cpu",
            )
        }
        for n in (50, 200)
    )
    for task in ("network seed0", TRAINED, "seed0 > seed1 fine_tuned_top tail task seed 0"):
        assert 1.5 * small[task] < large[task] < 4.1 * small[task]
    assert small[DIRECT] == large[DIRECT] > 0


# what is looked at


def test_every_network_and_every_task_gets_a_row_in_the_plans_order() -> None:
    wanted = experiment()
    rows = estimate(wanted, "cpu")
    assert [r["task"] for r in rows] == ["network seed0", "network seed1", *(t.id for t in resolve(wanted).tasks)]
    assert all(r["seconds"] > 0 and r["bytes"] > 0 for r in rows)
    assert [r["cells"] for r in rows] == [0, 0] + [6] * len(resolve(wanted).tasks)


def test_an_estimate_of_the_same_networks_looks_at_none_of_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = with_networks({"width": 0.375})
    before = seconds(experiment(networks=networks))

    def looked(*_: Any) -> None:
        raise AssertionError("a network is looked at again")

    monkeypatch.setattr("stitchtui.measuring.session.Traced", looked)
    monkeypatch.setattr("stitchtui.execute.task_costs.step_costs", looked)
    after = seconds(experiment(networks=networks, stitch={"epochs": 100.0}))
    assert after[TRAINED] > before[TRAINED]
    with pytest.raises(AssertionError):
        estimate(experiment(networks=with_networks({"width": 0.8125})), "cpu")


def test_no_number_of_a_network_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    run = Chain.features
    monkeypatch.setattr(Chain, "features", lambda self, x, *upto: (seen.append(x.is_meta), run(self, x, *upto))[1])
    wanted = experiment(networks=with_networks({"width": 0.625}), controls=["random_bottom", "cluster_noise"])
    estimate(wanted, "cpu")
    assert seen and all(seen)


@pytest.mark.parametrize(("key", "value"), [("architecture", "digits_cnm"), ("subset", {"train_range": [0, 20_000]})])
def test_what_a_network_cannot_be_names_the_network(key: str, value: object) -> None:
    networks = experiment().plain()["networks"]
    networks["seed1"] = {**networks["seed1"], key: value}
    with pytest.raises(BadInput, match=f"^network seed1: {key}"):
        estimate(experiment(networks=networks), "cpu")


def test_nothing_is_trained_or_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    estimate(experiment(), "cpu")
    assert list(tmp_path.iterdir()) == []
    assert not (paths.cache_directory() / "networks").exists()
    assert not paths.runs_directory().exists()


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    estimate(experiment(controls=[]), "cpu")
    assert torch.equal(torch.rand(2), expected)


def test_bad_input_is_found_before_a_run_is_started(tmp_path: Path) -> None:
    torch.save(build("digits_cnn", 7, (1, 8, 8), 0.25, {}).state_dict(), tmp_path / "seven.pt")
    seven = {"architecture": "digits_cnn", "width": 0.25, "checkpoint": str(tmp_path / "seven.pt")}
    with pytest.raises(BadInput, match=r"for 7 classes, the data has 10: choose data with 7, or .*--head train"):
        estimate(experiment(networks={"seed0": {"architecture": "digits_cnn"}, "seed1": seven}), "cpu")
    with pytest.raises(BadInput, match="'blok1' is not known; nearest: 'block1'"):
        estimate(experiment(stitch={"cuts": ["blok1"]}), "cpu")
    with pytest.raises(BadInput, match="no such file"):
        networks = {"seed0": {"checkpoint": "missing.safetensors"}, "seed1": {"architecture": "digits_cnn"}}
        estimate(experiment(networks=networks), "cpu")


@pytest.mark.usefixtures("known_speeds")
def test_networks_that_bring_their_weights_are_scored_and_no_head_is_trained(tmp_path: Path) -> None:
    torch.save(build("digits_cnn", 10, (1, 8, 8), 0.25, {}).state_dict(), tmp_path / "weights.pt")
    given = {"architecture": "digits_cnn", "width": 0.25, "checkpoint": str(tmp_path / "weights.pt")}
    wanted = experiment(
        networks={"a": given, "b": given | {"head": "train"}}, pairs=[{"bottom": "a", "top": "b"}], controls=[]
    )
    found = seconds(wanted)
    assert (found["network a"], found["network b"]) == (2 * TEST, 2 * TEST + 200)  # scored twice; features for a head
    assert not (paths.cache_directory() / "heads").exists()


VIEWING = """
from torch import nn

class Viewing(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.head = nn.Linear(8 * 4, num_classes)

    def forward(self, x):
        x = nn.functional.avg_pool2d(self.stem(x).relu(), 4)
        return self.head(x.view(x.size(0), -1))
"""


def test_a_network_whose_view_takes_no_channels_last_is_tried_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "viewing.py"
    file.write_text(VIEWING)
    module = build(f"{file}:Viewing", 10, (1, 8, 8))
    torch.save(module.state_dict(), tmp_path / "viewing.pt")
    network = {"checkpoint": str(tmp_path / "viewing.pt"), "architecture": f"{file}:Viewing"}
    wanted = experiment(networks={"a": network, "b": network}, pairs=[{"bottom": "a", "top": "b"}], controls=[])
    assert all(row["seconds"] > 0 for row in estimate(wanted, "cpu"))
