"""The capacity ladder: one pair's penalties over stitches that differ in their family alone, from least to most."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from stitchtui.report.table import Forms, Heading, Table, own_entry
from stitchtui.report.wording import column_name
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import UNSTITCHED
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.measures import STITCH_PARAMETERS
from stitchtui.spec.objectives import DIRECT


def ladders(state: RunState) -> list[Table]:
    """A table for every pair and control that was stitched by more than one family with all else the same.

    A row a cut, a column a family in order of capacity, and last how many parameters its stitches have. The identity
    that stands as a control beside a pair is a rung of the pair's ladder too.
    """
    groups: dict[tuple[str, ...], list[Column]] = {}
    for column in state.columns():
        groups.setdefault((column.control, column.bottom, column.top, column.place), []).append(column)
    found = []
    for (control, *place), group in groups.items():
        unstitched = groups.get((UNSTITCHED.name, *place), []) if not control else []
        for columns in _alike(group):
            if len(columns) > 1:
                have = {column.family for column in columns}
                found.append(_ladder(state, [*(one for one in unstitched if one.family not in have), *columns]))
    return [ladder for ladder in found if ladder.rows]


def _alike(columns: Sequence[Column]) -> Iterator[list[Column]]:
    """Columns of one pair that differ in family alone; what can't be trained stands with every way of training."""
    matched = [column for column in columns if column.objective == DIRECT.name]
    fixed = [column for column in matched if not _trainable(column)]
    trained: dict[tuple[str, str], list[Column]] = {}
    for column in columns:
        if column.objective != DIRECT.name:
            trained.setdefault((column.objective, column.recipe), []).append(column)
    for group in trained.values():
        yield [*fixed, *group]
    if len(matched) > len(fixed) or not trained:
        yield matched


def _trainable(column: Column) -> bool:
    family = FAMILIES.get(column.family)
    return family is None or family.trainable


def _ladder(state: RunState, columns: Sequence[Column]) -> Table:
    ordered = sorted(columns, key=lambda column: (FAMILIES.place(column.family), column.family))
    rows = {cut: tuple(own_entry(state, column, cut) for column in ordered) for cut in state.cuts()}
    rows = {cut: row for cut, row in rows.items() if any(entry.interval for entry in row)}
    one = ordered[-1]  # the one that is trained, if any is
    said = [column_name(replace(one, apart=())), one.objective, one.place, one.recipe]
    return Table(
        tuple(rows),
        tuple(Heading(column.family, _parts(column.family)) for column in ordered),
        tuple(rows.values()),
        title=", ".join(filter(None, said)),
        footer=tuple(_size(state, column, rows) for column in ordered),
        footer_name="parameters",
        notes=("columns are families of stitches, from least to most capacity; penalty in points",),
        epsilon=state.epsilon,
    )


def _parts(family: str) -> tuple[Forms, ...]:
    """Each word of a family's name, and what it is called where there is little room for it, and least."""
    known, words = FAMILIES.get(family), family.split("_")
    shorts = known.short.split("_") if known and known.short else words
    least = [known.brief] if known and known.brief and len(words) == 1 else [short[:4] for short in shorts]
    return tuple(((word,), (short,), (few,)) for word, short, few in zip(words, shorts, least, strict=True))


def _size(state: RunState, column: Column, cuts: Iterable[str]) -> str:
    """The stitch's parameters over the cuts: `272`, `272-4,160`; empty where none is known."""
    sizes = (state.summary(column, cut).measures.get(STITCH_PARAMETERS.name) for cut in cuts)
    known = sorted({round(value) for value in sizes if value is not None})
    ends = [f"{value:,}" for value in (known[:1] + known[-1:])]
    return "-".join(dict.fromkeys(ends))
