"""Start a run's worker, watch it, and tell the shell how it ended: what `run`, `resume` and `attach` share."""

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import closing

import typer

from stitchtui.base.errors import BadInput, ExitCode, RunFailed
from stitchtui.base.files import write_atomically
from stitchtui.base.signals import leaving_in_order
from stitchtui.base.text import plain
from stitchtui.cli.common import output, say
from stitchtui.cli.live import ends_so_far, view_for, watch
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import RunState


def start(directory: RunDirectory, arguments: Sequence[str], detach: bool, as_json: bool, new: bool = False) -> None:
    """Launch the run's worker; then print the run's name, or watch it to its end. Ctrl-C stops the run.

    A `new` run's directory, which nobody but this command knows of, goes when its input turns out to be bad before
    any cell is finished.
    """
    if new:
        write_atomically(
            directory.command, (shlex.join(["stitchtui", *sys.argv[1:]]) + "\n").encode("utf-8", "replace")
        )
    ends = ends_so_far(directory) + 1
    control.launch(directory, arguments)
    if detach:
        typer.echo(directory.name)
        return
    say(f"run {directory.name} in {directory.path}; leaving this terminal doesn't stop it, Ctrl-C does")
    follow(directory, as_json, lambda: _stop(directory), ends, new)


def attach(directory: RunDirectory, as_json: bool) -> None:
    """Watch a run to its end; Ctrl-C only leaves."""

    def leave() -> None:
        say(f"left; the run goes on: `stitchtui attach {directory.name}`")

    follow(directory, as_json, leave, ends=0)


def follow(
    directory: RunDirectory, as_json: bool, on_interrupt: Callable[[], None], ends: int, new: bool = False
) -> None:
    """Watch a run, then print its grid on stdout. Raises RunFailed or BadInput when it didn't end well."""
    try:
        with leaving_in_order(), closing(view_for(as_json)) as view:
            state, ending = watch(directory, view, ends)
    except KeyboardInterrupt:
        on_interrupt()
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    if not as_json and state.cells:
        _print_result(state, ending)
    if ending != "done":
        failure = _failure(directory, state, ending)
        if new and isinstance(failure, BadInput):
            _forget(directory, state)
        raise failure
    say(f"run {directory.name}: done; `stitchtui report {directory.name}` shows it again")
    exit_where_rejected(directory, state)


def exit_where_rejected(directory: RunDirectory, state: RunState) -> None:
    """End with the exit code of its own that a run with a rejected claim has; with --json the claims are events.

    The verdict that counts is the one after Holm's procedure over all claims.
    """
    against = [claim for claim in state.claims if claim.verdict == "rejected"]
    if against:
        which = ", ".join(str(claim.index + 1) for claim in against)
        say(f"run {directory.name}: {len(against)} of {len(state.claims)} claims rejected: {which}")
        raise typer.Exit(ExitCode.CLAIM_REJECTED)


def _stop(directory: RunDirectory) -> None:
    say("stopping: the worker finishes its step and writes what it has (Ctrl-C again: don't wait for it)")
    try:
        control.stop(directory)
    except BadInput as ended:  # it ended by itself in the meantime, or belongs to another machine
        say(str(ended))
    except KeyboardInterrupt:
        say("not waiting for the worker any longer; it was asked to stop")
    say(f"nothing is lost: `stitchtui resume {directory.name}` goes on")


def _forget(directory: RunDirectory, state: RunState) -> None:
    """Remove a run that holds nothing, so that `last` isn't a typo; not while a worker is at it."""
    if any(cell.status == "finished" for cell in state.cells.values()) or control.is_alive(directory):
        return
    shutil.rmtree(directory.path, ignore_errors=True)
    say("nothing was measured, so the run's directory is removed again")


def _print_result(state: RunState, ending: str) -> None:
    from stitchtui.report.console import draw

    console = output()
    ascii = not console.encoding.lower().startswith("utf")
    draw(console, state, ending, ascii, full=False)


def _failure(directory: RunDirectory, state: RunState, ending: str) -> Exception:
    name = plain(directory.name)
    again = f"`stitchtui resume {name}` goes on"
    if ending == "stopped":
        return RunFailed(f"run {name}: stopped; {again}")
    if ending == "failed":
        kind = BadInput if state.bad_input else RunFailed
        return kind(f"run {name}: {plain(state.reason or 'failed without saying why')}")
    last = directory.last_words()
    ended = f"its last words in {plain(directory.log)}: {last}" if last else f"{plain(directory.log)} says nothing"
    return RunFailed(f"run {name}: its worker died without saying why; {ended}; {again}")
