"""The user's own choice of keys: what of it can be had, and what is wrong with the rest."""

import string
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from textual.binding import Binding
from textual.keys import Keys

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.tui.config import config_directory, read_config
from stitchtui.tui.keys import SCREENS

_IDS = {str(binding.id): binding for bindings in SCREENS.values() for binding in bindings}
_MODIFIERS = {"ctrl", "shift", "alt", "super", "meta", "hyper"}


class _Clash(NamedTuple):
    screen: str
    key: str
    ids: tuple[str, str]


def keymap_path() -> Path:
    """The file with the user's own keys: binding ids, each with a key or several separated by commas."""
    return config_directory() / "keys.toml"


def read_keymap(path: Path) -> tuple[dict[str, str], list[str]]:
    """The keys of the file at `path` that can be had, binding id to keys, and one line about each that can't."""
    shown = plain(path)
    try:
        found = _flat(read_config(path))
    except BadInput as error:
        return {}, [f"{error}; the keys are as they were"]
    keymap: dict[str, str] = {}
    problems = []
    for name, value in found.items():
        if problem := _problem(name, value):
            problems.append(f"{shown}: {problem}; it is left out")
        else:
            keymap[name] = ",".join(_key_name(part.strip()) for part in value.split(","))
    while clash := next(_clashes(keymap), None):
        name, other = clash.ids if clash.ids[0] in keymap else clash.ids[::-1]
        key = _SIGNS.get(clash.key, clash.key)
        problems.append(
            f'{shown}: {name} = "{plain(found[name])}": on {clash.screen} {key} is the key of {other} too; '
            f"choose another for one of them, until then {name} is left out"
        )
        del keymap[name]
    return keymap, problems


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """`[grid]` with `open = "x"` means the same as `"grid.open" = "x"`."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _problem(name: str, value: Any) -> str:
    """What is wrong with a line of the file by itself; empty if nothing is."""
    if name not in _IDS:
        return not_known(plain(name), _IDS)
    if not isinstance(value, str) or not value.strip():
        return f'{name}: expected a key in quotes, such as "x" or "ctrl+x"'
    for part in value.split(","):
        if not _is_key(part.strip()):
            return f'{name}: \'{plain(part.strip())}\' is no key; expected one such as "x", "ctrl+x" or "f2"'
    return ""


def _is_key(text: str) -> bool:
    *modifiers, last = text.split("+") if len(text) > 1 else [text]
    known = last.isprintable() if len(last) == 1 else last in _SIGNS or last in {key.value for key in Keys}
    return known and set(modifiers) <= _MODIFIERS


def _key_name(text: str) -> str:
    """`?` as Textual calls it, `question_mark`; longer names are left as they are."""
    return next(iter(Binding.make_bindings([Binding(text, "none")]))).key if len(text) == 1 else text


# by the names that Textual has for them; a comma itself parts one key from the next
_SIGNS = {"comma": ",", **{_key_name(sign): sign for sign in string.punctuation if sign != ","}}


def _clashes(keymap: Mapping[str, str]) -> Iterator[_Clash]:
    """Where `keymap` gives two of a screen's actions one key that had different ones; some share a key by design."""
    for screen, bindings in SCREENS.items():
        by_design = {ids for _, ids in _shared({}, bindings)}
        for key, ids in _shared(keymap, bindings):
            if ids not in by_design:
                yield _Clash(screen, key, ids)


def _shared(keymap: Mapping[str, str], bindings: list[Binding]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Every key that two of `bindings` have, with the ids of the two."""
    holders: dict[str, list[str]] = defaultdict(list)
    for binding in bindings:
        for key in keymap.get(str(binding.id), binding.key).split(","):
            holders[key].append(str(binding.id))
    for key, ids in holders.items():
        yield from ((key, pair) for pair in combinations(ids, 2))
