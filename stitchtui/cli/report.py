"""`stitchtui report RUN...`: a run's grid, what it means and its depth curve, or files; several runs side by side."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stitchtui.base.errors import BadInput
from stitchtui.cli.common import complete_run, deliver

if TYPE_CHECKING:
    from rich.console import Console

    from stitchtui.report.origin import Origin
    from stitchtui.run.state import RunState

_FOR_SEVERAL = ("table", "markdown", "html")
Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN...",
        help="A run: its name, a beginning of it that no other run has, its label, its folder, or `last`. Several: side"
        " by side.",
        autocompletion=complete_run,
        show_default="last",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Write to this file; its ending (.csv .parquet .json .md .txt .html .pdf .svg .png) may say how.",
    ),
]
Width = Annotated[
    float | None,
    typer.Option(
        "--width",
        min=2.5,
        max=40,
        help="Inches of a .pdf, .svg or .png across: a column of a paper has 3.35.",
        show_default="6.75, a page",
    ),
]


def report(
    runs: Runs = None,
    *,
    csv: Annotated[bool, typer.Option("--csv", help="One row a cell, with every measure.")] = False,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="The same as Parquet, each column typed; needs --out.")
    ] = False,
    claims: Annotated[
        bool, typer.Option("--claims", help="CSV too, one row a claim: its verdict among the others and alone.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One object: grid, cells, verdicts, claims, checks.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A GitHub table with intervals.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write one self-contained page, plots and all, to this file.")
    ] = None,
    png: Annotated[Path | None, typer.Option("--png", help="Write the depth plot alone to this file.")] = None,
    out: Out = None,
    width: Width = None,
    columns: Annotated[bool, typer.Option("--columns", help="Say what each column of the CSV holds.")] = False,
    ascii: Annotated[bool, typer.Option("--ascii", help="Use ASCII characters only.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="Say it all: each cut in detail, networks, checks, the depth curve.")
    ] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Leave the depth curve out of what --full says.")] = False,
) -> None:
    """Show a run's numbers, or several runs side by side: as text, data, a page or a figure.

    Works for runs that are going on, failed, lost or copied from another machine.
    """
    if columns:
        from stitchtui.report.columns import columns_text

        return typer.echo(columns_text(), nl=False)
    flags = {"csv": csv, "parquet": parquet, "claims": claims, "json": json, "markdown": markdown}
    chosen = _format(flags | {"html": html, "png": png}, out)
    target = html or png or out
    if chosen == "parquet" and target is None:
        raise BadInput.at("--out", "name the file that --parquet writes")
    if len(runs or []) > 1:
        return _side_by_side(runs or [], chosen, target, ascii)
    state, origin = _load((runs or ["last"])[0])
    if chosen != "table":
        return deliver(_exported(state, origin, chosen, width), target)
    if target is not None:
        from stitchtui.report.console import as_text

        return deliver(as_text(state, origin.condition, ascii, full=full, plot=not no_plot), target)
    from stitchtui.report.console import draw

    console, ascii = _terminal(ascii)
    return draw(console, state, origin.condition, ascii, full=full, plot=not no_plot)


def _format(flags: Mapping[str, object], out: Path | None) -> str:
    asked = [name for name, given in flags.items() if given]
    if len(asked) > 1:
        raise BadInput(f"report: expected one of --{', --'.join(flags)}, got --{' and --'.join(asked)}")
    if out is not None and asked and asked[0] in ("html", "png"):
        raise BadInput(f"report: --{asked[0]} names a file itself; leave out --out")
    if asked or out is None:
        return asked[0] if asked else "table"
    from stitchtui.report.formats import FORMATS

    endings = {ending: name for name, each in FORMATS.items() for ending in each.endings}
    if out.suffix.lower() not in endings:
        known = ", ".join(endings)
        raise BadInput.at("--out", f"add --csv, --json or --markdown, or end the name in one of {known}", out)
    return endings[out.suffix.lower()]


def _side_by_side(runs: list[str], chosen: str, target: Path | None, ascii: bool) -> None:
    from stitchtui.report.console import draw_side_by_side, written
    from stitchtui.report.side_by_side import side_by_side

    if chosen not in _FOR_SEVERAL:
        raise BadInput(f"report: --{chosen} is for one run, got {len(runs)}; ask for each by itself")
    loaded = [_load(run) for run in runs]
    states = [state for state, _ in loaded]
    found = side_by_side(states, [origin.condition for _, origin in loaded])
    if chosen == "markdown":
        from stitchtui.report.markdown import side_by_side_text

        return deliver(side_by_side_text(found), target)
    if chosen == "html":
        from stitchtui.report import html

        return deliver(html.side_by_side_text(found, states), target)
    if target is not None:
        return deliver(written(lambda console: draw_side_by_side(console, found, ascii)), target)
    console, ascii = _terminal(ascii)
    return draw_side_by_side(console, found, ascii)


def _load(run: str) -> "tuple[RunState, Origin]":
    from stitchtui.report.origin import origin_of
    from stitchtui.run.directory import find
    from stitchtui.run.state import whole_state

    directory = find(run)
    try:
        state = whole_state(directory)
    except OSError as error:
        raise BadInput(f"{directory.events}: can't be read ({error.strerror}); check its permissions") from None
    return state, origin_of(directory, state)


def _exported(state: "RunState", origin: "Origin", chosen: str, width: float | None) -> bytes:
    from stitchtui.report.formats import FORMATS, PICTURES

    if width is None:
        return FORMATS[chosen].made(state, origin)
    if chosen not in PICTURES:
        raise BadInput(f"report: --width is for {', '.join(PICTURES)}, not for {chosen}")
    from stitchtui.report.figures import run_figure

    return run_figure(state, PICTURES[chosen], width)


def _terminal(ascii: bool) -> "tuple[Console, bool]":
    """A console on stdout, and whether it may be given ASCII only."""
    from rich.console import Console

    from stitchtui.report.console import console_width

    console = Console(width=console_width(), highlight=False, markup=False, emoji=False)
    return console, ascii or not (console.encoding or "").lower().startswith("utf")
