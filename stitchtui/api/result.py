"""A run's result as an object: read into memory whole, so that its directory may go."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.base.files import write_out
from stitchtui.base.text import plain
from stitchtui.report.claim_lines import claims
from stitchtui.report.harm import warnings
from stitchtui.report.summary import FOUND, summary_lines
from stitchtui.report.wording import column_name
from stitchtui.run.about import About
from stitchtui.run.directory import RunDirectory, experiment_from, find, object_in
from stitchtui.run.events import events_in
from stitchtui.run.records import NetworkState
from stitchtui.run.state import Column, RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.stats.judgement import Judged
from stitchtui.stats.penalty import Verdict

_SAVED = ("experiment.toml", "run.json", "events.jsonl", "worker.log", "result.json", "command.txt", "about.json")


def load(run: str | Path, networks: Mapping[str, nn.Module] | None = None) -> "Result":
    """Return the result of a run: `last`, its name or the start of one, its label, or its directory's path.

    `networks` are those that the run had in memory, by name, where stitched networks are to be made of them. A run
    that is still going on gives what it has found so far. Raises BadInput where no run or more than one is meant.
    """
    return Result.read(find(str(run)), networks)


@dataclass(frozen=True)
class Result:
    """What a run found: penalties, verdicts and what speaks against them, every measure, and the stitches.

    Two are equal where their runs' files are. It is never changed; copies and pickles hold all but the networks that
    were given in memory, which only `stitched` asks for.
    """

    files: Mapping[str, bytes] = field(repr=False)
    """The files of its run's directory, by their paths within it."""
    given: Mapping[str, nn.Module] = field(default_factory=dict, repr=False, compare=False)
    """The run's networks that were in memory, by name."""

    @classmethod
    def read(cls, directory: RunDirectory, networks: Mapping[str, nn.Module] | None = None) -> "Result":
        """Read a run's directory, which isn't needed afterwards. Raises BadInput for a file that can't be read."""
        paths = [directory.path / name for name in _SAVED]
        paths += sorted(directory.stitches.glob("*.safetensors"))
        try:
            found = {p.relative_to(directory.path).as_posix(): p.read_bytes() for p in paths if p.is_file()}
        except OSError as error:
            raise BadInput(f"{plain(error.filename)}: can't be read ({error.strerror})") from None
        return cls(found, dict(networks or {}))

    def save(self, folder: str | Path) -> None:
        """Write a run's directory, which the app, `stitchtui report`, `stitchtui resume` and `load` open.

        One that holds this very run is brought up to date. Raises BadInput where anything else is there already.
        """
        path = Path(folder)
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())) and not self._is_at(path):
                raise BadInput.at("folder", "is there already and isn't this run; choose another", path)
            (path / "stitches").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput.at("folder", f"can't be written ({error.strerror}); choose another", path) from None
        for name, data in self.files.items():
            write_out(path / name, data)

    def _is_at(self, path: Path) -> bool:
        """Whether the run at `path` is this one, or an earlier state of it."""
        log = RunDirectory(path).events
        return log.is_file() and bool(said := log.read_bytes()) and self.files["events.jsonl"].startswith(said)

    def __getstate__(self) -> dict[str, object]:
        return {"files": self.files, "given": {}}

    @cached_property
    def state(self) -> RunState:
        """The run as its events tell it: what every report is made of."""
        found = RunState()
        found.apply_all(events_in(self.files.get("events.jsonl", b"")))
        found.about = About.read(object_in(self.files.get("about.json", b"")))
        return found

    @property
    def experiment(self) -> Experiment:
        """What was asked for, with every default. Raises BadInput where another version wrote what makes no sense."""
        return experiment_from(self.files.get("experiment.toml", b""), f"{plain(self.state.run)}/experiment.toml")

    @property
    def epsilon(self) -> float:
        """The margin in points that verdicts are about."""
        return self.state.epsilon

    @property
    def verdicts(self) -> dict[str, Verdict | None]:
        """Of each pair whether it is stitching-connected at `epsilon`; None until all of it is measured."""
        return {column_name(pair): self.state.verdict(pair) for pair in self._pairs}

    @property
    def epsilon_stars(self) -> dict[str, float | None]:
        """Of each pair the smallest margin in points at which it is connected; None where that isn't known."""
        return {column_name(pair): self.state.connected_from(pair) for pair in self._pairs}

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the run's pair. Raises BadInput where it has several, which `verdicts` holds."""
        return self.state.verdict(self._pair("verdicts"))

    @property
    def epsilon_star(self) -> float | None:
        """Epsilon* of the run's pair, in points. Raises BadInput where it has several, see `epsilon_stars`."""
        return self.state.connected_from(self._pair("epsilon_stars"))

    @property
    def _pairs(self) -> list[Column]:
        return [column for column in self.state.columns() if not column.control]

    def _pair(self, of_all: str) -> Column:
        if len(self._pairs) != 1:
            raise BadInput(f"this run has {len(self._pairs)} pairs; ask for `{of_all}`, which has each by name", of_all)
        return self._pairs[0]

    @property
    def findings(self) -> list[str]:
        """What the run found, in sentences: verdicts, whether penalties can be read as similarity, and why not."""
        return summary_lines(self.state, about=FOUND)

    @property
    def warnings(self) -> list[str]:
        """What its reader must beware of."""
        return warnings(self.state)

    @property
    def claims(self) -> list[Judged]:
        """The experiment's claims with their verdicts and the numbers that decided them."""
        return claims(self.state)

    @property
    def networks(self) -> dict[str, NetworkState]:
        """The networks by name: digest, test error in percent, parameters, cuts with their shapes and depths."""
        return self.state.networks

    def __repr__(self) -> str:
        said = {"epsilon": f"{self.epsilon:g}", **{name: found or "pending" for name, found in self.verdicts.items()}}
        return f"<Result {plain(self.state.run)}: {', '.join(f'{plain(key)} {value}' for key, value in said.items())}>"
