"""What the flags of `stitchtui run` say of the experiment: each becomes a Setting."""

from collections.abc import Callable
from typing import Any

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.spec.pairing import read_cuts
from stitchtui.spec.settings import Setting

SHARED = (
    *(("--normalisation", "normalisation"), ("--leaf", "leaves")),
    *(("--head", "head"), ("--part", "part"), ("--trust-code", "trust_code")),
)
"""The flags that say the same of both networks of a pair, and the keys that they set."""


def settings(
    *,
    cuts: str | None = None,
    pairing: str | None = None,
    family: str | None = None,
    objective: str | None = None,
    start: str | None = None,
    epochs: float | None = None,
    seeds: str | None = None,
    network_seeds: int | None = None,
    data: str | None = None,
    controls: str | None = None,
) -> list[Setting]:
    """What the flags that were given lay over the experiment. Raises BadInput for one that can't be read."""
    given: list[tuple[str, str, Any, Callable[[Any], Any]]] = [
        ("--pairing", "stitch.pairing", pairing, str),
        ("--family", "stitch.family", family, str),
        ("--objective", "stitch.objective", objective, str),
        ("--start", "stitch.start", start, str),
        ("--epochs", "stitch.epochs", epochs, float),
        ("--seeds", "stitch.seeds", seeds, _seeds),
        ("--network-seeds", "network_seeds", network_seeds, int),
        ("--data", "data.name", data, str),
        ("--controls", "controls", controls, _controls),
    ]
    said = [Setting(tuple(key.split(".")), read(value), flag) for flag, key, value, read in given if value is not None]
    return [*of_cuts(cuts, "--cuts"), *said] if cuts is not None else said


def of_cuts(said: Any, origin: str) -> list[Setting]:
    """What is said of cuts, as text or as TOML has it, lays over the experiment; pairs say the top's, too.

    Raises BadInput for text that can't be read.
    """
    cuts = _cuts(said, origin) if isinstance(said, str) else said
    both = [Setting(("stitch", "top_cuts"), None, origin)] if isinstance(cuts, dict) else []
    return [Setting(("stitch", "cuts"), cuts, origin), *both]


def options(pairs: list[str]) -> dict[str, bool | int | float | str]:
    """The KEY=VALUE of every --option. Raises BadInput for one that can't be read."""
    found: dict[str, bool | int | float | str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadInput.at("--option", "expected KEY=VALUE, such as patch=4", pair)
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _cuts(text: str, origin: str) -> str | list[str] | dict[str, str]:
    try:
        cuts = read_cuts(text)
    except ValueError as error:
        raise BadInput.at(origin, str(error)) from None
    if not cuts:
        raise BadInput.at(origin, "expected blocks, all, or names of cuts or BOTTOM:TOP pairs with commas between them")
    return list(cuts) if isinstance(cuts, tuple) else cuts


def _controls(text: str) -> list[str]:
    return [] if text == "none" else _words(text)


def _seeds(text: str) -> list[int]:
    refused = BadInput.at("--seeds", f"expected a number of seeds, or seeds such as 0,1,2, got '{plain(text)}'")
    try:
        numbers = [int(word) for word in _words(text)]
    except ValueError:
        raise refused from None
    if "," not in text and len(numbers) == 1 and 1 <= numbers[0] <= 1000:
        return list(range(numbers[0]))
    if "," not in text or not numbers:
        raise refused
    return numbers
