"""In which settings two experiments differ, as they are written out: of a run and its preset, or of two runs."""

from collections.abc import Mapping
from typing import Any

from stitchtui.spec.settings import Key, dotted, leaves

_WORDS = ("title", "description", "scale", "reference")  # what determines no number
_GONE = {"views": 0}  # keys that earlier versions wrote out, at the values at which they changed nothing


def settings_diff(asked: Mapping[str, Any], done: Mapping[str, Any]) -> list[str]:
    """The keys in which the second differs from the first, numbers with both values.

    Texts are left out: they may be paths of one machine.
    """
    one, other = _values(asked), _values(done)
    keys = [key for key in (*one, *(key for key in other if key not in one)) if one.get(key) != other.get(key)]
    return [_said(key, one.get(key), other.get(key)) for key in keys]


def _values(experiment: Mapping[str, Any]) -> dict[Key, Any]:
    pairs = experiment.get("pairs")
    ends = [_ends(pair) for pair in pairs] if isinstance(pairs, list | tuple) else pairs
    found = {key: value for key, value in leaves({**experiment, "pairs": ends}) if key[0] not in _WORDS}
    return {key: value for key, value in found.items() if key[-1] not in _GONE or value != _GONE[key[-1]]}


def _ends(pair: object) -> object:
    return (pair.get("bottom"), pair.get("top")) if isinstance(pair, dict) else pair


def _said(key: Key, asked: Any, done: Any) -> str:
    if not all(isinstance(value, int | float) for value in (asked, done)):
        return dotted(key)
    return f"{dotted(key)} {done} in place of {asked}"
