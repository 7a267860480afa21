"""Files that are replaced whole: a reader, or a program started after a kill, sees the old content or the new."""

import errno
import os
import secrets
from pathlib import Path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # the disk's, a quota's, `ulimit -f`


def write_atomically(path: Path, content: str | bytes) -> None:
    """Put `content` at `path` at once. Raises OSError as writing a file does."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    beside = path.with_name(f".{path.name[:60]}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with beside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:  # writing names no file, opening does
            error.filename = str(path)
        raise


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room for a file; other libraries' errors hold the system's words for it in their own."""
    if isinstance(error, OSError):
        return error.errno in _NO_ROOM
    return any(os.strerror(number) in str(error) for number in _NO_ROOM)
