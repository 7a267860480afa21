"""Stitches see images augmented as their networks did, where a file says so; own images never more than that."""

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from stitchtui.networks import checkpoints
from stitchtui.networks.augmentation import of_stitches
from stitchtui.networks.checkpoints import Metadata
from stitchtui.spec.experiment import Experiment

HERE = {"architecture": "digits_cnn"}
NAMED = {"architecture": "torchvision:resnet18", "weights": "DEFAULT"}


def checkpoint(folder: Path, augment: str) -> dict[str, Any]:
    path = folder / f"{augment or 'silent'}.safetensors"
    said = Metadata(architecture="x", classes=2, shape=(3, 8, 8), mean=(0.0,), std=(1.0,), augment=augment)
    checkpoints.save(path, nn.Linear(2, 2), said)
    return {"checkpoint": str(path)}


def found(data: str, bottom: dict[str, Any], top: dict[str, Any], augment: str = "auto", **more: Any) -> str:
    return of_stitches(
        Experiment.model_validate(
            {
                "name": "x",
                "data": {"name": data, "augment": augment},
                "networks": {"a": bottom, "b": top, **more},
                "pairs": [{"bottom": "a", "top": "b"}],
            }
        )
    )


@pytest.mark.parametrize("data", ["folder:images", "npz:images.npz"])
def test_own_images_are_left_as_they_are_unless_both_networks_say_otherwise(data: str, tmp_path: Path) -> None:
    flipped, cropped, silent = (checkpoint(tmp_path, kind) for kind in ("crop_flip", "crop", ""))
    foreign = {"checkpoint": str(tmp_path / "foreign.pt"), "architecture": "resnet20"}
    for other in (HERE, NAMED, silent, foreign):
        assert found(data, flipped, other) == found(data, other, flipped) == found(data, other, other) == "none"
    assert found(data, flipped, flipped) == "crop_flip"
    assert found(data, flipped, cropped) == found(data, cropped, flipped) == "crop"
    assert found(data, flipped, flipped, c=silent) == "crop_flip"  # which no pair joins


def test_images_of_a_known_dataset_are_augmented_as_usual_but_never_more_than_a_network_was_trained_with(
    tmp_path: Path,
) -> None:
    cropped, plain, odd = (checkpoint(tmp_path, kind) for kind in ("crop", "none", "mixup"))
    assert found("cifar10", HERE, NAMED) == found("cifar10", odd, HERE) == "crop_flip"
    assert found("cifar10", HERE, cropped) == "crop"
    assert found("cifar10", plain, cropped) == "none"
    assert found("mnist", HERE, HERE) == "crop"
    assert found("digits", HERE, checkpoint(tmp_path, "crop_flip")) == "none"


def test_what_is_said_holds(tmp_path: Path) -> None:
    plain = checkpoint(tmp_path, "none")
    assert found("folder:images", plain, HERE, augment="crop_flip") == "crop_flip"
    assert found("cifar10", HERE, HERE, augment="none") == "none"
