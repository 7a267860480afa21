"""A run's work from its directory: who does it and with what is written down, then it is done, event by event."""

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import torch

from stitchtui.base import device as devices
from stitchtui.base.errors import BadInput
from stitchtui.execute.runner import Given, Runner, versions
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Event, EventWriter
from stitchtui.run.process import IN_PROCESS, describe_process
from stitchtui.spec.plan import resolve


def started(
    directory: RunDirectory,
    log: EventWriter,
    said: Mapping[str, Any],
    stopping: Callable[[], bool] = lambda: False,
    *,
    given: Given | None = None,
    in_process: bool = False,
) -> Generator[Event, None, None]:
    """Do the run's work; each event is yielded once it is written.

    With `in_process` this process is no worker of the run's own, and nobody is to stop it.

    `said` may hold a `device`, `threads` and `memory` in bytes; what isn't said is as an earlier worker on this run was
    told, since other threads or another device round otherwise. Raises Stopped, BadInput or RunFailed.
    """
    asked_for = {**_object(directory.read_info().get("asked_for")), **said}
    if threads := asked_for.get("threads"):
        torch.set_num_threads(int(threads))
    info = {**describe_process(), "started": time.time(), "asked_for": asked_for, "versions": versions()}
    info |= {IN_PROCESS: True} if in_process else {}
    directory.write_info(info)
    runner = Runner(directory, resolve(directory.read_experiment()), log.write, stopping, given)
    name = str(asked_for.get("device", "auto"))
    try:
        device = devices.pick(name)
    except BadInput:
        runner.announce(name)  # a run that ends must have begun, for whoever reads its log
        raise
    devices.compute_in_full_float32()
    directory.write_info({**info, "device": devices.describe(device), "hardware": devices.hardware()})
    yield runner.announce(devices.describe(device))
    yield from runner.run(device, asked_for.get("memory"))


def _object(value: object) -> dict[str, Any]:
    """`value` if it is an object, else an empty one: run.json may come from anywhere."""
    return value if isinstance(value, dict) else {}
