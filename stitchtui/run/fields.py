"""Typed access to the fields of an event from a file that may hold anything."""

import math
from collections.abc import Mapping
from typing import Any


class Malformed(ValueError):
    """A field that is missing or isn't of the type that its event promises."""


def text(value: object) -> str:
    """A string that can be written as UTF-8 again: lone surrogates, which JSON can smuggle in, become `?`."""
    if not isinstance(value, str):
        raise Malformed(f"expected text, got {type(value).__name__}")
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def number(value: object) -> float:
    """A finite number as a float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"expected a number, got {type(value).__name__}")
    try:
        result = float(value)
    except OverflowError:
        raise Malformed("expected a number that a float can hold") from None
    if not math.isfinite(result):
        raise Malformed("expected a finite number")
    return result


def whole(value: object) -> int:
    """A whole number that is not negative."""
    result = number(value)
    if result < 0 or result != int(result):
        raise Malformed("expected a whole number, zero or more")
    return int(result)


def integer(value: object) -> int:
    """A whole number of any sign and size, as a seed may be."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Malformed(f"expected a whole number, got {type(value).__name__}")
    return value


def mapping(value: object) -> dict[str, Any]:
    """A JSON object."""
    if not isinstance(value, Mapping):
        raise Malformed(f"expected an object, got {type(value).__name__}")
    return {text(key): item for key, item in value.items()}


def items(value: object) -> list[Any]:
    """A JSON array."""
    if not isinstance(value, list | tuple):
        raise Malformed(f"expected an array, got {type(value).__name__}")
    return list(value)


def texts(value: object) -> list[str]:
    """An array of strings."""
    return [text(item) for item in items(value)]


def maybe_text(value: object) -> str | None:
    """A string or null."""
    return None if value is None else text(value)


def maybe_number(value: object) -> float | None:
    """A finite number or null."""
    return None if value is None else number(value)


def maybe_numbers(value: object) -> list[float | None]:
    """An array of numbers and nulls; null counts as an empty one."""
    return [] if value is None else [maybe_number(item) for item in items(value)]


def measures(value: object) -> dict[str, float | None]:
    """An object whose values are numbers or null."""
    return {name: maybe_number(item) for name, item in mapping(value).items()}


def truth(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise Malformed(f"expected true or false, got {type(value).__name__}")
    return value
