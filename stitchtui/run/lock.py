"""One writer for each run: a lock file, made whole at once, that names the process holding it; sound on NFS too."""

import contextlib
import hashlib
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

from stitchtui.errors import BadInput
from stitchtui.files import write_atomically
from stitchtui.run.directory import RunDirectory, read_object
from stitchtui.run.process import describe_process, liveness
from stitchtui.text import plain

_WRITING = 1.0  # seconds that a lock may stay without a name in it while its holder writes one
_TURNS = 20  # looks at who holds the lock before giving up


def claim(directory: RunDirectory) -> None:
    """Make this process the run's only worker, taking over from one that died on this host.

    Raises BadInput when another process holds the run, or may: one on another host can't be asked.
    """
    try:
        for _ in range(_TURNS):
            if _make(directory.lock):
                return
            holder = _holder(directory.lock)
            state = liveness(holder)
            if holder and state != "dead":
                raise BadInput(_held_by(directory, holder, state))
            if _take_over(directory, holder):
                return
            time.sleep(0.02)
    except OSError as error:
        why = plain(error.strerror or error)
        raise BadInput(f"{plain(directory.lock)}: can't be made ({why}); is this a run you may write?") from None
    raise BadInput(f"run {plain(directory.name)}: others keep taking its lock; try again")


def release(directory: RunDirectory) -> None:
    """Give the run back, if this process holds it."""
    holder = _named(directory.lock)
    if holder and holder["pid"] == os.getpid() and liveness(holder) == "alive":
        for token in directory.path.glob(".lock-after-*"):
            with contextlib.suppress(OSError):
                token.unlink()
        directory.lock.unlink(missing_ok=True)


def _take_over(directory: RunDirectory, dead: dict[str, Any]) -> bool:
    """Replace a dead holder's lock. Of all that try, one may: the one that makes the token named after the dead holder.

    The lock itself is never removed, so that nobody can slip in between. Should the one with the token die before it
    is done, the next token decides.
    """
    words = json.dumps(dead, sort_keys=True)
    for turn in range(_TURNS):
        key = hashlib.sha256(f"{words} {turn}".encode()).hexdigest()[:16]
        token = directory.lock.with_name(f".lock-after-{key}")
        if _make(token):
            if _named(directory.lock) != dead:  # it was taken over and given back while we looked
                token.unlink(missing_ok=True)
                return False
            write_atomically(directory.lock, json.dumps(describe_process()))
            return True
        if liveness(_holder(token)) != "dead":
            return False
    return False


def _make(path: Path) -> bool:
    """Make the file with this process's name in it, unless there is one already."""
    text = json.dumps(describe_process())
    mine = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    mine.write_text(text, "utf-8")
    try:
        os.link(mine, path)  # never seen without its content
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        return _make_in_two_steps(path, text)
    finally:
        mine.unlink(missing_ok=True)
    return True


def _make_in_two_steps(path: Path, text: str) -> bool:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _named(path: Path) -> dict[str, Any]:
    holder = read_object(path)
    return holder if {"pid", "host", "create_time"} <= holder.keys() else {}


def _holder(path: Path) -> dict[str, Any]:
    """Who the file names; nobody if it still is without a name after the time that writing one takes."""
    end = time.monotonic() + _WRITING
    while True:
        if holder := _named(path):
            return holder
        if time.monotonic() > end or not path.exists():
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
