"""Pixel values of other kinds than bytes, read by one rule for all images of a set. No torch here."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchtui.base.errors import BadInput

Array = NDArray[Any]
Pixels = NDArray[np.uint8]
MOST = 0xFFFF
# Images turned into bytes at once: bounds the memory of it.
CHUNK = 1024
EXPECTED = "expected uint8 pixels from 0 to 255"


def bits(highest: int) -> int:
    """How many bits the values of a set take whose largest is `highest`: 8 at the least."""
    return max(8, highest.bit_length())


def to_bytes(values: Array, depth: int) -> Pixels:
    """The upper 8 of `depth` bits; where there are no more than 8, the values as they are."""
    return (values >> (depth - 8)).astype(np.uint8)


def range_read(highest: int) -> str:
    """The phrase for the range that was found and what it was taken for."""
    found = bits(highest)
    kept = "" if found == 8 else ", of which the upper 8 are kept"
    return f"values up to {highest}, read as {found} bits{kept}"


def all_to_bytes(arrays: Mapping[str, Array], said: str) -> tuple[list[Pixels], tuple[str, ...]]:
    """Every array as bytes, by a rule that fits all of them, and the notes on it; errors start with `said`.

    Read are uint8; bool as black and white; whole numbers up to 65535, as many bits as the largest has; fractions
    from 0 to 1, as parts of 255. Raises BadInput for all others, and for arrays of unlike kinds.
    """
    kinds = {name: _kind(array, f"{said}: {name}") for name, array in arrays.items()}
    if len(set(kinds.values())) > 1:
        each = " but ".join(f"{name} holds {kind}" for name, kind in kinds.items())
        raise BadInput(f"{said}: {each}; {EXPECTED} in both")
    if all(array.dtype == np.uint8 for array in arrays.values()):
        return list(arrays.values()), ()
    if len({array.dtype.itemsize for array in arrays.values() if array.dtype.kind in "ui"}) > 1:
        each = " but ".join(f"{name} is {array.dtype}" for name, array in arrays.items())
        raise BadInput(f"{said}: {each}; what range they share can't be told: {EXPECTED} in both")
    kind, highest = next(iter(kinds.values())), max(array.max() for array in arrays.values())
    if kind == "truth values":
        return [array.astype(np.uint8) * np.uint8(255) for array in arrays.values()], (
            "bool images: read as 0 and 255",
        )
    if kind == "fractions" and highest <= 1:
        exact = all(_on_steps(array) for array in arrays.values())
        note = f"images in fractions up to {highest:g}: read as parts of 255" + (
            "" if exact else ", rounded to whole ones"
        )
        return [_each(array, lambda part: np.rint(part * 255.0).astype(np.uint8)) for array in arrays.values()], (note,)
    if kind == "fractions" and not all(_whole(array) for array in arrays.values()):
        raise BadInput(
            f"{said}: the images hold fractions up to {highest:g}; {EXPECTED}, or fractions from 0 to 1: if they are "
            "pixels from 0 to 255, save numpy.rint(x).astype('uint8')"
        )
    if highest > MOST:
        raise BadInput(f"{said}: the images' values go up to {highest:g}; {EXPECTED}, or whole numbers up to {MOST}")
    depth = bits(int(highest))
    pixels = [_each(array, lambda part: to_bytes(part.astype(np.uint16), depth)) for array in arrays.values()]
    unusual = next(array.dtype.name for array in arrays.values() if array.dtype != np.uint8)
    return pixels, (f"{unusual} images: {range_read(int(highest))}",)


def _kind(array: Array, said: str) -> str:
    if array.dtype.kind not in "buif":
        raise BadInput(f"{said}: is {array.dtype}; {EXPECTED}")
    if array.dtype.kind == "b":
        return "truth values"
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        raise BadInput(f"{said}: holds values that are not finite numbers; {EXPECTED}")
    if low < 0:
        raise BadInput(
            f"{said}: runs from {low:g} to {high:g}; {EXPECTED}: undo the normalisation, or shift the values"
        )
    return "fractions" if array.dtype.kind == "f" else "whole numbers"


def _whole(array: Array) -> bool:
    return all(bool((part == np.rint(part)).all()) for part in _parts(array))


def _on_steps(array: Array) -> bool:
    return all(bool((np.abs(part * 255.0 - np.rint(part * 255.0)) < 1e-2).all()) for part in _parts(array))


def _each(array: Array, change: Callable[[Array], Pixels]) -> Pixels:
    return np.concatenate([change(part) for part in _parts(array)])


def _parts(array: Array) -> Iterator[NDArray[np.float64]]:
    return (array[start : start + CHUNK].astype(np.float64) for start in range(0, len(array), CHUNK))
