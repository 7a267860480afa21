"""Runs as self-contained pages for a reviewer: what the templates beside this file show, and how."""

import base64
import html
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from stitchtui.base.text import duration
from stitchtui.report import figures
from stitchtui.report.citation import bibtex, citation_line
from stitchtui.report.claim_lines import claims, claims_how, unfinished, verdict_words
from stitchtui.report.details import details, meanings
from stitchtui.report.ladder import ladders
from stitchtui.report.origin import Origin
from stitchtui.report.ramps import colour, ink
from stitchtui.report.side_by_side import SideBySide
from stitchtui.report.summary import TOPICS, summary_lines
from stitchtui.report.table import LEGEND, Entry, Look, Table, cross, grid, sides
from stitchtui.report.wording import bounds, data_words, measured_by, normalisation, printable, signed, time_taken
from stitchtui.run.state import RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.measures import PENALTY

_SHOWN_ABOVE = ("run", "device", "data", "networks", "claims", "how judged", "reading")
_MOST_COLUMNS: dict[Look, int] = {"full": 8, "brief": 17}  # of a heat map in a page 1100 pixels wide


def run_text(state: RunState, origin: Origin | None = None) -> str:
    """The page of one run. Raises BadInput where matplotlib, which draws its plots, isn't installed."""
    origin = origin or Origin(state.status)
    pages = details(state)
    controls = dict.fromkeys(column.control for column in (*state.columns(), *state.crosses()) if column.control)
    return _page(
        "run.html",
        state.title or state.name or state.run or "stitchtui",
        state=state,
        origin=origin,
        about=_about(state),
        judged=_judged(state),
        grid=grid(state),
        depth=_depth(state),
        likeness=_likeness(state),
        ladders=[(one, _drawing(figures.ladder_svg(one), figures.ladder_alt_text(one))) for one in ladders(state)],
        crosses=[cross(state, column) for column in state.crosses()],
        details=pages,
        meanings=meanings(heading for one in pages for heading in one.columns),
        controls=[control_named(name) for name in controls],
        notes=summary_lines(state, about=[topic for topic in TOPICS if topic not in _SHOWN_ABOVE]),
        data=list(_data(state)),
        facts=list(_facts(state, origin)),
        settings=list(_settings(state)),
        cells=[cell for cell in state.cells.values() if cell.identity],
        cite=citation_line(measured_by(state)),
        bibtex=bibtex(measured_by(state)),
    )


def side_by_side_text(found: SideBySide, states: Sequence[RunState]) -> str:
    """The page of runs side by side. Raises BadInput where matplotlib, which draws the plots, isn't installed."""
    return _page(
        "side_by_side.html",
        "Runs side by side",
        who=[f"Run {label}: {run}" for label, run in enumerate(found.runs, start=1)],
        tables=found.tables,
        notes=found.notes,
        runs=[{"run": state.run, "depth": _depth(state), "judged": _judged(state)} for state in states],
    )


def notebook_text(tables: Sequence[Table], lines: Sequence[str] = (), warned: Sequence[str] = ()) -> str:
    """Heat maps of tables as a part of a notebook's page, between `lines` and what to beware of."""
    return environment().get_template("notebook.html").render(tables=tables, lines=lines, warned=warned)


def _page(template: str, title: str, **shown: object) -> str:
    return environment().get_template(template).render(title=title, **shown)


@cache
def environment() -> Environment:
    """The templates' surroundings: all that they are given is text of a page, unless it is Markup."""
    found = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        finalize=_text,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "verdict_words": verdict_words,
        "bounds": lambda interval: "" if interval is None else bounds(interval),
        "normalisation": lambda network: normalisation(network.mean, network.std),
        "said": _said,
        "parts": _parts,
        "signs": _signs,
    }
    found.globals["shades"] = _shades
    return found


def _text(value: object) -> Markup:
    """Anything from outside as text of a page: control characters shown as `?`, everything escaped."""
    return value if isinstance(value, Markup) else Markup(html.escape(printable(value), quote=True))


class _Said(NamedTuple):
    """What a cell of a table says, smaller beneath that, its class and colours, and what a pointer on it shows."""

    text: str
    css: str = ""
    beneath: str = ""
    style: str = ""
    title: str = ""


def _said(entry: Entry, of: Table) -> _Said:
    interval = entry.interval
    if of.look == "plain":
        return _Said(bounds(interval) if interval else entry.word, "n")
    if interval is None:
        return _Said(entry.glyph, "none")
    ends = bounds(interval).partition(" ")[2]
    brief, css = of.look == "brief", "diagonal" if entry.marked else ""
    apart = "" if brief or not entry.side else " "
    text = f"{entry.prefix}{signed(interval.value)}{apart}{entry.mark()}{entry.suffix}"
    return _Said(text, css, "" if brief else ends, _style(interval.value), ends if brief else "")


def _style(penalty: float) -> str:
    """A penalty's colours, those of the app's first grid."""
    assert PENALTY.shade is not None
    ground = colour("cividis", PENALTY.shade.share(penalty))
    return "background: #{:02x}{:02x}{:02x}; color: #{:02x}{:02x}{:02x}".format(*ground, *ink(ground))


def _shades() -> list[_Said]:
    """The scale of colours at some of its penalties."""
    assert PENALTY.shade is not None
    return [_Said(f"{value:g}", style=_style(value)) for value in PENALTY.shade.marks]


def _signs(of: Table) -> list[str]:
    """What each sign at the numbers of a table means."""
    kinds = [words for kind, words in LEGEND.items() if kind in of.kinds]
    return [*(sides(of.epsilon)[:1] if of.is_judged else ()), *kinds]


def _parts(of: Table) -> list[Table]:
    """The table in as many parts, each of all rows, as it takes for the columns of a heat map to fit a page."""
    most = _MOST_COLUMNS.get(of.look)
    if most is None or len(of.columns) <= most:
        return [of]
    size = math.ceil(len(of.columns) / math.ceil(len(of.columns) / most))
    return [of.part(range(len(of.columns))[start : start + size]) for start in range(0, len(of.columns), size)]


def _about(state: RunState) -> str:
    description = state.experiment.get("description")
    return " ".join(description.split()) if isinstance(description, str) else ""


def _judged(state: RunState) -> dict[str, object]:
    found = claims(state)
    how = claims_how(found) if found else ""
    return {"claims": found, "how": how[:1].upper() + how[1:], "unfinished": unfinished(state)}


def _depth(state: RunState) -> dict[str, str]:
    return _drawing(figures.depth_figure(state, "svg"), figures.alt_text(state))


def _likeness(state: RunState) -> dict[str, str] | None:
    found = figures.likeness_lines(state)
    return _drawing(figures.likeness_svg(state, found), figures.likeness_alt_text(found)) if found else None


def _drawing(svg: bytes, words: str) -> dict[str, str]:
    """A drawing inside the page, with what it shows in words."""
    return {"svg": base64.b64encode(svg).decode("ascii"), "words": words}


def _data(state: RunState) -> Iterator[str]:
    if state.data is None:
        return
    data = state.data
    yield data_words(state)
    yield f"classes: {', '.join(data['classes'])}"
    if "digest" in data:
        yield f"digest: {data['digest']}"


def _facts(state: RunState, origin: Origin) -> Iterator[tuple[str, object]]:
    yield "label", state.about.label
    yield "note", state.about.note
    yield "device", state.device
    yield "hardware", origin.info.get("hardware", "")
    yield "host", origin.info.get("host", "")
    yield "versions", ", ".join(f"{name} {version}" for name, version in state.versions.items())
    if state.started is not None:
        yield "started", time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(state.started))
        yield "took", time_taken(state) or f"{duration(state.took())} so far"
    yield "stitch seeds", ", ".join(str(seed) for seed in sorted({t.seed for t in state.tasks.values() if t.column}))
    yield "epsilon", f"{state.epsilon:g} points"


def _settings(state: RunState) -> Iterator[str]:
    """The experiment as it was resolved, every default written out."""
    networks, also = state.experiment.get("networks"), state.experiment.get("also")
    shown = [("stitch", state.experiment.get("stitch")), ("data", state.experiment.get("data"))]
    shown += [(f"networks.{name}", spec) for name, spec in networks.items()] if isinstance(networks, dict) else []
    shown += [(f"also.{index}", spec) for index, spec in enumerate(also)] if isinstance(also, list) else []
    yield from (f"{name}: {_flat(spec)}" for name, spec in shown if isinstance(spec, dict))


def _flat(spec: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_value(value)}" for key, value in spec.items())


def _value(value: object) -> str:
    return f"{{ {_flat(value)} }}" if isinstance(value, Mapping) else repr(value)
