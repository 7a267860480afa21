"""The process that works on a run, described so that it can be asked for later, whatever the clock did meanwhile."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import psutil

Liveness = Literal["alive", "dead", "elsewhere", "unknown"]

Pid = Annotated[int, msgspec.Meta(ge=0)]

OVER = "over"  # of a process that goes on when its run has ended, such as a notebook's
IN_PROCESS = "in_process"  # of one that isn't a worker of ours: it has other things to do, and must not be killed

_STARTTIME = 19  # its place in /proc/PID/stat after the command's name, which may hold blanks and brackets


class _Process(msgspec.Struct):
    """A process as `describe_process` describes it, or as an older version did, by the clock."""

    pid: Pid
    host: str
    boot: str | None = None
    start: float | None = None


def describe_process(pid: int | None = None) -> dict[str, Any]:
    """What identifies a process (default: this one): pid, host, boot (id of the machine's), start (ticks since then).

    Raises psutil.NoSuchProcess where there is none.
    """
    pid = os.getpid() if pid is None else pid
    return {"pid": pid, "host": socket.gethostname(), "boot": _boot(), "start": _start(pid)}


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _start(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[_STARTTIME])
    except (OSError, IndexError):
        # Without /proc, as on macOS: there the kernel keeps the time that it gave a start, also when the clock is set.
        return float(psutil.Process(pid).create_time())


def liveness(info: Mapping[str, Any]) -> Liveness:
    """Whether the process that `info` describes is alive, asked of the system; `elsewhere` on another host.

    What a version described that went by the clock is `unknown`, unless nobody has that pid. One that is over with its
    run is dead to it.
    """
    return "dead" if info.get(OVER) is True else _asked(info)


def _asked(info: Mapping[str, Any]) -> Liveness:
    try:
        process = msgspec.convert(info, _Process)
        if process.host != socket.gethostname():
            return "elsewhere"
        if not psutil.pid_exists(process.pid):
            return "dead"
        if process.boot is None or process.start is None:
            return "unknown"
        return "alive" if process_of(info) else "dead"
    except OverflowError:  # a pid that no C integer holds is nobody's
        return "dead"
    except (msgspec.ValidationError, psutil.Error):
        return "unknown"


def process_of(info: Mapping[str, Any]) -> psutil.Process | None:
    """The running process of this host that `info` describes, or None; a zombie doesn't run."""
    try:
        pid = msgspec.convert(info["pid"], Pid)
        if (info["boot"], info["start"]) != (_boot(), _start(pid)):
            return None
        process = psutil.Process(pid)
        return process if process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def same_process(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both describe the same process, which may be over."""
    return all(one.get(key) == other.get(key) for key in ("pid", "host", "boot", "start"))


def leads_its_group(pid: int) -> bool:
    """Whether the process leads a group of its own, so that signalling the group can't reach anyone else's."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False
