"""Weight files as self-supervised training leaves them fit a backbone, and what is left out of them is said."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stitchtui.errors import BadInput
from stitchtui.networks import checkpoints

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


def load(path: Path, saved: Any, without: tuple[str, ...] = ("fc.weight", "fc.bias")) -> tuple[str, ...]:
    """Saves it, loads it into a backbone, and checks that every weight arrived."""
    torch.save(saved, path)
    torch.manual_seed(2)
    network = Backbone()
    notes = checkpoints.load_into(network, checkpoints.read(path), 10, without)
    for name, value in state().items():
        torch.testing.assert_close(network.state_dict()[name], value)
    return notes


DINO = {
    "student": {**state("module.backbone."), **random("module.head.mlp.0.weight", "module.head.last_layer.weight_g")},
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
        **{key: value + 1 for key, value in state("module.encoder_k.").items()},
        **random("module.queue", "module.queue_ptr"),
    },
}


@pytest.mark.parametrize(
    ("saved", "notes"),
    [
        (state(), ()),
        (DINO, ("took teacher, left out student", "left out what only its training needed: head")),
        (SWAV, ("left out what only its training needed: projection_head, prototypes",)),
        (SIMCLR, ("took trunk, left out heads",)),
        (MOCO, ("left out what only its training needed: encoder_k, queue, queue_ptr and 1 more",)),
        ({"state_dict": state("backbone.", fc=True)}, ("left out its own last layer: fc",)),
        (state("module.") | random("module.aux1.fc.bias"), ("left out auxiliary classifiers: aux1",)),
    ],
    ids=["dino's backbone", "dino, whole", "swav", "simclr of vissl", "moco", "a classifier", "auxiliary"],
)
def test_a_backbone_is_found_in_each_layout_and_what_is_left_out_is_said(
    tmp_path: Path, saved: Any, notes: tuple[str, ...]
) -> None:
    assert load(tmp_path / "a.pth.tar", saved) == notes


def refusal(path: Path, saved: Any) -> str:
    torch.save(saved, path)
    with pytest.raises(BadInput) as caught:
        checkpoints.load_into(Backbone(), checkpoints.read(path), 10)
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
    text = refusal(tmp_path / "b.pt", {**state(), **random("projector.0.weight")})
    assert "missing fc.weight, fc.bias; unexpected projector.0.weight" in text or "holds a backbone" in text


def test_settings_beside_the_weights_run_nothing_and_code_still_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (print, ("ran",))

    assert "reading it would run code" in refusal(tmp_path / "a.pt", {**DINO, "args": argparse.Namespace(x=Evil())})
