"""Finished cells of earlier runs, found again by their identity."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from stitchtui.measuring.history import Known
from stitchtui.measuring.kept import file_name
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.events import CellFinished, Event, RunStarted, decode


def finished_elsewhere(here: RunDirectory) -> dict[str, Known]:
    """The finished cells of the other runs in the same place by identity, of the newest run that has them.

    Their stitches may be kept by any of the runs that have them.
    """
    found: dict[str, Known] = {}
    for run in all_runs(here.path.parent):
        if run.path.resolve() == here.path.resolve():
            continue
        for identity, known in _finished(run):
            newer = found.get(identity)
            found[identity] = replace(newer, kept=(*newer.kept, *known.kept)) if newer else known
    return found


def _finished(run: RunDirectory) -> Iterator[tuple[str, Known]]:
    """A run's finished cells with their identities."""
    events = _events(run.events)
    cells = [event for event in events if isinstance(event, CellFinished) and event.measures]
    planned = [task for event in events if isinstance(event, RunStarted) for task in event.tasks]
    files = {task.id: run.stitches / file_name(task) for task in planned}
    last = {(cell.task, cell.cut): cell.identity for cell in cells}  # whose stitch the file has
    for cell in cells:
        has = cell.task in files and last[cell.task, cell.cut] == cell.identity
        kept = ((files[cell.task], cell.cut),) if has else ()
        yield cell.identity, Known(cell.reused_from or run.name, cell.measures, cell.wrong or "", kept)


def _events(log: Path) -> list[Event]:
    """The events of a log that tell of tasks and finished cells; lines of other types are not even parsed."""
    try:
        with log.open("rb") as lines:
            told = (line for line in lines if b'"cell_finished"' in line or b'"run_started"' in line)
            return [event for event in map(decode, told) if event is not None]
    except OSError:
        return []
