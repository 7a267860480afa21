"""Arrays from an `.npz` become datasets; each way in which they can be wrong is one clear line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.errors import BadInput
from stitchtui.experiment import DataSpec

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)  # [n, h, w, c]


def arrays(**changed: Any) -> dict[str, Any]:
    labels = np.arange(12) % 3
    good = {"x_train": COLOUR[:8], "y_train": labels[:8], "x_test": COLOUR[8:], "y_test": labels[8:]}
    return {name: array for name, array in {**good, **changed}.items() if array is not None}


def load(folder: Path, **changed: Any) -> Dataset:
    np.savez(folder / "set.npz", **arrays(**changed))
    return load_dataset(DataSpec(name=f"npz:{folder / 'set.npz'}"))


def test_images_with_channels_last_and_first_are_the_same_dataset(tmp_path: Path) -> None:
    last = load(tmp_path)
    first = load(tmp_path, x_train=COLOUR[:8].transpose(0, 3, 1, 2), x_test=COLOUR[8:].transpose(0, 3, 1, 2))
    assert last.digest == first.digest
    assert last.shape == (3, 6, 5)
    assert torch.equal(last.train.images, torch.from_numpy(COLOUR[:8]).permute(0, 3, 1, 2))
    assert last.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert last.classes == ("0", "1", "2")
    assert last.augment == "crop"


def test_grey_images_need_no_channel_axis(tmp_path: Path) -> None:
    dataset = load(tmp_path, x_train=COLOUR[:8, :, :, 0], x_test=COLOUR[8:, :, :, 0])
    assert dataset.shape == (1, 6, 5)
    assert len(dataset.mean) == 1


def test_labels_in_a_column_and_names_for_the_classes_are_read(tmp_path: Path) -> None:
    column = (np.arange(8) % 3).astype(np.uint8)[:, None]
    names = np.array(["cat", "dog", "gnu", "owl"])
    dataset = load(tmp_path, y_train=column, classes=names)
    assert dataset.train.labels.tolist() == column[:, 0].tolist()
    assert dataset.train.labels.dtype == torch.int64
    assert dataset.classes == ("cat", "dog", "gnu", "owl")


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"y_test": None}, r"lacks y_test \(arrays there: x_train, y_train, x_test\); expected the arrays"),
        ({"x_train": COLOUR[:8] / 255}, "x_train: is float64; expected uint8 pixels from 0 to 255"),
        ({"x_train": COLOUR[:8].reshape(8, -1)}, r"x_train: has shape \[8, 90\]; expected \[n, h, w\]"),
        ({"x_train": COLOUR[:0], "y_train": np.arange(0)}, r"x_train: has shape \[0, 6, 5, 3\]"),
        ({"x_train": np.zeros((8, 3, 5, 3), np.uint8)}, "either axis 1 or axis 3 could be the 1 to 4 channels"),
        ({"x_train": np.zeros((8, 6, 5, 7), np.uint8)}, "neither axis 1 nor axis 3 is the 1 to 4 channels"),
        ({"x_test": COLOUR[8:, :5]}, r"x_train's images are \[3, 6, 5\] .* but x_test's are \[3, 5, 5\]"),
        ({"y_train": np.arange(7)}, "x_train has 8 images but y_train 7 labels"),
        ({"y_train": np.linspace(0, 1, 8)}, r"y_train: is float64 \[8\]; expected whole numbers"),
        ({"y_train": np.eye(8, dtype=int)}, r"y_train: is int64 \[8, 8\]; expected whole numbers"),
        ({"y_train": np.arange(8) - 1}, "y_train: runs from -1 to 6; expected labels from 0"),
        ({"y_train": np.full(8, 2**63, np.uint64)}, "y_train: runs from 9223372036854775808"),
        ({"y_train": np.full(8, 10**9)}, "labels run to 1000000000 but there are only 12 images"),
        ({"classes": np.array(["a", "b"])}, "expected at least 3 names, since the labels run to 2"),
        ({"classes": np.arange(3)}, r"classes is int64 \[3\]; expected at least 3 names"),
        ({"classes": np.array(["a", 2, None], dtype=object)}, r"can't be read .*without pickles"),
    ],
)
def test_arrays_that_cannot_be_used_are_one_clear_line(tmp_path: Path, changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        load(tmp_path, **changed)
    assert str(caught.value).startswith(f"data.name: npz:{tmp_path / 'set.npz'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"just text"])
def test_a_file_that_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(BadInput, match="can't be read"):
        load_dataset(DataSpec(name=f"npz:{tmp_path / 'set.npz'}"))


def test_damage_inside_the_file_is_noticed(tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **arrays())
    content = bytearray((tmp_path / "set.npz").read_bytes())
    content[300] ^= 0xFF
    (tmp_path / "set.npz").write_bytes(content)
    with pytest.raises(BadInput, match="can't be read"):
        load_dataset(DataSpec(name=f"npz:{tmp_path / 'set.npz'}"))


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "set.npz").open("wb") as file:
        np.save(file, COLOUR)
    with pytest.raises(BadInput, match=r"holds a single array; save with numpy\.savez"):
        load_dataset(DataSpec(name=f"npz:{tmp_path / 'set.npz'}"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(BadInput, match=r"data\.name: npz:nowhere\.npz: can't be read .*No such file"):
        load_dataset(DataSpec(name="npz:nowhere.npz"))
