"""A run's result as an object: read into memory whole, so that its directory may go."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text
from torch import nn

from stitchtui.api import stitches
from stitchtui.api.cells import CellResult, cells_of
from stitchtui.api.stitched import Networks, StitchedNetwork
from stitchtui.api.tables import SCREEN, Penalties, Types, pandas_frame, polars_frame
from stitchtui.base.device import Settings
from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.files import write_out
from stitchtui.base.text import plain
from stitchtui.report.claim_lines import claims
from stitchtui.report.columns import holds
from stitchtui.report.export import cell_columns, cell_rows
from stitchtui.report.figures import run_axes
from stitchtui.report.harm import warnings
from stitchtui.report.html import notebook_text
from stitchtui.report.summary import BEWARE, FOUND, IN_SHORT, errors_line, summary_lines
from stitchtui.report.table import cross, grid
from stitchtui.report.terminal import cross_table, grid_table
from stitchtui.report.wording import column_name, run_name, to_ascii
from stitchtui.run.about import About
from stitchtui.run.directory import RunDirectory, experiment_from, find, object_in
from stitchtui.run.events import events_in
from stitchtui.run.lock import claim, release
from stitchtui.run.process import OVER
from stitchtui.run.records import Cell, NetworkState
from stitchtui.run.state import Column, RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.families import FAMILIES
from stitchtui.stats.judgement import Judged
from stitchtui.stats.penalty import Verdict

if TYPE_CHECKING:
    import pandas
    import polars
    from matplotlib.axes import Axes

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
        if info := directory.read_info():  # whoever is at the run isn't at a copy of it
            found[directory.info.name] = (json.dumps({**info, OVER: True}, indent=2) + "\n").encode()
        result = cls(found, dict(networks or {}))
        more = stitches.reused(directory, result.state, found)
        return replace(result, files={**found, **more}) if more else result

    def save(self, folder: str | Path) -> None:
        """Write a run's directory, which the app, `stitchtui report`, `stitchtui resume` and `load` open.

        One that holds this very run is brought up to date. Raises BadInput where anything else is there already, or
        where a worker is at it.
        """
        directory = RunDirectory(Path(folder).expanduser().absolute())
        path = directory.path
        try:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                self._refuse_unless_at(directory)
            directory.stitches.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInput.at("folder", f"can't be written ({error.strerror}); choose another", path) from None
        lock = claim(directory)
        try:
            if directory.events.exists():
                self._refuse_unless_at(directory)  # a worker may have gone on with it meanwhile
            for name, data in self.files.items():
                write_out(path / name, data)
        finally:
            release(directory, lock)

    def _refuse_unless_at(self, directory: RunDirectory) -> None:
        """Raise BadInput unless the run there is this one, or an earlier state of it."""
        said = directory.events.read_bytes() if directory.events.is_file() else b""
        if not said or not self.files.get(directory.events.name, b"").startswith(said):
            raise BadInput.at("folder", "is there already and isn't this run; choose another", directory.path)

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
        return None if (pair := self._pair("verdicts")) is None else self.state.verdict(pair)

    @property
    def epsilon_star(self) -> float | None:
        """Epsilon* of the run's pair, in points. Raises BadInput where it has several, see `epsilon_stars`."""
        return None if (pair := self._pair("epsilon_stars")) is None else self.state.connected_from(pair)

    @property
    def _pairs(self) -> list[Column]:
        return [column for column in self.state.columns() if not column.control]

    def _pair(self, of_all: str) -> Column | None:
        if len(self._pairs) > 1:
            raise BadInput(f"{of_all}: {_several(self._pairs)}; ask for `{of_all}`, which has each by name", of_all)
        return self._pairs[0] if self._pairs else None  # of every cut with every cut there is no verdict

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
    def penalties(self) -> Penalties:
        """The penalties by cut and pair with their 95 % intervals, in percentage points; controls are columns, too."""
        return Penalties(grid(self.state))

    @property
    def crosses(self) -> dict[str, Penalties]:
        """Of each pair that was stitched at every cut with every cut: its penalties by bottom cut and top cut."""
        return {column_name(column): Penalties(cross(self.state, column)) for column in self.state.crosses()}

    @property
    def cells(self) -> list[CellResult]:
        """Every cell, controls and failed ones too, with every measure and its answer on each test image."""
        return cells_of(self.state)

    @property
    def networks(self) -> dict[str, NetworkState]:
        """The networks by name: digest, test error in percent, parameters, cuts with their shapes and depths."""
        return self.state.networks

    def to_pandas(self) -> "pandas.DataFrame":
        """A row a cell, a column a measure, as `stitchtui report --csv` has them. Raises BadInput without pandas."""
        return pandas_frame(cell_rows(self.state), self._types())

    def to_polars(self) -> "polars.DataFrame":
        """The same as a polars data frame. Raises BadInput without polars."""
        return polars_frame(cell_rows(self.state), self._types())

    def _types(self) -> Types:
        return {name: holds(name) for name in cell_columns(self.state)}

    def stitched(self, cut: str | CellResult, pair: str | None = None) -> StitchedNetwork:
        """Make the stitched network of a cell: bottom up to the cut, stitch, top after it; on the CPU, in eval mode.

        Args:
            cut: A row of the penalties, of which the first seed is meant; or one of `cells`.
            pair: A column of the penalties; not needed where the run has one pair.

        Returns:
            A module of its own, which shares nothing with the networks. It takes pixels in [0, 1], or floats as the
            run's images are, [batch, channels, height, width], since each network's normalisation is inside, and gives
            class scores [batch, classes]. On the run's test images its error is error(top) + penalty.

        Raises:
            BadInput: There is no such cell, it has no stitch, or its networks can't be had any more. They are those
                that were given in memory, else from where the run had them: checkpoints, hubs, the cache.
        """
        cell = self._cell(cut, pair)
        task = self.state.tasks[cell.task]
        nothing = FAMILIES[task.family].changes_nothing
        tensors = None if nothing else stitches.read(self.files, task, cell)
        with Settings().in_force():
            return self._loaded.stitched(task, cell, tensors)

    def _cell(self, cut: str | CellResult, pair: str | None) -> Cell:
        if isinstance(cut, CellResult):
            found = self.state.cells.get((cut.task, cut.cut))
        else:
            column = self._column(pair)
            cells = [self.state.cells.get((task, cut)) for task in column.task_ids]
            known = [row for task, row in self.state.cells if task in column.task_ids]
            if not any(cells):
                raise BadInput(not_known(cut, known), "cut")
            found = next((cell for cell in cells if cell and cell.status == "finished"), cells[0])
        if found is None or found.status != "finished":
            why = (found and found.reason) or "it isn't measured"
            raise BadInput.at("cut", f"has no stitch: {plain(why)}", cut if isinstance(cut, str) else cut.cut)
        return found

    def _column(self, pair: str | None) -> Column:
        columns = [*self.state.columns(), *self.state.crosses()]
        if pair is None:
            columns = [column for column in columns if not column.control]
            if len(columns) == 1:
                return columns[0]
            raise BadInput(f"pair: {_several(columns)}; say which", "pair")
        named = {column_name(column): column for column in columns}
        if pair not in named:
            raise BadInput(not_known(pair, named), "pair")
        return named[pair]

    @cached_property
    def _loaded(self) -> Networks:
        return Networks(self.state, self.experiment, self.given)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw the penalties against depth on matplotlib axes, with 95 % intervals and bands that hold at all cuts.

        Of a pair that was stitched at every cut with every cut it is a heat map. `ax` is drawn on; without it a figure
        of pyplot's is made. Raises BadInput where matplotlib isn't installed.
        """
        return run_axes(self.state, ax)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        if self.state.columns():
            yield grid_table(grid(self.state), options.max_width, options.ascii_only)
        for column in self.state.crosses():
            yield cross_table(cross(self.state, column), options.max_width, options.ascii_only)
        for line in summary_lines(self.state, about=IN_SHORT):
            yield Text(to_ascii(line) if options.ascii_only else line)
        yield Text(errors_line(self.state))

    def __repr__(self) -> str:
        tables = [*([self.penalties] if self.state.columns() else []), *self.crosses.values()]
        counts = {"findings": len(self.findings), "claims": len(self.claims), "warnings": len(self.warnings)}
        said = ", ".join(f"{count} in .{name}" for name, count in counts.items() if count)
        errors = plain(errors_line(self.state))
        heads = [table.on_screen((SCREEN - 1 - bool(errors)) // min(len(tables), 2)) for table in tables[:2]]
        more = [f"{len(tables) - 2} more tables in .crosses"] if len(tables) > 2 else []
        more += [errors] if errors else []
        return "\n".join([*heads, *more, said or plain(f"{run_name(self.state)}: no numbers yet")])

    def _repr_html_(self) -> str:
        tables = [grid(self.state)] if self.state.columns() else []
        tables += [cross(self.state, column) for column in self.state.crosses()]
        lines = [*summary_lines(self.state, about=("verdicts", "empty")), errors_line(self.state)]
        return notebook_text(tables, lines, summary_lines(self.state, about=BEWARE))


def _several(pairs: Sequence[Column]) -> str:
    named = ", ".join(plain(column_name(pair)) for pair in pairs[:12]) + (", ..." if len(pairs) > 12 else "")
    return f"this run has {len(pairs)} pairs ({named})"
