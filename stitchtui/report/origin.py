"""What a report says of a run beside its log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stitchtui.run import control
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import RunState


@dataclass(frozen=True)
class Origin:
    """How a run is, as `run.control.status` says it, what its run.json holds, and the command that started it."""

    condition: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""


def origin_of(directory: RunDirectory, state: RunState) -> Origin:
    """Return what is known of the run in `directory`, whose log gave `state`."""
    return Origin(control.status(directory, state), directory.read_info(), directory.read_command())
