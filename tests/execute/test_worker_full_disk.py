"""A disk that fills leaves a run that says so, in its log, in worker.log and by the exit code, and can be resumed."""

import argparse
import errno
import json
import os
from pathlib import Path
from typing import Any

import logged
import pytest
from fake_worker import begun, measured

from stitchtui.base.errors import ExitCode
from stitchtui.base.files import is_disk_full, write_atomically
from stitchtui.execute import ending, worker
from stitchtui.run import events
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventWriter, RunFinished, read_events
from stitchtui.run.state import RunState

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path)


@pytest.fixture
def full(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A disk that is full once this says so, but for the room that the log keeps."""
    now, write = [False], os.write

    def limited(file: int, data: bytes) -> int:
        if now[0] and (directory.path / ".room").exists():
            write(file, data[:7])
            raise OSError(*FULL.args)
        return write(file, data)

    monkeypatch.setattr(events.os, "write", limited)
    return now


def say(log: EventWriter, said: dict[str, Any]) -> None:
    log.write(logged.event(said))


def work(directory: RunDirectory, does: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a worker that does what it is given."""
    monkeypatch.setattr(worker, "started", lambda *_: does(log) or ())
    monkeypatch.setattr(worker.signal, "signal", lambda *_: None)
    with EventWriter(directory.events) as log:
        return worker._work(directory, log, argparse.Namespace(device=None, threads=None, memory=None))


def test_a_disk_that_fills_while_cells_are_measured_is_the_runs_reason(
    directory: RunDirectory, full: list[bool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def does(log: EventWriter) -> None:
        say(log, begun())
        full[0] = True
        say(log, next(measured()))

    assert work(directory, does, monkeypatch) == ExitCode.FAILED
    state = RunState.load(directory.events)
    said = f"{directory.events}: can't be written (No space left on device); put that right, then `stitchtui resume "
    assert state.status == "failed" and (state.reason or "").startswith(said)
    assert capsys.readouterr().err == f"{state.reason}\n"
    assert json.loads(directory.result.read_text())["reason"] == state.reason
    assert not (directory.path / ".room").exists()


def test_a_disk_that_fills_when_the_result_is_written_makes_no_run_that_is_done(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(path: Path, _: str) -> None:
        error = OSError(*FULL.args)
        error.filename = str(path)
        raise error

    def does(log: EventWriter) -> None:
        for event in [begun(), *measured()]:
            say(log, event)

    with monkeypatch.context() as patched:
        patched.setattr(ending, "write_atomically", no_room)
        assert work(directory, does, patched) == ExitCode.FAILED
    assert [e.status for e in read_events(directory.events) if isinstance(e, RunFinished)] == ["failed"]
    reason = RunState.load(directory.events).reason or ""
    assert f"{directory.result}: can't be written (No space left on device)" in reason
    assert capsys.readouterr().err == f"{reason}\n"
    assert work(directory, lambda log: say(log, begun(resumed=True)), monkeypatch) == ExitCode.DONE
    assert RunState.load(directory.events).status == json.loads(directory.result.read_text())["status"] == "done"


def test_where_not_even_the_end_can_be_written_the_exit_code_and_worker_log_tell(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nothing_more(*_: object) -> int:
        raise OSError(*FULL.args)

    def does(log: EventWriter) -> None:
        say(log, begun())
        monkeypatch.setattr(events.os, "write", nothing_more)

    assert work(directory, does, monkeypatch) == ExitCode.FAILED
    assert RunState.load(directory.events).status == "running"  # and so is lost, once its process is over


def test_a_traceback_that_has_no_room_does_not_keep_the_end_from_being_said(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room() -> None:
        raise OSError(*FULL.args)

    def does(log: EventWriter) -> None:
        say(log, begun())
        raise KeyError("a fault")

    monkeypatch.setattr(ending.traceback, "print_exc", no_room)
    assert work(directory, does, monkeypatch) == ExitCode.FAILED
    assert "internal error: KeyError" in (RunState.load(directory.events).reason or "")


def test_other_libraries_words_for_a_full_disk_are_known() -> None:
    assert is_disk_full(FULL) and is_disk_full(OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert is_disk_full(RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"))
    assert not is_disk_full(PermissionError(errno.EACCES, "Permission denied"))
    assert not is_disk_full(RuntimeError("the sizes differ"))


def test_a_file_that_has_no_room_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_: int) -> None:
        raise OSError(*FULL.args)

    monkeypatch.setattr("stitchtui.base.files.os.fsync", no_room)
    with pytest.raises(OSError, match=r"No space left on device: .*result\.json"):
        write_atomically(tmp_path / "result.json", "{}")
    assert list(tmp_path.iterdir()) == []
