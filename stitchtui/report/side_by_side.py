"""Several runs side by side: each column that some of them have, run by run, and how far they are apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stitchtui.report import difference
from stitchtui.report.claim_lines import claims
from stitchtui.report.table import Entry, Heading, Table, connected_from, verdict
from stitchtui.report.wording import column_name, listed, points, run_name
from stitchtui.run.state import Column, RunState
from stitchtui.stats.penalty import Interval


@dataclass(frozen=True)
class SideBySide:
    """Runs side by side: who they are, a table for each of their columns, and what their reader must know."""

    runs: tuple[str, ...]  # a sentence each; everywhere else they are 1, 2, ...
    tables: tuple[Table, ...]
    notes: tuple[str, ...]


def side_by_side(states: Sequence[RunState], conditions: Sequence[str]) -> SideBySide:
    """The runs side by side; `conditions` are what `run.control.status` says of each."""
    runs = (_who(state, condition) for state, condition in zip(states, conditions, strict=True))
    tables = (_table(states, columns) for columns in _matched(states))
    return SideBySide(tuple(runs), tuple(tables), tuple(_notes(states)))


def _who(state: RunState, condition: str) -> str:
    errors = listed(f"{network.name} {network.error:.2f} %" for network in state.networks.values())
    said = [claim.verdict for claim in claims(state)]
    verdicts = [f"{said.count(word)} {word}" for word in ("confirmed", "rejected", "undecided") if word in said]
    facts = [
        f"{run_name(state)}, {condition}",
        state.device,
        f"test errors: {errors or 'none yet'}",
    ]
    facts += [f"claims: {', '.join(verdicts)}"] if verdicts else []
    return "; ".join(fact for fact in facts if fact)


def _matched(states: Sequence[RunState]) -> Iterator[list[Column | None]]:
    """For each column of some run its counterpart in every run, as `difference` pairs them with the first's."""
    first, *others = states
    pairings = [{pair.first.key: pair.second for pair in difference.pairings(first, other)} for other in others]
    for column in first.columns():
        yield [column, *(pairing.get(column.key) for pairing in pairings)]
    taken = [{column.key for column in pairing.values()} for pairing in pairings]
    rest: dict[str, list[Column | None]] = {}
    for place, (state, mine) in enumerate(zip(others, taken, strict=True), start=1):
        for column in state.columns():
            if column.key not in mine:
                rest.setdefault(column.key, [None] * len(states))[place] = column
    yield from rest.values()


def _table(states: Sequence[RunState], columns: Sequence[Column | None]) -> Table:
    """One column in the runs that have it, and each of them less the first."""
    have = [place for place, column in enumerate(columns) if column is not None]
    apart = have[1:] if have[0] == 0 else []
    known = [column for column in columns if column is not None]
    stitches = dict.fromkeys(f"{column.family}, {column.objective}" for column in known)
    values = {place: _penalties(states[place], column) for place, column in zip(have, known, strict=True)}
    order = dict.fromkeys(cut for state in states for cut in state.cuts())
    cuts = [cut for cut in order if any(cut in mine for mine in values.values())]
    mine = [(states[place], column) for place, column in zip(have, known, strict=True)]
    verdicts, margins = [verdict(*each) for each in mine], [connected_from(*each) for each in mine]
    return Table(
        tuple(cuts),
        tuple(Heading(name) for name in (*(f"run {place + 1}" for place in have), *(f"{i + 1} - 1" for i in apart))),
        tuple(tuple(_row([values[place].get(cut) for place in have], bool(apart))) for cut in cuts),
        title=f"{column_name(known[0])}: {' / '.join(stitches)}",
        footer=(*verdicts, *("" for _ in apart)) if any(verdicts) else None,
        connected_from=(*margins, *("" for _ in apart)) if any(margins) else None,
        look="plain",
    )


def _penalties(state: RunState, column: Column) -> dict[str, Interval | None]:
    cuts = {cut for task in column.task_ids if task in state.tasks for cut in state.tasks[task].cuts}
    return {cut: state.summary(column, cut).penalty for cut in cuts}


def _row(values: Sequence[Interval | None], compared: bool) -> Iterator[Entry]:
    first, *others = values
    for value in (*values, *(difference.between(first, other) for other in others if compared)):
        yield Entry(interval=value, text="·" if value is None else points(value))


def _notes(states: Sequence[RunState]) -> Iterator[str]:
    first, *others = states
    for label, other in enumerate(others, start=2):
        yield from (f"1 and {label}: {note}" for note in difference.notes(first, other))
    yield f"differences: less the first run's, in points; {difference.APART}"
    yield "penalty: error(stitched) - error(top), in points of test error, with half of its 95 % interval"
