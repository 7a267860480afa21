"""Finished cells of earlier runs, found again by their identity."""

from pathlib import Path
from typing import Any

from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.events import CellFinished, decode


class Finished:
    """Identity -> the `cell_finished` of another run in the same place; read once, newest run first."""

    def __init__(self, here: RunDirectory) -> None:
        self._cells: dict[str, dict[str, Any]] = {}
        for run in all_runs(here.path.parent):
            if run.path.resolve() != here.path.resolve():
                self._read(run)

    def find(self, identity: str) -> dict[str, Any] | None:
        """`{"run": name, "measures": {...}, "wrong": ...}` of a cell with this identity, or None."""
        return self._cells.get(identity)

    def _read(self, run: RunDirectory) -> None:
        for event in finished_cells(run.events):
            found = {"run": event.reused_from or run.name, "measures": event.measures, "wrong": event.wrong or ""}
            self._cells.setdefault(event.identity, found)


def finished_cells(log: Path) -> list[CellFinished]:
    """The `cell_finished` events of a log; lines of other types are not even parsed."""
    try:
        with log.open("rb") as lines:
            events = [decode(line) for line in lines if b'"cell_finished"' in line]
    except OSError:
        return []
    return [event for event in events if isinstance(event, CellFinished) and event.measures]
