"""Tables and whole runs as Markdown that GitHub reads, where text from outside stays text."""

import re
from collections.abc import Iterable, Sequence

from stitchtui.report.citation import citation_line
from stitchtui.report.claim_lines import claims, claims_how, verdict_words
from stitchtui.report.details import details, meanings
from stitchtui.report.readings import reading_lines, unmeasured_lines
from stitchtui.report.rules import rules_lines
from stitchtui.report.side_by_side import SideBySide
from stitchtui.report.summary import paper_lines
from stitchtui.report.table import Entry, Kind, Table, cross, grid
from stitchtui.report.wording import bounds, data_words, measured_by, printable, run_name
from stitchtui.run.state import RunState

_WORDS: dict[Kind, str] = {"direct": " (direct)", "some_seeds": " (some seeds)", "reused": " (reused)"}


def escaped(text: str) -> str:
    """`text` from outside as plain words of a GitHub page: no control characters, no markup."""
    clean = printable(text)
    return re.sub(r"[\\`*\[\]<|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", clean)


def line(entries: Iterable[str]) -> str:
    """One row of a table; the entries are Markdown already."""
    return "| " + " | ".join(entries) + " |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> list[str]:
    """The lines of a table whose first `texts` columns are words, and set left, and the others numbers."""
    return [line(head), line(["---"] * texts + ["---:"] * (len(head) - texts)), *map(line, rows)]


def rendered(of: Table, decimals: int = 2, ends: bool = True) -> list[str]:
    """The lines of a table: 95 % intervals in brackets, or half of them where their `ends` aren't wanted.

    A brief table's numbers, which have none, have so many decimals.
    """
    head = [of.corner, *(escaped(heading.name) for heading in of.columns)]
    rows = [
        [escaped(name), *(_said(of, entry, decimals) if ends else entry.text for entry in row)]
        for name, row in zip(of.rows, of.entries, strict=True)
    ]
    last = ((of.footer_name, of.footer), ("connected from", of.connected_from))
    return table(head, [*rows, *([name, *words] for name, words in last if words and any(words))])


def _said(of: Table, entry: Entry, decimals: int) -> str:
    if of.look == "brief":
        return escaped(entry.brief(decimals))
    if entry.interval is None:
        return entry.word
    words = (_WORDS.get(kind, "") for kind in entry.kinds) if of.look == "full" else ()
    return bounds(entry.interval) + "".join(words)


def run_text(state: RunState, *, condition: str | None = None) -> str:
    """A run: the grid with its verdicts, a table of details for each pair, crosses, and what they rest on.

    `condition` is what `run.control.status` says.
    """
    found = rendered(grid(state))
    for each in details(state):
        found += ["", f"Details of {escaped(each.title)}:", "", *rendered(each)]
    for each in (cross(state, column) for column in state.crosses()):
        told = "(rows: bottom cuts, columns: top cuts; the diagonal in brackets)"
        found += ["", f"{escaped(each.title)} {told}:", "", *rendered(each)]
    return "\n".join([*found, "", *_notes(state, condition or state.status)]) + "\n"


def _notes(state: RunState, condition: str) -> Iterable[str]:
    if state.run:
        note = f" Note: {escaped(state.about.note)}" if state.about.note else ""
        yield f"Run {escaped(run_name(state))}: {condition}.{note}"
        yield ""
    yield (
        "Penalty = error(stitched) - error(top), in points of test error, with its paired 95 % interval;"
        f" verdicts at epsilon {state.epsilon:g} points."
    )
    explained = meanings(heading for each in details(state) for heading in each.columns)
    if explained:
        yield ""
        yield f"In the details, {escaped(explained)}."
    yield from _claims(state)
    if lines := [*rules_lines(state), *paper_lines(state), *reading_lines(state), *unmeasured_lines(state)]:
        yield ""
        yield from (f"- {escaped(line)}" for line in lines)
    if state.data is not None:
        yield ""
        yield f"Data: {escaped(data_words(state))}."
    networks = state.networks.values()
    if networks:
        yield ""
        errors = (f"{escaped(network.name)} {network.error:.2f} %" for network in networks)
        yield f"Test error of the networks: {', '.join(errors)}."
    yield ""
    yield f"To cite: {escaped(citation_line(measured_by(state)))} (BibTeX: `stitchtui cite`)."


def _claims(state: RunState) -> Iterable[str]:
    found = claims(state)
    if not found:
        return
    yield ""
    rows = ([escaped(one.sentence), escaped(one.source), verdict_words(one), escaped(one.reason)] for one in found)
    yield from table(["claim", "from", "verdict", "by"], rows, texts=4)
    yield ""
    yield f"Claims: {claims_how(found)}."


def side_by_side_text(found: SideBySide) -> str:
    """Runs side by side: a table for each of their columns."""
    lines = [f"- Run {label}: {escaped(run)}" for label, run in enumerate(found.runs, start=1)]
    for each in found.tables:
        lines += ["", f"{escaped(each.title)}:", "", *rendered(each)]
    return "\n".join([*lines, "", *(f"- {escaped(note)}" for note in found.notes)]) + "\n"


def difference_text(of: Table, first: str, second: str) -> str:
    """The grid of differences between two runs of these names, with what its reader must know below."""
    notes = [f"First: {escaped(first)}; second: {escaped(second)}.", *map(escaped, of.notes)]
    return "\n".join([*rendered(of, ends=False), "", *notes]) + "\n"
