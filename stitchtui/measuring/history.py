"""What was measured before: cells of other runs, and tasks of this one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Known:
    """A finished cell of an earlier run."""

    run: str
    measures: Mapping[str, float | None]
    wrong: str = ""  # which test images it answers wrongly, packed
    kept: tuple[tuple[Path, str], ...] = ()  # the files that may hold its stitch, and its row in each


@dataclass(frozen=True)
class History:
    """Finished cells by identity; and of each task that this run has ended before, every row's identity.

    The identity is None where a cell has no number.
    """

    cells: Mapping[str, Known] = field(default_factory=dict)
    tasks: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
