"""Files that are replaced whole: a reader, or a program started after a kill, sees the old content or the new."""

import contextlib
import errno
import os
import secrets
import stat
import sys
from pathlib import Path

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.text import plain

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # the disk's, a quota's, `ulimit -f`
FULL = _NO_ROOM | {errno.EIO, errno.EPIPE}
"""Errors of a write that the file's name has no part in: a full or broken disk, a reader that has left."""


Stamp = tuple[int, int]
"""When a file was written to last, in nanoseconds, and its size in bytes: while both are as before, so is the file."""


def stamp(path: Path) -> Stamp | None:
    """Return the file's stamp; None where there is no such file, or none that can be asked."""
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # a NUL in its name, no such user's home
        found = path.expanduser().stat()
        return found.st_mtime_ns, found.st_size
    return None


def write_atomically(path: Path, content: str | bytes) -> None:
    """Put `content` at `path` at once; a link stays and its file is replaced, a device or a pipe is written to.

    Raises OSError as writing a file does.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    target = _replaceable(path)
    if target is None:
        return _write_into(path, data)
    beside = target.with_name(f".{target.name[:60]}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # writing names no file, opening does
            error.filename = str(path)
        raise
    return None


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room for a file; other libraries' errors hold the system's words for it in their own."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return any(os.strerror(number) in str(error) for number in _NO_ROOM)


def write_out(path: Path, content: str | bytes) -> None:
    """As `write_atomically`, for a path that a user named.

    Raises BadInput, or RunFailed where the path is as good as any, but the disk is full or a pipe's reader has left.
    """
    try:
        write_atomically(path, content)
    except (OSError, ValueError) as error:
        number, why = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
        kind = RunFailed if number in FULL else BadInput
        raise kind(f"{plain(path)}: can't be written ({plain(why or error)}); choose another place") from None


def _replaceable(path: Path) -> Path | None:
    """The file that `path` leads to, there or not; None for what is no file, or is the process's own output."""
    target = Path(os.path.realpath(path))
    try:
        there = path.stat()
    except FileNotFoundError:
        return target
    is_file = stat.S_ISREG(there.st_mode) and target.exists() and os.path.samestat(there, target.stat())
    return target if is_file and _own_output(there) is None else None


def _write_into(path: Path, data: bytes) -> None:
    own = _own_output(path.stat())
    if own is None:
        with path.open("wb") as file:
            file.write(data)
        return
    # written through the open descriptor: /dev/stdout opened anew would cut off what a shell's >> appends to
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    with open(own, "wb", closefd=False) as output:
        output.write(data)


def _own_output(there: os.stat_result) -> int | None:
    """The descriptor of stdout or stderr, where it is this very file."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(there, os.fstat(descriptor)):
                return descriptor
        except OSError:  # it is closed
            continue
    return None
