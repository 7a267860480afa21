"""What a run directory holds, how it is made and found again. Tolerant of what other machines and versions left."""

import contextlib
import json
import re
import time
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stitchtui.base.errors import BadInput
from stitchtui.base.files import write_atomically
from stitchtui.base.paths import runs_directory
from stitchtui.base.text import plain
from stitchtui.run.about import About
from stitchtui.spec.settings import dotted, leaves

if TYPE_CHECKING:
    from stitchtui.spec.experiment import Experiment, Request

_LOG_END = 4096  # bytes
_LARGEST_INFO = 1 << 20  # bytes; no run.json of ours comes near


@dataclass(frozen=True)
class RunDirectory:
    """The place of one run."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name: the directory's."""
        return self.path.name

    @property
    def experiment(self) -> Path:
        """The resolved experiment, with every default written out."""
        return self.path / "experiment.toml"

    @property
    def info(self) -> Path:
        """Which process works on the run, and with what; written by the worker."""
        return self.path / "run.json"

    @property
    def launched(self) -> Path:
        """Which process was launched for the run; written by the launcher, before the worker can say so itself."""
        return self.path / "launch.json"

    @property
    def lock(self) -> Path:
        """The file that makes the worker the only writer."""
        return self.path / "lock"

    @property
    def events(self) -> Path:
        """The log of everything that happened."""
        return self.path / "events.jsonl"

    @property
    def log(self) -> Path:
        """What the worker wrote to stdout and stderr."""
        return self.path / "worker.log"

    @property
    def stitches(self) -> Path:
        """The directory of trained stitches."""
        return self.path / "stitches"

    @property
    def result(self) -> Path:
        """The final numbers, written once at the end."""
        return self.path / "result.json"

    @property
    def command(self) -> Path:
        """The command line that the run was started with; missing where it wasn't one."""
        return self.path / "command.txt"

    @property
    def about(self) -> Path:
        """What people say of the run; missing where nobody said anything."""
        return self.path / "about.json"

    def files(self) -> tuple[Path, ...]:
        """Everything that a run's directory may hold, but for hidden files."""
        records = (self.experiment, self.info, self.launched, self.lock, self.events, self.log, self.stitches)
        return (*records, self.result, self.command, self.about)

    def read_command(self) -> str:
        """The command line that the run was started with; empty where it isn't known."""
        with contextlib.suppress(OSError, ValueError):
            if self.command.is_file() and self.command.stat().st_size <= _LARGEST_INFO:
                return self.command.read_text("utf-8").strip()
        return ""

    def read_info(self) -> dict[str, Any]:
        """What run.json says; empty where it is missing or can't be read."""
        return read_object(self.info)

    def write_info(self, info: dict[str, Any]) -> None:
        """Replace run.json."""
        write_atomically(self.info, json.dumps(info, indent=2, allow_nan=False) + "\n")

    def read_about(self) -> About:
        """What people say of the run; nothing where the file is missing or can't be read."""
        return About.read(read_object(self.about))

    def write_about(self, **said: str) -> About:
        """Replace the run's `label`, its `note` or both, an empty text by nothing.

        Raises BadInput, also for a label that another run has.
        """
        before = self.read_about()
        about = before.changed(**said)
        if about.label != before.label:
            refuse_label(about.label, self.path.parent)
        try:
            write_atomically(self.about, json.dumps(asdict(about), indent=2) + "\n")
        except OSError as error:
            raise BadInput(f"{plain(self.about)}: can't be written ({plain(error.strerror or error)})") from None
        return about

    def read_experiment(self) -> "Experiment":
        """The run's experiment. Raises BadInput where it is missing or makes no sense."""
        try:
            text = self.experiment.read_bytes()
        except OSError as error:
            raise BadInput(f"{plain(self.experiment)}: can't be read as an experiment: {plain(error)}") from None
        return experiment_from(text, plain(self.experiment))

    def last_words(self) -> str:
        """The last line of the worker's log that isn't blank; empty where there is none."""
        try:
            end = self.log.read_bytes()[-_LOG_END:].decode("utf-8", "replace")
        except OSError:
            return ""
        return next((plain(line.strip()) for line in reversed(end.splitlines()) if line.strip()), "")

    def settings(self) -> dict[str, Any]:
        """experiment.toml as it stands, without asking whether it makes sense; nothing where it can't be read."""
        try:
            return tomllib.loads(self.experiment.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}

    def write_experiment(self, experiment: "Experiment") -> None:
        """Replace experiment.toml. Raises BadInput for text that UTF-8 can't hold."""
        write_atomically(self.experiment, _toml(experiment))

    def with_request(self, request: "Request") -> "Experiment":
        """The run's experiment with more columns asked for; nothing is written.

        Raises BadInput where there is no experiment, or it knows nothing of such a pair.
        """
        from pydantic import ValidationError

        from stitchtui.spec.network_seeds import in_every_seed

        now = self.read_experiment()
        try:
            wanted = type(now).model_validate({**now.plain(), "also": [r.plain() for r in (*now.also, request)]})
            return in_every_seed(wanted)
        except ValidationError as error:
            raise BadInput(f"run {plain(self.name)}: {plain(error.errors()[0]['msg'])}") from None


def experiment_from(text: bytes, where: str) -> "Experiment":
    """The experiment that a run's experiment.toml holds; `where` names it. Raises BadInput where it makes no sense."""
    from pydantic import ValidationError  # imported late: whoever only lists or watches runs needs neither

    from stitchtui.spec.experiment import Experiment
    from stitchtui.spec.validation import first_problem

    try:
        document = tomllib.loads(text.decode("utf-8"))
        return Experiment.model_validate(document)
    except ValidationError as error:
        path, what, _ = first_problem(error, document, Experiment)
        raise BadInput(f"{where}: {dotted(path) or 'the experiment'}: {what}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: can't be read as an experiment: {plain(error)}") from None


def _toml(experiment: "Experiment") -> bytes:
    import tomli_w  # imported late: only a new run writes one

    try:
        return tomli_w.dumps(experiment.plain()).encode("utf-8")
    except UnicodeEncodeError:
        raise BadInput("experiment: a name or path in it is not UTF-8; rename the file") from None


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file at `path`; empty where there is none."""
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_INFO:
            return {}
        return object_in(path.read_bytes())
    except OSError:
        return {}


def object_in(text: bytes) -> dict[str, Any]:
    """The JSON object that `text` is; empty for anything else."""
    try:
        value = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def create(experiment: "Experiment", parent: Path | None = None) -> RunDirectory:
    """A new run directory in `parent` (default: `runs_directory()`), named by time and experiment.

    The experiment in it has its networks in every seed. Raises BadInput where that can't be.
    """
    from stitchtui.spec.plan import resolve

    experiment = resolve(experiment).experiment
    parent = runs_directory() if parent is None else parent
    stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{_slug(experiment.name)}"
    toml = _toml(experiment)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        directory = RunDirectory(_make_unused(parent, stem))
        directory.stitches.mkdir()
        write_atomically(directory.experiment, toml)
    except OSError as error:
        why = plain(error.strerror or error)
        raise BadInput(f"{plain(parent)}: can't make a run directory there ({why}); choose another") from None
    return directory


def create_at(experiment: "Experiment", path: Path) -> RunDirectory:
    """The run's directory at `path`: a new one, or the one that is there, if it is the same experiment's.

    Raises BadInput where another run or something else is there, or where the experiment can't be carried out.
    """
    from stitchtui.spec.plan import resolve

    experiment, directory = resolve(experiment).experiment, RunDirectory(path.expanduser().absolute())
    if is_run(directory.path):
        if directory.read_experiment() != experiment:
            said = (dict(leaves(each.plain())) for each in (directory.read_experiment(), experiment))
            before, now = said
            key = next(key for key in {**now, **before} if before.get(key) != now.get(key))
            was = f"{dotted(key)} is {plain(before.get(key, 'not said'))} there"
            raise BadInput.at(
                "out", f"holds a run that asks for something else ({was}); choose another directory", path
            )
        return directory
    toml = _toml(experiment)
    try:
        if directory.path.exists() and any(directory.path.iterdir()):
            raise BadInput.at("out", "holds files that are no run; choose another directory", path)
        directory.stitches.mkdir(parents=True, exist_ok=True)
        write_atomically(directory.experiment, toml)
    except OSError as error:
        raise BadInput.at("out", f"can't be made ({plain(error.strerror or error)}); choose another", path) from None
    return directory


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "run"


def _make_unused(parent: Path, stem: str) -> Path:
    number = 1
    while True:
        path = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def all_runs(parent: Path | None = None) -> list[RunDirectory]:
    """Every run in `parent` (default: `runs_directory()`), newest first; none where it doesn't exist."""
    parent = runs_directory() if parent is None else parent
    with contextlib.suppress(OSError):
        # a hidden one is being deleted
        found = [RunDirectory(path) for path in parent.iterdir() if not path.name.startswith(".") and is_run(path)]
        return sorted(found, key=_age, reverse=True)
    return []


def is_run(path: Path) -> bool:
    """Whether there is a run's directory at `path`."""
    with contextlib.suppress(OSError, ValueError):
        return path.is_dir() and any((path / name).is_file() for name in ("experiment.toml", "events.jsonl"))
    return False


def _age(directory: RunDirectory) -> tuple[str, list[tuple[int, str]]]:
    """Sorts by the time in the name, or by the file's where a user chose the name; then `-10` after `-9`."""
    stamp = re.match(r"\d{8}-\d{6}", directory.name)
    if stamp:
        moment = stamp[0]
    else:
        with contextlib.suppress(OSError, ValueError):
            moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(directory.path.stat().st_mtime))
            return moment, [(0, directory.name)]
        moment = ""
    parts = re.split(r"(\d+)", directory.name)
    return moment, [(int(part), "") if part.isdecimal() else (0, part) for part in parts]


def find(word: str, parent: Path | None = None) -> RunDirectory:
    """The run that `word` means: `last`, a run's name or the start of one, its label, or a path.

    Raises BadInput when no run or more than one is meant.
    """
    parent = runs_directory() if parent is None else parent
    runs = all_runs(parent)
    if word == "last" and runs:
        return runs[0]
    exact = [run for run in runs if run.name == word]
    if exact:
        return exact[0]
    if word and is_run(Path(word)):
        return RunDirectory(Path(word).absolute())
    return _by_start(word, runs, parent)


def refuse_label(text: str, parent: Path | None = None) -> None:
    """Raise BadInput where `text` can't be a run's label: it is too long, or means another run in `parent` already."""
    label = About().changed(label=text).label
    for run in all_runs(parent) if label else ():
        if run.read_about().label == label:
            raise BadInput.at("--label", f"is the label of run {plain(run.name)} already; choose another", label)


def _by_start(word: str, runs: list[RunDirectory], parent: Path) -> RunDirectory:
    meant = [run for run in runs if word and run.name.startswith(word)]
    meant = meant or [run for run in runs if word and run.read_about().label == word]
    if len(meant) == 1:
        return meant[0]
    if meant:
        names = ", ".join(plain(run.name) for run in meant[:4]) + (", ..." if len(meant) > 4 else "")
        raise BadInput(f"run '{plain(word)}': means more than one run ({names}); say more of the name")
    raise BadInput(f"run '{plain(word)}': no such run in {plain(parent)}; `stitchtui runs` lists them")
