"""A run done by a program itself, as a notebook does, in place of a worker of its own."""

from collections.abc import Generator, Mapping
from contextlib import closing
from typing import Any, TypeVar

from stitchtui.base import device as devices
from stitchtui.base.errors import BadInput, ExitCode
from stitchtui.execute.ending import finish, reason_of
from stitchtui.execute.runner import Given
from stitchtui.execute.starting import started
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import Event, EventWriter
from stitchtui.run.process import OVER

Y = TypeVar("Y")


def carried_out(
    directory: RunDirectory, said: Mapping[str, Any], given: Given | None = None
) -> Generator[Event, None, None]:
    """Do the run in `directory` as a worker would, `said` as `started` takes it; each event once it is written.

    Where the generator is closed, or an exception such as KeyboardInterrupt leaves it, the run is stopped, and doing it
    again goes on with what is missing. torch's modes, flags, generators and threads are the caller's between events and
    afterwards. Raises BadInput or RunFailed, or what went wrong inside.
    """
    with EventWriter(directory.events) as log:
        try:
            with closing(_apart(started(directory, log, said, given=given, in_process=True))) as work:
                yield from work
        except BadInput as error:
            finish(directory, log, ExitCode.BAD_INPUT, "failed", str(error), bad_input=True, aloud=False)
            raise
        except Exception as error:
            finish(directory, log, ExitCode.FAILED, "failed", reason_of(directory, error, aloud=False), aloud=False)
            raise
        except BaseException:  # Ctrl-C, or nobody wants the rest
            finish(directory, log, ExitCode.DONE, "stopped", "interrupted")
            raise
        else:
            finish(directory, log, ExitCode.DONE, "done", None, aloud=False)
        finally:
            directory.write_info({**directory.read_info(), OVER: True})


def _apart(work: Generator[Y, None, None]) -> Generator[Y, None, None]:
    """`work`, for which torch is as a new process finds it; in between it is as the program has it."""
    torchs = devices.Settings()
    while True:
        with torchs.in_force():
            try:
                said = next(work)
            except StopIteration:
                return
        try:
            yield said
        except GeneratorExit:
            with torchs.in_force():
                work.close()
            raise
