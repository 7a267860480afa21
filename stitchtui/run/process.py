"""Who works on a run: a process described so that it can be asked for later, also from another machine."""

import os
import socket
from collections.abc import Mapping
from typing import Any, Literal

import psutil

from stitchtui.run import fields

Liveness = Literal["alive", "dead", "elsewhere", "unknown"]

_SAME_START = 1.0  # seconds; the kernel's idea of a process's start moves a little when the clock is set


def describe_process(pid: int | None = None) -> dict[str, Any]:
    """What identifies a process (default: this one): pid, host, create_time (seconds since 1970).

    Raises psutil.NoSuchProcess where there is none.
    """
    process = psutil.Process(pid)
    return {"pid": process.pid, "host": socket.gethostname(), "create_time": process.create_time()}


def liveness(info: Mapping[str, Any]) -> Liveness:
    """Whether the process that `info` describes is alive, asked of the system; `elsewhere` on another host."""
    try:
        host = fields.text(info.get("host"))
        fields.number(info.get("create_time"))
        fields.whole(info.get("pid"))
    except fields.Malformed:
        return "unknown"
    if host != socket.gethostname():
        return "elsewhere"
    try:
        return "alive" if process_of(info) else "dead"
    except psutil.Error:
        return "unknown"


def process_of(info: Mapping[str, Any]) -> psutil.Process | None:
    """The running process of this host that `info` describes, or None; a zombie doesn't run."""
    try:
        process = psutil.Process(fields.whole(info["pid"]))
        same = abs(process.create_time() - fields.number(info["create_time"])) <= _SAME_START
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.NoSuchProcess, OverflowError):  # a pid that no C integer holds is nobody's
        return None


def leads_its_group(pid: int) -> bool:
    """Whether the process leads a group of its own, so that signalling the group can't reach anyone else's."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False
