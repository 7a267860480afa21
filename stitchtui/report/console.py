"""What `stitchtui report` prints of a run, on any console."""

import io
import shutil
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from stitchtui.report.depth import depth_plot
from stitchtui.report.details import details, meanings
from stitchtui.report.ladder import ladders
from stitchtui.report.side_by_side import SideBySide
from stitchtui.report.summary import IN_SHORT, TOPICS, summary_lines
from stitchtui.report.table import cross, grid
from stitchtui.report.terminal import cross_table, details_shown, details_table, grid_table, ladder_table, runs_table
from stitchtui.report.wording import printable, to_ascii
from stitchtui.run.state import RunState

_PLOT_HEIGHT = 22


def as_text(state: RunState, condition: str, ascii: bool, *, full: bool, plot: bool = True) -> str:
    """What the command prints, as text without colour."""
    return written(lambda console: draw(console, state, condition, ascii, full=full, plot=plot))


def written(draw: Callable[[Console], None]) -> str:
    """What `draw` prints, without colour."""
    file = io.StringIO()
    draw(Console(file=file, width=console_width(), highlight=False, markup=False, emoji=False, force_terminal=False))
    return file.getvalue()


def console_width() -> int:
    """Return how many terminal cells a line may take."""
    return max(20, shutil.get_terminal_size((80, 24)).columns)  # COLUMNS, the terminal, or 80 when piped


def draw_side_by_side(console: Console, found: SideBySide, ascii: bool) -> None:
    """Print runs side by side: who they are, a table for each column, the notes."""
    for label, run in enumerate(found.runs, start=1):
        print_wrapped(console, printable(f"run {label}: {run}", ascii))
    for table in found.tables:
        console.print()
        console.print(runs_table(table, console.width, ascii))
    for note in found.notes:
        print_wrapped(console, printable(note), ascii)


def draw(console: Console, state: RunState, condition: str, ascii: bool, *, full: bool, plot: bool = True) -> None:
    """Print the grid, the verdicts, what speaks against them and, in `full`, what they rest on and the depth curve."""
    empty = state.status == "failed" and not state.cells  # why, the first sentence says in place of the tables
    if not empty:
        _draw_tables(console, state, ascii, full)
    said = summary_lines(state, condition=condition, about=TOPICS if full else IN_SHORT)
    for line in [*said, *_condition_lines(state, condition)]:
        print_wrapped(console, line, ascii)
    if full and plot and not empty:
        colour = console.is_terminal and not console.no_color
        console.print()
        drawing = depth_plot(state, console.width, _PLOT_HEIGHT, ascii=ascii, colour=colour)
        console.print(Text.from_ansi(drawing), soft_wrap=True)
    if not full and state.cells:
        rest = "each cut in detail, networks, checks, what wasn't measured, the depth curve"
        print_wrapped(console, f"`stitchtui report {state.run or 'RUN'} --full` says the rest: {rest}", ascii)


def _draw_tables(console: Console, state: RunState, ascii: bool, full: bool) -> None:
    if state.columns() or not state.crosses():
        console.print(grid_table(grid(state), console.width, ascii))
    if full:
        _draw_details(console, state, ascii)
    for column in state.crosses():
        console.print()
        console.print(cross_table(cross(state, column), console.width, ascii))
    console.print()


def _draw_details(console: Console, state: RunState, ascii: bool) -> None:
    width = console.width
    tables = details(state)
    for table in tables:
        console.print()
        console.print(details_table(table, width, ascii))
    if tables:
        shown = (heading for table in tables for heading in details_shown(table, width, ascii))
        print_wrapped(console, meanings(shown), ascii)
    for table in ladders(state):
        console.print()
        console.print(ladder_table(table, width, ascii))


def _condition_lines(state: RunState, condition: str) -> list[str]:
    if condition == "lost":
        return [f"worker: lost, it ended without a word; `stitchtui resume {state.run or 'RUN'}` goes on from here"]
    if condition == "elsewhere":
        return ["worker: on another machine; the numbers here are as of the last event that was copied"]
    return []


def print_wrapped(console: Console, line: str, ascii: bool = False) -> None:
    """Print `line` broken between words at the console's width, its second line and on indented by two spaces."""
    text = Text(to_ascii(line) if ascii else line)
    for index, part in enumerate(text.wrap(console, max(8, console.width - 2))):
        part.rstrip()
        console.print(Text("  " if index else "") + part, no_wrap=True, crop=False)
