"""Values laid over a preset: where each goes, who asked for it, and how an error names the place."""

import math
import os
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.spec.datasets import BY_PATH

Key = tuple[str, ...]
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = r"""\s*(?:(?:"(?:[^"\\]|\\.)*"|'[^']*')\s*|[^.=]*)"""  # of a key: quoted, else up to the next dot
_PARTS = re.compile(rf"({_PART})\.")
_OVERRIDE = re.compile(rf"({_PART}(?:\.{_PART})*)=(.*)", re.DOTALL)
_AFTER_NAME = re.compile(rf"(\s*(?:\.{_PART})+|\s*(?==\s*\{{))=(.*)", re.DOTALL)  # a key of it, or its whole table
_NETWORKS = re.compile(r"\s*networks\s*\.\s*(?![\s\"'])")  # what a network's name without quotes comes after


@dataclass(frozen=True)
class Setting:
    """One value laid over a document: `path` is its key, `origin` what an error calls it.

    With a `joint`, an error goes on from the origin with it and the key: `--set stitch.epochs`; a point joins the key
    of a file.
    """

    path: Key
    value: Any
    origin: str
    joint: str | None = None

    def field(self, path: Key) -> str:
        """What to change where `path`, at or below this setting's, is wrong: its flag, or in a file the key."""
        return dotted(path) if self.joint == "." else self.origin

    def refused(self, path: Key, why: str) -> BadInput:
        """The error that says `why` the value at `path`, at or below this setting's, can't be used."""
        if self.joint == ".":
            return BadInput(f"{self.origin}.{dotted(path)}: {why}", self.field(path))
        return BadInput.at(self.origin, why, dotted(path) if self.joint else "")


def dotted(path: Sequence[str]) -> str:
    """A key as TOML writes it: `networks.a.width`, quoted where a part isn't bare; `read_key` reads it back."""
    return ".".join(part if _BARE.fullmatch(part) else f'"{_escaped(part)}"' for part in path)


def _escaped(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if plain(c) == c else f"\\u{ord(c):04x}" for c in escaped)


def read_key(text: str) -> Key:
    """The parts of a key, quoted as in TOML where they hold dots; what isn't quoted may hold anything else."""
    return tuple(_unquoted(part.strip()) for part in _PARTS.findall(f"{text}."))


def _unquoted(part: str) -> str:
    value = _value(part) if part.startswith(('"', "'")) else part
    return value if isinstance(value, str) else part


def read_override(text: str, networks: Collection[str] = (), keys: Collection[str] = ()) -> Setting:
    """`a.b=value` of --set as a Setting; what is no TOML value is taken as text. Raises BadInput.

    The name of one of `networks`, whose tables hold `keys`, needs no quotes, whatever it holds.
    """
    found = _OVERRIDE.fullmatch(text)
    if found is None or not found[1].strip():
        raise BadInput.at("--set", "expected KEY=VALUE, such as stitch.epochs=8", text)
    if (named := _network(text, networks, keys)) is None:
        return Setting(read_key(found[1]), _value(found[2]), "--set", " ")
    name, after = named
    return Setting(("networks", name, *read_key(after[1])[1:]), _value(after[2]), "--set", " ")


def _network(text: str, networks: Collection[str], keys: Collection[str]) -> tuple[str, re.Match[str]] | None:
    """Which of `networks` an override names without quotes, the longest that fits, and what comes after the name."""
    begin = _NETWORKS.match(text)
    rest = text[begin.end() :] if begin else ""
    after = {name: _AFTER_NAME.fullmatch(rest.removeprefix(name)) for name in networks if rest.startswith(name)}
    fitting = {name: more for name, more in after.items() if more is not None}
    with_key = [name for name, more in fitting.items() if any(part in keys for part in read_key(more[1])[1:2])]
    if len(with_key) > 1:
        ways = " or ".join(f'networks."{_escaped(name)}"' for name in sorted(with_key, key=len)[:2])
        raise BadInput.at("--set", f"may be about two networks; write {ways}", text)
    name = max(with_key or fitting, key=len, default=None)
    return None if name is None else (name, fitting[name])


def _value(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return document["value"] if document.keys() == {"value"} else text


def leaves(node: Any, path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value below `node` that is no table, and every empty table, with its key.

    Lists stay whole, and so does a table of the cuts that meet: its keys are names, and no part of it stands alone.
    """
    if isinstance(node, Mapping) and node and path[-2:] != ("stitch", "cuts"):
        for key, value in node.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, node


def laid(node: Any, path: Key, value: Any) -> Any:
    """`node` with `value` at `path`: tables are made where there are none, lists are entered by index.

    Raises IndexError, with what was expected, for an index that a list doesn't have.
    """
    if not path:
        return value
    key, rest = path[0], path[1:]
    if isinstance(node, list):
        index = _index(key, len(node))
        return [*node[:index], laid(node[index], rest, value), *node[index + 1 :]]
    table = node if isinstance(node, dict) else {}
    return {**table, key: laid(table.get(key), rest, value)}


def _index(key: str, length: int) -> int:
    if key.isascii() and key.isdigit() and int(key) < length:
        return int(key)
    raise IndexError(f"expected an index below the list's length, {length}, got '{plain(key)}'")


def absolute(node: Any, base: Path, path: Key = ()) -> Any:
    """`node`, which lies at the key `path`, with every relative file path in it made absolute from `base`."""
    if isinstance(node, dict):
        return {key: absolute(value, base, (*path, key)) for key, value in node.items()}
    if not isinstance(node, str):
        return node
    match path:
        case ("networks", _, "checkpoint" | "head") if (path[-1], node) != ("head", "train"):
            return _resolved(node, base)
        case ("networks", _, "architecture") if ".py:" in node:
            file, _, name = node.rpartition(":")
            return f"{_resolved(file, base)}:{name}" if file.endswith(".py") else node
        case ("data", "name") if node.startswith(BY_PATH):
            kind, _, rest = node.partition(":")
            return f"{kind}:{_resolved(rest, base)}"
    return node


def _resolved(text: str, base: Path) -> str:
    if not text or "\x00" in text:
        return text  # left for the check that says what is wrong with it
    # As text: a Path would take `./~` for a home directory, and write `/a/./b` anew each time it is read.
    expanded = os.path.expanduser(text)  # noqa: PTH111
    return expanded if os.path.isabs(expanded) else str(base.absolute() / expanded)  # noqa: PTH117


def unusable(node: Any, path: Key = ()) -> tuple[Key, str] | None:
    """The first value below `node` that neither TOML nor JSON can carry, with what is wrong with it."""
    if isinstance(node, list):
        found = (unusable(value, (*path, str(index))) for index, value in enumerate(node))
        return next((problem for problem in found if problem), None)
    if isinstance(node, Mapping):
        found = (_bad_key(key, path) or unusable(value, (*path, key)) for key, value in node.items())
        return next((problem for problem in found if problem), None)
    if isinstance(node, float) and not math.isfinite(node):
        return path, f"expected a finite number, got {node}"
    return None if _encodable(node) else (path, "expected text that is valid UTF-8")


def _bad_key(key: str, path: Key) -> tuple[Key, str] | None:
    return None if _encodable(key) else (path, "expected keys that are valid UTF-8")


def _encodable(value: Any) -> bool:
    if not isinstance(value, str):
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
