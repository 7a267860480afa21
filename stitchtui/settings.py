"""Values laid over a preset: where each goes, who asked for it, and how an error names the place."""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stitchtui.errors import BadInput
from stitchtui.text import plain

Key = tuple[str, ...]
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Setting:
    """One value laid over a document: `path` is its key, `origin` what an error calls it.

    With a `joint`, an error goes on from the origin with it and the key: `--set stitch.epochs`.
    """

    path: Key
    value: Any
    origin: str
    joint: str | None = None

    def label(self, path: Key) -> str:
        """What an error about `path`, at or below this setting's, begins with."""
        return self.origin if self.joint is None else self.origin + self.joint + dotted(path)


def dotted(path: Sequence[str]) -> str:
    """A key as TOML writes it: `networks.a.width`, quoted where a part isn't bare."""
    return ".".join(part if _BARE.fullmatch(part) else f'"{plain(part)}"' for part in path)


def read_override(text: str) -> Setting:
    """`a.b=value` of --set as a Setting; what is no TOML value is taken as text. Raises BadInput."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadInput(f"--set {plain(text)}: expected KEY=VALUE, such as stitch.epochs=8")
    return Setting(_key(key.strip()), _value(value), "--set", " ")


def _key(text: str) -> Key:
    try:
        node: Any = tomllib.loads(f"{text} = 0") if "\n" not in text else None
    except tomllib.TOMLDecodeError:
        node = None
    path: list[str] = []
    while isinstance(node, dict) and len(node) == 1:
        [(part, node)] = node.items()
        path.append(part)
    return tuple(path) if node == 0 and path else tuple(text.split("."))


def _value(text: str) -> Any:
    try:
        document = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return document["value"] if document.keys() == {"value"} else text


def leaves(node: Any, path: Key = ()) -> Iterator[tuple[Key, Any]]:
    """Every value below `node` that is no table, and every empty table, with its key; lists stay whole."""
    if isinstance(node, Mapping) and node:
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
        case ("data", "name") if node.startswith(("folder:", "npz:")):
            kind, _, rest = node.partition(":")
            return f"{kind}:{_resolved(rest, base)}"
    return node


def _resolved(text: str, base: Path) -> str:
    if not text or "\x00" in text:
        return text  # left for the check that says what is wrong with it
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # `~somebody` that this machine doesn't know
        path = Path(text)
    return str(base.absolute() / path)


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
