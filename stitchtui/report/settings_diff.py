"""In which settings experiments differ, as they are written out: of a run and its preset, or of runs."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from stitchtui.spec.pairing import cuts_text
from stitchtui.spec.settings import Key, dotted, leaves

_WORDS = ("title", "description", "scale", "reference")  # what determines no number
_NO_RULE = object()
_GONE = {"views": 0}  # keys that earlier versions wrote out, at the values at which they changed nothing
_NOW = {
    ("pairing", "equal"): "auto"
}  # the default once: of networks with the same cuts it joins what the default joins now


def settings_diff(asked: Mapping[str, Any], done: Mapping[str, Any]) -> list[str]:
    """The keys in which the second differs from the first, numbers with both values.

    Texts are left out: they may be paths of one machine.
    """
    one, other = _values(asked), _values(done)
    keys = [key for key in (*one, *(key for key in other if key not in one)) if one.get(key) != other.get(key)]
    return [_said(key, one.get(key), other.get(key)) for key in keys]


def telling_apart(experiments: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """For each experiment the settings that tell it from others of its name: `epochs 8`, `family conv3`.

    A value that more than half of these have is the rule, which is not said.
    """
    named: dict[str, list[dict[Key, Any]]] = defaultdict(list)
    values = [(str(experiment.get("name")), _values(experiment)) for experiment in experiments]
    for name, each in values:
        named[name].append(each)
    rules = {name: _rules(group) for name, group in named.items()}
    return [_exceptions(each, rules[name]) for name, each in values]


def _rules(group: Sequence[Mapping[Key, Any]]) -> dict[Key, Any]:
    """What more than half of the group have for each key, the stitch's first; `_NO_RULE` where there is none."""
    keys = sorted(dict.fromkeys(key for each in group for key in each), key=lambda key: key[0] != "stitch")
    tables = [{key[:2] for key in each} for each in group]
    rules = {}
    for key in keys:
        # an experiment without a network says nothing of how that one is
        asked = [e.get(key) for e, t in zip(group, tables, strict=True) if key[0] != "networks" or key[:2] in t]
        rules[key] = next((value for value in asked if asked.count(value) * 2 > len(asked)), _NO_RULE)
    return rules


def _exceptions(values: Mapping[Key, Any], rules: Mapping[Key, Any]) -> list[str]:
    said = [key for key, rule in rules.items() if key in values and values[key] != rule]
    return [f"{dotted(key[1:] if key[0] in ('stitch', 'networks') else key)} {_brief(values[key])}" for key in said]


def _brief(value: Any) -> str:
    """A value as a list of runs has room for it: a path's last part, how many of what is more than a word."""
    if isinstance(value, Mapping):
        return cuts_text(dict(value), "+")
    if isinstance(value, list):
        words = [str(each) for each in value if isinstance(each, str | int | float)]
        return "+".join(words) or "none" if len(words) == len(value) else str(len(value))
    if isinstance(value, float):
        return f"{value:g}"
    return PurePath(value).name if isinstance(value, str) and "/" in value else str(value)


def _values(experiment: Mapping[str, Any]) -> dict[Key, Any]:
    pairs = experiment.get("pairs")
    ends = [_ends(pair) for pair in pairs] if isinstance(pairs, list | tuple) else pairs
    found = {key: value for key, value in leaves({**experiment, "pairs": ends}) if key[0] not in _WORDS}
    kept = {key: value for key, value in found.items() if key[-1] not in _GONE or value != _GONE[key[-1]]}
    return {key: _NOW.get((key[-1], value), value) if isinstance(value, str) else value for key, value in kept.items()}


def _ends(pair: object) -> object:
    return (pair.get("bottom"), pair.get("top")) if isinstance(pair, dict) else pair


def _said(key: Key, asked: Any, done: Any) -> str:
    if not all(isinstance(value, int | float) for value in (asked, done)):
        return dotted(key)
    return f"{dotted(key)} {done} in place of {asked}"
