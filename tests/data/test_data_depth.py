"""Image files of more than 8 bits: one scale for the whole set, which is said; what has no known scale is refused."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from stitchtui.base.errors import BadInput
from stitchtui.data import decode as decoding
from stitchtui.data import decoded as caching
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.data.values import range_read
from stitchtui.spec.experiment import DataSpec


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "decoded"


def pixels(seed: int) -> np.ndarray:
    image = np.random.default_rng(seed).integers(0, 256, (4, 5), dtype=np.uint16)
    image[0, 0] = 255
    return image


def put(root: Path, *scales: int) -> Path:
    """Twelve images in two parts and two classes; image i has 16 bits and is scales[i] times as bright; 0: 8 bits."""
    for seed in range(12):
        scale = scales[seed % len(scales)]
        file = root / ("train" if seed < 8 else "test") / "ab"[seed % 2] / f"{seed:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        image = pixels(seed) * scale if scale else pixels(seed).astype(np.uint8)
        Image.fromarray(image).save(file)
    return root


def load(root: Path) -> Dataset:
    return load_dataset(DataSpec(name=f"folder:{root}"))


def decode(root: Path) -> decoding.Decoded:
    return decoding.decode(sorted(root.rglob("*.png")), processes=1)


@pytest.mark.parametrize(
    ("scale", "note"),
    [
        (1, "16-bit images: values up to 255, read as 8 bits"),
        (16, "16-bit images: values up to 4080, read as 12 bits, of which the upper 8 are kept"),
        (256, "16-bit images: values up to 65280, read as 16 bits, of which the upper 8 are kept"),
        (257, "16-bit images: values up to 65535, read as 16 bits, of which the upper 8 are kept"),
    ],
)
def test_values_of_fewer_bits_in_sixteen_are_read_on_their_own_scale(tmp_path: Path, scale: int, note: str) -> None:
    deep, plain = load(put(tmp_path / "deep", scale)), load(put(tmp_path / "plain", 0))
    assert deep.digest == plain.digest
    assert deep.notes == (note,)
    assert plain.notes == ()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(highest=st.integers(1, 0xFFFF))
def test_the_brightest_value_fills_the_scale_and_the_order_of_values_stays(
    highest: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("one")
    values = np.linspace(0, highest, 20).round().astype(np.uint16).reshape(4, 5)
    Image.fromarray(values).save(folder / "a.png")
    Image.fromarray(values // 2).save(folder / "b.png")
    read = decode(folder).pixels.astype(int)
    assert (np.diff(read[0].flatten()) >= 0).all()
    assert read[0].max() >= 128 or highest < 128
    assert abs(2 * read[1] - read[0]).max() <= 2  # one scale for all images, not one for each


def test_a_dark_image_stays_dark_beside_a_bright_one_of_the_other_part(tmp_path: Path) -> None:
    root = put(tmp_path / "deep", 16)
    Image.fromarray(np.full((4, 5), 60000, dtype=np.uint16)).save(root / "test" / "a" / "08.png")
    dataset = load(root)
    assert dataset.notes == ("16-bit images: values up to 60000, read as 16 bits, of which the upper 8 are kept",)
    assert int(dataset.train.images.max()) == 255 * 16 >> 8


@pytest.mark.parametrize(("scale", "values"), [(257, 65535), (1, 255)])
def test_eight_and_sixteen_bits_mixed_are_read_where_they_share_a_scale(
    tmp_path: Path, scale: int, values: int
) -> None:
    mixed = load(put(tmp_path / "mixed", scale, 0))
    assert mixed.digest == load(put(tmp_path / "plain", 0)).digest
    assert mixed.notes == (f"6 of 12 images have 16 bits: {range_read(values)}; the others have 8",)


def test_eight_and_sixteen_bits_mixed_without_a_common_scale_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"6 of 12 images have 16 bits with values up to 4080, the others 8: .* 8 bits"):
        load(put(tmp_path / "mixed", 16, 0))


def test_notes_and_pixels_come_out_of_the_cache_and_never_from_an_older_format(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put(tmp_path / "deep", 16)
    first = load(root)
    monkeypatch.setattr(caching, "decode", None)
    again = load(root)
    assert (again.digest, again.notes) == (first.digest, first.notes)
    monkeypatch.undo()
    monkeypatch.setenv("STITCHTUI_CACHE", str(cache.parent))
    calls: list[int] = []

    def counted(files: list[Path], progress: decoding.Progress | None = None) -> decoding.Decoded:
        calls.append(len(files))
        return decoding.decode(files, progress)

    monkeypatch.setattr(caching, "decode", counted)
    monkeypatch.setattr(caching, "FORMAT", caching.FORMAT - 1)
    load(root)
    assert calls == [12]


def test_several_processes_agree_on_one_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "CHUNK", 5)
    files = sorted(put(tmp_path / "deep", 16).rglob("*.png"))
    alone, together = (decoding.decode(files, processes=count) for count in (1, 2))
    assert (alone.pixels == together.pixels).all()
    assert alone.notes == together.notes


def write_rgb16(file: Path, image: np.ndarray) -> None:
    """A PNG of 16 bits a colour, which Pillow reads but doesn't write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = image.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in image)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    file.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def put_rgb16(root: Path, scale: int) -> None:
    for seed in range(4):
        file = root / "ab"[seed % 2] / f"{seed}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_rgb16(file, np.stack([pixels(seed + channel) * scale for channel in range(3)], axis=2))


def test_sixteen_bits_a_colour_are_read_where_they_fill_their_range(tmp_path: Path) -> None:
    put_rgb16(tmp_path, 257)
    read = decode(tmp_path)
    assert read.notes == ("16-bit images: values up to 65535, read as 16 bits, of which the upper 8 are kept",)
    assert (read.pixels[0] == np.stack([pixels(channel) for channel in range(3)])).all()


@pytest.mark.parametrize(("scale", "highest"), [(16, 4095), (1, 255)])
def test_sixteen_bits_a_colour_that_hold_fewer_are_refused(tmp_path: Path, scale: int, highest: int) -> None:
    put_rgb16(tmp_path, scale)
    with pytest.raises(BadInput, match=rf"a/0\.png: has 16 bits a colour, but .* above {highest}, .* with 8 bits"):
        decode(tmp_path)


def test_images_that_say_how_to_turn_them_are_used_as_stored_and_said(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    for seed in range(4):
        file = tmp_path / "ab"[seed % 2] / f"{seed}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(seed).astype(np.uint8)).save(file, exif=turned if seed == 3 else Image.Exif())
    (note,) = decode(tmp_path).notes
    assert note.startswith("1 of 4 images say in their EXIF data how to turn them, which was not done")
    assert (decode(tmp_path).pixels[3, 0] == pixels(3)).all()
