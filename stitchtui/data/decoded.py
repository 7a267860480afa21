"""Decoded images and notes on them kept on disk, and used again while files' names, sizes and times stay the same."""

import contextlib
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from stitchtui.base.paths import cache_directory
from stitchtui.data.decode import Decoded, Progress, decode

# Raised whenever the same files would decode to other pixels or notes.
FORMAT = 2


def decoded(root: Path, files: Sequence[Path], progress: Progress | None = None) -> Decoded:
    """The `files` below `root` as `decode` gives them; from the cache where possible.

    A damaged cache file is made anew; one that can't be written costs time later, and a line in the log.
    """
    place = _place(root, files)
    images = _read(place)
    if images is None:
        images = decode(files, progress)
        _write(place, images)
    elif progress is not None:
        progress(len(files), len(files))
    return images


def _place(root: Path, files: Sequence[Path]) -> Path:
    where = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    listing = hashlib.sha256(f"format {FORMAT}\n".encode())
    for file in files:
        facts = file.stat()
        name = os.fsencode(file.relative_to(root))
        listing.update(b"%d %d %d %s\0" % (facts.st_size, facts.st_mtime_ns, len(name), name))
    return cache_directory() / "decoded" / f"{where}-{listing.hexdigest()[:32]}.safetensors"


def _read(place: Path) -> Decoded | None:
    try:
        with safe_open(place, framework="numpy") as file:
            facts = file.metadata()
            images = Decoded(file.get_tensor("images"), tuple(json.loads(facts["notes"])))
            return images if facts["crc32"] == _checksum(images) else None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _checksum(images: Decoded) -> str:
    pixels = images.pixels
    crc = zlib.crc32(json.dumps(images.notes).encode(), zlib.crc32(pixels.reshape(-1).data))
    return f"{crc:08x} {pixels.dtype} {list(pixels.shape)}"


def _write(place: Path, images: Decoded) -> None:
    part = place.with_suffix(f".{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        facts = {"crc32": _checksum(images), "notes": json.dumps(images.notes)}
        save_file({"images": images.pixels}, part, metadata=facts)
        part.replace(place)
        for other in place.parent.glob(f"{place.name.split('-')[0]}-*.safetensors"):
            if other != place:
                other.unlink(missing_ok=True)  # the same folder as it was before it changed
    except (OSError, SafetensorError) as error:
        logging.getLogger(__name__).warning("the decoded images could not be kept in %s: %s", place.parent, error)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()
