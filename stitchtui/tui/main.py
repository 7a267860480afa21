"""Start the terminal app, and say on the way out what goes on without it."""

from typing import TYPE_CHECKING

from stitchtui.base.errors import ExitCode
from stitchtui.base.signals import HUNG_UP
from stitchtui.base.text import plain

if TYPE_CHECKING:
    from stitchtui.run.directory import RunDirectory


def main(run: str | None = None, ascii: bool = False) -> int:
    """Show `run` (a name, a beginning of one, a path, or `last`), or the newest; returns the exit code.

    Raises BadInput where there is no such run.
    """
    directory = None if run is None else _found(run)
    from stitchtui.tui.app import StitchApp  # after the run was found: an error shouldn't wait for textual
    from stitchtui.tui.terminal import survive_its_end

    survive_its_end()
    app = StitchApp(directory, ascii)
    going_on = app.run()
    if going_on and app.return_code != HUNG_UP:  # nobody is there to read it
        name = plain(going_on)
        print(f"run {name} goes on; `stitchtui` shows it again, `stitchtui stop {name}` stops it")
    return app.return_code or ExitCode.DONE


def _found(run: str) -> "RunDirectory":
    from stitchtui.run.directory import find  # the first picture needs no run

    return find(run)
