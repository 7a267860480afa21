"""A run as one self-contained page for a reviewer: grid, plots, controls, claims, and what they rest on."""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stitchtui.base.text import duration
from stitchtui.report import figures
from stitchtui.report.claims import CLAIMS_HOW, claims, unfinished
from stitchtui.report.details import details, meanings
from stitchtui.report.ladder import ladders
from stitchtui.report.markup import Markup, joined, lines, listing, page, section, table, tag
from stitchtui.report.side_by_side import SideBySide
from stitchtui.report.summary import TOPICS, summary_lines
from stitchtui.report.table import Entry, Heading, Kind, Table, cross, grid
from stitchtui.report.wording import bounds, normalisation, signed, time_taken
from stitchtui.run.state import RunState
from stitchtui.spec.controls import control_named

_HOW = (
    "Penalty = error(stitched) - error(top), in percentage points of test error, with its paired 95 % interval in"
    " brackets; over several seeds the mean, and the interval holds their spread too. Zero or below: the"
    " bottom's layers are at least as good as the top's own."
)
_LADDER = (
    "Families of stitches from least to most capacity, with all else the same. A family that can't be trained stands"
    " as direct matching found it. Where a family does as well as every one after it, the cuts differ by no more than"
    " that family can undo; what only large families bring down, the stitch may have learnt to compute itself."
)
_WORDS: dict[Kind, str] = {"direct": " direct only", "some_seeds": " some seeds", "reused": " ="}
_MARKS = {"confirmed": "✓", "rejected": "✗", "undecided": "?"}


@dataclass(frozen=True)
class Origin:
    """What a page says of a run beside its log: how it is, run.json, and the command line that started it."""

    condition: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


def html_text(state: RunState, origin: Origin | None = None) -> str:
    """The whole page. Raises BadInput where matplotlib, which draws its plots, isn't installed."""
    origin = origin or Origin(state.status)
    title = state.title or state.name or state.run or "stitchtui"
    return page(
        title,
        tag("h1", title),
        tag("p", f"Run {state.run or 'without a name'}, {origin.condition or state.status}.", class_="note"),
        _about(state),
        claims_section(state),
        section("Penalties", _grid(state), tag("p", _HOW + _epsilon(state), class_="note")),
        section("Penalty against depth", depth_figure(state)),
        section("Linear CKA against depth", *_likeness(state)),
        section("The capacity ladder", *_ladders(state)),
        section("Every cut with every cut", *_crosses(state)),
        section("Cut by cut", *_details(state)),
        section("Controls", _controls(state)),
        section("Checks, warnings and how to read this", listing(_notes(state))),
        section("Networks and data", _networks(state), _data(state)),
        section("What was run", _run(state, origin), _recipes(state)),
        section("Cells", _cells(state)),
    )


def side_by_side_text(found: SideBySide, states: Sequence[RunState]) -> str:
    """The page of runs side by side: who they are, a table for each column, their depth plots and claims.

    Raises BadInput where matplotlib, which draws the plots, isn't installed.
    """
    who = listing(f"Run {label}: {run}" for label, run in enumerate(found.runs, start=1))
    each = [
        joined(tag("h2", f"Run {label}: {state.run}"), depth_figure(state), claims_section(state))
        for label, state in enumerate(states, start=1)
    ]
    title = "Runs side by side"
    tables = section("Penalties, run by run", *(_numbers(table, table.title) for table in found.tables))
    return page(title, tag("h1", title), who, tables, listing(found.notes), *each)


def _epsilon(state: RunState) -> str:
    return f" A pair is stitching-connected if no interval goes beyond epsilon, {state.epsilon:g} points."


def _about(state: RunState) -> Markup:
    description = state.experiment.get("description")
    words = description.split() if isinstance(description, str) else []
    return tag("p", " ".join(words)) if words else Markup()


def claims_section(state: RunState) -> Markup:
    """The claims with their verdicts; nothing where there are none."""
    found = claims(state)
    if not found:
        return Markup()
    rows = [
        (
            str(claim.index + 1),
            tag("td", f"{_MARKS[claim.verdict]} {claim.verdict}", class_=claim.verdict),
            claim.sentence,
            claim.source,
            claim.reason,
        )
        for claim in found
    ]
    so_far = " The run hasn't ended: these are as far as it has come." if unfinished(state) else ""
    told = tag("p", f"{CLAIMS_HOW[:1].upper()}{CLAIMS_HOW[1:]}.{so_far}", class_="note")
    return section("Claims", table(("", "verdict", "claim", "from", "decided by"), rows), told)


def _grid(state: RunState) -> Markup:
    """The grid: a row a cut, a column a pair or control, then the verdicts."""
    if not state.columns():
        return tag("p", "No cell is planned yet.")
    return _numbers(grid(state))


def _numbers(of: Table, caption: str = "") -> Markup:
    """A table of numbers: a row a cut, and the last row of words."""
    rows: list[Sequence[object]] = [
        (name, *(_entry(of, entry) for entry in row)) for name, row in zip(of.rows, of.entries, strict=True)
    ]
    if of.footer is not None:
        strong = of.look == "full" and of.footer_name == "verdict"
        words = [tag("strong", word) if strong else word for word in of.footer]
        rows.append((of.footer_name, *(tag("td", word, class_="n") for word in words)))
    return table((of.corner, *map(_heading, of.columns)), rows, caption)


def _heading(heading: Heading) -> object:
    return tag("span", heading.name, title=heading.note) if heading.note else heading.name


def _entry(of: Table, entry: Entry) -> Markup:
    brief, interval = of.look == "brief", entry.interval
    if interval is None and of.look == "plain":
        return tag("td", entry.text or entry.kind, class_="n")
    if interval is None:
        missing = entry.glyph if brief else "failed" if entry.kind == "failed" else "not measured"
        return tag("td", missing, class_="n pending")
    if of.look == "plain":
        return tag("td", bounds(interval), class_="n")
    side = "above" if interval.low > of.epsilon else "below" if interval.high < 0 else ""
    said = " ".join(word for word in ("n", side, "diagonal" if entry.marked else "") if word)
    if brief:
        return tag("td", signed(interval.value), class_=said, title=bounds(interval))
    return tag("td", bounds(interval) + "".join(_WORDS.get(kind, "") for kind in entry.kinds), class_=said)


def depth_figure(state: RunState) -> Markup:
    """The depth plot, inside the page, with what it shows in words."""
    return _image(figures.depth_svg(state), figures.alt_text(state))


def _likeness(state: RunState) -> Iterator[Markup]:
    if found := figures.likeness_lines(state):
        yield _image(figures.likeness_svg(state, found), figures.likeness_alt_text(found))


def _image(svg: bytes, alt: str) -> Markup:
    encoded = base64.b64encode(svg).decode("ascii")
    return tag("img", src=f"data:image/svg+xml;base64,{encoded}", alt=alt, width="1080")


def _ladders(state: RunState) -> Iterator[Markup]:
    """Each ladder as a drawing and as a table: a row a cut, a column a family."""
    found = ladders(state)
    for ladder in found:
        yield _image(figures.ladder_svg(ladder), figures.ladder_alt_text(ladder))
        yield _numbers(ladder, ladder.title)
    if found:
        yield tag("p", _LADDER, class_="note")


def _crosses(state: RunState) -> Iterator[Markup]:
    for each in (cross(state, column) for column in state.crosses()):
        yield _numbers(each, f"{each.title} (rows: bottom cuts, columns: top cuts; boxed: both about equally deep)")


def _details(state: RunState) -> Iterator[Markup]:
    found = details(state)
    yield from (_numbers(one, one.title) for one in found)
    if found:
        yield tag("p", meanings(heading for one in found for heading in one.columns) + ".", class_="note")


def _controls(state: RunState) -> Markup:
    columns = [column for column in (*state.columns(), *state.crosses()) if column.control]
    named = dict.fromkeys(column.control for column in columns)
    return listing(
        joined(tag("strong", control_named(name).words), ": ", control_named(name).tells, ".") for name in named
    )


def _notes(state: RunState) -> list[str]:
    shown_above = ("run", "data", "networks", "claims", "reading")
    return summary_lines(state, about=[topic for topic in TOPICS if topic not in shown_above])


def _networks(state: RunState) -> Markup:
    rows = [
        (
            network.name,
            tag("td", f"{network.error:.2f} %", class_="n"),
            network.architecture,
            tag("td", f"{network.parameters:,}", class_="n"),
            network.source,
            normalisation(network.mean, network.std),
            tag("td", network.digest, class_="digest"),
        )
        for network in state.networks.values()
    ]
    head = ("network", "test error", "architecture", "parameters", "source", "images", "digest of its weights")
    return table(head, rows) if rows else Markup()


def _data(state: RunState) -> Markup:
    if state.data is None:
        return Markup()
    data = state.data
    facts = [
        f"{data['name']}: {data['train']} training and {data['test']} test images",
        f"classes: {', '.join(data['classes'])}",
        *([f"augmentation: {data['augment']}"] if "augment" in data else []),
        *([f"digest: {data['digest']}"] if "digest" in data else []),
    ]
    return listing(facts)


def _run(state: RunState, origin: Origin) -> Markup:
    rows = [(name, value) for name, value in _facts(state, origin) if value]
    return table(("", ""), rows)


def _facts(state: RunState, origin: Origin) -> Iterator[tuple[str, object]]:
    yield "command line", tag("code", origin.command) if origin.command else ""
    yield "device", state.device
    yield "hardware", origin.info.get("hardware", "")
    yield "host", origin.info.get("host", "")
    yield "versions", ", ".join(f"{name} {version}" for name, version in state.versions.items())
    if state.started is not None:
        yield "started", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(state.started))
        yield "took", time_taken(state) or f"{duration(state.took())} so far"
    yield "stitch seeds", ", ".join(str(seed) for seed in sorted({t.seed for t in state.tasks.values() if t.column}))
    yield "epsilon", f"{state.epsilon:g} points"


def _recipes(state: RunState) -> Markup:
    """The experiment as it was resolved, every default written out."""
    shown = [("stitch", state.experiment.get("stitch")), ("data", state.experiment.get("data"))]
    networks = state.experiment.get("networks")
    shown += [(f"networks.{name}", spec) for name, spec in networks.items()] if isinstance(networks, dict) else []
    also = state.experiment.get("also")
    shown += [(f"also.{index}", spec) for index, spec in enumerate(also)] if isinstance(also, list) else []
    found = [f"{name}: {_flat(spec)}" for name, spec in shown if isinstance(spec, dict)]
    heading = tag("h3", "The experiment, every default written out")
    return joined(heading, tag("pre", lines(found))) if found else Markup()


def _flat(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_value(value)}" for key, value in spec.items())


def _value(value: object) -> str:
    return f"{{ {_flat(value)} }}" if isinstance(value, Mapping) else repr(value)


def _cells(state: RunState) -> Markup:
    """Every cell with the digest of all that determines it, so that a number can be found again."""
    rows = [
        (
            task.id,
            cell.cut,
            _penalty(cell.interval()),
            cell.reused_from or "",
            tag("td", cell.identity, class_="digest"),
        )
        for cell in state.cells.values()
        if cell.identity and (task := state.tasks[cell.task])
    ]
    return table(("task", "cut", "penalty", "reused from", "identity"), rows) if rows else Markup()


def _penalty(interval: Any) -> Markup:
    return tag("td", "" if interval is None else bounds(interval), class_="n")
