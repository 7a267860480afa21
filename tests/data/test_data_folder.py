"""Class folders become datasets: layouts, decoding, the cache on disk, and one clear line for what can't be used."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stitchtui.base.errors import BadInput
from stitchtui.data import decode as decoding
from stitchtui.data import decoded as caching
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.data.tree import Tree
from stitchtui.spec.experiment import DataSpec


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def put(file: Path, seed: int = 0, shape: tuple[int, ...] = (6, 5, 3)) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, *shape)).save(file)
    return file


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """One folder of two classes, ten colour images each, seeds 0..19."""
    for seed in range(20):
        put(tmp_path / "pictures" / ("cat", "dog")[seed // 10] / f"{seed:02}.png", seed)
    return tmp_path / "pictures"


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """train/ and test/, two classes each, with 4 and 2 images a class."""
    for part, count, first in (("train", 4, 0), ("test", 2, 8)):
        for seed in range(2 * count):
            put(tmp_path / "parted" / part / ("cat", "dog")[seed % 2] / f"{seed}.png", first + seed)
    return tmp_path / "parted"


def load(root: Path, **options: object) -> Dataset:
    return load_dataset(DataSpec.model_validate({"name": f"folder:{root}", **options}))


def bad(root: Path, expected: str, **options: object) -> None:
    with pytest.raises(BadInput, match=expected) as caught:
        load(root, **options)
    assert "\n" not in str(caught.value)


def seeds_of(images: torch.Tensor, count: int = 40) -> list[int]:
    known = {pixels(seed, 6, 5, 3).tobytes(): seed for seed in range(count)}
    return [known[image.permute(1, 2, 0).numpy().tobytes()] for image in images]


def test_train_and_test_folders_are_the_two_parts(parts: Path) -> None:
    dataset = load(parts)
    assert dataset.classes == ("cat", "dog")
    assert dataset.shape == (3, 6, 5)
    assert sorted(seeds_of(dataset.train.images)) == list(range(8))
    assert seeds_of(dataset.test.images) == [8, 10, 9, 11]
    assert dataset.train.labels.tolist() == [seed % 2 for seed in seeds_of(dataset.train.images)]
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]
    assert dataset.augment == "none"


def test_val_stands_in_for_test(parts: Path) -> None:
    digest = load(parts).digest
    (parts / "test").rename(parts / "val")
    assert load(parts).digest == digest


def test_one_folder_of_classes_is_split_by_fraction_and_seed(classes: Path) -> None:
    dataset = load(classes, test_fraction=0.3)
    train, test = seeds_of(dataset.train.images), seeds_of(dataset.test.images)
    assert sorted(train + test) == list(range(20))
    assert dataset.test.labels.bincount().tolist() == [3, 3]
    assert dataset.train.labels.tolist() == [seed // 10 for seed in train]
    assert load(classes, test_fraction=0.3).digest == dataset.digest
    assert load(classes, test_fraction=0.3, subset_seed=1).digest != dataset.digest


def test_an_index_range_of_a_folder_mixes_its_classes(classes: Path) -> None:
    whole = load(classes, test_fraction=0.1)
    first, second = (load(classes, test_fraction=0.1, train_range=r, test_size=1) for r in ((0, 9), (9, 18)))
    assert set(first.train.labels.tolist()) == set(second.train.labels.tolist()) == {0, 1}
    together = seeds_of(first.train.images) + seeds_of(second.train.images)
    assert together == seeds_of(whole.train.images)
    assert first.mean == second.mean == whole.mean
    assert len(first.test) == 1


def test_folders_within_a_class_hidden_files_and_links_are_read_sensibly(classes: Path) -> None:
    before = load(classes)
    (classes / "cat" / ".hidden").write_text("not an image")
    (classes / "cat" / "Thumbs.db").write_text("not an image")
    (classes / ".cache").mkdir()
    (classes / "README.txt").write_text("beside the classes")
    (classes / "dog" / "loop").symlink_to(classes / "dog")
    assert load(classes).digest == before.digest
    put(classes / "cat" / "deeper" / "20.png", 20)
    elsewhere = put(classes.parent / "elsewhere" / "21.png", 21)
    (classes / "dog" / "linked.png").symlink_to(elsewhere)
    after = load(classes, test_fraction=0.1)
    assert {20, 21} <= set(seeds_of(after.train.images) + seeds_of(after.test.images))


def test_grey_images_have_one_channel(tmp_path: Path) -> None:
    for seed in range(8):
        put(tmp_path / "grey" / "ab"[seed % 2] / f"{seed}.png", seed, (6, 5))
    dataset = load(tmp_path / "grey")
    assert dataset.shape == (1, 6, 5)
    assert len(dataset.mean) == len(dataset.std) == 1


@pytest.mark.parametrize("colour", ["a/0.png", "b/7.png"])
def test_one_colour_image_makes_all_images_colour(tmp_path: Path, colour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "CHUNK", 3)
    root = tmp_path / "mixed"
    for seed in range(8):
        put(root / "ab"[seed // 4] / f"{seed}.png", seed, (6, 5))
    put(root / colour, 9)
    images = torch.from_numpy(decoding.decode(sorted(root.glob("*/*.png"))).pixels)
    index = 0 if colour.startswith("a") else 7
    assert seeds_of(images[index : index + 1]) == [9]
    for seed in set(range(8)) - {index}:
        grey = torch.from_numpy(pixels(seed, 6, 5))
        assert torch.equal(images[seed], grey.expand(3, 6, 5))


def test_palettes_alpha_and_16_bits_become_eight_bits_a_channel(tmp_path: Path) -> None:
    deep = (pixels(0, 4, 4).astype(np.uint16) << 8) + 77
    Image.fromarray(deep).save(tmp_path / "0.png")
    Image.fromarray(pixels(1, 4, 4, 4)).save(tmp_path / "1.png")
    palette = Image.fromarray(pixels(2, 4, 4) % 4)
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / "2.png", transparency=b"\x00\xff\x80\xff")
    decoded = decoding.decode([tmp_path / f"{i}.png" for i in range(3)]).pixels
    assert (decoded[0] == pixels(0, 4, 4)).all()
    assert (decoded[1] == pixels(1, 4, 4, 4)[..., :3].transpose(2, 0, 1)).all()
    table = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    assert (decoded[2] == table[pixels(2, 4, 4) % 4].transpose(2, 0, 1)).all()


def test_several_processes_decode_to_the_same_and_tell_their_progress(
    classes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "CHUNK", 7)
    files = list(Tree().files(classes))
    told: list[tuple[int, int]] = []
    both = decoding.decode(files, lambda done, total: told.append((done, total)), processes=2)
    assert told == [(7, 20), (14, 20), (20, 20)]
    assert (both.pixels == decoding.decode(files, processes=1).pixels).all()


def test_an_error_in_another_process_arrives_as_bad_input(classes: Path) -> None:
    files = list(Tree().files(classes))
    files[3].write_bytes(b"no image")
    with pytest.raises(BadInput, match=r"03\.png: is not an image"):
        decoding.decode(files, processes=2)


def test_decoding_goes_on_alone_where_processes_cannot_start(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = list(Tree().files(classes))
    expected = decoding.decode(files, processes=1).pixels
    # Each process ends before it has taken any work, as where its main module can't be imported.
    monkeypatch.setattr(decoding, "_leave_with_parent", sys.exit)
    assert (decoding.decode(files, processes=2).pixels == expected).all()


def count_decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []

    def counted(files: list[Path], progress: decoding.Progress | None = None) -> decoding.Decoded:
        calls.append(len(files))
        return decoding.decode(files, progress)

    monkeypatch.setattr(caching, "decode", counted)
    return calls


def test_a_second_load_comes_from_the_cache(classes: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_decodes(monkeypatch)
    digest = load(classes).digest
    told: list[tuple[int, int]] = []
    again = load_dataset(DataSpec(name=f"folder:{classes}"), lambda done, total: told.append((done, total)))
    assert again.digest == digest
    assert calls == [20]
    assert told == [(20, 20)]
    assert [file.suffix for file in cache.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("change", ["added", "removed", "renamed", "touched", "rewritten"])
def test_a_changed_folder_is_decoded_anew_and_leaves_no_old_copy(
    classes: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    calls = count_decodes(monkeypatch)
    load(classes)
    file = classes / "cat" / "03.png"
    if change == "added":
        put(classes / "cat" / "zz.png", 30)
    elif change == "removed":
        file.unlink()
    elif change == "renamed":
        file.rename(classes / "cat" / "033.png")
    elif change == "touched":
        os.utime(file, ns=(1, 1))
    else:
        put(file, 31)
    load(classes)
    assert len(calls) == 2
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("damage", ["empty", "torn", "one pixel", "garbage"])
def test_a_damaged_cache_file_is_made_anew(
    classes: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    digest = load(classes).digest
    (file,) = cache.iterdir()
    whole = bytearray(file.read_bytes())
    torn = {"empty": b"", "torn": whole[: len(whole) // 2], "garbage": b"\xff" * 64}
    whole[-1] ^= 1
    file.write_bytes(torn.get(damage, whole))
    calls = count_decodes(monkeypatch)
    assert load(classes).digest == digest
    assert load(classes).digest == digest
    assert calls == [20]


def test_a_cache_that_cannot_be_written_costs_only_time(
    classes: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    assert len(load(classes).train) == 16
    assert "could not be kept" in caplog.text


def test_images_of_two_sizes_name_the_first_odd_one_and_both_sizes(classes: Path) -> None:
    put(classes / "dog" / "12.png", 0, (6, 7, 3))
    put(classes / "dog" / "15.png", 0, (9, 9, 3))
    bad(classes, r"dog/12\.png: is 7x6 pixels but .*cat/00\.png is 5x6; .*resize")


@pytest.mark.parametrize("content", [b"", b"name,label\n", b"\x89PNG\r\n\x1a\n but then nothing"])
def test_a_file_that_is_no_image_is_named(classes: Path, content: bytes) -> None:
    (classes / "dog" / "12.png").write_bytes(content)
    bad(classes, r"dog/12\.png: is not an image")


def test_a_torn_image_is_named(classes: Path) -> None:
    file = put(classes / "cat" / "05.jpg", 0, (6, 5, 3))
    (classes / "cat" / "05.png").unlink()
    file.write_bytes(file.read_bytes()[:-60])
    bad(classes, r"cat/05\.jpg: is not an image")


def test_floating_point_pixels_are_refused(classes: Path) -> None:
    Image.fromarray(np.zeros((6, 5), dtype=np.float32)).save(classes / "cat" / "05.tiff")
    bad(classes, r"cat/05\.tiff: .*floating-point pixels of no known range: save it with 8 or 16 bits")


def test_a_link_that_leads_nowhere_is_named(classes: Path) -> None:
    (classes / "cat" / "99.png").symlink_to("gone.png")
    bad(classes, r"cat/99\.png: is a link that leads nowhere")


def test_control_characters_in_names_never_reach_the_message(classes: Path) -> None:
    (classes / "cat" / "\x1b[31mred\n.png").write_bytes(b"no image")
    bad(classes, r"cat/\?\[31mred\?\.png: is not an image")


@pytest.mark.parametrize("name", ["folder:", "folder:nowhere"])
def test_a_folder_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(BadInput, match=f"data.name: {name}: no such folder; expected"):
        load_dataset(DataSpec(name=name))


def test_a_folder_without_class_folders_says_what_was_expected(tmp_path: Path) -> None:
    put(tmp_path / "flat" / "1.png")
    bad(tmp_path / "flat", "has no class folders; expected one folder of images for each class")


def test_a_class_without_images_is_named(classes: Path) -> None:
    (classes / "owl").mkdir()
    bad(classes, r"class folder .*owl holds no images")


def test_a_single_class_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "one" / "cat" / "1.png")
    bad(tmp_path / "one", "one class folder, cat; expected two or more")


def test_a_class_with_one_image_cannot_be_split(classes: Path) -> None:
    put(classes / "owl" / "1.png")
    bad(classes, "class owl has a single image")


@pytest.mark.parametrize(("missing", "expected"), [("test", "neither test/ nor val/"), ("train", "no train/")])
def test_one_part_without_the_other_is_refused(parts: Path, missing: str, expected: str) -> None:
    (parts / missing).rename(parts.parent / "away")
    bad(parts, expected)


def test_a_class_only_the_test_part_has_is_named(parts: Path) -> None:
    put(parts / "test" / "owl" / "1.png")
    bad(parts, "class owl is in test/ but not in train/")


def test_a_test_part_without_images_is_refused(parts: Path) -> None:
    for file in (parts / "test").glob("*/*"):
        file.unlink()
    bad(parts, "test holds no images")


def test_more_images_than_fit_in_memory_are_refused(classes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_free_memory", lambda: 1000)
    bad(classes, "20 images of 5x6 pixels need 1.8 KiB of memory, but 1000 B is free")


def test_ranges_beyond_a_folder_name_their_key(classes: Path) -> None:
    bad(classes, r"data\.train_range: \[0, 17\] goes beyond the 16 training images", train_range=(0, 17))
    bad(classes, r"data\.train_size: 17 asked for, but there are 16", train_size=17)
    bad(classes, r"data\.test_size: 5 asked for, but there are 4", test_size=5)
