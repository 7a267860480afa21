"""`stitchtui runs`, `attach`, `stop` and `resume`: runs that exist already."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.base.errors import BadInput
from stitchtui.base.text import duration, plain
from stitchtui.cli.common import Detach, Device, Json, Memory, RunName, Threads, output, say

if TYPE_CHECKING:
    from stitchtui.run.directory import RunDirectory


def runs(
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON.")] = False,
) -> None:
    """List the runs, newest first."""
    from stitchtui.base.paths import runs_directory
    from stitchtui.run.directory import all_runs

    rows = [_row(directory) for directory in all_runs()]
    if as_json:
        import json

        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        say(f"no runs in {runs_directory()} yet; `stitchtui run quickstart` makes one")
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "status", "done", "verdicts", "started"):
        table.add_column(heading, justify="right" if heading == "done" else "left")
    for row in rows:
        age = "" if row["started"] is None else ago(time.time() - row["started"])
        table.add_row(row["run"], row["status"], f"{row['progress']:.0%}", row["verdicts"], age)
    output().print(table)


def ago(seconds: float) -> str:
    """How long ago something was, as a person says it."""
    days = seconds / 86_400
    return f"{days:.0f} days ago" if days >= 2 else f"{duration(max(0.0, seconds))} ago"


def _row(directory: "RunDirectory") -> dict[str, Any]:
    from stitchtui.report.wording import verdict_counts
    from stitchtui.run import control, progress
    from stitchtui.run.state import quick_state

    state = quick_state(directory)
    return {
        "run": plain(directory.name),
        "status": control.status(directory, state),
        "progress": progress.fraction(state),
        "verdicts": verdict_counts(state),
        "started": state.started,
    }


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
    arguments = watching.worker_arguments(device, threads, memory)
    directory = find(run)
    state = quick_state(directory)
    condition = control.status(directory, state)
    if condition == "elsewhere":
        raise BadInput(f"run {plain(directory.name)}: its worker is on another machine; resume it there")
    wanted = directory.read_experiment()
    if condition == "done" and not asking.outstanding(directory, state):
        say(f"run {directory.name}: is done, nothing is left to do")
        return watching.attach(directory, as_json)
    checks.check_files(wanted)
    return watching.start(directory, arguments, detach, as_json)
