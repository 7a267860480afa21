"""What the arguments of a call ask for: an experiment like any other, and what of it lies in memory."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.data.given import given
from stitchtui.execute.runner import Given
from stitchtui.networks.in_memory import described
from stitchtui.spec import overrides, presets
from stitchtui.spec.datasets import IN_MEMORY
from stitchtui.spec.experiment import DataSpec, Experiment, NetworkSpec, StitchSpec
from stitchtui.spec.plan import resolve
from stitchtui.spec.settings import Key, Setting, read_key

Source = nn.Module | str | os.PathLike[str] | Mapping[str, Any]
"""A network: a module, a checkpoint's path, a name as the command line takes it, or the keys of a preset's network."""
NAMES = ("bottom", "top")
"""What two modules are called where nobody says."""
_TABLES = [key for key, field in NetworkSpec.model_fields.items() if not isinstance(field.default, str | int | float)]
OF_EACH = tuple(key for _, key in overrides.SHARED)
"""Keys of a network that a call may say of both."""


@dataclass(frozen=True)
class Asked:
    """An experiment, resolved, and what of it is in memory."""

    experiment: Experiment
    given: Given


def asked(
    bottom: Source | None,
    top: Source | None,
    data: Any,
    *,
    preset: str | os.PathLike[str] | None = None,
    scale: str | None = None,
    both: bool = False,
    names: Sequence[str] | None = None,
    architecture: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    **keys: Any,
) -> Asked:
    """What a call with these arguments asks for; `keys` as `stitch` takes them. Raises BadInput."""
    of_each = {key: keys.pop(key) for key in OF_EACH if keys.get(key) is not None}
    settings = list(_settings(keys))
    raw = None
    if data is not None and not isinstance(data, str | os.PathLike):
        raw = given(data, classes=classes)
        settings.append(Setting(("data", "name"), f"{IN_MEMORY}data", "data"))
    elif data is not None:
        settings.append(Setting(("data", "name"), _named(data), "data"))
    if preset is not None:
        if bottom is not None or top is not None or of_each:
            raise BadInput.at("preset", "has networks of its own; leave bottom and top and what is said of them out")
        made = presets.load_preset(os.fspath(preset), scale, settings=settings)
        return Asked(resolve(made).experiment, Given({}, raw))
    if bottom is None or top is None:
        raise BadInput("expected bottom and top, or a preset", "bottom" if bottom is None else "top")
    if scale is not None:
        raise BadInput.at("scale", "only a preset has scales")
    if data is None and "data.name" not in keys:
        raise BadInput.at("data", "expected the images that both networks are for, or the name of a dataset")
    networks, modules = _networks((bottom, top), names, architecture, of_each)
    first, last = networks
    made = presets.of_pair(networks, (first, last), both=both, settings=settings)
    return Asked(resolve(made).experiment, Given(modules, raw))


def _named(data: str | os.PathLike[str]) -> str:
    if isinstance(data, str):
        return data
    path = Path(data)
    return f"{'npz' if path.suffix == '.npz' else 'folder'}:{path}"


def _settings(keys: Mapping[str, Any]) -> Iterator[Setting]:
    """Every key at its place; one that isn't said is left to the preset or the default."""
    for key, value in keys.items():
        if value is None:
            continue
        if key == "cuts":
            yield from overrides.of_cuts(_as_json(value), key)
        else:
            said = range(value) if key == "seeds" and isinstance(value, int) else value
            yield Setting(_place(key), _as_json(said), key)


def _place(key: str) -> Key:
    """Where a key belongs: with dots as --set has it, without them to the stitch, the experiment or the data."""
    if "." in key:
        return read_key(key)
    if key in StitchSpec.model_fields:
        return ("stitch", key)
    if key in Experiment.model_fields:
        return (key,)
    if key in DataSpec.model_fields:
        return ("data", key)
    known = [*StitchSpec.model_fields, *Experiment.model_fields, *DataSpec.model_fields]
    raise BadInput(f"argument {not_known(plain(key), known)}", key)


def _as_json(value: Any) -> Any:
    """`value` as a preset could hold it: sequences and arrays as lists, numbers of numpy and torch as Python's."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [_as_json(item) for item in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _networks(
    sources: tuple[Source, Source],
    names: Sequence[str] | None,
    architecture: str | Sequence[str] | None,
    of_each: Mapping[str, Any],
) -> tuple[dict[str, dict[str, Any]], dict[str, nn.Module]]:
    """The tables of both networks by name, and which of them are in memory."""
    said = [architecture] if architecture is None or isinstance(architecture, str) else list(architecture)
    chosen = _names(sources, names)
    networks: dict[str, dict[str, Any]] = {}
    modules: dict[str, nn.Module] = {}
    for name, source, built in zip(chosen, sources, (said[0], said[-1]), strict=True):
        if isinstance(source, nn.Module):
            modules[name] = source
            table: Mapping[str, Any] = {"architecture": f"{IN_MEMORY}{described(source)}"}
        elif isinstance(source, Mapping):
            if any(isinstance(value, Tensor | Mapping) and key not in _TABLES for key, value in source.items()):
                raise BadInput.at(name, "is a state dict; expected a module that it was loaded into, or a file's path")
            table = source
        elif isinstance(source, str | os.PathLike):
            table = presets.network_said(os.fspath(source), built)
        else:
            kind = type(source).__name__
            raise BadInput.at(
                name, f"expected a torch.nn.Module, a checkpoint's path or a network's name, not a {kind}"
            )
        networks[name] = {**_as_json(of_each), **_as_json(table)}
    return networks, modules


def _names(sources: tuple[Source, Source], names: Sequence[str] | None) -> tuple[str, str]:
    """Two names that differ, also where one network is stitched to itself: it is a pair all the same."""
    if names is not None:
        if isinstance(names, str) or len(names) != 2 or names[0] == names[1]:
            raise BadInput.at("names", "expected two that differ, the bottom's and the top's")
        return names[0], names[1]
    texts = [os.fspath(source) for source in sources if isinstance(source, str | os.PathLike)]
    if len(texts) < 2:
        return NAMES
    first, last = presets.pair_names(*texts)
    return first, last if last != first else f"{last[:58]}-2"
