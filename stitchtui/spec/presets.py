"""Presets and pairs of checkpoints -> `Experiment`: TOML, scales, overrides; errors name file and key."""

import json
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.paths import presets_directory
from stitchtui.base.text import plain
from stitchtui.spec import validation
from stitchtui.spec.curves import curves, named
from stitchtui.spec.experiment import HUBS, Experiment, NetworkSpec
from stitchtui.spec.settings import Key, Setting, absolute, dotted, laid, leaves, read_override, unusable

TORCHVISION = "torchvision:"
PUBLISHED = (TORCHVISION, "timm:", *HUBS)
"""What the name of a network begins with that comes with weights."""
_UNNAMABLE = re.compile(r"[>/\\\ud800-\udfff]")


@dataclass(frozen=True)
class PresetInfo:
    """What a list of presets shows."""

    name: str
    title: str
    scales: tuple[str, ...]
    path: Path


def load_preset(
    name_or_path: str,
    scale: str | None = None,
    overrides: Sequence[str] = (),
    settings: Sequence[Setting] = (),
) -> Experiment:
    """The experiment of a preset's name or a TOML file, with a scale, `settings` and `overrides` laid over it.

    Later ones win; `overrides` are the texts of --set. File paths in the TOML are relative to its folder, those in
    settings and overrides to the working directory; all are absolute in the result. Raises BadInput.
    """
    path, shown = find_preset(name_or_path)
    document = absolute(read_toml(path, shown), path.parent)
    scales = _scales(document.pop("scales", {}), shown)
    document.setdefault("name", printable_name(path.stem))
    chosen = _overlay(scales, scale, shown, path.parent)
    layers = [*chosen, *_from_command_line(overrides, settings, _names(document, chosen))]
    _refuse_scale(document if scales else {}, f"{shown}: ", layers)
    if scale is not None:
        document["scale"] = scale
    return _experiment(document, f"{shown}: ", layers)


def from_pair(
    bottom: str,
    top: str,
    *,
    both: bool = False,
    architectures: Sequence[str] = (),
    normalisation: str | None = None,
    leaves: Sequence[str] = (),
    head: str | None = None,
    part: str | None = None,
    trust_code: bool = False,
    overrides: Sequence[str] = (),
    settings: Sequence[Setting] = (),
) -> Experiment:
    """The experiment that stitches `bottom` to `top`: checkpoints' paths, or names of networks with their weights.

    One architecture holds for both networks, two for the bottom and the top; `normalisation`, `leaves`, `head`,
    `part` and `trust_code` hold for both. `both` asks for both directions.
    Paths are relative to the working directory. Raises BadInput.
    """
    architectures = [name.strip() for said in architectures for name in said.split(",")]
    if len(architectures) > 2:
        raise BadInput.at("--architecture", f"expected one or two, got {len(architectures)}")
    bottom_name, top_name = pair_names(bottom, top)
    first, last = (architectures[0], architectures[-1]) if architectures else (None, None)
    shared = {"normalisation": normalisation, "leaves": list(leaves), "head": head, "trust_code": trust_code}
    same = {key: value for key, value in shared.items() if value}
    networks = {bottom_name: {**same, **network_said(bottom, first)}}
    networks.setdefault(top_name, {**same, **network_said(top, last)})
    files = [network for network in networks.values() if "checkpoint" in network]
    if part and not files:
        raise BadInput.at("--part", "is for a checkpoint; published networks are whole")
    for network in files if part else ():
        network["part"] = part
    return of_pair(networks, (bottom_name, top_name), both=both, settings=settings, overrides=overrides)


def of_pair(
    networks: Mapping[str, Mapping[str, Any]],
    names: tuple[str, str],
    *,
    both: bool,
    settings: Sequence[Setting] = (),
    overrides: Sequence[str] = (),
) -> Experiment:
    """The experiment that stitches two of `networks`, tables by name, the bottom's first. Raises BadInput."""
    bottom, top = names
    pairs = [names, (top, bottom)] if both and bottom != top else [names]
    document = {
        "name": f"{bottom[:29]}-{top[:29]}",
        "title": f"{bottom} > {top}" + (", both directions" if both else ""),
        "networks": networks,
        "pairs": [{"bottom": low, "top": high} for low, high in pairs],
    }
    return from_document(document, settings, overrides)


def from_document(
    document: dict[str, Any], settings: Sequence[Setting] = (), overrides: Sequence[str] = ()
) -> Experiment:
    """The experiment that `document`, laid out as in TOML, says with `settings` and `overrides` laid over it.

    Raises BadInput.
    """
    layers = _from_command_line(overrides, settings, _names(document))
    return _experiment(absolute(document, Path.cwd()), "", layers)


def network_said(source: str, architecture: str | None) -> dict[str, Any]:
    """The table of a network that is named by a checkpoint's path, or by a name that brings weights along.

    Raises BadInput for an architecture beside a name that says its own.
    """
    if source.startswith(PUBLISHED):
        if architecture is not None:
            raise BadInput.at("--architecture", f"'{plain(source)}' names its own; leave the flag out")
        if not source.startswith((TORCHVISION, "timm:")):  # what lies on a hub has its weights with it
            return {"architecture": source}
        name, _, weights = source.partition("@")
        return {
            "architecture": name,
            "weights": weights or ("DEFAULT" if source.startswith(TORCHVISION) else "pretrained"),
        }
    return {"checkpoint": source} if architecture is None else {"checkpoint": source, "architecture": architecture}


def pair_names(bottom: str, top: str) -> tuple[str, str]:
    """What to call two networks: after their files, with names that differ unless the files are the same."""
    names = [_source_name(source) for source in (bottom, top)]
    if names[0] != names[1] or _same_file(bottom, top):
        return names[0], names[1]
    parents = [Path(source).absolute().parent.name for source in (bottom, top)]
    if parents[0] != parents[1]:
        first, second = (printable_name(f"{p[:30]}-{n}") for p, n in zip(parents, names, strict=True))
        if first != second:
            return first, second
    return names[0], f"{names[1][:58]}-2"


def _source_name(source: str) -> str:
    if source.startswith(PUBLISHED):
        return printable_name(source.partition(":")[2].replace("@", "-"))
    return printable_name(Path(source).stem)


def _same_file(one: str, other: str) -> bool:
    try:
        return one == other or Path(one).resolve() == Path(other).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL in the name, or links that go round
        return False


def printable_name(text: str) -> str:
    """`text` as a network or an experiment may be called: short, printable, never empty."""
    return _UNNAMABLE.sub("_", plain(text)).strip()[:60] or "network"


def find_preset(name_or_path: str) -> tuple[Path, str]:
    """A preset's file, and what errors call it. Raises BadInput where there is none."""
    named = presets_directory() / f"{name_or_path}.toml"
    if re.fullmatch(r"[\w-]+", name_or_path) and named.is_file():
        return named.absolute(), f"presets/{named.name}"
    if not (name_or_path.endswith(".toml") or "/" in name_or_path):
        known = [info.name for info in list_presets()]
        raise BadInput(f"preset {not_known(plain(name_or_path), known)}, or the path of a FILE.toml")
    path = Path(name_or_path)
    if not path.exists():
        raise BadInput(f"{plain(path)}: no such file; expected a preset's name or a TOML file")
    return path.absolute(), plain(path)


def list_presets() -> list[PresetInfo]:
    """The presets that come with the package, by name."""
    return [_info(path) for path in sorted(presets_directory().glob("*.toml"))]


def _info(path: Path) -> PresetInfo:
    document = read_toml(path, f"presets/{path.name}")
    return PresetInfo(path.stem, str(document.get("title", "")), tuple(document.get("scales", {})), path)


def read_toml(path: Path, shown: str) -> dict[str, Any]:
    """A TOML file's content. Raises BadInput that says where it is broken, calling the file `shown`."""
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise BadInput(f"{shown}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{shown}: expected UTF-8 text, but byte {error.start + 1} is not") from None
    except RecursionError:
        raise BadInput(f"{shown}: tables or lists are nested too deep") from None
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{shown}: {_where(plain(error))}") from None


def _where(message: str) -> str:
    found = re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", message)
    return f"{found[2]}: not TOML: {found[1]}" if found else f"not TOML: {message}"


def _scales(scales: Any, shown: str) -> dict[str, Any]:
    if isinstance(scales, dict) and all(isinstance(scale, dict) for scale in scales.values()):
        return scales
    raise BadInput(f"{shown}: scales: expected tables, such as [scales.mini]", "scales")


def _overlay(scales: dict[str, Any], scale: str | None, shown: str, folder: Path) -> list[Setting]:
    if scale is None:
        return []
    if not scales:
        raise BadInput.at("--scale", f"{shown} has no scales; leave the flag out", scale)
    if scale not in scales:
        listed = ", ".join(dotted((name,)) for name in scales)
        raise BadInput.at("--scale", f"{not_known(plain(scale), scales)} ({shown} has: {listed})")
    origin = f"{shown}: {dotted(('scales', scale))}"
    return [Setting(path, absolute(value, folder, path), origin, ".") for path, value in leaves(scales[scale]) if path]


def _refuse_scale(document: dict[str, Any], origin: str, layers: Sequence[Setting]) -> None:
    """Raise BadInput where the name of a scale is given as a value, which would choose none."""
    if "scale" in document or any(layer.path[:1] == ("scale",) for layer in layers):
        why = "only says which scale was chosen; choose one with --scale"
        raise _refusal(validation.Problem(("scale",), why), origin, layers)


def _names(document: dict[str, Any], layers: Sequence[Setting] = ()) -> list[str]:
    """The networks that there are with `layers` over the document."""
    networks = document.get("networks")
    said = networks if isinstance(networks, dict) else {}
    return list(dict.fromkeys([*said, *(layer.path[1] for layer in layers if _makes_network(layer))]))


def _from_command_line(overrides: Sequence[str], settings: Sequence[Setting], networks: Sequence[str]) -> list[Setting]:
    """What the command line lays over a document that has these networks, file paths from the working directory."""
    known = _names({"networks": dict.fromkeys(networks)}, [*settings, *map(read_override, overrides)])
    given = [*settings, *(_override(text, known) for text in overrides)]
    here = Path.cwd()
    return [Setting(s.path, absolute(s.value, here, s.path), s.origin, s.joint) for s in given]


def _makes_network(setting: Setting) -> bool:
    """Whether it says where a network comes from, which it does for one that isn't there yet, too."""
    match setting.path:
        case ("networks", _):
            return isinstance(setting.value, dict)
        case ("networks", _, "architecture" | "checkpoint"):
            return True
    return False


def _override(text: str, networks: Collection[str]) -> Setting:
    """--set's `text` where these networks are known. Raises BadInput that says the nearest for a name that isn't."""
    setting = read_override(text, networks, NetworkSpec.model_fields)
    match setting.path:
        case ("networks", name, *below) if networks and name not in networks:
            keys = (index for index, part in enumerate(below) if part in NetworkSpec.model_fields)
            typed = ".".join([name, *below[: next(keys, 0)]])
            raise setting.refused(setting.path, f"network {not_known(plain(typed), networks)}")
    return setting


def _experiment(document: dict[str, Any], origin: str, layers: Sequence[Setting]) -> Experiment:
    """`document` with `layers` over it, checked; an error about the document's own keys begins with `origin`."""
    for layer in layers:
        try:
            document = laid(document, layer.path, layer.value)
        except IndexError as error:
            raise layer.refused(layer.path, str(error)) from None
    if problem := unusable(document):
        raise _refusal(validation.Problem(*problem), origin, layers)
    try:
        # through JSON, where strict means that "3" is no number but a list may be a tuple
        experiment = Experiment.model_validate_json(json.dumps(document, default=str), strict=True)
    except ValidationError as error:
        raise _refusal(validation.first_problem(error, document, Experiment), origin, layers) from None
    if problem := _unknown_curve(experiment):
        raise _refusal(validation.Problem(*problem), origin, layers)
    return experiment


def _unknown_curve(experiment: Experiment) -> tuple[Key, str] | None:
    """The first `reference` that is none of the paper's curves over cuts, with what is wrong with it.

    Checked here and not by Experiment: a run from before a curve was renamed can still be read.
    """
    for path, name in _references(experiment):
        known = [each.id for each in curves().values() if each.quantity != "error"]
        if name in curves() and name not in known:
            return path, f"'{name}' is a curve of {curves()[name].quantity}; expected one of penalties or of CKA"
        if name not in known:
            return path, not_known(plain(name), known)
    return None


def _references(experiment: Experiment) -> Iterator[tuple[Key, str]]:
    """Every `reference` with its key."""
    yield from ((("reference",), name) for name in named(experiment.reference))
    also = ((("also", str(index), "pairs"), request.pairs or ()) for index, request in enumerate(experiment.also))
    for path, pairs in ((("pairs",), experiment.pairs), *also):
        for place, pair in enumerate(pairs):
            yield from (((*path, str(place), "reference"), name) for name in named(pair.reference))


def _refusal(problem: validation.Problem, origin: str, layers: Sequence[Setting]) -> BadInput:
    """The error about a problem; it names who set its key last: the file, a scale, a flag or --set."""
    path, text, keys = problem
    if (last := _last(path, layers)) is not None:
        return last.refused(path, text)
    beneath = [layer for layer in layers if layer.path[: len(path)] == path]
    with_them = f" (with {', '.join(dict.fromkeys(layer.origin for layer in beneath))})" if beneath else ""
    below = [(*path, *key) for key in keys]
    fields = [last.field(key) for key in below if (last := _last(key, beneath)) is not None]
    fields += [layer.field(layer.path) for layer in beneath] + [dotted(key) for key in (*below, path)]
    return BadInput(f"{origin}{dotted(path)}{': ' if path else ''}{text}{with_them}", fields[0] or None)


def _last(path: Key, layers: Sequence[Setting]) -> Setting | None:
    """Who of `layers` set the value at `path` last."""
    return next((layer for layer in reversed(layers) if path[: len(layer.path)] == layer.path), None)
