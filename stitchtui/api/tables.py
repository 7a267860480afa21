"""Tables of penalties as mappings, and any table as another library's data frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from stitchtui.base.errors import BadInput
from stitchtui.report.console import written
from stitchtui.report.html import notebook_text
from stitchtui.report.table import Table
from stitchtui.report.terminal import cross_table, grid_table
from stitchtui.report.wording import counted
from stitchtui.stats.penalty import Interval

if TYPE_CHECKING:
    import pandas
    import polars

SCREEN = 24  # lines that anything prints at most


class Penalties(Mapping[str, dict[str, Interval]]):
    """Penalties in percentage points with their 95 % intervals: `penalties[cut][pair]`; controls are columns, too.

    Cells without a number are left out. It prints as `stitchtui report` does.
    """

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns = tuple(heading.name for heading in table.columns)

    def __getitem__(self, row: str) -> dict[str, Interval]:
        entries = self.table.entries[self.table.rows.index(row)] if row in self.table.rows else None
        if entries is None:
            raise KeyError(row)
        known = ((name, each.interval, each.kind) for name, each in zip(self.columns, entries, strict=True))
        return {name: Interval(i.value, i.low, i.high) for name, i, kind in known if i is not None and kind != "direct"}

    def __iter__(self) -> Iterator[str]:
        return iter(self.table.rows)

    def __len__(self) -> int:
        return len(self.table.rows)

    def to_pandas(self) -> "pandas.DataFrame":
        """The penalties as a pandas data frame, a row a cut, a column a pair. Raises BadInput without pandas."""
        return pandas_frame(self._rows(), self._types()).set_index(self.table.corner)

    def to_polars(self) -> "polars.DataFrame":
        """The penalties as a polars data frame, the cuts in its first column. Raises BadInput without polars."""
        return polars_frame(self._rows(), self._types())

    def _types(self) -> "Types":
        return {self.table.corner: str, **dict.fromkeys(self.columns, float)}

    def _rows(self) -> list[dict[str, Any]]:
        known = {row: {name: interval.value for name, interval in each.items()} for row, each in self.items()}
        return [{self.table.corner: row, **{name: known[row].get(name) for name in self.columns}} for row in self]

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        yield self._drawing(options.max_width, options.ascii_only)

    def _drawing(self, width: int, ascii: bool = False, rows: int | None = None) -> RenderableType:
        if self.table.look != "brief":
            return grid_table(self.table, width, ascii, most_rows=rows)
        left = len(self.table.rows) - len(shown := self.table.rows[:rows])
        notes = (*self.table.notes, *([counted(left, "more bottom cut")] if left else []))
        first = replace(self.table, rows=shown, entries=self.table.entries[:rows], notes=notes)
        return cross_table(first, width, ascii)

    def on_screen(self, lines: int) -> str:
        """The table as text of at most so many lines, if that leaves room for a few rows."""
        for rows in (len(self), *range(min(len(self), lines) - 1, 2, -1)):
            said = written(partial(self._print, rows)).rstrip()
            if said.count("\n") < lines:
                break
        return said

    def _print(self, rows: int, console: Console) -> None:
        console.print(self._drawing(console.width, rows=rows))

    def __repr__(self) -> str:
        return self.on_screen(SCREEN)

    def _repr_html_(self) -> str:
        return notebook_text([self.table])


Rows = Sequence[Mapping[str, Any]]
Types = Mapping[str, type[str] | type[int] | type[float]]


def pandas_frame(rows: Rows, types: Types) -> "pandas.DataFrame":
    """A pandas data frame of rows, whose columns are those of `types`. Raises BadInput where pandas isn't installed."""
    try:
        import pandas
    except ImportError:
        raise BadInput("to_pandas() needs pandas; install it with: pip install pandas") from None
    floats = {name: float for name, each in types.items() if each is float}
    return pandas.DataFrame(list(rows), columns=list(types)).astype(floats)


def polars_frame(rows: Rows, types: Types) -> "polars.DataFrame":
    """A polars data frame of rows, whose columns are those of `types`. Raises BadInput where polars isn't installed."""
    try:
        import polars
    except ImportError:
        raise BadInput("to_polars() needs polars; install it with: pip install polars") from None
    return polars.DataFrame(list(rows), schema=dict(types))
