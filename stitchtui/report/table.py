"""A table of what is to be shown, as plain data: two named axes and entries. Every output is made of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stitchtui.report.wording import column_name, margin, signed
from stitchtui.run.records import row_name
from stitchtui.run.state import Column, RunState, Summary
from stitchtui.spec.controls import control_named
from stitchtui.stats.penalty import Interval, Side, side

Kind = Literal["pending", "absent", "failed", "direct", "some_seeds", "reused", "lost", "measured"]

LEGEND: dict[Kind, str] = {
    "pending": "· not measured yet",
    "direct": "~ direct matching only, not trained yet",
    "some_seeds": "* some seeds still to come",
    "failed": "x failed",
    "reused": "= reused from an earlier run",
    "lost": "! in training when the run was lost",
}

MARKS: dict[Side, tuple[str, str]] = {"below": ("≤", "<"), "straddling": ("?", "?"), "above": (">", ">")}
"""After a number: how its 95 % interval lies to epsilon; the second in ASCII."""


def sides(epsilon: float, ascii: bool = False) -> tuple[str, ...]:
    """What the marks mean, the longest way of saying it first."""
    below, straddling, above = (signs[ascii] for signs in MARKS.values())
    return (
        f"{below} at most {epsilon:g} points, {straddling} open, {above} above",
        f"{below} up to {epsilon:g}, {straddling} open, {above} above",
        f"{below}{straddling}{above} by {epsilon:g}",
    )


_SUFFIXES: dict[Kind, str] = {"reused": "=", "some_seeds": "*", "lost": "!"}

Look = Literal["full", "plain", "brief"]
"""What entries say: number, interval, kind in words and by colour; all but the kind; all but interval and words."""


@dataclass(frozen=True)
class Entry:
    """What one cell of a table shows: a number with what kind of number it is, or why there is none."""

    kind: Kind = "measured"
    interval: Interval | None = None
    text: str = ""  # in place of number and interval, where the interval's ends aren't given
    number: float | None = None  # one without an interval, unrounded
    note: str = ""  # all of it in a sentence
    also_reused: bool = False  # beside what `kind` says: a direct-matching value can be an earlier run's too
    marked: bool = False  # it lies on the diagonal
    side: Side | None = None  # where its interval lies to epsilon, if that is judged
    lost: bool = False  # its worker was gone before it was measured

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Every entry of the legend that this one needs."""
        return self.kind, *(("reused",) if self.also_reused else ()), *(("lost",) if self.lost else ())

    @property
    def prefix(self) -> str:
        """The sign before its number."""
        return "~" if self.kind == "direct" else ""

    @property
    def suffix(self) -> str:
        """The signs after its number."""
        return "".join(_SUFFIXES.get(kind, "") for kind in self.kinds)

    def mark(self, ascii: bool = False) -> str:
        """The sign of its side."""
        return MARKS[self.side][ascii] if self.side else ""

    @property
    def glyph(self) -> str:
        """What stands in place of a number."""
        return self.text or {"failed": "x", "absent": ""}.get(self.kind, "·")

    @property
    def word(self) -> str:
        """The same where there is room for a word."""
        return self.text or ("" if self.kind == "absent" else self.kind)

    def brief(self, decimals: int, ascii: bool = False) -> str:
        """The number alone with its signs, in brackets where it is marked."""
        number = self.prefix + signed(self.interval.value, decimals) if self.interval else self.glyph
        said = number + self.mark(ascii) + self.suffix
        return f"[{said}]" if self.marked else said


Forms = tuple[tuple[str, ...], ...]
"""A part of a heading in several lengths, the longest first, each in one line or more."""


@dataclass(frozen=True)
class Heading:
    """What a column is called; from outside, so print it plain."""

    name: str  # in one line
    parts: tuple[Forms, ...] = ()  # in several lines
    note: str = ""  # what more there is to say of it
    column: Column | None = None  # whose numbers stand below

    @property
    def control(self) -> bool:
        """Whether a control's numbers stand below."""
        return self.column is not None and bool(self.column.control)


@dataclass(frozen=True)
class Table:
    """Rows, columns, `entries[row][column]`, and a last row of words; names are from outside, so print them plain."""

    rows: tuple[str, ...]
    columns: tuple[Heading, ...]
    entries: tuple[tuple[Entry, ...], ...]
    title: str = ""
    corner: str = "cut"  # what the rows are
    footer: tuple[str, ...] | None = None
    footer_name: str = "verdict"
    connected_from: tuple[str, ...] | None = None  # below the verdicts, the margin of each pair; empty: not known
    notes: tuple[str, ...] = ()  # what its reader must know, a sentence each
    look: Look = "full"
    epsilon: float = 0.0  # what entries are judged by

    @property
    def kinds(self) -> frozenset[Kind]:
        """Every entry of the legend that it needs."""
        return frozenset(kind for row in self.entries for entry in row for kind in entry.kinds)

    @property
    def is_judged(self) -> bool:
        """Whether an entry has a mark for its side of epsilon."""
        return any(entry.side for row in self.entries for entry in row)

    def part(self, columns: Sequence[int]) -> "Table":
        """Return the table with these columns alone, in this order."""
        return replace(
            self,
            columns=tuple(self.columns[index] for index in columns),
            entries=tuple(tuple(row[index] for index in columns) for row in self.entries),
            footer=self.footer and tuple(self.footer[index] for index in columns),
            connected_from=self.connected_from and tuple(self.connected_from[index] for index in columns),
        )


Take = Callable[[Column, Summary], Entry]


def penalty(column: Column, summary: Summary) -> Entry:
    """What `summary` shows: its own penalty, else the direct-matching one, else why there is none."""
    if summary.status == "failed":
        return Entry("failed")
    if summary.penalty is not None:
        partly = summary.seeds < len(column.task_ids)
        return Entry("some_seeds" if partly else "reused" if summary.reused else "measured", summary.penalty)
    return Entry("direct", summary.direct) if summary.direct is not None else Entry("pending")


def entry(state: RunState, column: Column, cut: str, take: Take = penalty) -> Entry:
    """What the run's cell of `column` at `cut` shows; says of a direct-matching value too whether it was reused."""
    found = take(column, state.summary(column, cut))
    if found.kind == "pending" and state.lacks(column, cut):
        return Entry("absent")
    sources = [state.cells.get((task, cut)) for task in column.direct_tasks]
    if found.kind == "direct" and all(source is not None and source.reused_from is not None for source in sources):
        return replace(found, also_reused=True)
    return found


def own_entry(state: RunState, column: Column, cut: str) -> Entry:
    """The same without the direct matching that stands in: it may be another family's, or be said elsewhere."""
    found = entry(state, column, cut)
    return Entry("pending") if found.kind == "direct" else found


def heading(column: Column) -> Heading:
    """A column's heading: the bottom, `>top`, a control's name, and what tells it from others."""
    control = control_named(column.control)
    name: Forms = ((control.words,), control.lines) if control.lines else ((control.words,),)
    ends: tuple[Forms, ...] = (((column.bottom,),), ((f">{column.top}",),), *([name] if control.words else []))
    parts = (*ends, *(((word,),) for word in column.apart))
    return Heading(column_name(column), parts, f"{column.family}, {column.objective}", column)


def verdict(state: RunState, column: Column | None) -> str:
    """A pair's verdict; empty for a control."""
    return "" if column is None or column.control else state.verdict(column) or "pending"


def connected_from(state: RunState, column: Column) -> str:
    """The margin from which on a pair is connected, as a table says it; empty where that isn't known."""
    found = state.connected_from(column)
    return "" if found is None else margin(found, state.epsilon)


def _judged(state: RunState, entry: Entry, by_epsilon: bool) -> Entry:
    """The entry with its side of epsilon; direct matching that stands in for what is to be trained has none."""
    if not by_epsilon or entry.interval is None or entry.kind == "direct":
        return entry
    return replace(entry, side=side(entry.interval, state.epsilon))


def grid(
    state: RunState, take: Take = penalty, columns: Sequence[Column] | None = None, by_epsilon: bool = True
) -> Table:
    """The grid: a row a cut, a column a pair or control, or of `columns` alone, and the verdicts.

    `by_epsilon` says whether what `take` finds is judged by it.
    """
    shown, cuts = state.columns() if columns is None else columns, state.cuts()
    return Table(
        tuple(cuts),
        tuple(map(heading, shown)),
        tuple(tuple(_judged(state, entry(state, column, cut, take), by_epsilon) for column in shown) for cut in cuts),
        title=state.title or state.name,
        footer=tuple(verdict(state, column) for column in shown),
        connected_from=tuple(connected_from(state, column) for column in shown),
        epsilon=state.epsilon,
    )


def cross(state: RunState, column: Column, take: Take = penalty, by_epsilon: bool = True) -> Table:
    """Every bottom cut with every top cut of `column`, one of `state.crosses()`, with the diagonal marked."""
    found = state.cross(column)

    def cell(low: str, high: str) -> Entry:
        shown = _judged(state, entry(state, column, row_name(low, high), take), by_epsilon)
        return replace(shown, marked=True) if (low, high) in found.diagonal else shown

    stitch = ", ".join(word for word in (column.family, column.objective, column.recipe) if word)
    return Table(
        found.bottom_cuts,
        tuple(Heading(top, column=column) for top in found.top_cuts),
        tuple(tuple(cell(low, high) for high in found.top_cuts) for low in found.bottom_cuts),
        title=f"{column_name(column)}, every cut with every cut: {stitch}",
        corner="bottom cut",
        notes=("columns are top cuts; [..] marks the diagonal, where both cuts lie about equally deep",),
        look="brief",
        epsilon=state.epsilon,
    )
