"""Folders as people and archives lay them out: parts by any usual name, and what lies about among the images."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.data.parts import WORDS, part_name
from stitchtui.spec.experiment import DataSpec


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def put(file: Path, seed: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (4, 4), dtype=np.uint8)).save(file, "PNG")
    return file


def part(folder: Path, first: int, count: int = 4, inside: str = "") -> None:
    for seed in range(first, first + count):
        put(folder / ("cat", "dog")[seed % 2] / inside / f"{seed}.png", seed)


def flat(folder: Path, first: int = 90) -> None:
    for seed in range(first, first + 3):
        put(folder / f"{seed}.png", seed)


def load(root: Path) -> Dataset:
    return load_dataset(DataSpec(name=f"folder:{root}"))


def bad(root: Path, expected: str) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        load(root)
    assert "\n" not in str(caught.value)


def sizes(dataset: Dataset) -> tuple[int, int, tuple[str, ...]]:
    return len(dataset.train), len(dataset.test), dataset.classes


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("Training", "Testing"),
        ("training_set", "test_set"),
        ("Train", "Test"),
        ("TRAIN", "VAL"),
        ("train", "valid"),
        ("train", "validation"),
        ("train", "dev"),
        ("train", "eval"),
        ("trainset", "testset"),
        ("TrainData", "TestData"),
        ("train-images", "test-images"),
        ("seg_train", "seg_test"),
        ("ILSVRC2012_img_train", "ILSVRC2012_img_val"),
        ("train2017", "val2017"),
        ("trainval", "test"),
    ],
)
def test_folders_called_like_parts_are_the_parts(root: Path, train: str, test: str) -> None:
    part(root / train, 0, 6)
    part(root / test, 10)
    dataset = load(root)
    assert sizes(dataset) == (6, 4, ("cat", "dog"))
    assert dataset.notes == ()


@given(
    word=st.sampled_from([(part, word) for part, words in WORDS.items() for word in words]),
    ending=st.sampled_from(["", "set", "_set", "-data", " images", "2012"]),
    change=st.sampled_from([str, str.lower, str.upper, str.title]),
)
def test_a_part_is_known_in_any_case_and_with_any_ending(word: tuple[str, str], ending: str, change: object) -> None:
    assert callable(change)
    read = part_name(change(word[1] + ending))
    assert read is not None
    assert (read.part, read.rest) == (word[0], ())


@pytest.mark.parametrize("name", ["trains", "contest", "developer", "valley", "greatest", "cat", "データ", "", "7"])
def test_words_that_only_contain_such_letters_are_no_parts(name: str) -> None:
    assert part_name(name) is None


def test_a_part_within_itself_is_read_as_archives_hold_it(root: Path) -> None:
    part(root / "seg_train" / "seg_train", 0, 6)
    part(root / "seg_test" / "seg_test", 10)
    flat(root / "seg_pred" / "seg_pred")
    dataset = load(root)
    assert sizes(dataset) == (6, 4, ("cat", "dog"))
    assert dataset.notes == ("seg_pred/ is left out: seg_train/ and seg_test/ are the parts",)


def test_of_three_parts_validation_is_left_out_and_said(root: Path) -> None:
    for name, first in (("train", 0), ("val", 10), ("test", 20)):
        part(root / name, first)
    whole = load(root)
    assert whole.notes == ("val/ is left out: train/ and test/ are the parts",)
    for file in (root / "val").rglob("*.png"):
        file.unlink()
    assert load(root).digest == whole.digest


def test_imagenets_test_images_without_classes_leave_the_sorted_validation_part(root: Path) -> None:
    part(root / "train", 0, 6)
    part(root / "val", 10)
    flat(root / "test")
    dataset = load(root)
    assert sizes(dataset) == (6, 4, ("cat", "dog"))
    assert dataset.notes == ("test/ is left out: it has no class folders",)


def tiny(root: Path, lines: list[str]) -> None:
    part(root / "train", 0, 6, "images")
    (root / "train" / "cat" / "cat_boxes.txt").write_text("0.png\t0\t0\t3\t3\n")
    (root / "train" / "dog" / "dog_boxes.txt").write_text("1.png\t0\t0\t3\t3\n")
    flat(root / "val" / "images", 10)
    flat(root / "test" / "images", 20)
    (root / "val" / "val_annotations.txt").write_text("".join(f"{line}\n" for line in lines))
    (root / "wnids.txt").write_text("cat\ndog\n")


BOX = "\t0\t0\t3\t3"


def test_tiny_imagenets_validation_images_have_the_classes_of_its_list(root: Path) -> None:
    tiny(root, [f"12.png\tcat{BOX}", f"10.png\tdog{BOX}", f"11.png\tcat{BOX}"])
    dataset = load(root)
    assert sizes(dataset) == (6, 3, ("cat", "dog"))
    assert dataset.test.labels.tolist() == [0, 0, 1]
    for image, seed in zip(dataset.test.images, (11, 12, 10), strict=True):
        expected = np.random.default_rng(seed).integers(0, 256, (4, 4), dtype=np.uint8)
        assert (image[0].numpy() == expected).all()
    assert dataset.notes == (
        "test/ is left out: it has no class folders",
        "skipped among the images, as no images: 2 *.txt",
    )


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["x"], r"val_annotations\.txt: line 1: 'x'; expected FILE, a tab, and the file's one class"),
        (["10.png\tcat", "10.png\tdog"], r"val_annotations\.txt: line 2: '10\.png\?dog'; expected .* one class"),
        (["10.png\tcat", "11.png\tdog"], r"val_annotations\.txt: names no class for 12\.png"),
        ([f"{seed}.png\tcat" for seed in (10, 11, 12, 13)], r"names images that are not in images/: 13\.png"),
        (["10.png\tcat", "11.png\tcat", "12.png\towl"], r"class owl is in val/ but not in train/"),
    ],
)
def test_a_list_that_does_not_fit_its_images_is_refused(root: Path, lines: list[str], expected: str) -> None:
    tiny(root, lines)
    bad(root, expected)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["train", "test"], r"test/, train/ have no class folders; expected train/ and test/"),
        (["seg_train", "seg_test", "seg_pred"], r"seg_test/, seg_train/ have no class folders"),
        (["Training", "validation"], r"Training/, validation/ have no class folders"),
        (["cat", "dog", "test"], r"test/ is called like a part but lies among class folders; .* give it another name"),
        (["cat", "dog", "train"], r"train/ is called like a part but lies among class folders"),
    ],
)
def test_images_right_in_a_part_are_never_taken_for_a_class(root: Path, folders: list[str], expected: str) -> None:
    for number, name in enumerate(folders):
        flat(root / name, 10 * number)
    bad(root, expected)


def test_a_test_part_without_classes_and_no_other_is_refused(root: Path) -> None:
    part(root / "train", 0)
    flat(root / "test")
    bad(root, r"test has no class folders; expected one folder of images for each class")


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (["train", "Train", "test"], r"Train, test, train could be the parts in more than one way"),
        (["train", "valid", "val"], r"train, val, valid could be the parts in more than one way"),
        (["small_train", "large_test"], r"are called like parts, but in different ways; call the two that belong"),
        (["training"], r"has training/ but neither test/ nor val/; expected both parts"),
        (["testing"], r"has testing/ but no train/ with class folders; expected both parts"),
    ],
)
def test_parts_that_do_not_make_a_pair_are_refused(root: Path, folders: list[str], expected: str) -> None:
    for number, name in enumerate(folders):
        part(root / name, 10 * number)
    bad(root, expected)


def test_parts_within_a_class_are_refused_with_the_folder_to_name(root: Path) -> None:
    part(root / "data" / "train", 0)
    part(root / "data" / "test", 10)
    bad(root, r"test/ is called like a part but lies in .*data, which would be a class; .*: name that")
    part(root / "more", 20)
    bad(root, r"test/ is called like a part but lies in .*data")


def test_parts_within_a_part_are_refused(root: Path) -> None:
    for name in ("train", "test"):
        part(root / name / "train", 0)
        part(root / name / "test", 10)
    bad(root, r"train holds test/, train/, called like parts; expected class folders there")


def test_class_folders_may_lie_in_a_folder_of_images(root: Path) -> None:
    part(root / "train" / "images", 0, 6)
    part(root / "test" / "images", 10)
    assert sizes(load(root)) == (6, 4, ("cat", "dog"))


def test_a_class_called_train_is_one_within_parts_and_said_once(root: Path) -> None:
    part(root / "train", 0, 6)
    part(root / "test", 10)
    for name in ("train", "test"):
        (root / name / "dog").rename(root / name / "train")
    dataset = load(root)
    assert sizes(dataset) == (6, 4, ("cat", "train"))
    assert dataset.notes == ("taken for classes, though called like parts: train",)


def test_a_class_whose_name_says_more_than_a_part_is_a_class_and_said(root: Path) -> None:
    for number, name in enumerate(("bullet_train", "test_tube", "cat")):
        for seed in range(5):
            put(root / name / f"{seed}.png", 10 * number + seed)
    dataset = load(root)
    assert dataset.classes == ("bullet_train", "cat", "test_tube")
    assert dataset.notes == ("taken for classes, though called like parts: bullet_train, test_tube",)


def test_what_systems_and_people_leave_among_images_is_skipped_with_one_note(root: Path) -> None:
    part(root / "train", 0, 6)
    part(root / "test", 10)
    clean = load(root)
    for name in (".DS_Store", "Thumbs.db", "ehthumbs.db", "desktop.ini", "Icon\r", "._0.png", ".hidden"):
        (root / "train" / "cat" / name).write_bytes(b"x")
    for kind in ("cat", "dog"):
        (root / "train" / kind / "labels.csv").write_text("a,b\n")
        (root / "train" / kind / "meta.JSON").write_text("{}")
    put(root / "train" / "cat" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.png", 50)
    put(root / "__MACOSX" / "train" / "._0.png", 51)
    put(root / "train" / "__MACOSX" / "cat" / "0.png", 52)
    dataset = load(root)
    assert dataset.digest == clean.digest
    assert clean.notes == ()
    (note,) = dataset.notes
    assert note == (
        "skipped among the images, as no images: 2 *.csv, 2 *.json, 2 __MACOSX/, 1 .DS_Store, 1 ._*, 1 @eaDir/, "
        "1 desktop.ini, 1 ehthumbs.db, 1 hidden, 1 icon, 1 thumbs.db"
    )
    assert load(root).notes == dataset.notes


def test_one_set_of_classes_from_an_archive_of_a_mac_is_read(root: Path) -> None:
    part(root, 0, 10)
    put(root / "__MACOSX" / "cat" / "._0.png", 50)
    dataset = load(root)
    assert sizes(dataset) == (8, 2, ("cat", "dog"))
    assert dataset.notes == ("skipped among the images, as no images: 1 __MACOSX/",)


def test_images_beside_the_class_folders_are_left_out_and_said(root: Path) -> None:
    part(root, 0, 10)
    flat(root)
    (root / "README.md").write_text("about them")
    (note,) = load(root).notes
    assert note == f"files in {root} that lie in no class folder, and are left out: 3"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("0.heic", b"\0\0\0 ftypheic"),
        ("0.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"),
        ("0.jpg", b"<html>404</html>"),
        ("0.png", b""),
        ("0.pdf", b"%PDF"),
    ],
)
def test_what_is_no_image_but_may_be_meant_as_one_is_refused_by_name(root: Path, name: str, content: bytes) -> None:
    part(root, 0, 10)
    (root / "cat" / name).write_bytes(content)
    bad(root, rf"cat/{name}: is not an image that can be read \(.*\); mend or remove it")


def test_an_empty_folder_in_the_test_part_is_no_class(root: Path) -> None:
    part(root / "train", 0, 6)
    part(root / "test", 10)
    (root / "test" / "owl").mkdir()
    assert sizes(load(root)) == (6, 4, ("cat", "dog"))


@pytest.mark.parametrize("name", ["klasse ä", "犬🐶", "a,b", "x[red]y", "con", "a=b", "o'k", "tab\there", 'q"q'])
def test_classes_may_be_called_anything(root: Path, name: str) -> None:
    part(root, 0, 10)
    (root / "dog").rename(root / name)
    assert sorted(load(root).classes) == sorted(["cat", name.replace("\t", "?")])


@pytest.mark.parametrize(("named", "beside"), [("Training", "Testing"), ("test", "train"), ("seg_train", "seg_test")])
def test_one_part_alone_is_not_split_where_the_other_lies_beside_it(root: Path, named: str, beside: str) -> None:
    part(root / named, 0, 6)
    part(root / beside, 10)
    bad(root / named, rf"is called like a part, and {beside}/ lies beside it; expected the folder that holds both")
    (root / "pictures").symlink_to(root / named)
    assert sizes(load(root / "pictures"))[2] == ("cat", "dog")


def test_a_folder_called_like_a_part_with_none_beside_it_is_split(root: Path) -> None:
    part(root / "train", 0, 10)
    part(root / "notes", 10)
    assert sizes(load(root / "train"))[2] == ("cat", "dog")


@pytest.mark.parametrize(("one", "other"), [("trn", "tst"), ("te", "tr"), ("mytest", "mytrain"), ("a", "b")])
def test_folders_that_hold_the_same_folders_are_not_taken_for_classes(root: Path, one: str, other: str) -> None:
    part(root / one, 0)
    part(root / other, 10)
    bad(root, rf"{one}/, {other}/ all hold cat/, dog/; if they are parts, call them train/ and test/")


def test_classes_that_hold_their_images_in_one_folder_each_are_classes(root: Path) -> None:
    for seed in range(12):
        put(root / ("ant", "bee")[seed % 2] / "images" / f"{seed}.png", seed)
    assert load(root).classes == ("ant", "bee")
