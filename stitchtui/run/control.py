"""Launch a run's worker as a process of its own, ask how it is, stop it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import psutil

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.files import write_atomically
from stitchtui.base.text import plain, read_size
from stitchtui.run.directory import RunDirectory, read_object
from stitchtui.run.events import RunFinished, decode
from stitchtui.run.lock import turn
from stitchtui.run.process import (
    IN_PROCESS,
    Liveness,
    describe_process,
    leads_its_group,
    liveness,
    process_of,
    same_process,
)

if TYPE_CHECKING:
    from stitchtui.run.state import RunState

__all__ = ["AlreadyRunning", "describe_process", "launch", "let_go", "liveness", "status", "stop"]

RunCondition = Literal["starting", "running", "done", "failed", "stopped", "lost", "elsewhere"]

WORKER = (sys.executable, "-m", "stitchtui.execute.worker")
POLL = 0.25  # seconds between looks at a run that goes on
_LEAVING = 10.0  # seconds that a worker may take from its last event to its exit
_END_OF_LOG = 1 << 16  # bytes, more than the longest last event


class AlreadyRunning(BadInput):
    """A worker can't be put to a run that another is at."""


def launch(directory: RunDirectory, extra_args: Sequence[str] = (), command: Sequence[str] = WORKER) -> int:
    """Start `command` on the run, in a session of its own that outlives this terminal; return its pid.

    Raises AlreadyRunning when a worker is at it, RunFailed where it can't be written which one this is.
    """
    with turn(directory), directory.log.open("ab") as log:
        if is_alive(directory):
            raise AlreadyRunning(f"run {plain(directory.name)}: is running already; `stitchtui attach` shows it")
        process = subprocess.Popen(
            [*command, str(directory.path.absolute()), *extra_args],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            write_atomically(directory.launched, json.dumps(describe_process(process.pid)))
        except OSError as error:
            process.kill()  # nobody would find it again
            process.wait()
            raise RunFailed(f"{plain(directory.launched)}: can't be written ({plain(error.strerror)})") from None
    # Reaps the worker should it end before this process does, and keeps the Popen object until then.
    threading.Thread(target=process.wait, daemon=True).start()
    return process.pid


def worker_arguments(device: str | None, threads: int | None, memory: str | None = None) -> list[str]:
    """The worker's arguments for a device, a number of threads and a size of memory, each only if it was chosen.

    Raises BadInput for a size that can't be read.
    """
    chosen = [] if device is None else ["--device", device]
    chosen += [] if threads is None else ["--threads", str(threads)]
    if memory is None:
        return chosen
    count = read_size(memory)
    if count is None:
        raise BadInput.at("--memory", "expected a size, such as 4G or 512M", memory)
    return [*chosen, "--memory", str(count)]


def _worker(directory: RunDirectory) -> tuple[dict[str, Any], Liveness]:
    """The process that works on the run, or was launched to: the living one if there is one."""
    known = [info for path in (directory.info, directory.launched) if (info := read_object(path))]
    states = [(info, liveness(info)) for info in known]
    alive = [pair for pair in states if pair[1] == "alive"]
    return (alive or states or [({}, "unknown")])[0]


def is_alive(directory: RunDirectory) -> bool:
    """Whether a worker is at work on the run, on this machine."""
    return _worker(directory)[1] == "alive"


def status(directory: RunDirectory, state: "RunState") -> RunCondition:
    """How the run is: what its log (already folded into `state`) says, and what its process says."""
    info, live = _worker(directory)
    if live == "alive":
        # Also again: what the log ends with may have been said by an earlier worker.
        return state.status if state.status != "empty" and same_process(info, state.process) else "starting"
    if state.status in ("done", "failed", "stopped"):
        return state.status
    if live == "elsewhere":
        return "elsewhere"
    # Its end may have come after the log was read: then the next poll will bring it.
    return "running" if _has_ended(directory) else "lost"


def _has_ended(directory: RunDirectory) -> bool:
    """Whether the log's last line is an end."""
    try:
        with directory.events.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _END_OF_LOG))
            end = file.read()
    except OSError:
        return False
    return isinstance(decode(end.rstrip(b"\n").rpartition(b"\n")[2]), RunFinished)


def stop(directory: RunDirectory, grace: float = 10.0) -> bool:
    """Ask the worker to finish its step and end; after `grace` seconds kill it and what it started.

    Returns whether it ended by itself. Raises BadInput when it isn't running, or not here.
    """
    info, live = _worker(directory)
    if live == "elsewhere":
        raise BadInput(f"run {plain(directory.name)}: its worker is on {plain(info['host'])}; stop it there")
    if live == "alive" and info.get(IN_PROCESS):
        raise BadInput(
            f"run {plain(directory.name)}: is done by process {plain(info['pid'])} itself, a notebook or a script; "
            "interrupt it there"
        )
    process = process_of(info) if live == "alive" else None
    if process is None:
        raise BadInput(f"run {plain(directory.name)}: is not running, so there is nothing to stop")
    try:
        process.terminate()
        if _gone(info, grace):
            return True
        _kill(process)
    except psutil.NoSuchProcess:
        return True
    except (psutil.AccessDenied, PermissionError):
        raise BadInput(f"run {plain(directory.name)}: its worker is another user's; ask them") from None
    _gone(info, grace)
    return False


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if leads_its_group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _gone(info: dict[str, Any], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while liveness(info) == "alive":
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def let_go(directory: RunDirectory, pause: Callable[[float], None] = time.sleep) -> None:
    """Give a worker that has said its end the time to leave, so that the run can be resumed at once."""
    for _ in range(round(_LEAVING / POLL)):
        if not is_alive(directory):
            return
        pause(POLL)
