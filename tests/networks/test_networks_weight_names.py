"""Weight files as self-supervised training leaves them fit a backbone, and what is left out of them is said."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stitchtui.base.errors import BadInput
from stitchtui.networks import checkpoints, fitting

State = dict[str, Tensor]


class Backbone(nn.Module):
    """In the layout of a ResNet-50: conv1, bn1, layer1 and fc."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(nn.Conv2d(4, 4, 1))
        self.fc = nn.Linear(4, 10)


def state(prefix: str = "", *, fc: bool = False) -> State:
    torch.manual_seed(1)
    found = Backbone().state_dict()
    return {prefix + key: value for key, value in found.items() if fc or not key.startswith("fc.")}


def random(*names: str) -> State:
    return {name: torch.rand(2) for name in names}


def load(
    path: Path, saved: Any, without: tuple[str, ...] = ("fc.weight", "fc.bias"), part: str | None = None
) -> tuple[str, ...]:
    """Saves it, loads it into a backbone, and checks that every weight arrived."""
    torch.save(saved, path)
    torch.manual_seed(2)
    network = Backbone()
    notes = fitting.load_into(network, checkpoints.read(path), 10, without, part)
    for name, value in state().items():
        torch.testing.assert_close(network.state_dict()[name], value)
    return notes


def other(prefix: str) -> State:
    return {key: value + 1 for key, value in state(prefix).items()}


DINO = {
    "student": {**other("module.backbone."), **random("module.head.mlp.0.weight", "module.head.last_layer.weight_g")},
    "teacher": {**state("backbone."), **random("head.mlp.0.weight", "head.last_layer.weight_g")},
    "optimizer": {"state": {}},
    "epoch": 800,
    "args": argparse.Namespace(arch="resnet50", lr=0.3),
}
SWAV = {**state("module."), **random("module.projection_head.0.weight", "module.prototypes.weight")}
SIMCLR = {
    "phase_idx": 1,
    "classy_state_dict": {
        "base_model": {
            "model": {"trunk": state("_feature_blocks."), "heads": random("0.clf.0.weight", "1.clf.0.weight")},
            "meters": {},
        }
    },
}
MOCO = {
    "arch": "resnet50",
    "state_dict": {
        **state("module.encoder_q."),
        **random("module.encoder_q.fc.0.weight", "module.encoder_q.fc.2.weight"),
        **other("module.encoder_k."),
        **random("module.queue", "module.queue_ptr"),
    },
}


@pytest.mark.parametrize(
    ("saved", "notes"),
    [
        (state(), ()),
        (SWAV, ("took module, left out projection_head, prototypes",)),
        (SIMCLR, ("took classy_state_dict.base_model.model.trunk._feature_blocks, left out heads",)),
        (
            MOCO,
            (
                "left out state_dict.module.encoder_k, a moving average of the weights:"
                " part = 'state_dict.module.encoder_k' (--part state_dict.module.encoder_k) takes it",
                "took state_dict.module.encoder_q, left out fc, queue, queue_ptr",
            ),
        ),
        ({"state_dict": state("backbone.", fc=True)}, ("left out its own last layer: fc",)),
        (state("module.") | random("module.aux1.fc.bias"), ("took module, left out aux1",)),
    ],
    ids=["dino's backbone", "swav", "simclr of vissl", "moco", "a classifier", "auxiliary"],
)
def test_a_backbone_is_found_in_each_layout_and_what_is_left_out_is_said(
    tmp_path: Path, saved: Any, notes: tuple[str, ...]
) -> None:
    assert load(tmp_path / "a.pth.tar", saved) == notes


def test_of_a_student_and_a_teacher_one_has_to_be_chosen(tmp_path: Path) -> None:
    notes = load(tmp_path / "a.pth", DINO, part="teacher")
    assert notes == ("took teacher.backbone, left out student, head",)
    torch.save(DINO, tmp_path / "a.pth")
    with pytest.raises(BadInput, match=r"at teacher\.backbone, student\.module\.backbone; .*--part"):
        fitting.load_into(Backbone(), checkpoints.read(tmp_path / "a.pth"), 10, ("fc.weight", "fc.bias"))


def refusal(path: Path, saved: Any) -> str:
    torch.save(saved, path)
    with pytest.raises(BadInput) as caught:
        fitting.load_into(Backbone(), checkpoints.read(path), 10)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("saved", [state(), DINO, SWAV, SIMCLR, MOCO])
def test_a_backbone_without_class_scores_names_the_head(tmp_path: Path, saved: Any) -> None:
    text = refusal(tmp_path / "a.pt", saved)
    assert "holds a backbone without class scores (missing fc.weight, fc.bias); add head = 'train'" in text


def test_anything_else_is_a_list_of_what_is_missing_and_what_is_not_expected(tmp_path: Path) -> None:
    wrong = {key.replace("layer1", "stage1"): value for key, value in state("module.", fc=True).items()}
    text = refusal(tmp_path / "a.pt", wrong)
    assert "missing layer1.0.weight, layer1.0.bias; unexpected stage1.0.weight, stage1.0.bias" in text
    text = refusal(tmp_path / "b.pt", {**state("module."), **random("module.projector.0.weight")})
    assert "holds a backbone without class scores (missing fc.weight, fc.bias)" in text


def test_settings_beside_the_weights_run_nothing_and_code_still_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("ran",))

    assert "reading it would run code" in refusal(tmp_path / "a.pt", {**DINO, "args": argparse.Namespace(x=Evil())})
