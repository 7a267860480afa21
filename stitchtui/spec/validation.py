"""What pydantic has to say about an experiment, in a person's words: where, and what was expected."""

import re
import types
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from stitchtui.base.errors import WrongKey, not_known
from stitchtui.base.text import plain
from stitchtui.spec.settings import Key, read_key

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "dict": "a table",
    "model": "a table",
    "tuple": "a list",
    "list": "a list",
}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


class Problem(NamedTuple):
    """Something wrong: the key, what to say of it, and which keys below it, the first to change first, contradict."""

    path: Key
    text: str
    keys: tuple[Key, ...] = ()


def first_problem(error: ValidationError, document: Any, model: type[BaseModel]) -> Problem:
    """The first problem, with how many more there are.

    A misspelt key comes before what is missing because of it; of a union's branches, the one that got furthest.
    """
    problems: dict[Key, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        problems.setdefault(_key(details, document), []).append(details)
    kept = [path for path in problems if not any(p != path and p[: len(path)] == path for p in problems)]
    kept.sort(key=lambda path: problems[path][0]["type"] != "extra_forbidden")
    first = _said(kept[0], problems[kept[0]], model)
    more = len(kept) - 1
    return first._replace(text=f"{first.text} (and {more} more problem{'s' * (more > 1)})") if more else first


def _key(details: ErrorDetails, document: Any) -> Key:
    """Where in `document` an error lies: pydantic's location without the names of unions' branches."""
    path: list[str] = []
    node = document
    for part in details["loc"]:
        if isinstance(node, dict) and part in node:
            node = node[str(part)]
        elif isinstance(node, list) and isinstance(part, int) and part < len(node):
            node = node[part]
        elif details["type"] != "missing" or part != details["loc"][-1]:
            continue
        path.append(str(part))
    return tuple(path)


def _said(path: Key, all_details: list[ErrorDetails], model: type[BaseModel]) -> Problem:
    details = all_details[0]
    match details["type"]:
        case "extra_forbidden":
            return Problem(path, not_known(plain(path[-1]), known_keys(model, path[:-1])))
        case "missing":
            return Problem(path, "expected a value, but there is none")
        case "value_error":
            return _own_words(path, details["ctx"]["error"])
        case "literal_error" if isinstance(details["input"], str):
            return Problem(path, not_known(plain(details["input"]), _options(details)))
    expected = dict.fromkeys(_expected(each) for each in all_details)
    return Problem(path, f"expected {' or '.join(expected)}, got {_shown(details['input'])}")


def _own_words(path: Key, error: ValueError) -> Problem:
    """What a validator of ours says, of what it checked or of keys in it."""
    if not isinstance(error, WrongKey):
        return Problem(path, plain(error))
    keys = tuple(read_key(key) for key in error.keys)
    return Problem((*path, *keys[0]), plain(error.what)) if len(keys) == 1 else Problem(path, plain(error.what), keys)


def _expected(details: ErrorDetails) -> str:
    kind, context = details["type"], details.get("ctx", {})
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"a number {words} {context[name]:g}"
    if kind == "literal_error":
        return f"one of: {', '.join(_options(details))}"
    if kind.startswith("string_"):
        return "text" if kind == "string_type" else "1 to 60 printable characters without '>', '/' or '\\'"
    if kind in ("too_short", "too_long"):
        least, most = context.get("min_length"), context.get("max_length")
        return f"{least} or more entries" if kind == "too_short" else f"at most {most} entries"
    return _KINDS.get(kind.split("_")[0], details["msg"])


def _options(details: ErrorDetails) -> list[str]:
    return re.findall(r"'([^']*)'", details["ctx"]["expected"])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = plain(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"'{text}'" if isinstance(value, str) else text


def known_keys(model: type[BaseModel], path: Iterable[str]) -> list[str]:
    """The keys that the table at `path` of a `model` may hold."""
    annotation: Any = model
    for key in path:
        annotation = _below(annotation, key)
    table = _table(annotation)
    return list(table.model_fields) if table else []


def _below(annotation: Any, key: str) -> Any:
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) is tuple:
        return get_args(annotation)[0]
    table = _table(annotation)
    return table.model_fields[key].annotation if table and key in table.model_fields else None


def _table(annotation: Any) -> type[BaseModel] | None:
    if get_origin(annotation) in (Union, types.UnionType):
        return next((table for each in get_args(annotation) if (table := _table(each))), None)
    is_table = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_table and annotation is not Literal else None
