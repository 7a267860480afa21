"""`python -m stitchtui.execute.worker RUN_DIRECTORY`: does a run's work, detached; all that it has to say is events."""

import argparse
import signal
import sys
from pathlib import Path

from stitchtui.base.errors import BadInput, ExitCode
from stitchtui.execute.ending import finish, reason_of
from stitchtui.execute.runner import Stopped
from stitchtui.execute.starting import started
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventWriter


def main() -> int:
    """Do the run; returns the exit code."""
    arguments = _arguments()
    directory = RunDirectory(arguments.directory)
    try:
        log = EventWriter(directory.events)
    except (BadInput, OSError) as error:
        print(error, file=sys.stderr)
        return ExitCode.BAD_INPUT
    with log:
        return _work(directory, log, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stitchtui.execute.worker")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--memory", type=int)
    return parser.parse_args()


def _work(directory: RunDirectory, log: EventWriter, arguments: argparse.Namespace) -> int:
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: asked.append(received))
    said = {name: value for name in ("device", "threads", "memory") if (value := getattr(arguments, name)) is not None}
    try:
        for _ in started(directory, log, said, lambda: bool(asked)):
            pass
    except Stopped:
        return finish(directory, log, ExitCode.DONE, "stopped", "asked to stop")
    except BadInput as error:
        return finish(directory, log, ExitCode.BAD_INPUT, "failed", str(error), bad_input=True)
    except Exception as error:
        return finish(directory, log, ExitCode.FAILED, "failed", reason_of(directory, error))
    return finish(directory, log, ExitCode.DONE, "done", None)


if __name__ == "__main__":
    sys.exit(main())
