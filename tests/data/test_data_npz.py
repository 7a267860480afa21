"""Arrays from an `.npz` become datasets; each way in which they can be wrong is one clear line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.data.values import range_read
from stitchtui.spec.experiment import DataSpec

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
    assert last.augment == "none"


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
        (
            {"x_train": COLOUR[:8] / 255},
            "x_train holds fractions but x_test holds whole numbers; expected uint8 pixels",
        ),
        ({"x_train": COLOUR[:8].reshape(8, -1)}, r"x_train: has shape \[8, 90\]; expected \[n, h, w\]"),
        ({"x_train": COLOUR[:0], "y_train": np.arange(0)}, r"x_train: has shape \[0, 6, 5, 3\]"),
        ({"x_train": np.zeros((8, 3, 5, 3), np.uint8)}, "either axis 1 or axis 3 could be the 1 to 4 channels"),
        ({"x_train": np.zeros((8, 6, 5, 7), np.uint8)}, "neither axis 1 nor axis 3 is the 1 to 4 channels"),
        ({"x_test": COLOUR[8:, :5]}, r"x_train's images are \[3, 6, 5\] .* but x_test's are \[3, 5, 5\]"),
        ({"y_train": np.arange(7)}, "x_train has 8 images but y_train 7 labels"),
        ({"y_train": np.linspace(0, 1, 8)}, r"y_train: is float64 \[8\], with fractions; expected whole numbers"),
        ({"y_train": np.ones((8, 8), int)}, r"y_train: is int64 \[8, 8\]; expected whole numbers"),
        (
            {"y_train": np.eye(8, dtype=int)},
            r"y_train is int64 \[8, 8\] but y_test is int64 \[4\]; expected labels of one",
        ),
        ({"y_train": np.arange(8) - 1}, "y_train: runs from -1 to 6; expected labels from 0"),
        ({"y_train": np.full(8, 2**63, np.uint64)}, "y_train: runs from 9223372036854775808"),
        ({"y_train": np.full(8, 10**9)}, "labels run to 1000000000 but there are only 12 images"),
        ({"classes": np.array(["a", "b"])}, "expected at least 3 names, since the labels run to 2"),
        ({"classes": np.arange(3)}, r"classes is int64 \[3\]; expected one name for each class"),
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


GREY = COLOUR[..., 0]


def same_images(folder: Path, change: Any, *notes: str) -> None:
    """Images that `change` made of the grey ones are read as those, with these notes."""
    plain = load(folder, x_train=GREY[:8], x_test=GREY[8:])
    changed = load(folder, x_train=change(GREY[:8]), x_test=change(GREY[8:]))
    assert changed.digest == plain.digest
    assert changed.notes == (*notes, *plain.notes)


@pytest.mark.parametrize("kind", ["int16", ">i4", "int64", "uint16", "float32", "float64"])
def test_whole_numbers_of_any_kind_are_pixels(tmp_path: Path, kind: str) -> None:
    highest = GREY.max()
    name = np.dtype(kind).name
    same_images(tmp_path, lambda x: x.astype(kind), f"{name} images: values up to {highest}, read as 8 bits")


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_fractions_from_0_to_1_are_parts_of_255(tmp_path: Path, kind: str) -> None:
    full = np.where(GREY.max() == GREY, 255, GREY).astype(np.uint8)
    plain = load(tmp_path, x_train=full[:8], x_test=full[8:])
    fractions = (full / 255).astype(kind)
    read = load(tmp_path, x_train=fractions[:8], x_test=fractions[8:])
    assert read.digest == plain.digest
    assert read.notes == ("images in fractions up to 1: read as parts of 255",)


def test_fractions_between_the_steps_are_rounded_and_said(tmp_path: Path) -> None:
    values = np.random.default_rng(1).random((12, 6, 5))
    dataset = load(tmp_path, x_train=values[:8], x_test=values[8:])
    assert torch.equal(dataset.train.images[:, 0], torch.from_numpy(np.rint(values[:8] * 255).astype(np.uint8)))
    assert dataset.notes[0].endswith("read as parts of 255, rounded to whole ones")


def test_truth_values_are_black_and_white(tmp_path: Path) -> None:
    dataset = load(tmp_path, x_train=GREY[:8] > 99, x_test=GREY[8:] > 99)
    assert torch.equal(dataset.train.images[:, 0], torch.from_numpy((GREY[:8] > 99) * np.uint8(255)))
    assert dataset.notes == ("bool images: read as 0 and 255",)


@settings(max_examples=9, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(depth=st.integers(8, 16))
def test_sixteen_bits_are_read_on_the_scale_of_both_parts(tmp_path: Path, depth: int) -> None:
    full = GREY.copy()
    full[0, 0, 0] = 255
    deep = full.astype(np.uint16) << (depth - 8)
    dataset = load(tmp_path, x_train=deep[:8], x_test=deep[8:])
    assert torch.equal(dataset.test.images[:, 0], torch.from_numpy(full[8:]))
    assert dataset.notes == (f"uint16 images: {range_read(int(deep.max()))}",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda x: x / 128 - 1.0, r"x_train: runs from -1 to .*; expected uint8 .*: undo the normalisation"),
        (lambda x: x / 2.0, r"the images hold fractions up to .*; expected .* numpy\.rint\(x\)"),
        (lambda x: x.astype(np.int64) * 1000, r"values go up to .*; expected uint8 .* whole numbers up to 65535"),
        (lambda x: np.where(x > 200, np.nan, x), r"x_train: holds values that are not finite numbers"),
        (lambda x: x.astype(complex), r"x_train: is complex128; expected uint8"),
        (lambda x: x.astype(str), r"x_train: is <U3; expected uint8"),
    ],
)
def test_values_that_could_mean_several_things_are_refused(tmp_path: Path, change: Any, expected: str) -> None:
    with pytest.raises(BadInput, match=expected):
        load(tmp_path, x_train=change(GREY[:8]), x_test=change(GREY[8:]))


def test_parts_of_unlike_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="x_train holds truth values but x_test holds whole numbers"):
        load(tmp_path, x_train=GREY[:8] > 99, x_test=GREY[8:])


KINDS: dict[str, Any] = {
    "fractions": lambda y: y.astype(np.float32),
    "big-endian": lambda y: y.astype(">i4"),
    "column": lambda y: y[:, None],
    "one-hot": lambda y: np.eye(3)[y],
    "one-hot truths": lambda y: np.eye(3, dtype=bool)[y],
    "texts": lambda y: y.astype(str),
    "bytes": lambda y: y.astype("S"),
}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(KINDS)), drawn=st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_labels_of_any_kind_are_the_numbers_that_they_mean(tmp_path: Path, kind: str, drawn: list[int]) -> None:
    labels = np.array([0, 1, 2, *drawn[3:]])
    change = KINDS[kind]
    plain = load(tmp_path, y_train=labels[:8], y_test=labels[8:])
    read = load(tmp_path, y_train=change(labels[:8]), y_test=change(labels[8:]))
    assert read.digest == plain.digest
    assert read.classes == ("0", "1", "2")


def test_one_hot_labels_are_said_and_have_a_class_for_each_column(tmp_path: Path) -> None:
    columns = np.eye(4, dtype=int)[np.arange(12) % 3]
    dataset = load(tmp_path, y_train=columns[:8], y_test=columns[8:])
    assert dataset.classes == ("0", "1", "2", "3")
    assert dataset.notes[0] == "one-hot labels: read as the numbers of their columns, from 0"
    with pytest.raises(BadInput, match="one-hot labels, where y_train has 4 but y_test has 3 columns"):
        load(tmp_path, y_train=columns[:8], y_test=columns[8:, :3])


def test_labels_that_are_numbers_in_words_count_as_numbers_do(tmp_path: Path) -> None:
    labels = np.array(["0", "1", "2", "10", "9", "8", "7", "6", "5", "4", "3", "11"])
    dataset = load(tmp_path, y_train=labels, x_train=COLOUR, y_test=labels, x_test=COLOUR[::-1])
    assert dataset.train.labels.tolist() == [int(label) for label in labels]


def test_labels_that_are_names_are_numbered_in_sorted_order_or_that_of_classes(tmp_path: Path) -> None:
    names = np.array(["dog", "cat", "owl"] * 4)
    dataset = load(tmp_path, y_train=names[:8], y_test=names[8:])
    assert dataset.classes == ("cat", "dog", "owl")
    assert dataset.train.labels.tolist() == [1, 0, 2, 1, 0, 2, 1, 0]
    assert dataset.notes == ("labels are names: numbered in sorted order, cat is class 0",)
    ordered = load(tmp_path, y_train=names[:8], y_test=names[8:], classes=np.array(["owl", "dog", "cat"]))
    assert ordered.train.labels.tolist() == [1, 2, 0, 1, 2, 0, 1, 2]
    assert ordered.notes == ("labels are names: numbered in the order of classes, owl is class 0",)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"y_train": np.array(["a", "b"] * 4)}, r"y_train is <U1 \[8\] but y_test is int64 \[4\]; expected labels of"),
        (
            {"y_train": np.array(["a", "b"] * 4), "y_test": np.array(["a", "b", "c", "a"])},
            r"y_test has labels that y_train has not \(c\)",
        ),
        (
            {"y_train": np.array(["a", "b"] * 4), "y_test": np.array(["a"] * 4), "classes": np.array(["a", "x"])},
            r"y_train has labels that classes has not \(b\)",
        ),
        (
            {"y_train": np.array(["a", "b"] * 4), "y_test": np.array(["a"] * 4), "classes": np.array(["a", "b", "a"])},
            "classes names a class twice",
        ),
        ({"y_train": np.array([np.nan] * 8)}, "y_train: is float64 .*with fractions"),
        ({"y_train": np.array(3)}, "x_train has 8 images but y_train no labels"),
    ],
)
def test_labels_that_cannot_be_numbered_in_one_way_are_refused(
    tmp_path: Path, changed: dict[str, Any], expected: str
) -> None:
    with pytest.raises(BadInput, match=expected):
        load(tmp_path, **changed)


@pytest.mark.parametrize("names", [None, ["a", "b", "c"]])
def test_labels_from_1_are_refused_with_what_to_do(tmp_path: Path, names: list[str] | None) -> None:
    labels = 1 + np.arange(12) % 3
    with pytest.raises(BadInput, match=r"the labels run from 1 to 3; expected .* from 0\. Subtract 1 from both parts'"):
        load(tmp_path, y_train=labels[:8], y_test=labels[8:], classes=names and np.array(names))


def test_labels_from_1_are_meant_so_where_all_classes_are_named(tmp_path: Path) -> None:
    labels = 1 + np.arange(12) % 3
    named = load(tmp_path, y_train=labels[:8], y_test=labels[8:], classes=np.array(["background", "a", "b", "c"]))
    assert named.train.labels.min() == 1
    assert named.notes[0].startswith("no images of 1 of 4 classes (background): networks still need 4 outputs")


def test_medmnists_names_are_read_and_its_validation_part_is_left_out_and_said(tmp_path: Path) -> None:
    expected = load(tmp_path)
    good, column = arrays(), (np.arange(12) % 3)[:, None]
    np.savez(
        tmp_path / "med.npz",
        train_images=good["x_train"],
        train_labels=column[:8],
        val_images=COLOUR[:2],
        val_labels=column[:2],
        test_images=good["x_test"],
        test_labels=column[8:],
    )
    dataset = load_dataset(DataSpec(name=f"npz:{tmp_path / 'med.npz'}"))
    assert dataset.digest == expected.digest
    assert dataset.notes == ("val_images is left out: test_images is the test part",)


def test_parts_of_unlike_depths_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="x_train is uint8 but x_test is uint16; what range they share can't be told"):
        load(tmp_path, x_train=GREY[:8], x_test=GREY[8:].astype(np.uint16) * 16)
