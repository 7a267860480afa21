"""Keys of an experiment and the values that some take, from its schema: what completes settings as they are typed."""

from collections.abc import Iterable, Iterator
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from stitchtui.spec.datasets import dataset_names
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.families import FAMILIES, STARTS
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.tui.widgets.text_input import Completer


@cache
def known_settings() -> dict[str, tuple[str, ...]]:
    """Every dotted key of an experiment but those of its networks and pairs, with its values where these are few."""
    stitch: dict[str, Iterable[str]] = {"family": FAMILIES, "objective": OBJECTIVES, "start": STARTS}
    named = {f"stitch.{name}": tuple(words) for name, words in stitch.items()}
    found = dict(sorted(_keys(Experiment, "")))
    return {**found, **named, "data.name": tuple(dataset_names())}


def _keys(model: type[BaseModel], front: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, field in model.model_fields.items():
        parts = list(_parts(field.annotation))
        tables = [part for part in parts if isinstance(part, type) and issubclass(part, BaseModel)]
        for table in tables:
            yield from _keys(table, f"{front}{name}.")
        if not tables and not any(get_origin(part) in (dict, list, tuple) for part in parts if front == ""):
            yield f"{front}{name}", tuple(value for part in parts for value in _values(part))


def _parts(annotation: Any) -> Iterator[Any]:
    """The types that a field may be of, but for None."""
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _parts(part)
    elif annotation is not type(None):
        yield annotation


def _values(part: Any) -> tuple[str, ...]:
    if part is bool:
        return "true", "false"
    return tuple(map(str, get_args(part))) if get_origin(part) is Literal else ()


class Settings(Completer):
    """Completes the last of several KEY=VALUE with semicolons between them: a key part by part, then its value."""

    def complete(self, value: str) -> str | None:
        """Return `value` with the next part of its last setting; None where nothing that is known begins so."""
        begun = value.rpartition(";")[2].lstrip()
        offered = next((each for each in _offered(begun) if begun and each != begun), None)
        return None if offered is None else value + offered[len(begun) :]

    def hint(self, value: str) -> str:
        """Say what can follow in the setting that is being typed: its key, or its value; empty where it is whole."""
        begun = value.rpartition(";")[2].lstrip()
        key, equals, text = begun.partition("=")
        offered = [each[len(key) + 1 :] if equals else each for each in _offered(begun)]
        return "" if text in offered else ", ".join(offered)


def _offered(begun: str) -> list[str]:
    """The texts that a setting which begins so may go on to."""
    key, equals, _ = begun.partition("=")
    if equals:
        return [each for value in known_settings().get(key, ()) if (each := f"{key}={value}").startswith(begun)]
    found = [key for key in known_settings() if key.startswith(begun)]
    ends = [key.find(".", len(begun)) for key in found]
    return list(dict.fromkeys(key[: end + 1] if end >= 0 else f"{key}=" for key, end in zip(found, ends, strict=True)))
