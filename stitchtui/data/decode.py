"""Image files -> one uint8 array, in as many processes as there are cores.

Processes, not threads: for small images the work is Python's own, and threads that share one interpreter
lock are slower than none. This module loads no torch, so that the processes start quickly.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray
from PIL import Image

from stitchtui.data.words import one_line, shown
from stitchtui.errors import BadInput
from stitchtui.text import size as spelled_size

Progress = Callable[[int, int], None]
Pixels = NDArray[np.uint8]
CHUNK = 256
MOST_PROCESSES = 16


def decode(files: Sequence[Path], progress: Progress | None = None, processes: int | None = None) -> Pixels:
    """All `files` as [n, 1, h, w] when every image is grey, else [n, 3, h, w].

    Alpha is dropped, 16 bits become 8. `progress` is told (images done, images in all); `processes` is chosen by
    the work when not given. Raises BadInput naming the first file that isn't an image, or whose size differs from
    the first one's.
    """
    size = _size(files[0])
    _check_memory(len(files), size, shown(files[0].parent))
    chunks = [files[i : i + CHUNK] for i in range(0, len(files), CHUNK)]
    count = processes or _worthwhile_processes(files)
    if count > 1:
        try:
            with _pool(count) as pool:
                decoded = pool.map(_decode_chunk, chunks, repeat(size), repeat(files[0]))
                return _gather(decoded, len(files), progress)
        except BrokenProcessPool:
            pass  # such as a script without a `__main__` guard, or a limit on processes: one still works
    return _gather((_decode_chunk(chunk, size, files[0]) for chunk in chunks), len(files), progress)


def _gather(chunks: Iterable[Pixels], total: int, progress: Progress | None) -> Pixels:
    images: Pixels | None = None
    done = 0
    for chunk in chunks:  # [n, h, w, c]
        if images is None:
            images = np.empty((total, chunk.shape[3], *chunk.shape[1:3]), dtype=np.uint8)
        elif images.shape[1] < chunk.shape[3]:
            images = np.repeat(images, 3, axis=1)
        images[done : done + len(chunk)] = chunk.transpose(0, 3, 1, 2)  # one grey channel fills all three
        done += len(chunk)
        if progress is not None:
            progress(done, total)
    assert images is not None
    return images


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


def _decode_chunk(files: Sequence[Path], size: tuple[int, int], first: Path) -> Pixels:
    images = [_decode(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape[:2] != size:
            raise BadInput(
                f"{shown(file)}: is {_spelled(image.shape)} pixels but {shown(first)} is {_spelled(size)}; "
                "expected one size for all images: resize them first"
            )
    if any(image.ndim == 3 for image in images):
        images = [image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2) for image in images]
        return np.stack(images)
    return np.stack(images)[..., None]


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
    height, width = _decode(file).shape[:2]
    return height, width


def _decode(file: Path) -> Pixels:
    try:
        with Image.open(file) as image:
            return _eight_bits(image)
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BadInput(
            f"{shown(file)}: is not an image that can be read ({one_line(error, 80)}); mend or remove it"
        ) from None


def _eight_bits(image: Image.Image) -> Pixels:
    if image.mode in ("1", "L", "LA", "La"):
        return np.asarray(image.convert("L"))
    if image.mode.startswith("I"):
        return _from_16_bits(np.asarray(image))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")  # first, since a palette's transparency may be spelled in bytes
    return np.asarray(image.convert("RGB"))


def _from_16_bits(pixels: NDArray[Any]) -> Pixels:
    if pixels.min() < 0 or pixels.max() > 0xFFFF:
        raise ValueError("its pixels have more than 16 bits")
    return (pixels >> 8).astype(np.uint8)


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below `folder` in sorted order, but not hidden ones nor those that file managers leave.

    Links are followed; a folder reached twice, such as by a link to its parent, is read once. BadInput names a link
    that leads nowhere.
    """
    seen: set[str] = set()
    for where, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        seen.add(os.path.realpath(where))
        folders[:] = sorted(
            name for name in folders if _wanted(name) and os.path.realpath(f"{where}/{name}") not in seen
        )
        for name in sorted(filter(_wanted, names)):
            file = Path(where, name)
            if not file.exists():
                raise BadInput(f"{shown(file)}: is a link that leads nowhere; mend or remove it")
            yield file


def _raise(error: OSError) -> None:
    raise error


def _wanted(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in ("thumbs.db", "desktop.ini")
