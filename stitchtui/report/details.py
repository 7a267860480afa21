"""What else each cut of a pair says: direct matching, agreement, activation gap, CKA and the stitch's parameters."""

from collections.abc import Callable, Iterable, Iterator

from stitchtui.report.table import Entry, Heading, Table, own_entry
from stitchtui.report.wording import column_name, signed, significant
from stitchtui.run.state import RunState, Summary

MEANINGS = {
    "direct": "direct: the penalty of direct matching, with nothing trained",
    "agree %": "agree: images on which the stitched network says what the top says",
    "gap": "gap: activation gap, how far what the top is fed is from its own activations (0: not at all)",
    "OOD": "OOD: how far outside its own activations the top is fed (0.5: as its own, 1: wholly outside)",
    "CKA": "CKA: linear, of bottom and top at the cut, 0 to 1",
    "parameters": "parameters: the stitch's",
}
"""What each heading stands for."""


def details(state: RunState) -> list[Table]:
    """A table for every pair of which something is known; controls have none."""
    found = []
    for column in state.columns():
        rows = [state.summary(column, cut) for cut in state.cuts()]
        if column.control or not any(row.penalty or row.direct for row in rows):
            continue
        columns = {"penalty": [own_entry(state, column, row.cut) for row in rows]}
        if column.objective != "direct":  # else it is the penalty itself
            columns["direct"] = [_direct(row) for row in rows]
        columns |= _measures(rows)
        found.append(
            Table(
                tuple(row.cut for row in rows),
                tuple(map(Heading, columns)),
                tuple(zip(*columns.values(), strict=True)),
                title=f"{column_name(column)}: {column.family}, {column.objective}",
                look="plain",
            )
        )
    return found


def _direct(row: Summary) -> Entry:
    return Entry(interval=row.direct, text="·" if row.direct is None else signed(row.direct.value))


def _measures(rows: list[Summary]) -> Iterator[tuple[str, list[Entry]]]:
    yield "agree %", _measure(rows, "agreement", "{:.1f}".format)
    yield "gap", _measure(rows, "activation_gap", significant)
    if any("ood" in row.measures for row in rows):
        yield "OOD", _measure(rows, "ood", "{:.2f}".format)
    yield "CKA", _measure(rows, "cka", "{:.2f}".format)
    yield "parameters", _measure(rows, "stitch_parameters", "{:,.0f}".format)


def _measure(rows: list[Summary], name: str, words: Callable[[float], str]) -> list[Entry]:
    values = (row.measures.get(name) for row in rows)
    return [Entry(text="·" if value is None else words(value)) for value in values]


def meanings(headings: Iterable[Heading]) -> str:
    """A sentence on what these headings mean; empty where there is none."""
    used = {heading.name for heading in headings}
    return "; ".join(text for heading, text in MEANINGS.items() if heading in used)
