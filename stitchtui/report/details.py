"""What else each cut of a pair says: direct matching, agreement, activation gap, CKA and the stitch's parameters."""

from collections.abc import Iterable, Iterator

from stitchtui.report.derived import Derived
from stitchtui.report.table import Entry, Heading, Table, own_entry
from stitchtui.report.wording import column_name, signed
from stitchtui.run.state import RunState, Summary
from stitchtui.spec.measures import MEASURES, Detail, Measure
from stitchtui.spec.objectives import DIRECT

_DIRECT_MEANING = f"{DIRECT.name}: the penalty of direct matching, with nothing trained"


def details(state: RunState) -> list[Table]:
    """A table for every pair of which something is known; controls have none."""
    found, derived = [], Derived(state)
    for column in state.columns():
        rows = [state.summary(column, cut) for cut in state.cuts() if not state.lacks(column, cut)]
        if column.control or not any(row.penalty or row.direct for row in rows):
            continue
        rows = [derived.beside(column, row) for row in rows]
        columns = {"penalty": [own_entry(state, column, row.cut) for row in rows]}
        if column.objective != DIRECT.name:  # else it is the penalty itself
            columns[DIRECT.name] = [_direct(row) for row in rows]
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
    for measure, detail in _declared():
        if detail.always or any(measure.name in row.measures for row in rows):
            yield detail.heading, [_entry(row, measure, detail) for row in rows]


def _entry(row: Summary, measure: Measure, detail: Detail) -> Entry:
    value = row.measures.get(measure.name)
    if detail.text is None and (interval := row.interval(measure)):
        return Entry(interval=interval)
    return Entry(text="·" if detail.text is None or value is None else detail.text(value))


def _declared() -> list[tuple[Measure, Detail]]:
    """The measures that have a column, in order."""
    found = [(measure, measure.detail) for measure in MEASURES.values() if measure.detail]
    return sorted(found, key=lambda each: each[1].place)


def meanings(headings: Iterable[Heading]) -> str:
    """A sentence on what these headings mean; empty where there is none."""
    used = {heading.name for heading in headings}
    said = {DIRECT.name: _DIRECT_MEANING, **{detail.heading: detail.meaning for _, detail in _declared()}}
    return "; ".join(text for heading, text in said.items() if heading in used)
