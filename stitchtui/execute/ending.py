"""How a run ends: its last event, its result, and in one line why it failed."""

import contextlib
import json
import os
import sys
import time
import traceback
from dataclasses import asdict
from typing import Any

from stitchtui.base import device as devices
from stitchtui.base.errors import ExitCode, RunFailed
from stitchtui.base.files import is_disk_full, write_atomically
from stitchtui.base.text import plain
from stitchtui.report.harm import warnings
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventWriter, RunFinished
from stitchtui.run.state import RunState
from stitchtui.stats.rules import RULES


def reason_of(directory: RunDirectory, error: Exception, *, aloud: bool = True) -> str:
    """Why the run failed, in one line; `aloud`, the traceback of a fault of ours goes to stderr, which is its log."""
    if isinstance(error, RunFailed):
        return str(error)
    if devices.is_out_of_memory(error):
        return "out of memory; try a lower evaluation_batch or stitch.batch_size, or fewer --cuts"
    if is_disk_full(error):
        return _unwritten(directory, error)
    said = f"internal error: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    if not aloud:
        return said
    with contextlib.suppress(OSError):
        traceback.print_exc()
    return f"{said} (see {directory.log})"


def finish(
    directory: RunDirectory,
    log: EventWriter,
    code: ExitCode,
    status: str,
    reason: str | None,
    *,
    aloud: bool = True,
    **facts: Any,
) -> int:
    """Say the run's end and write its result: that first where it is done, since who hears so will look for it.

    With `aloud` the reason of a failure is said on stderr, too. Returns `code`, or another where this can't be written.
    """
    end = {"status": status, "reason": reason, "processor": _processor_seconds(), **facts}
    try:
        if status == "done":
            _write_result(directory, end)
    except OSError as error:
        code, end = ExitCode.FAILED, {**end, "status": "failed", "reason": _unwritten(directory, error)}
    log.make_room()
    if end["status"] == "failed" and aloud:
        with contextlib.suppress(OSError):
            print(end["reason"], file=sys.stderr)
    try:
        log.write(RunFinished(**end))
        if end["status"] != "done":
            _write_result(directory, end)
    except OSError:  # all that can be told any more is told by the exit code: a run without an end counts as lost
        return code or ExitCode.FAILED
    return code


def _unwritten(directory: RunDirectory, error: Exception) -> str:
    """The line that says which file can't be written, why, and what to do."""
    why = (str(error).splitlines() or [""])[0]
    if isinstance(error, OSError):
        why = f"{error.filename or 'the disk'}: can't be written ({error.strerror or error})"
    return f"{plain(why)}; put that right, then `stitchtui resume {plain(directory.name)}` goes on with what is missing"


def _write_result(directory: RunDirectory, end: dict[str, Any]) -> None:
    state = RunState.load(directory.events)
    state.apply(RunFinished(t=time.time(), **end))
    write_atomically(directory.result, json.dumps(_result(state), indent=1) + "\n")


def _processor_seconds() -> float:
    """What all threads of this worker, and processes that it waited for, have computed so far."""
    used = os.times()
    return round(used.user + used.system + used.children_user + used.children_system, 2)


def _result(state: RunState) -> dict[str, Any]:
    """The run's numbers in one object: every finished cell, every verdict, every check."""
    return {
        "run": state.run,
        "status": state.status,
        "reason": state.reason,
        "networks": {n.name: {"error": n.error, "digest": n.digest} for n in state.networks.values()},
        "cells": [
            {"task": c.task, "cut": c.cut, "identity": c.identity, "reused_from": c.reused_from, **c.measures}
            for c in state.cells.values()
            if c.status == "finished"
        ],
        "failed": [{"task": c.task, "cut": c.cut, "reason": c.reason} for c in state.cells.values() if c.reason],
        "verdicts": {c.heading: v for c in state.columns() if (v := state.verdict(c)) is not None},
        "claims": [asdict(claim) for claim in state.claims],
        "rules": RULES,
        "checks": state.checks,
        "warnings": warnings(state),
    }
