"""Images and labels on which no number would be right are refused, and odd ones said, whatever their source."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stitchtui.base.errors import BadInput
from stitchtui.data import facts
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.spec.experiment import DataSpec

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 5), dtype=np.uint8)
LABELS = np.arange(40) % 4


def load(folder: Path, train: np.ndarray, test: np.ndarray, y_train: object = None, y_test: object = None) -> Dataset:
    ys = LABELS[: len(train)] if y_train is None else y_train, LABELS[: len(test)] if y_test is None else y_test
    np.savez(folder / "set.npz", x_train=train, y_train=ys[0], x_test=test, y_test=ys[1])
    return load_dataset(DataSpec(name=f"npz:{folder / 'set.npz'}"))


@pytest.mark.parametrize("level", [0, 77, 255])
@pytest.mark.parametrize("part", ["training", "test"])
def test_a_part_of_one_level_is_refused(tmp_path: Path, part: str, level: int) -> None:
    parts = [IMAGES[:30], IMAGES[30:]]
    parts[part == "test"] = np.full_like(parts[part == "test"], level)
    with pytest.raises(BadInput, match=rf"the pixels of the {part} images hardly differ .* {level} to {level} of 255"):
        load(tmp_path, *parts)


def test_images_that_differ_by_one_step_in_a_few_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"hardly differ from one another \(they run from 0 to 1 of 255\)"):
        load(tmp_path, IMAGES[:30] // 255, IMAGES[30:])


def test_black_image_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    for number in range(12):
        file = tmp_path / "black" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(file)
    with pytest.raises(BadInput, match=r"^data\.name: folder:.*black: the pixels of the training images hardly differ"):
        load_dataset(DataSpec(name=f"folder:{tmp_path / 'black'}"))


def test_one_channel_may_be_constant(tmp_path: Path) -> None:
    colour = np.stack([IMAGES, np.zeros_like(IMAGES), np.full_like(IMAGES, 9)], axis=3)
    dataset = load(tmp_path, colour[:30], colour[30:])
    assert dataset.notes == ()
    assert dataset.std[1:] == (1.0, 1.0)


def test_channels_that_differ_from_each_other_only_are_constant() -> None:
    images = torch.tensor([0, 100, 200], dtype=torch.uint8)[None, :, None, None].expand(5, 3, 4, 4)
    assert facts.hardly_varies(images)


def test_images_that_only_later_ones_differ_from_vary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "CHUNK", 2)
    images = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
    assert facts.hardly_varies(images)
    images[5] = 255
    assert not facts.hardly_varies(images)


def test_test_images_that_are_training_images_are_counted(tmp_path: Path) -> None:
    (note,) = load(tmp_path, IMAGES[:30], np.concatenate([IMAGES[30:], IMAGES[:3]])).notes
    assert note.startswith("3 of 13 test images are training images too")
    assert load(tmp_path, IMAGES[:30], IMAGES[30:]).notes == ()


def test_images_are_counted_among_those_that_are_used(tmp_path: Path) -> None:
    load(tmp_path, IMAGES[:30], IMAGES[:10])
    spec = DataSpec(name=f"npz:{tmp_path / 'set.npz'}", train_range=(8, 30))
    (note,) = load_dataset(spec).notes
    assert note.startswith("2 of 10 test images are training images too")


def test_classes_without_test_images_are_said(tmp_path: Path) -> None:
    (note,) = load(tmp_path, IMAGES[:30], IMAGES[30:], y_test=np.full(10, 3)).notes
    assert note == "no test images of 3 of 4 classes (0, 1, 2): the numbers say nothing of those"


def test_classes_that_only_the_test_part_has_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"images of classes that the training part has none of \(3\); .* alike"):
        load(tmp_path, IMAGES[:30], IMAGES[30:], y_train=LABELS[:30] % 3)


def test_training_images_of_one_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="all training images are of one class; expected two or more"):
        load(tmp_path, IMAGES[:30], IMAGES[30:], y_train=LABELS[:30] * 0, y_test=LABELS[30:] * 0)


def test_gaps_between_labels_are_said(tmp_path: Path) -> None:
    dataset = load(tmp_path, IMAGES[:30], IMAGES[30:], LABELS[:30] * 5, LABELS[30:] * 5)
    assert len(dataset.classes) == 16
    (note,) = dataset.notes
    assert note == (
        "no images of 12 of 16 classes (1, 2, 3 and 9 more): networks still need 16 outputs; if the labels have gaps "
        "by mistake, number the classes from 0 without any"
    )


def test_classes_are_named_without_control_characters(tmp_path: Path) -> None:
    names = np.array(["a", "b", "c", "d", "\x1b[31m"])
    np.savez(
        tmp_path / "set.npz",
        x_train=IMAGES[:30],
        y_train=LABELS[:30],
        x_test=IMAGES[30:],
        y_test=LABELS[30:],
        classes=names,
    )
    (note,) = load_dataset(DataSpec(name=f"npz:{tmp_path / 'set.npz'}")).notes
    assert note.startswith("no images of 1 of 5 classes (?[31m)")
