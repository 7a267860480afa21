"""`stitchtui runs`, `attach`, `stop`, `resume`, `label`, `note` and `delete`: runs that exist already."""

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.base.errors import BadInput
from stitchtui.base.text import duration, plain
from stitchtui.cli.common import Detach, Device, Json, Memory, RunName, Threads, complete_run, output, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stitchtui.run.directory import RunDirectory

Words = Annotated[str, typer.Argument(metavar="TEXT", help="What it says from now on; '' takes it away.")]

_GIVING_WAY = ("started", "done", "verdicts")  # in this order, where there is no room
_WRAPPED = {"label": 16, "verdicts": 16, "differs": 24}  # into lines of so many terminal cells at least


def runs(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the runs, newest first."""
    from stitchtui.base.paths import runs_directory
    from stitchtui.run.directory import all_runs

    rows = _rows(all_runs())
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        say(f"no runs in {runs_directory()} yet; `stitchtui run quickstart` makes one")
        return
    from rich.table import Table
    from rich.text import Text

    console, shown = output(), [_shown(row) for row in rows]
    table = Table(box=None, pad_edge=False, header_style="dim")
    headings = _that_fit(shown, console.width)
    for heading in headings:
        table.add_column(heading, justify="right" if heading == "done" else "left", no_wrap=heading not in _WRAPPED)
    for each in shown:
        table.add_row(*(Text(each[heading], overflow="fold") for heading in headings))
    console.print(table)


def _that_fit(shown: "Sequence[dict[str, str]]", width: int) -> list[str]:
    """Return the headings that say something, without those that matter less where `width` is too small for all."""
    from rich.cells import cell_len

    said = [heading for heading in shown[0] if heading not in ("label", "differs") or any(r[heading] for r in shown)]
    lengths = {each: max(cell_len(each), *(cell_len(row[each]) for row in shown)) for each in said}
    needed = {each: min(length, _WRAPPED.get(each, length)) for each, length in lengths.items()}
    for heading in _GIVING_WAY:
        if sum(needed.values()) + len(needed) > width:
            del needed[heading]
    return list(needed)


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """What the table shows of a run, by heading."""
    from stitchtui.report.wording import listed

    age = "" if row["started"] is None else ago(time.time() - row["started"])
    told = {**row, "done": f"{row['progress']:.0%}", "started": age, "differs": listed(row["differs"], most=4)}
    return {name: told[name] for name in ("run", "label", "status", "done", "verdicts", "started", "differs")}


def ago(seconds: float) -> str:
    """How long ago something was, as a person says it."""
    days = seconds / 86_400
    return f"{days:.0f} days ago" if days >= 2 else f"{duration(max(0.0, seconds))} ago"


def _rows(directories: "Sequence[RunDirectory]") -> list[dict[str, Any]]:
    from dataclasses import asdict

    from stitchtui.report.settings_diff import telling_apart
    from stitchtui.report.wording import printable, verdict_counts
    from stitchtui.run import control
    from stitchtui.run.state import quick_state

    states = [quick_state(directory) for directory in directories]
    apart = telling_apart([state.experiment for state in states])
    return [
        {
            "run": plain(directory.name),
            **asdict(state.about),
            "differs": [printable(each) for each in differs],
            "status": control.status(directory, state),
            "progress": state.progress.share,
            "verdicts": verdict_counts(state),
            "started": state.started,
        }
        for directory, state, differs in zip(directories, states, apart, strict=True)
    ]


def attach(run: RunName, as_json: Json = False) -> None:
    """Watch a run; Ctrl-C leaves it running.

    For a run that has ended, prints how it ended.
    """
    from stitchtui.cli import watching
    from stitchtui.run.directory import find

    watching.attach(find(run), as_json)


def stop(run: RunName) -> None:
    """Ask a run to stop; what it has measured is kept.

    The worker finishes its step first; after ten seconds it is killed, which loses no finished cell either.
    """
    from stitchtui.run import control
    from stitchtui.run.directory import find

    directory = find(run)
    willing = control.stop(directory)
    how = "stopped" if willing else "did not stop within ten seconds and was killed"
    say(f"run {directory.name}: {how}; `stitchtui resume {directory.name}` goes on")


def resume(
    run: RunName,
    *,
    device: Device = None,
    threads: Threads = None,
    memory: Memory = None,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped or lost.

    Cells that are finished are kept; columns that were in flight are measured again.
    """
    from stitchtui.cli import watching
    from stitchtui.run import asking, control
    from stitchtui.run.directory import find
    from stitchtui.run.state import quick_state
    from stitchtui.spec import checks

    checks.check_device(device)
    arguments = control.worker_arguments(device, threads, memory)
    directory = find(run)
    state = quick_state(directory)
    condition = control.status(directory, state)
    if condition == "elsewhere":
        raise BadInput(f"run {plain(directory.name)}: its worker is on another machine; resume it there")
    wanted = directory.read_experiment()
    if condition == "done" and not asking.outstanding(directory, state):
        if as_json:
            return watching.attach(directory, as_json)
        say(f"run {directory.name}: is done, nothing is left to do; `stitchtui report {directory.name}` shows it")
        return watching.exit_where_rejected(directory, state)
    checks.check_files(wanted)
    return watching.start(directory, arguments, detach, as_json)


def label(run: RunName, text: Words) -> None:
    """Give a run a short name, which then means it as its own name does.

    The list of runs and every report show it.
    """
    _write_about(run, label=text)


def note(run: RunName, text: Words) -> None:
    """Write down something about a run; reports show it."""
    _write_about(run, note=text)


def _write_about(run: str, **said: str) -> None:
    from stitchtui.run.directory import find

    directory = find(run)
    [what] = said
    text = getattr(directory.write_about(**said), what)
    say(f"run {directory.name}: {what} {text!r}" if text else f"run {directory.name}: no {what}")


def delete(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Runs, each as for `report`.", autocompletion=complete_run),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False,
) -> None:
    """Delete runs and what they measured, after asking.

    Never one that a worker is at, or may be at on another machine. Runs that took cells from one keep their numbers.
    """
    from stitchtui.run import deletion
    from stitchtui.run.directory import find

    directories = [find(run) for run in runs]
    for directory in directories:
        deletion.refuse_unless_over(directory)
    if not yes and not sys.stdin.isatty():
        raise BadInput.at("--yes", "is needed where nobody can be asked")
    for directory in directories:
        if yes or _sure(directory):
            deletion.delete(directory)
            say(f"run {directory.name}: deleted")


def _sure(directory: "RunDirectory") -> bool:
    """Ask whether to delete the run."""
    from stitchtui.report.wording import counted, listed
    from stitchtui.run import control
    from stitchtui.run.deletion import dependents
    from stitchtui.run.state import quick_state

    state = quick_state(directory)
    measured = sum(cell.status == "finished" for cell in state.cells.values())
    label = f" ({state.about.label})" if state.about.label else ""
    say(f"run {directory.name}{label}: {control.status(directory, state)}, {counted(measured, 'cell')} measured")
    if others := dependents(directory):
        say(f"cells of it were taken over by {listed(others)}; they keep their numbers")
    return typer.confirm("Delete it for good?", err=True)
