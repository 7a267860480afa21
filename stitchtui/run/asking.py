"""Asking a run for more columns: they join its grid, whether its worker is at work, has ended or was lost."""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventReader
from stitchtui.run.lock import turn
from stitchtui.run.state import RunState

if TYPE_CHECKING:
    from stitchtui.spec.experiment import Request

_Launched = TypeVar("_Launched")
_LOOK_EVERY = 0.5  # seconds


def ask(directory: RunDirectory, request: "Request", state: RunState) -> list[str]:
    """Add `request` to the run; return the ids of the tasks that this adds to those in `state`.

    Raises BadInput where the run can't have it, has it already, or is on another machine.
    """
    from stitchtui.spec.plan import resolve

    if control.status(directory, state) == "elsewhere":
        raise BadInput(f"run {plain(directory.name)}: its worker is on another machine; ask there")
    with turn(directory):  # else of two that ask at once, the slower would write over what the other asked for
        before = {task.id for task in resolve(directory.read_experiment()).tasks}
        wanted = directory.with_request(request)
        new = [task.id for task in resolve(wanted).tasks if task.id not in before]
        if not new:
            raise BadInput(f"run {plain(directory.name)}: has this already")
        directory.write_experiment(wanted)
    return new


def outstanding(directory: RunDirectory, state: RunState) -> bool:
    """Whether a run that is done has something left: cells that failed, or what its experiment gained since."""
    return unmeasured(state) or added(directory, state)


def unmeasured(state: RunState) -> bool:
    """Whether some cell of the run has no number that could have one."""
    return any(cell.status != "finished" and not cell.misfit for cell in state.cells.values())


def added(directory: RunDirectory, state: RunState) -> bool:
    """Whether experiment.toml asks for more columns beside those the run has; no if it can't be read."""
    settings = directory.settings()
    if not settings or settings == state.experiment:
        return False
    from stitchtui.spec.plan import resolve  # imported late: few experiments are changed after their run began

    try:
        planned = {task.id for task in resolve(directory.read_experiment()).tasks}
    except BadInput:
        return False
    return planned > {task.id for task in list(state.tasks.values()) if task.kind == "column"}


def see_to(directory: RunDirectory, tasks: list[str], launch: Callable[[], _Launched]) -> _Launched | None:
    """Wait until a worker has taken up `tasks`, and `launch` one where none is at work; returns what that returned.

    A worker looks for what was asked for after each column; one that ended just then hasn't seen it.
    """
    reader, known = EventReader(directory.events), RunState()
    while True:
        alive = control.is_alive(directory)
        known.apply_all(reader.poll())
        if set(tasks) <= known.tasks.keys():
            return None
        if not alive:
            with contextlib.suppress(control.AlreadyRunning):  # someone else did, who may have asked for more as well
                return launch()
        time.sleep(_LOOK_EVERY)
