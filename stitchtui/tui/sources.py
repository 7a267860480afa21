"""Where a network can come from: checkpoints in the working directory, networks of known runs, torchvision's names."""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stitchtui.base.errors import BadInput
from stitchtui.base.paths import cache_directory
from stitchtui.base.text import size
from stitchtui.run.directory import RunDirectory
from stitchtui.run.remembered import Known, Remembered, said_of
from stitchtui.spec.datasets import BY_PATH, IN_MEMORY
from stitchtui.spec.experiment import Experiment, NetworkSpec
from stitchtui.spec.presets import PUBLISHED, TORCHVISION
from stitchtui.tui.typed_paths import continued, skipped

TIMM = "timm:"
SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".pth.tar", ".pt.tar")
RUNS, TORCH = "networks of known runs", "torchvision, published weights"
_MOST_FILES, _MOST_RUNS, _MOST_SECONDS = 2_000, 50, 3.0
_MOST_HEADER = 10 << 20  # bytes


@dataclass(frozen=True)
class Source:
    """One network that can be picked; `value` is what `stitchtui run` calls it. Every text may come from outside."""

    value: str
    label: str
    group: str  # the heading it stands under: a folder, or one of RUNS and TORCH
    detail: str = ""
    name: str | None = None  # what the experiment is to call it, where its file's name says nothing
    data: str = ""  # what it was trained on, or was used on last, where that is known
    brings: Mapping[str, Any] = field(default_factory=dict, hash=False)  # keys of NetworkSpec that a run had said
    beside: Known = field(default_factory=Known, hash=False)  # what was said last of a file of its folder
    unsaid: bool = False  # whether it is a file that doesn't say what network it is for
    preset: bool = False  # a preset of this name rather than a network
    folder: bool = False  # a folder to look into rather than a network

    @property
    def is_file(self) -> bool:
        """Whether it is a checkpoint."""
        return not self.preset and not self.folder and not self.value.startswith(PUBLISHED)

    def question(self, architecture: str = "") -> dict[str, Any]:
        """The source as the inspector is asked about it; `architecture` is what the user says a checkpoint is for."""
        if self.is_file:
            file = str(Path(self.value).absolute())
            return {**self.brings, "checkpoint": file, "architecture": architecture or None}
        if not self.value.startswith((TORCHVISION, TIMM)):  # what lies on a hub has its weights with it
            return {**self.brings, "architecture": self.value}
        name, _, weights = self.value.partition("@")
        usual = "DEFAULT" if self.value.startswith(TORCHVISION) else "pretrained"
        return {**self.brings, "architecture": name, "weights": weights or usual}

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word, in lower case, occurs in what is shown of it."""
        text = f"{self.value} {self.label} {self.group} {self.detail}".lower()
        return all(word in text for word in words)


QUICKSTART = Source("quickstart", "quickstart", "nothing to stitch yet?", "two seeds on digits, a minute", preset=True)


BROWSE = Source("./", "./", "folders", "look into folders", folder=True)


def within(text: str) -> list[Source]:
    """The folders and checkpoints that a typed path may go on with; none for what isn't begun as a path."""
    text = text.strip()
    if text.startswith(PUBLISHED) or not (text.startswith("~") or "/" in text):
        return []
    place, known = text[: text.rfind("/") + 1], Remembered()
    found = continued(text, SUFFIXES)
    if text in (place, f"{place}.", f"{place}..") and continued(place, SUFFIXES):
        found = [f"{place}../", *found]
    return [
        Source(path, path[len(place) :], place, folder=True)
        if path.endswith("/")
        else _file(Path(path).expanduser(), place, known)
        for path in found
    ]


def typed(text: str) -> Source | None:
    """The file whose path was typed, if there is one; or a published network by its name, such as timm:NAME."""
    if text.strip().startswith(PUBLISHED) and not text.strip().endswith(":"):
        return Source(text.strip(), text.strip(), "by its name")
    try:
        path = Path(text.strip()).expanduser()
        if text.strip() and path.is_file():
            return _file(path, str(path.parent), Remembered())
    except (OSError, ValueError, RuntimeError):
        pass
    return None


def files() -> list[Source]:
    """The checkpoints below the working directory, folder by folder, without hidden folders and those of packages."""
    root = Path.cwd()
    known, seen = Remembered(), set[str]()
    found: list[Source] = []
    end = time.monotonic() + _MOST_SECONDS
    for folder, below, names in os.walk(root):
        below[:] = sorted(name for name in below if not skipped(Path(folder) / name))
        relative = Path(folder).relative_to(root)
        shown = "./" if str(relative) == "." else f"{relative}/"
        for name in sorted(names):
            if name.lower().endswith(SUFFIXES) and (real := os.path.realpath(relative / name)) not in seen:
                seen.add(real)
                found.append(_file(relative / name, shown, known))
        if len(found) > _MOST_FILES or time.monotonic() > end:
            break
    return found[:_MOST_FILES]


def _file(path: Path, group: str, known: Remembered) -> Source:
    said = metadata(path)
    detail, data = (_described(said), said.get("data")) if said else (_size(path), None)
    earlier, beside = known.of(path) or Known(), known.beside(path) or Known()
    return Source(
        str(path),
        path.name,
        group,
        detail,
        data=_here(earlier.data) or (data if isinstance(data, str) else ""),
        brings=_brought(earlier.network),
        beside=Known(_brought(beside.network), _here(beside.data)),
        unsaid=_is_unsaid(said),
    )


def _is_unsaid(said: Mapping[str, Any] | None) -> bool:
    """Whether a file that says this doesn't say its network: no file may choose which code of a user's own runs."""
    architecture = str((said or {}).get("architecture", ""))
    return not architecture or (":" in architecture and not architecture.startswith(PUBLISHED))


def _brought(said: Mapping[str, Any]) -> dict[str, Any]:
    """What was said of a network, without an architecture whose file is gone."""
    architecture = _here(str(said.get("architecture", "")))
    others = {key: value for key, value in said.items() if key != "architecture"}
    return {**others, "architecture": architecture} if architecture else others


def _here(text: str) -> str:
    """An architecture or data as they are typed in this folder; empty where they are gone."""
    if text.startswith(IN_MEMORY):
        return ""
    if text.startswith(BY_PATH):
        kind, _, path = text.partition(":")
        near = _near(path)
        return near and f"{kind}:{near}"
    path, _, name = text.rpartition(":")
    if not path.endswith(".py"):
        return text
    near = _near(path)
    return near and f"{near}:{name}"


def _near(text: str) -> str:
    path = Path(text)
    if not os.path.exists(path):  # noqa: PTH110  which raises for no path, whatever it holds
        return ""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else text


def _size(path: Path) -> str:
    try:
        return size(path.stat().st_size)
    except OSError:
        return "can't be read"


def _described(said: dict[str, Any]) -> str:
    parts = [str(said.get("architecture", ""))]
    if said.get("width", 1.0) != 1.0:
        parts.append(f"width {said['width']}")
    parts += [str(said.get("data", "")), f"seed {said.get('seed', 0)}"]
    error = said.get("error")
    return ", ".join([part for part in parts if part] + ([f"{error:.1f} %"] if isinstance(error, float) else []))


def metadata(path: Path) -> dict[str, Any] | None:
    """What a checkpoint of ours says of itself, read from the head of its file; None for every other file."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            head = json.loads(file.read(length)) if 0 < length <= _MOST_HEADER and path.suffix == SUFFIXES[0] else {}
        said = json.loads(head["__metadata__"]["stitchtui"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def of_runs(runs: Sequence[RunDirectory]) -> list[Source]:
    """The networks of the newest runs, each once, under the name that its newest run has for it."""
    trained = [(path, said) for path in _cached() if (said := metadata(path)) is not None]
    found: dict[str, Source] = {}
    for run in runs[:_MOST_RUNS]:
        try:
            experiment = run.read_experiment()
        except BadInput:
            continue
        errors: dict[str, Any] | None = None
        for name, spec in experiment.networks.items():
            if spec.checkpoint is None and spec.weights is None and errors is None:
                errors = _errors(run)
            value = _value(spec, experiment, (errors or {}).get(name), trained)
            if value is not None:
                found.setdefault(value, _of_run(f"{name} of {run.name}", name, value, spec, experiment))
    return list(found.values())


def _of_run(label: str, name: str, value: str, spec: NetworkSpec, experiment: Experiment) -> Source:
    source = Source(value, label, RUNS, _spec_words(spec), name, _here(experiment.data.name), _brought(said_of(spec)))
    return replace(source, unsaid=source.is_file and _is_unsaid(metadata(Path(value))))


def merged(files: Sequence[Source], of_runs: Sequence[Source]) -> tuple[list[Source], list[Source]]:
    """Both without those networks of runs whose files are listed; these tell what the newest such run says of them."""
    runs = {os.path.realpath(source.value): source for source in reversed(of_runs) if source.is_file}
    told = [_told_by(source, runs.pop(os.path.realpath(source.value), None)) for source in files]
    return told, [source for source in of_runs if not source.is_file or source in runs.values()]


def _told_by(file: Source, run: Source | None) -> Source:
    if run is None:
        return file
    brings, data = file.brings or run.brings, file.data or run.data
    return replace(file, detail=f"{file.detail}, {run.label}", brings=brings, data=data)


def _cached() -> list[Path]:
    try:
        return sorted((cache_directory() / "networks").glob("*.safetensors"))
    except OSError:
        return []


def _errors(run: RunDirectory) -> dict[str, Any]:
    """Each network's error as the run's log says it."""
    found: dict[str, Any] = {}
    for event in _network_events(run):
        found[str(event.get("network"))] = event.get("error")
    return found


def _network_events(run: RunDirectory) -> Iterator[dict[str, Any]]:
    try:
        with run.events.open("rb") as file:
            for line in file:
                if b'"network_ready"' in line[:80]:
                    event = json.loads(line)
                    if isinstance(event, dict):
                        yield event
    except (OSError, ValueError, RecursionError):
        return


def _value(
    spec: NetworkSpec, experiment: Experiment, error: Any, trained: list[tuple[Path, dict[str, Any]]]
) -> str | None:
    if spec.checkpoint is not None:
        return spec.checkpoint if Path(spec.checkpoint).is_file() else None
    architecture = (spec.architecture or "").removeprefix(TORCHVISION)
    if architecture.startswith(PUBLISHED) and spec.weights is None:
        return architecture if not architecture.startswith(TIMM) else None
    if spec.weights is not None:
        known = architecture.startswith(TIMM)
        return f"{'' if known else TORCHVISION}{architecture}@{spec.weights}"
    wanted = (architecture, spec.width, dict(spec.options), spec.seed, experiment.data.name, error)
    for path, said in trained:
        name = str(said.get("architecture", "")).removeprefix(TORCHVISION)
        has = (name, *(said.get(key) for key in ("width", "options", "seed", "data", "error")))
        # An equal error on the same test images, to the last digit, tells networks of different subsets apart.
        if error is not None and has == wanted and said.get("recipe") == spec.training:
            return str(path)
    return None


def _spec_words(spec: NetworkSpec) -> str:
    return spec.architecture or (Path(spec.checkpoint).name if spec.checkpoint else "")


def of_torchvision(names: Sequence[str]) -> list[Source]:
    """torchvision's networks with their published weights."""
    return [Source(f"{TORCHVISION}{name}", name, TORCH, "for data of 1,000 classes") for name in names]
