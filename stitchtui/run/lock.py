"""One writer for each run, and turns for what changes it: locks of the system, which nobody that died can hold."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from stitchtui.base.errors import BadInput
from stitchtui.base.files import write_atomically
from stitchtui.base.text import plain
from stitchtui.run.directory import RunDirectory, is_run, read_object
from stitchtui.run.process import describe_process, liveness

if TYPE_CHECKING:
    from filelock import BaseFileLock

_PATIENCE = 10.0  # seconds; a turn takes milliseconds, more on a slow network file system


def claim(directory: RunDirectory) -> "BaseFileLock":
    """Make this process the run's only writer until it ends or gives the run back by `release`.

    What decides is the system's lock, which holds as long as its process does. The name beside it is for people, and
    for a file system that locks on one machine alone. Raises BadInput when another process holds the run, or may.
    """
    lock = _locked(directory, directory.path / ".lock", 0.0)
    if lock is None:
        raise BadInput(f"run {plain(directory.name)}: {_holder(directory)} is working on it; stop that first")
    try:
        _refuse_unless_free(directory)
        write_atomically(directory.lock, json.dumps(describe_process()))
    except BaseException as error:
        lock.release()
        if isinstance(error, OSError):
            raise _cannot_lock(directory.lock, error) from None
        raise
    return lock


def release(directory: RunDirectory, lock: "BaseFileLock") -> None:
    """Give the run back."""
    directory.lock.unlink(missing_ok=True)
    lock.release()


@contextmanager
def turn(directory: RunDirectory) -> Iterator[None]:
    """The time in which this process alone reads and changes what is asked of the run, or puts a worker to it.

    Raises BadInput when others don't let it come to that.
    """
    lock = _locked(directory, directory.path / ".turn", _PATIENCE)
    if lock is None:
        raise BadInput(f"run {plain(directory.name)}: another process is changing it and doesn't end; try again")
    try:
        if not is_run(directory.path):  # the lock may have been had on a directory that meanwhile got another name
            raise BadInput(f"run {plain(directory.name)}: is gone; it was deleted")
        yield
    finally:
        lock.release()


def _locked(directory: RunDirectory, path: Path, patience: float) -> "BaseFileLock | None":
    """The system's lock on the file at `path`, or None when it isn't to be had within `patience` seconds."""
    from filelock import FileLock, Timeout  # imported late: whoever only reads a run locks nothing

    if not directory.path.is_dir():  # some versions of filelock would make it
        raise _cannot_lock(path, FileNotFoundError("no such directory"))
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience, blocking=patience > 0)
    except Timeout:
        return None
    except (OSError, NotImplementedError) as error:  # the latter where the file system has no locks
        raise _cannot_lock(path, error) from None
    return lock


def _cannot_lock(path: Path, error: Exception) -> BadInput:
    why = plain(getattr(error, "strerror", None) or error)
    return BadInput(f"{plain(path)}: can't be made and locked ({why}); is this a run you may write?")


def _refuse_unless_free(directory: RunDirectory) -> None:
    """Raise BadInput where the run was not given back by someone who may be alive all the same."""
    holder = read_object(directory.lock)
    if {"pid", "host"} <= holder.keys() and liveness(holder) != "dead":
        raise BadInput(
            f"run {plain(directory.name)}: {_holder(directory)} holds it and can't be asked from here; "
            f"if it is over, delete {plain(directory.lock)}"
        )


def _holder(directory: RunDirectory) -> str:
    holder = read_object(directory.lock)
    if {"pid", "host"} <= holder.keys():
        return f"process {plain(holder['pid'])} on {plain(holder['host'])}"
    return "another process"  # which is just about to say its name
