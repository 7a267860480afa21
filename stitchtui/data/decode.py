"""Image files -> one uint8 array, in as many processes as there are cores.

Processes, not threads: for small images the work is Python's own, and threads that share one interpreter
lock are slower than none. This module loads no torch, so that the processes start quickly.
"""

import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from stitchtui.base.errors import BadInput
from stitchtui.base.text import size as spelled_size
from stitchtui.data.values import MOST, Pixels, bits, range_read, to_bytes
from stitchtui.data.words import one_line, shown

Progress = Callable[[int, int], None]
CHUNK = 256
MOST_PROCESSES = 16
_ORIENTATION = 0x0112
_UPPER_HALF = re.compile(r"(?<!BGR);16")  # but BGR;16 are 16 bits for all three colours


@dataclass(frozen=True)
class Decoded:
    """The pixels of image files, and what a person should know of how they were read."""

    pixels: Pixels  # [n, c, h, w]
    notes: tuple[str, ...] = ()


@dataclass
class _Found:
    """Some of the images, or facts on all of them."""

    pixels: Pixels | None = None  # [n, h, w, c] of a chunk, [n, c, h, w] of all
    deep: int = 0  # how many have 16 bits
    highest: int = 0  # the largest value in those
    colour: Path | None = None  # the first of them in colour: only the upper half of its bits can be read
    turned: int = 0  # how many say in EXIF that they lie on their side or head

    def add(self, other: "_Found") -> None:
        self.deep += other.deep
        self.highest = max(self.highest, other.highest)
        self.colour = self.colour or other.colour
        self.turned += other.turned


def decode(files: Sequence[Path], progress: Progress | None = None, processes: int | None = None) -> Decoded:
    """All `files` as [n, 1, h, w] when every image is grey, else [n, 3, h, w].

    Alpha is dropped. Images of 16 bits become 8 on one scale for all, which is that of the largest value in any: where
    they use fewer bits, they are read a second time. `progress` is told (images done, images in all); `processes` is
    chosen by the work when not given. Raises BadInput naming the first file that isn't an image, or whose size differs
    from the first one's; and where the scale of 16 bits can't be told.
    """
    size = _size(files[0])
    _check_memory(len(files), size, shown(files[0].parent))
    count = processes or _worthwhile_processes(files)
    found = _read(files, size, 16, count, progress)
    depth = bits(found.highest)
    if found.deep and depth < 16:
        _check_depth(found, depth, len(files))
        found.pixels = None  # before there are others: a set may fill the memory
        found.pixels = _read(files, size, depth, count, progress).pixels
    assert found.pixels is not None
    return Decoded(found.pixels, tuple(_notes(found, len(files))))


def _check_depth(found: _Found, depth: int, total: int) -> None:
    if found.colour is not None:
        raise BadInput(
            f"{shown(found.colour)}: has 16 bits a colour, but no image here has values above {found.highest}, so "
            "that their range can't be told; save all images with 8 bits"
        )
    if found.deep < total and depth > 8:
        raise BadInput(
            f"{found.deep} of {total} images have 16 bits with values up to {found.highest}, the others 8: what range "
            "they share can't be told; save all images with 8 bits"
        )


def _notes(found: _Found, total: int) -> Iterator[str]:
    if found.deep == total:
        yield f"16-bit images: {range_read(found.highest)}"
    elif found.deep:
        yield f"{found.deep} of {total} images have 16 bits: {range_read(found.highest)}; the others have 8"
    if found.turned:
        yield (
            f"{found.turned} of {total} images say in their EXIF data how to turn them, which was not done: they are "
            "used as they are stored, as by torchvision's ImageFolder"
        )


def _read(
    files: Sequence[Path], size: tuple[int, int], depth: int, processes: int, progress: Progress | None
) -> _Found:
    chunks = [files[i : i + CHUNK] for i in range(0, len(files), CHUNK)]
    if processes > 1:
        try:
            with _pool(processes) as pool:
                decoded = pool.map(_decode_chunk, chunks, repeat(size), repeat(files[0]), repeat(depth))
                return _gather(decoded, len(files), progress)
        except BrokenProcessPool:
            pass  # such as a script without a `__main__` guard, or a limit on processes: one still works
    return _gather((_decode_chunk(chunk, size, files[0], depth) for chunk in chunks), len(files), progress)


def _gather(chunks: Iterable[_Found], total: int, progress: Progress | None) -> _Found:
    whole, done = _Found(), 0
    for chunk in chunks:
        images = chunk.pixels
        assert images is not None
        if whole.pixels is None:
            whole.pixels = np.empty((total, images.shape[3], *images.shape[1:3]), dtype=np.uint8)
        elif whole.pixels.shape[1] < images.shape[3]:
            whole.pixels = np.repeat(whole.pixels, 3, axis=1)
        whole.pixels[done : done + len(images)] = images.transpose(0, 3, 1, 2)  # one grey channel fills all three
        whole.add(chunk)
        done += len(images)
        if progress is not None:
            progress(done, total)
    return whole


def _pool(count: int) -> ProcessPoolExecutor:
    # Spawned, not forked: the process that asks may hold a GPU and threads.
    return ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_leave_with_parent)


def _leave_with_parent() -> None:
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()  # returns when it has died, also of SIGKILL; the pool itself would wait for ever
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _worthwhile_processes(files: Sequence[Path]) -> int:
    # Starting the processes costs about half a second: roughly 8,000 small files or 40 MB of large ones.
    work = sum(5_000 + file.stat().st_size for file in files)
    if work < 40_000_000:
        return 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(usable, MOST_PROCESSES)


def _decode_chunk(files: Sequence[Path], size: tuple[int, int], first: Path, depth: int) -> _Found:
    found = _Found()
    images = [_decode(file, depth, found) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != size:
            turned = " (some say in EXIF data how to turn them, which is not done: turn these before)"
            raise BadInput(
                f"{shown(file)}: is {_spelled(image.shape)} pixels but {shown(first)} is {_spelled(size)}; "
                f"expected one size for all images: resize them first{turned if found.turned else ''}"
            )
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
        found.pixels = np.stack(images)
    else:
        found.pixels = np.stack(images)[..., None]
    return found


def _spelled(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _check_memory(count: int, size: tuple[int, int], where: str) -> None:
    needed, free = count * 3 * size[0] * size[1], _free_memory()
    if needed > free:
        raise BadInput(
            f"{where}: {count} images of {size[1]}x{size[0]} pixels need {spelled_size(needed)} of memory, but "
            f"{spelled_size(free)} is free; use fewer or smaller images"
        )


def _free_memory() -> int:
    return int(psutil.virtual_memory().available)


def _size(file: Path) -> tuple[int, int]:
    height, width = _decode(file, 16, _Found()).shape[:2]
    return height, width


def _decode(file: Path, depth: int, found: _Found) -> Pixels:
    """One image, with its facts added to `found`; values of 16 bits are taken to fill `depth` of them."""
    try:
        with Image.open(file) as image:
            if image.mode.startswith("I"):
                pixels, highest = _from_16_bits(np.asarray(image), depth)
                found.add(_Found(deep=1, highest=highest))
            else:
                # Pillow keeps the upper half of 16 bits a colour, and says so in how it unpacks them only.
                halved = _UPPER_HALF.search(str(image.tile)) is not None
                pixels = eight_bits(image)
                if halved:
                    found.add(_Found(deep=1, highest=int(pixels.max()) << 8 | 0xFF, colour=file))
            found.turned += _turned(image)
            return pixels
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadInput(
            f"{shown(file)}: is not an image that can be read ({one_line(error, 80)}); mend or remove it"
        ) from None


def _turned(image: Image.Image) -> bool:
    try:
        return image.getexif().get(_ORIENTATION, 1) not in (0, 1)
    except Exception:  # damaged EXIF data can raise anything, and the pixels are good without it
        return False


def eight_bits(image: Image.Image) -> Pixels:
    """[h, w] of a grey image, else [h, w, 3]; alpha is dropped. Raises ValueError for floating-point pixels."""
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))
    if image.mode == "F":
        raise ValueError("floating-point pixels of no known range: save it with 8 or 16 bits")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # first, since a palette's transparency may be spelled in bytes
    return np.asarray(image.convert("RGB"))


def _from_16_bits(pixels: NDArray[Any], depth: int) -> tuple[Pixels, int]:
    highest = int(pixels.max())
    if pixels.min() < 0 or highest > MOST:
        raise ValueError("its pixels have more than 16 bits")
    return to_bytes(pixels, depth), highest
