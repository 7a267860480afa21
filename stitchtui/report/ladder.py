"""The capacity ladder: one pair's penalties over stitches that differ in their family alone, from least to most."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stitchtui.report import cells
from stitchtui.report.cells import Drawn
from stitchtui.report.wording import column_name, counted, listed, printable, shortened, to_ascii
from stitchtui.run.state import Column, RunState
from stitchtui.spec.families import FAMILIES

_WIDEST_CUT, _NARROWEST_CUT = 24, 10  # terminal cells
_NARROWEST = 6  # of a family's heading: "affine"
_LAYOUTS = ((2, True, 2), (2, False, 2), (2, False, 1), (1, False, 1))  # decimals, with intervals, gap


@dataclass(frozen=True)
class Rung:
    """One family: what its cell shows at each of the ladder's cuts, and how many numbers its stitch has there."""

    family: str
    cells: tuple[Drawn, ...]
    parameters: tuple[float | None, ...]

    @property
    def size(self) -> str:
        """The stitch's parameters over the cuts: `272`, `272-4,160`; empty where none is known."""
        known = sorted({round(value) for value in self.parameters if value is not None})
        ends = [f"{value:,}" for value in (known[:1] + known[-1:])]
        return "-".join(dict.fromkeys(ends))


@dataclass(frozen=True)
class Ladder:
    """The rungs of one pair or control, in order of capacity."""

    title: str  # from outside, so print it plain
    cuts: tuple[str, ...]
    rungs: tuple[Rung, ...]


def ladders(state: RunState) -> list[Ladder]:
    """A ladder for every pair and control that was stitched by more than one family with all else the same.

    The identity that stands as a control beside a pair is a rung of the pair's ladder too.
    """
    groups: dict[tuple[str, ...], list[Column]] = {}
    for column in state.columns():
        groups.setdefault((column.control, column.bottom, column.top, column.place), []).append(column)
    found = []
    for (control, *place), group in groups.items():
        identity = groups.get(("identity", *place), []) if not control else []
        for columns in _alike(group):
            if len(columns) > 1:
                have = {column.family for column in columns}
                found.append(_ladder(state, [*(one for one in identity if one.family not in have), *columns]))
    return [ladder for ladder in found if ladder.cuts]


def _alike(columns: Sequence[Column]) -> Iterator[list[Column]]:
    """Columns of one pair that differ in family alone; what can't be trained stands with every way of training."""
    matched = [column for column in columns if column.objective == "direct"]
    fixed = [column for column in matched if not _trainable(column)]
    trained: dict[tuple[str, str], list[Column]] = {}
    for column in columns:
        if column.objective != "direct":
            trained.setdefault((column.objective, column.recipe), []).append(column)
    for group in trained.values():
        yield [*fixed, *group]
    if len(matched) > len(fixed) or not trained:
        yield matched


def _trainable(column: Column) -> bool:
    family = FAMILIES.get(column.family)
    return family is None or family.trainable


def _ladder(state: RunState, columns: Sequence[Column]) -> Ladder:
    ordered = sorted(columns, key=_capacity)
    cuts = tuple(cut for cut in state.cuts() if any(_drawn(state, column, cut).interval for column in ordered))
    one = ordered[-1]  # the one that is trained, if any is
    said = [column_name(replace(one, apart=())), one.objective, one.place, one.recipe]
    return Ladder(", ".join(filter(None, said)), cuts, tuple(_rung(state, column, cuts) for column in ordered))


def _capacity(column: Column) -> tuple[int, str]:
    return [*FAMILIES, column.family].index(column.family), column.family


def _rung(state: RunState, column: Column, cuts: Sequence[str]) -> Rung:
    sizes = (state.summary(column, cut).measures.get("stitch_parameters") for cut in cuts)
    return Rung(column.family, tuple(_drawn(state, column, cut) for cut in cuts), tuple(sizes))


def _drawn(state: RunState, column: Column, cut: str) -> Drawn:
    """The family's own penalty; the matching that training starts from may be another family's."""
    found = cells.cell_of(state, column, cut)
    return Drawn("pending") if found.kind == "direct" else found


def ladder_tables(state: RunState, width: int, ascii: bool = False) -> list[Group]:
    """A table for each ladder, at most `width` wide: a row a cut, a column a family.

    Intervals and decimals go first where there is little room, then families; those left out are named below it.
    """
    return [_table(ladder, width, ascii) for ladder in ladders(state)]


def _table(ladder: Ladder, width: int, ascii: bool) -> Group:
    names = [printable(cut, ascii) for cut in ladder.cuts]
    most = max(cell_len(name) for name in [*names, "cut"])
    label = min(most, _WIDEST_CUT, max(_NARROWEST_CUT, width // 8))
    (decimals, interval, gap), shown = _fit(ladder, width - label, ascii)
    table = Table(box=None, pad_edge=False, padding=(0, 0, 0, gap), header_style="dim")
    table.add_column(Text("cut"), no_wrap=True, width=label)
    columns = [_texts(rung, decimals, interval, ascii) for rung in ladder.rungs[:shown]]
    for rung, texts in zip(ladder.rungs, columns, strict=False):
        heading = "\n".join(_heading(rung.family, _column_width(rung, texts), ascii))
        table.add_column(Text(heading), justify="right", no_wrap=True, width=_column_width(rung, texts))
    for row, name in enumerate(names):
        table.add_row(Text(shortened(name, label, ascii)), *(Text(texts[row]) for texts in columns))
    title = f"capacity ladder of {printable(ladder.title, ascii)}"
    notes = [Text(note, style="dim") for note in _notes(ladder, shown)]
    return Group(Text(shortened(title, width, ascii), style="bold", no_wrap=True), table, *notes)


def _notes(ladder: Ladder, shown: int) -> Iterator[str]:
    yield "columns are families of stitches, from least to most capacity; penalty in points"
    if left := ladder.rungs[shown:]:
        names = listed(rung.family for rung in left)
        yield f"no room for {counted(len(left), 'more column')} ({names}); --csv has all"


def _fit(ladder: Ladder, room: int, ascii: bool) -> tuple[tuple[int, bool, int], int]:
    """The richest layout in which as many families as possible fit into `room`."""
    for count in range(len(ladder.rungs), 0, -1):
        for decimals, interval, gap in _LAYOUTS:
            rungs = ladder.rungs[:count]
            taken = sum(gap + _column_width(rung, _texts(rung, decimals, interval, ascii)) for rung in rungs)
            if taken <= room:
                return (decimals, interval, gap), count
    return _LAYOUTS[-1], 1


def _texts(rung: Rung, decimals: int, interval: bool, ascii: bool = False) -> list[str]:
    texts = cells.texts(rung.cells, decimals, interval)
    return [to_ascii(text) for text in texts] if ascii else texts


def _column_width(rung: Rung, texts: Sequence[str]) -> int:
    return max(*(min(_NARROWEST, cell_len(short)) for _, short in _words(rung.family)), *map(len, texts))


def _heading(family: str, room: int, ascii: bool) -> list[str]:
    """The family's name, a line for each of its words, each in at most `room`."""
    words = [(printable(word, ascii), short) for word, short in _words(family)]
    return [word if cell_len(word) <= room else shortened(short, room, ascii) for word, short in words]


def _words(family: str) -> list[tuple[str, str]]:
    """Each word of a family's name, and what it is called where there is no room for it."""
    known, words = FAMILIES.get(family), printable(family).split("_")
    shorts = known.short.split("_") if known and known.short else words
    return list(zip(words, shorts, strict=True))
