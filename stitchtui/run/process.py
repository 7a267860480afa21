"""Who works on a run: a process described so that it can be asked for later, whatever the clock did meanwhile."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import psutil

from stitchtui.run import fields

Liveness = Literal["alive", "dead", "elsewhere", "unknown"]

_STARTTIME = 19  # its place in /proc/PID/stat after the command's name, which may hold blanks and brackets


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

    What a version described that went by the clock is `unknown`, unless nobody has that pid.
    """
    try:
        host, pid = fields.text(info.get("host")), fields.whole(info.get("pid"))
        if host != socket.gethostname():
            return "elsewhere"
        if not psutil.pid_exists(pid):
            return "dead"
        fields.text(info.get("boot"))
        fields.number(info.get("start"))
        return "alive" if process_of(info) else "dead"
    except OverflowError:  # a pid that no C integer holds is nobody's
        return "dead"
    except (fields.Malformed, psutil.Error):
        return "unknown"


def process_of(info: Mapping[str, Any]) -> psutil.Process | None:
    """The running process of this host that `info` describes, or None; a zombie doesn't run."""
    try:
        pid = fields.whole(info["pid"])
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
