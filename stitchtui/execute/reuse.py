"""Finished cells of earlier runs, found again by their identity."""

from pathlib import Path

from stitchtui.measuring.history import Known
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.events import CellFinished, decode


def finished_elsewhere(here: RunDirectory) -> dict[str, Known]:
    """The finished cells of the other runs in the same place by identity, of the newest run that has them."""
    found: dict[str, Known] = {}
    for run in all_runs(here.path.parent):
        if run.path.resolve() == here.path.resolve():
            continue
        for event in finished_cells(run.events):
            known = Known(event.reused_from or run.name, event.measures, event.wrong or "")
            found.setdefault(event.identity, known)
    return found


def finished_cells(log: Path) -> list[CellFinished]:
    """The cells that a log says are finished; lines of other types are not even parsed."""
    try:
        with log.open("rb") as lines:
            events = [decode(line) for line in lines if b'"cell_finished"' in line]
    except OSError:
        return []
    return [event for event in events if isinstance(event, CellFinished) and event.measures]
