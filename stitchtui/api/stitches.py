"""The stitches of a run by cell, those that it took over from earlier runs too."""

from collections.abc import Mapping
from dataclasses import fields

from torch import Tensor

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.measuring.kept import file_name, packed, unpacked
from stitchtui.run.directory import RunDirectory, is_run
from stitchtui.run.records import Cell, TaskState
from stitchtui.run.state import RunState, quick_state
from stitchtui.spec.plan import Task

FOLDER = "stitches"
_FACTS = ("id", "column", *(each.name for each in fields(Task)))


def read(files: Mapping[str, bytes], task: TaskState, cell: Cell) -> dict[str, Tensor]:
    """The tensors of a cell's stitch, from the files of its run. Raises BadInput where there are none."""
    found = unpacked(files.get(f"{FOLDER}/{file_name(task)}", b"")).get(cell.cut)
    if found is None:
        origin = f"; its numbers are those of run {plain(cell.reused_from)}" if cell.reused_from else ""
        raise BadInput.at("cut", f"no file of the run has its stitch{origin}", plain(cell.cut))
    return found


def reused(directory: RunDirectory, state: RunState, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of stitches, by their paths, that are to take the place of the run's own so that none is missing.

    A run keeps the stitches of the cells that it takes over; where it couldn't, or is an earlier version's, the run
    that measured them may still be in the same folder of runs, and has them.
    """
    found: dict[str, bytes] = {}
    taken = [cell for cell in state.cells.values() if cell.reused_from is not None]
    runs = {name: RunDirectory(directory.path.parent / name) for name in {cell.reused_from or "" for cell in taken}}
    others = {name: (run, quick_state(run)) for name, run in runs.items() if is_run(run.path)}
    for task in (state.tasks[id] for id in dict.fromkeys(cell.task for cell in taken)):
        path = f"{FOLDER}/{file_name(task)}"
        own = unpacked(files.get(path, b""))
        missing = [cell for cell in taken if cell.task == task.id and cell.cut not in own]
        more = {cell.cut: stitch for cell in missing if (stitch := _elsewhere(cell, others))}
        if more:
            found[path] = packed({**own, **more}, {name: getattr(task, name) for name in _FACTS})
    return found


def _elsewhere(cell: Cell, others: Mapping[str, tuple[RunDirectory, RunState]]) -> dict[str, Tensor] | None:
    """The stitch of a cell in the run that measured it."""
    if cell.reused_from is None or cell.reused_from not in others:
        return None
    run, state = others[cell.reused_from]
    same = [each for each in state.cells.values() if each.identity == cell.identity and each.reused_from is None]
    for each in same:
        path = run.stitches / file_name(state.tasks[each.task])
        found = unpacked(path.read_bytes() if path.is_file() else b"").get(each.cut)
        if found is not None:
            return found
    return None
