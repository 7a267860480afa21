"""Starting, stopping and resuming a run, from any screen; what takes long is done beside the screen."""

import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from textual.app import App

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.text import plain
from stitchtui.report.wording import counted
from stitchtui.run import asking, control
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import RunState, quick_state
from stitchtui.spec.experiment import Experiment, Request
from stitchtui.tui.screens.confirm import ConfirmScreen


def start(experiment: Experiment, arguments: Sequence[str] = ()) -> RunDirectory:
    """Make a run of `experiment` and launch its worker with `arguments`. Raises BadInput and leaves no run then."""
    from stitchtui.run.directory import create
    from stitchtui.run.remembered import remember
    from stitchtui.spec.checks import check_files

    check_files(experiment)
    directory = create(experiment)
    remember(experiment)
    control.launch(directory, arguments)
    return directory


def ask_stop(app: App[Any], directory: RunDirectory) -> None:
    """Ask whether to stop the run; if so, stop it without holding up the screen."""
    question = f"Stop {plain(directory.name)}?"
    detail = "The worker finishes its step. Finished cells stay; resume repeats the column in flight."

    def answered(yes: bool | None) -> None:
        if yes:
            app.notify(f"stopping {plain(directory.name)}: it finishes its step first", markup=False)
            in_background(app, lambda: _stop(directory))

    app.push_screen(ConfirmScreen(question, detail, yes="Stop it", no="Let it run"), answered)


def ask_delete(app: App[Any], directory: RunDirectory, facts: str, deleted: Callable[[RunDirectory], None]) -> None:
    """Ask twice whether to delete the run, of which `facts` tell; if so, do it, and call `deleted` once it is gone."""
    from stitchtui.run.deletion import delete  # imported late: few visits to the list end in it

    name = plain(directory.name)

    def work() -> str:
        delete(directory)
        app.call_later(deleted, directory)
        return f"{name}: deleted"

    def sure(yes: bool | None) -> None:
        if yes:
            in_background(app, work)

    def answered(yes: bool | None) -> None:
        if yes:
            question, detail = f"Delete {name} for good?", "Nothing brings back its numbers, stitches and log."
            app.push_screen(ConfirmScreen(question, detail, yes="Delete it for good", no="Keep it"), sure)

    app.push_screen(ConfirmScreen(f"Delete {name}?", facts, yes="Delete it", no="Keep it"), answered)


def resume(app: App[Any], directory: RunDirectory) -> None:
    """Go on with a run that was stopped, lost or failed, without holding up the screen."""
    in_background(app, lambda: resumed(directory))


def ask(app: App[Any], directory: RunDirectory, request: Request, state: RunState) -> None:
    """Ask the run for more columns, which join its grid; a worker is launched where none is at work."""

    def asked() -> str:
        tasks = asking.ask(directory, request, state)
        seen_to = partial(asking.see_to, directory, tasks, lambda: resumed(directory))
        words = f"asked for {counted(len(tasks), 'more column')}"
        if control.status(directory, state) in ("starting", "running"):
            in_background(app, seen_to)
            return f"{words}; the worker comes to them after the column it is at"
        seen_to()
        return f"{words}; a worker starts"

    in_background(app, asked)


def in_background(app: App[Any], work: Callable[[], str | None]) -> None:
    """Do `work` in a thread that doesn't keep the app from closing, and say the line that it returns, if it does.

    What was said before goes: of a run that goes on again it isn't true any more that it was stopped.
    A line raised as BadInput, RunFailed or OSError is said as an error.
    """

    def run() -> None:
        try:
            message, severe = work(), False
        except (BadInput, RunFailed, OSError) as error:
            message, severe = plain(error), True
        if message is not None:
            with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
                app.call_later(app.clear_notifications)
                app.notify(message, severity="error" if severe else "information", markup=False)

    threading.Thread(target=run, daemon=True).start()


def _stop(directory: RunDirectory) -> str:
    willing = control.stop(directory)
    how = "stopped" if willing else "did not stop within ten seconds and was killed"
    return f"{plain(directory.name)}: {how}; nothing that was measured is lost, resume repeats the column in flight"


def resumed(directory: RunDirectory) -> str:
    """Launch the run's worker again, and say so. Raises BadInput where it can't go on or has nothing left to do."""
    from stitchtui.spec.checks import check_files

    state = quick_state(directory)
    condition = control.status(directory, state)
    name = plain(directory.name)
    if condition == "elsewhere":
        raise BadInput(f"{name}: its worker is on another machine; resume it there")
    wanted = directory.read_experiment()
    if condition == "done" and not asking.outstanding(directory, state):
        raise BadInput(f"{name}: is done, nothing is left to do")
    check_files(wanted)
    if condition in ("done", "failed", "stopped"):
        control.let_go(directory)  # its worker may have said its end and not be gone yet
    control.launch(directory)
    return f"{name}: goes on with what is missing"
