"""A run's directory deleted: never while a worker is at it or may be, and nothing that isn't the run's own."""

import re
import secrets
import shutil
from pathlib import Path

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.text import plain
from stitchtui.run.directory import RunDirectory, all_runs, is_run, read_object
from stitchtui.run.lock import claim, release, turn
from stitchtui.run.process import liveness, same_process
from stitchtui.run.state import quick_state

_DOOMED = re.compile(r"\..+\.[0-9a-f]{8}\.deleted")  # the name of what is being deleted
_ALSO_OURS = ("turn", "room", "nfs")  # beginnings of hidden names; the last is what NFS calls a file that is still open


def dependents(directory: RunDirectory) -> list[str]:
    """Return the names of the runs beside this one that took cells from it; they keep their numbers without it."""
    others = (run for run in all_runs(directory.path.parent) if run.name != directory.name)
    return [run.name for run in others if directory.name in quick_state(run).origins()]


def delete(directory: RunDirectory) -> None:
    """Delete the run: its directory gets another name, under which nobody finds it, and is then removed.

    Raises BadInput for a run that a worker is at or may be at, for a link, and for a directory that holds files which
    aren't the run's; RunFailed where not all of it could be removed.
    """
    if directory.path.is_symlink():
        where = plain(directory.path.resolve())
        raise BadInput(f"run {plain(directory.name)}: is a link to {where}; delete that one, or the link by hand")
    run = RunDirectory(directory.path.resolve())  # whatever led to it, such as `.`
    if not is_run(run.path):
        raise BadInput(f"run {plain(run.name)}: is gone already")
    _refuse_others_files(run)
    doomed = run.path.with_name(f".{run.name[:60]}.{secrets.token_hex(4)}.deleted")
    with turn(run):  # in which no worker is put to it
        refuse_unless_over(run)
        lock = claim(run)
        try:
            run.path.rename(doomed)
        except OSError as error:
            raise BadInput(f"{plain(run.path)}: can't be deleted ({plain(error.strerror or error)})") from None
        finally:
            release(run, lock)
    _remove(doomed)


def _refuse_others_files(run: RunDirectory) -> None:
    own = {path.name for path in run.files()}
    hidden = tuple(f".{name}" for name in (*own, *_ALSO_OURS))
    others = sorted(path.name for path in run.path.iterdir() if path.name not in own)
    others = [name for name in others if not name.startswith(hidden)]
    if others:
        more = f" and {len(others) - 1} more" if others[1:] else ""
        raise BadInput(f"run {plain(run.name)}: holds {plain(others[0])}{more}, not its own; move that away first")


def refuse_unless_over(run: RunDirectory) -> None:
    """Raise BadInput where a worker is at the run, or where nobody here can know that it isn't."""
    name, state = plain(run.name), quick_state(run)
    for said in filter(None, map(read_object, (run.info, run.launched))):
        live = liveness(said)
        ended = state.status in ("done", "failed", "stopped") and same_process(said, state.process or said)
        if live == "alive":
            raise BadInput(f"run {name}: is running; `stitchtui stop {name}` stops it")
        if live != "dead" and not ended:
            where = plain(said.get("host", "another machine"))
            raise BadInput(f"run {name}: its worker, on {where}, may be at it; delete it there, or {plain(run.path)}")


def _remove(doomed: Path) -> None:
    """Remove what is doomed, and what an earlier deletion that was killed has left beside it."""
    for left in doomed.parent.iterdir():
        if left != doomed and _DOOMED.fullmatch(left.name):
            shutil.rmtree(left, ignore_errors=True)
    try:
        shutil.rmtree(doomed)  # which follows no link
    except FileNotFoundError:
        return  # another deletion has removed it
    except OSError as error:
        why = plain(error.strerror or error)
        raise RunFailed(f"{plain(doomed)}: not all of the run could be removed ({why}); remove it by hand") from None
