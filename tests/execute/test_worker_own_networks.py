"""Networks of one's own that compute in other numbers than float32, or squeeze a batch of one image away."""

from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import experiment, measures, new_run

from stitchtui.base.errors import BadInput
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import CellFailed, read_events

CLASSES = """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.more, self.head = nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.Linear(8, num_classes)
        with torch.no_grad():
            self.bn.running_var.fill_(0.1)

    def features(self, x):
        return torch.relu(self.more(torch.relu(self.bn(self.conv(x))))).mean((2, 3))

    def forward(self, x):
        return self.head(self.features(x))

class Double(Plain):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.double()

    def forward(self, x):
        return super().forward(x.double())

class Half(Plain):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.bfloat16()

    def forward(self, x):
        return super().forward(x.bfloat16())

class Between(Plain):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        self.register_buffer("scale", torch.ones(1, dtype=torch.float64), persistent=False)

    def forward(self, x):
        return self.head((self.features(x) * self.scale).float())

class Patched(Plain):
    def __init__(self, num_classes=10):
        super().__init__(num_classes)
        more = self.more
        more.forward = lambda x: more._conv_forward(x, more.weight, more.bias)

class Squeezed(Plain):
    def forward(self, x):
        return self.head(self.features(x)[:, :, None].squeeze())
"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nets.py").write_text(CLASSES)
    names: dict[str, Any] = {}
    exec(CLASSES, names)
    for seed, name in enumerate("ab"):
        torch.manual_seed(seed)
        torch.save(names["Plain"]().state_dict(), tmp_path / f"{name}.pt")
    return tmp_path


def run(where: Path, bottom: str, top: str, **changes: Any) -> RunDirectory:
    networks = {
        name: {"checkpoint": f"{where}/{name}.pt", "architecture": f"{where}/nets.py:{kind}"}
        for name, kind in (("a", bottom), ("b", top))
    }
    stitch = {"steps": 4, "cuts": ["bn+relu", "more+mean"], **changes.pop("stitch", {})}
    pairs = [{"bottom": "a", "top": "b"}]
    wanted = experiment(
        **{"networks": networks, "pairs": pairs, "stitch": stitch, "controls": ["self_stitch"], **changes}
    )
    directory, state = new_run(wanted, where / f"{bottom}-{top}")
    assert {task.status for task in state.tasks.values()} == {"finished"}
    return directory


def numbers(directory: RunDirectory, name: str) -> dict[tuple[str, str], float | None]:
    return {key: found[name] for key, found in measures(directory).items()}


@pytest.mark.parametrize("bottom, top", [("Double", "Double"), ("Plain", "Double"), ("Between", "Plain")])
def test_networks_in_double_have_the_numbers_that_they_have_in_float32(bottom: str, top: str, workplace: Path) -> None:
    plain, own = run(workplace, "Plain", "Plain"), run(workplace, bottom, top)
    for name in ("loss", "activation_gap", "cka"):
        assert numbers(own, name) == pytest.approx(numbers(plain, name), rel=2e-3, abs=1e-5)
    assert numbers(own, "top_error") == numbers(plain, "top_error")


def test_a_network_in_bfloat16_is_measured_in_its_own_numbers(workplace: Path) -> None:
    plain, own = run(workplace, "Plain", "Plain"), run(workplace, "Half", "Half")
    assert numbers(own, "loss") == pytest.approx(numbers(plain, "loss"), rel=0.05)
    assert numbers(own, "loss") != numbers(plain, "loss")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_joined_with_one_in_float32_it_trains_in_either_precision(precision: str, workplace: Path) -> None:
    found = numbers(run(workplace, "Half", "Plain", stitch={"precision": precision}), "loss")
    expected = numbers(run(workplace, "Plain", "Plain", stitch={"precision": precision}), "loss")
    assert found == pytest.approx(expected, rel=0.05)


def test_no_batch_of_one_image_is_made_where_others_are_beside_it(workplace: Path) -> None:
    changes: dict[str, Any] = {"evaluation_batch": 33, "stitch": {"batch_size": 199}}
    plain, own = run(workplace, "Plain", "Plain", **changes), run(workplace, "Squeezed", "Squeezed", **changes)
    assert numbers(own, "loss") == pytest.approx(numbers(plain, "loss"), rel=1e-4)


def test_where_batches_of_one_image_are_asked_for_such_a_network_is_refused(workplace: Path) -> None:
    with pytest.raises(BadInput, match=r"'a': gives scores of shape \[10\] for one image .* evaluation_batch is 1"):
        run(workplace, "Squeezed", "Squeezed", evaluation_batch=1)
    run(workplace, "Plain", "Plain", evaluation_batch=1)


def test_a_network_whose_copies_would_read_its_own_weights_has_no_random_control(workplace: Path) -> None:
    with pytest.raises(BadInput, match=r"network 'a': a forward.. or a hook set on one of its layers .* --controls"):
        run(workplace, "Patched", "Plain", controls=["random_bottom"])
    run(workplace, "Patched", "Plain")


def test_nor_can_its_layers_be_trained_further(workplace: Path) -> None:
    directory = run(workplace, "Plain", "Patched", controls=["fine_tuned_top"])
    failed = [e for e in read_events(directory.events) if isinstance(e, CellFailed)]
    assert [e.cut for e in failed] == ["bn+relu"]  # the tail after the other cut is without that layer
    assert "so that b can't be trained further" in failed[0].reason
