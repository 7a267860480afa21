"""Several runs side by side: each column that some of them have, run by run, and how far they are apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Group
from rich.table import Table
from rich.text import Text

from stitchtui.report import difference
from stitchtui.report.claims import claims
from stitchtui.report.difference import Difference
from stitchtui.report.markdown import escaped
from stitchtui.report.markdown import table as markdown_table
from stitchtui.report.markup import Markup, joined, listing, page, section, table, tag
from stitchtui.report.wording import bounds, column_name, listed, points, printable, shortened, to_ascii
from stitchtui.run.answers import penalty_of
from stitchtui.run.state import Column, RunState
from stitchtui.stats.penalty import Interval

_WIDEST_CUT = 32  # terminal cells


@dataclass(frozen=True)
class Block:
    """One column in the runs that have it: `values[row][run]` for `cuts[row]`, None where a run has no such number."""

    title: str  # from outside, so print it plain
    cuts: tuple[str, ...]
    values: tuple[tuple[Interval | None, ...], ...]
    verdicts: tuple[str, ...]
    measured: tuple[bool, ...]  # which runs have the column

    @property
    def differences(self) -> list[int]:
        """The runs, by their place, that are compared with the first one."""
        return [place for place in range(1, len(self.measured)) if self.measured[0] and self.measured[place]]

    def apart(self, row: int, run: int) -> Interval | None:
        """A run's penalty less the first one's, with its interval as `difference.APART` says."""
        return Difference(self.values[row][0], self.values[row][run]).interval


@dataclass(frozen=True)
class Aside:
    """Runs side by side: who they are, their common and own columns, and what their reader must know."""

    labels: tuple[str, ...]  # 1, 2, ...
    runs: tuple[str, ...]  # a sentence each
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


def aside(states: Sequence[RunState], conditions: Sequence[str]) -> Aside:
    """The runs side by side; `conditions` are what `run.control.status` says of each."""
    labels = tuple(str(index) for index in range(1, len(states) + 1))
    runs = tuple(_who(state, condition) for state, condition in zip(states, conditions, strict=True))
    blocks = tuple(_block(states, columns) for columns in _matched(states))
    return Aside(labels, runs, blocks, tuple(_notes(states)))


def _who(state: RunState, condition: str) -> str:
    errors = listed(f"{network.name} {network.error:.2f} %" for network in state.networks.values())
    found = claims(state)
    verdicts = [f"{sum(claim.verdict == word for claim in found)} {word}" for word in _words(found)]
    facts = [
        f"{state.run or 'a run without a name'}, {condition}",
        state.device,
        f"test errors: {errors or 'none yet'}",
    ]
    facts += [f"claims: {', '.join(verdicts)}"] if verdicts else []
    return "; ".join(fact for fact in facts if fact)


def _words(found: Sequence[object]) -> list[str]:
    said = {getattr(claim, "verdict", "") for claim in found}
    return [word for word in ("confirmed", "rejected", "undecided") if word in said]


def _matched(states: Sequence[RunState]) -> Iterator[list[Column | None]]:
    """For each column of some run its counterpart in every run, as `difference` pairs them with the first's."""
    first, *others = states
    pairings = [{pair.first.key: pair.second for pair in difference.compare(first, other).pairings} for other in others]
    for column in first.columns():
        yield [column, *(pairing.get(column.key) for pairing in pairings)]
    taken = [{column.key for column in pairing.values()} for pairing in pairings]
    rest: dict[str, list[Column | None]] = {}
    for place, (state, mine) in enumerate(zip(others, taken, strict=True), start=1):
        for column in state.columns():
            if column.key not in mine:
                rest.setdefault(column.key, [None] * len(states))[place] = column
    yield from rest.values()


def _block(states: Sequence[RunState], columns: Sequence[Column | None]) -> Block:
    known = [column for column in columns if column is not None]
    stitches = dict.fromkeys(f"{column.family}, {column.objective}" for column in known)
    values = [_penalties(state, column) for state, column in zip(states, columns, strict=True)]
    order = [cut for state in states for cut in state.cuts()]
    cuts = tuple(cut for cut in dict.fromkeys(order) if any(cut in mine for mine in values))
    rows = tuple(tuple(mine.get(cut) for mine in values) for cut in cuts)
    verdicts = tuple(_verdict(state, column) for state, column in zip(states, columns, strict=True))
    title = f"{column_name(known[0])}: {' / '.join(stitches)}"
    return Block(title, cuts, rows, verdicts, tuple(column is not None for column in columns))


def _penalties(state: RunState, column: Column | None) -> dict[str, Interval | None]:
    if column is None:
        return {}
    cuts = {cut for task in column.task_ids if task in state.tasks for cut in state.tasks[task].cuts}
    return {cut: penalty_of(state, column, cut) for cut in cuts}


def _verdict(state: RunState, column: Column | None) -> str:
    if column is None or column.control:
        return ""
    return state.verdict(column) or "pending"


def _notes(states: Sequence[RunState]) -> Iterator[str]:
    first, *others = states
    for label, other in enumerate(others, start=2):
        for note in difference.compare(first, other).notes:
            if note != difference.HOW:
                yield f"1 and {label}: {note}"
    yield f"differences: less the first run's, in points; {difference.APART}"
    yield "penalty: error(stitched) - error(top), in points of test error, with half of its 95 % interval"


def _heading(one: Aside, block: Block) -> list[str]:
    shown = [label for label, has in zip(one.labels, block.measured, strict=True) if has]
    return ["cut", *(f"run {label}" for label in shown), *(f"{one.labels[run]} - 1" for run in block.differences)]


def _row(block: Block, row: int, exact: bool) -> list[str]:
    values = [value for value, has in zip(block.values[row], block.measured, strict=True) if has]
    apart = [block.apart(row, run) for run in block.differences]
    return [_text(interval, exact) for interval in (*values, *apart)]


def _text(interval: Interval | None, exact: bool) -> str:
    if interval is None:
        return "·"
    return bounds(interval) if exact else points(interval)


def _verdicts(block: Block) -> list[str]:
    """The last row: each run's verdict; nothing below the differences."""
    shown = [verdict for verdict, has in zip(block.verdicts, block.measured, strict=True) if has]
    return [*shown, *("" for _ in block.differences)]


def text_parts(one: Aside, width: int, ascii: bool = False) -> list[Group | Text]:
    """The runs for a terminal: who they are, a table for each column, the notes."""
    who = [Text(printable(f"run {label}: {run}", ascii)) for label, run in zip(one.labels, one.runs, strict=True)]
    tables = [_terminal_table(one, block, width, ascii) for block in one.blocks]
    notes = [Text(to_ascii(printable(note)) if ascii else printable(note), style="dim") for note in one.notes]
    return [*who, *tables, *notes]


def _terminal_table(one: Aside, block: Block, width: int, ascii: bool) -> Group:
    names = [printable(cut, ascii) for cut in block.cuts]
    most = min(_WIDEST_CUT, max([3, *map(cell_len, names)]), max(12, width // 4))
    found = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    first, *rest = _heading(one, block)
    found.add_column(Text(first), no_wrap=True, width=most)
    for heading in rest:
        found.add_column(Text(heading), justify="right")
    for row, name in enumerate(names):
        texts = _row(block, row, exact=False)
        found.add_row(Text(shortened(name, most, ascii)), *(Text(to_ascii(t) if ascii else t) for t in texts))
    if any(block.verdicts):
        found.add_row(Text("verdict", style="dim"), *(Text(verdict, style="dim") for verdict in _verdicts(block)))
    title = shortened(printable(block.title, ascii), width, ascii)
    return Group(Text(), Text(title, style="bold", no_wrap=True), found)


def markdown_text(one: Aside) -> str:
    """The runs as GitHub tables, one a column, with the intervals' ends."""
    lines = [f"- Run {label}: {escaped(run)}" for label, run in zip(one.labels, one.runs, strict=True)]
    for block in one.blocks:
        heading = _heading(one, block)
        rows = [[escaped(cut), *_row(block, row, exact=True)] for row, cut in enumerate(block.cuts)]
        rows += [["verdict", *_verdicts(block)]] if any(block.verdicts) else []
        lines += ["", f"{escaped(block.title)}:", "", *markdown_table(heading, rows)]
    return "\n".join([*lines, "", *(f"- {escaped(note)}" for note in one.notes)]) + "\n"


def html_text(one: Aside, states: Sequence[RunState]) -> str:
    """The runs as one self-contained page: who they are, their depth plots and claims, a table for each column.

    Raises BadInput where matplotlib, which draws the plots, isn't installed.
    """
    from stitchtui.report.html import claims_section, depth_figure

    who = listing(f"Run {label}: {run}" for label, run in zip(one.labels, one.runs, strict=True))
    each = [
        joined(tag("h2", f"Run {label}: {state.run}"), depth_figure(state), claims_section(state))
        for label, state in zip(one.labels, states, strict=True)
    ]
    title = "Runs side by side"
    tables = section("Penalties, run by run", *(_html_block(one, block) for block in one.blocks))
    return page(title, tag("h1", title), who, tables, listing(one.notes), *each)


def _html_block(one: Aside, block: Block) -> Markup:
    rows = [
        (cut, *(tag("td", text, class_="n") for text in _row(block, row, exact=True)))
        for row, cut in enumerate(block.cuts)
    ]
    if any(block.verdicts):
        rows.append(("verdict", *(tag("td", verdict, class_="n") for verdict in _verdicts(block))))
    return table(_heading(one, block), rows, block.title)
