"""`stitchtui report RUN`: a run's grid, what it means and its depth curve; or CSV, JSON, Markdown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stitchtui.commands.common import RunName, print_wrapped
from stitchtui.errors import BadInput

if TYPE_CHECKING:
    from rich.console import Console

    from stitchtui.run.state import RunState

_SUFFIXES = {".csv": "csv", ".json": "json", ".md": "markdown", ".markdown": "markdown", ".txt": "table"}
_PLOT_HEIGHT = 22


def report(
    run: RunName = "last",
    *,
    csv: Annotated[bool, typer.Option("--csv", help="One row a cell, with every measure.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One object: grid, cells, verdicts, checks.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="A GitHub table with intervals.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file; its ending (.csv .json .md .txt) may say how.")
    ] = None,
    ascii: Annotated[bool, typer.Option("--ascii", help="Use ASCII characters only.")] = False,
    no_plot: Annotated[bool, typer.Option("--no-plot", help="Leave the depth curve out.")] = False,
) -> None:
    """Show a run's numbers: the table, what it means and the depth curve, or CSV, JSON or Markdown.

    Works for runs that are going on, failed, lost or copied from another machine.
    """
    chosen = _format(csv, json, markdown, out)
    state, condition = _load(run)
    if chosen != "table":
        _deliver(_exported(state, condition, chosen), out)
    elif out is not None:
        _deliver(as_text(state, condition, ascii, not no_plot), out)
    else:
        _print(state, condition, ascii, not no_plot)


def _format(csv: bool, json: bool, markdown: bool, out: Path | None) -> str:
    flags = {"csv": csv, "json": json, "markdown": markdown}
    asked = [name for name, given in flags.items() if given]
    if len(asked) > 1:
        raise BadInput(f"report: expected one of --csv, --json and --markdown, got --{' and --'.join(asked)}")
    if asked or out is None:
        return asked[0] if asked else "table"
    if out.suffix.lower() not in _SUFFIXES:
        from stitchtui.text import plain

        known = ", ".join(_SUFFIXES)
        raise BadInput(f"--out {plain(out)}: add --csv, --json or --markdown, or end the name in one of {known}")
    return _SUFFIXES[out.suffix.lower()]


def _load(run: str) -> "tuple[RunState, str]":
    from stitchtui.run.control import status
    from stitchtui.run.directory import find
    from stitchtui.run.state import RunState

    directory = find(run)
    try:
        state = RunState.load(directory.events)
    except OSError as error:
        raise BadInput(f"{directory.events}: can't be read ({error.strerror}); check its permissions") from None
    return state, status(directory, state)


def _exported(state: "RunState", condition: str, chosen: str) -> str:
    from stitchtui.report import export

    if chosen == "csv":
        return export.csv_text(state)
    return {"json": export.json_text, "markdown": export.markdown_text}[chosen](state, condition=condition)


def _deliver(text: str, out: Path | None) -> None:
    data = text.encode("utf-8")
    if out is None:
        typer.echo(data, nl=False)  # bytes: the same file whatever the terminal's encoding
        return
    from stitchtui.files import write_atomically
    from stitchtui.text import plain

    try:
        write_atomically(out, data)
    except OSError as error:
        raise BadInput(f"--out {plain(out)}: can't be written ({plain(error.strerror)})") from None
    typer.echo(f"wrote {plain(out)}", err=True)


def _print(state: "RunState", condition: str, ascii: bool, plot: bool) -> None:
    from rich.console import Console

    console = Console(width=_width(), highlight=False, markup=False, emoji=False)
    encoded = (console.encoding or "").lower().startswith("utf")
    _draw(console, state, condition, ascii or not encoded, plot)


def _width() -> int:
    import shutil

    return max(20, shutil.get_terminal_size((80, 24)).columns)  # COLUMNS, the terminal, or 80 when piped


def as_text(state: "RunState", condition: str, ascii: bool, plot: bool) -> str:
    """What the command prints, as text without colour: the table, what it means and, where asked, the depth curve."""
    import io

    from rich.console import Console

    file = io.StringIO()
    console = Console(file=file, width=_width(), highlight=False, markup=False, emoji=False, force_terminal=False)
    _draw(console, state, condition, ascii, plot)
    return file.getvalue()


def _draw(console: "Console", state: "RunState", condition: str, ascii: bool, plot: bool) -> None:
    from rich.text import Text

    from stitchtui.report.cross import cross_tables
    from stitchtui.report.table import grid_table, summary_lines

    console.print(grid_table(state, console.width, ascii))
    _draw_details(console, state, ascii)
    for group in cross_tables(state, console.width, ascii):
        console.print()
        console.print(group)
    console.print()
    for line in [*summary_lines(state, condition=condition), *_condition_lines(state, condition)]:
        print_wrapped(console, line, ascii)
    if plot:
        from stitchtui.report.depth import depth_plot

        colour = console.is_terminal and not console.no_color
        console.print()
        drawing = depth_plot(state, console.width, _PLOT_HEIGHT, ascii=ascii, colour=colour)
        console.print(Text.from_ansi(drawing), soft_wrap=True)


def _draw_details(console: "Console", state: "RunState", ascii: bool) -> None:
    from stitchtui.report.details import details_tables, meanings

    tables = details_tables(state, console.width, ascii)
    for table in tables:
        console.print()
        console.print(table)
    if tables:
        print_wrapped(console, meanings(state, console.width, ascii), ascii)


def _condition_lines(state: "RunState", condition: str) -> list[str]:
    if condition == "lost":
        return [f"worker: lost, it ended without a word; `stitchtui resume {state.run or 'RUN'}` goes on from here"]
    if condition == "elsewhere":
        return ["worker: on another machine; the numbers here are as of the last event that was copied"]
    return []
