import math
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import experiment

from stitchtui.base import paths
from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.execute import column_timer, timing
from stitchtui.execute import estimate as estimation
from stitchtui.execute.estimate import estimate
from stitchtui.networks.architectures import build
from stitchtui.networks.network import Network
from stitchtui.networks.obtain import obtain
from stitchtui.spec.experiment import NetworkSpec
from stitchtui.spec.plan import plan


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def a_second_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is timed takes a second, and isn't long."""
    for module in (timing, column_timer):
        monkeypatch.setattr(module, "seconds", lambda work, _device: (work(), 1.0)[1])
    monkeypatch.setattr(timing, "LONG", math.inf)


@pytest.mark.parametrize(("key", "value"), [("architecture", "digits_cnm"), ("subset", {"train_range": [0, 20_000]})])
def test_what_a_network_cannot_be_names_the_network(key: str, value: object) -> None:
    networks = experiment().plain()["networks"]
    networks["seed1"] = {**networks["seed1"], key: value}
    with pytest.raises(BadInput, match=f"^network seed1: {key}"):
        estimate(experiment(networks=networks), "cpu")


def test_every_network_and_every_task_gets_a_row_in_the_plans_order() -> None:
    wanted = experiment()
    rows = estimate(wanted, "cpu")
    assert [r["task"] for r in rows] == ["network seed0", "network seed1", *(t.id for t in plan(wanted))]
    assert all(r["seconds"] >= 0 and r["bytes"] > 0 for r in rows)
    assert [r["cells"] for r in rows] == [0, 0] + [6] * len(plan(wanted))


def test_a_row_is_what_one_step_took_times_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    a_second_each(monkeypatch)
    few, many = (
        {r["task"]: r["seconds"] for r in estimate(experiment(controls=[], stitch={"steps": n}), "cpu")}
        for n in (10, 1010)
    )
    trained, direct = "seed0 > seed1 affine task seed 0", "seed0 > seed1 affine direct seed 0"
    assert many[trained] - few[trained] == pytest.approx(1000 / column_timer.TIMED_STEPS)
    assert many[direct] == few[direct]
    assert few["network seed0"] == 8 / column_timer.TIMED_STEPS  # 2 epochs of 200 images, 50 a batch


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


def test_bad_input_is_found_before_a_run_is_started() -> None:
    with pytest.raises(BadInput, match="'blok1' is not known; nearest: 'block1'"):
        estimate(experiment(stitch={"cuts": ["blok1"]}), "cpu")
    with pytest.raises(BadInput, match="no such file"):
        networks = {"seed0": {"checkpoint": "missing.safetensors"}, "seed1": {"architecture": "digits_cnn"}}
        estimate(experiment(networks=networks), "cpu")


def test_networks_that_bring_their_weights_are_looked_at_with_a_few_images_and_no_head_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def spied(name: str, spec: NetworkSpec, dataset: Dataset, *others: Any) -> Network:
        seen.append(len(dataset.test))
        return obtain(name, spec, dataset, *others)

    monkeypatch.setattr(estimation, "obtain", spied)
    monkeypatch.setattr(timing, "seconds", lambda work, _device: (work(), 10.0)[1])
    torch.save(build("digits_cnn", 10, (1, 8, 8), 0.25, {}).state_dict(), tmp_path / "weights.pt")
    given = {"architecture": "digits_cnn", "width": 0.25, "checkpoint": str(tmp_path / "weights.pt")}
    wanted = experiment(
        networks={"a": given, "b": given | {"head": "train"}}, pairs=[{"bottom": "a", "top": "b"}], controls=[]
    )
    rows = estimate(wanted, "cpu")
    assert [row["seconds"] for row in rows[:2]] == [10.0, 30.0]  # 100 test images; with them 200 training images
    assert seen == [timing.FEWEST]
    assert not (paths.cache_directory() / "heads").exists()


def test_closed_forms_are_counted_once_for_what_shares_their_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_timer.ColumnTimer, "_of_fitting", lambda *_: 100.0)  # seconds per image
    for module in (timing, column_timer):
        monkeypatch.setattr(module, "seconds", lambda *_: 0.0)
    wanted = experiment(
        pairs=[{"bottom": "seed0", "top": "seed1"}],
        controls=["identity"],
        also=[{"stitch": {"family": "orthogonal"}}, {"stitch": {"family": "conv3"}}],
    )
    counted = [r["task"] for r in estimate(wanted, "cpu") if r["seconds"] == 100.0 * 200]
    assert counted == ["seed0 > seed1 affine direct seed 0", "seed0 > seed1 conv3 direct seed 0"]


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


def test_a_network_whose_view_takes_no_channels_last_is_timed_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "viewing.py"
    file.write_text(VIEWING)
    module = build(f"{file}:Viewing", 10, (1, 8, 8))
    torch.save(module.state_dict(), tmp_path / "viewing.pt")
    network = {"checkpoint": str(tmp_path / "viewing.pt"), "architecture": f"{file}:Viewing"}
    wanted = experiment(networks={"a": network, "b": network}, pairs=[{"bottom": "a", "top": "b"}], controls=[])
    assert all(row["seconds"] >= 0 for row in estimate(wanted, "cpu"))
