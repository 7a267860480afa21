"""One writer for each run: a lock file made with O_EXCL, which NFS honours, that names the process holding it."""

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from stitchtui.errors import BadInput
from stitchtui.run.directory import RunDirectory, read_object
from stitchtui.run.process import describe_process, liveness
from stitchtui.text import plain

_WRITING = 1.0  # seconds that a lock may stay without a name in it while its holder writes one


def claim(directory: RunDirectory) -> None:
    """Make this process the run's only worker, taking over from one that died on this host.

    Raises BadInput when another process holds the run, or may: one on another host can't be asked.
    """
    for _ in range(10):
        if _make(directory):
            return
        holder = _holder(directory)
        state = liveness(holder)
        if holder and state != "dead":
            raise BadInput(_held_by(directory, holder, state))
        _set_aside(directory, holder)
    raise BadInput(f"run {plain(directory.name)}: others keep taking its lock; try again")


def release(directory: RunDirectory) -> None:
    """Give the run back, if this process holds it."""
    holder = _named(directory.lock)
    if holder and holder["pid"] == os.getpid() and liveness(holder) == "alive":
        directory.lock.unlink(missing_ok=True)


def _make(directory: RunDirectory) -> bool:
    try:
        file = os.open(directory.lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    except OSError as error:
        why = plain(error.strerror or error)
        raise BadInput(f"{plain(directory.lock)}: can't be made ({why}); is this a run you may write?") from None
    with os.fdopen(file, "w", encoding="utf-8") as stream:
        json.dump(describe_process(), stream)
    return True


def _named(lock: Path) -> dict[str, Any]:
    holder = read_object(lock)
    return holder if {"pid", "host", "create_time"} <= holder.keys() else {}


def _holder(directory: RunDirectory) -> dict[str, Any]:
    """Who the lock names; nobody if it still is without a name after the time that writing one takes."""
    end = time.monotonic() + _WRITING
    while True:
        if holder := _named(directory.lock):
            return holder
        if time.monotonic() > end or not directory.lock.exists():
            return {}
        time.sleep(0.02)


def _held_by(directory: RunDirectory, holder: dict[str, Any], state: str) -> str:
    who = f"process {plain(holder['pid'])} on {plain(holder['host'])}"
    if state == "alive":
        return f"run {plain(directory.name)}: {who} is working on it; stop that first"
    return (
        f"run {plain(directory.name)}: {who} holds it and can't be asked from here; "
        f"if it is over, delete {plain(directory.lock)}"
    )


def _set_aside(directory: RunDirectory, stale: dict[str, Any]) -> None:
    """Remove the stale lock; if someone else was quicker and this is their new one, put it back."""
    aside = directory.lock.with_name(f".lock.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        directory.lock.rename(aside)
    except FileNotFoundError:
        return
    if _named(aside) == stale:
        aside.unlink(missing_ok=True)
    elif not directory.lock.exists():
        aside.rename(directory.lock)
