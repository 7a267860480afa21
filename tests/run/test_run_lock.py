"""A run has one writer: the system's lock decides, whatever files say and whatever is believed of its holder."""

import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from stitchtui.base.errors import BadInput
from stitchtui.run import lock
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventWriter, read_events
from stitchtui.run.lock import claim, release, turn
from stitchtui.run.process import describe_process

WRITER = (
    "import sys; from pathlib import Path; from stitchtui.base.errors import BadInput\n"
    "from stitchtui.run.events import EventWriter, Warned\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "try: log = EventWriter(Path(sys.argv[1]))\n"
    "except BadInput as error: print(error, flush=True)\n"
    "else: log.write(Warned(text='mine')); print('mine', flush=True)\n"
    "sys.stdin.readline()\n"
)


@pytest.fixture
def directory(tmp_path):
    run = RunDirectory(tmp_path)
    run.experiment.touch()
    return run


@pytest.fixture
def dead():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        described = describe_process(process.pid)
        process.communicate(b"\n")
    return described


@pytest.fixture
def writers(directory):
    """Makes processes that open the run's log when they are told to."""
    made = []

    def start(count):
        command = [sys.executable, "-c", WRITER, str(directory.events)]
        new = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        made.extend(new)
        assert [each.stdout.readline() for each in new] == ["ready\n"] * count
        return new

    yield start
    for each in made:
        each.kill()
        each.communicate()


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_claimed_run_cannot_be_claimed_again_until_released(directory):
    held = claim(directory)
    with pytest.raises(BadInput, match=rf"process {os.getpid()} on .* is working on it; stop that first"):
        claim(directory)
    release(directory, held)
    assert not directory.lock.exists()
    release(directory, claim(directory))


def test_of_many_writers_that_open_a_log_at_once_one_writes(directory, dead, writers):
    directory.lock.write_text(json.dumps(dead))
    racers = writers(6)
    for racer in racers:
        tell(racer)
    answers = sorted(racer.stdout.readline() for racer in racers)
    assert answers.pop(0) == "mine\n"
    assert all("is working on it" in answer for answer in answers)
    assert [event.text for event in read_events(directory.events)] == ["mine"]


def test_a_writer_that_was_killed_leaves_no_lock_behind(directory, writers):
    first, second = writers(2)
    tell(first)
    assert first.stdout.readline() == "mine\n"
    first.send_signal(signal.SIGKILL)
    first.wait()
    tell(second)
    assert second.stdout.readline() == "mine\n"
    assert json.loads(directory.lock.read_text())["pid"] == second.pid


@pytest.mark.parametrize("believed", ["dead", "unknown", "elsewhere"])
def test_a_writer_that_lives_is_the_only_one_whatever_is_believed_of_it(directory, writers, monkeypatch, believed):
    (first,) = writers(1)
    tell(first)
    assert first.stdout.readline() == "mine\n"
    monkeypatch.setattr(lock, "liveness", lambda _: believed)
    with pytest.raises(BadInput, match=rf"process {first.pid} on .* is working on it"):
        EventWriter(directory.events)
    directory.lock.unlink()
    with pytest.raises(BadInput, match="another process is working on it"):
        EventWriter(directory.events)


def test_a_log_that_cannot_be_opened_gives_the_run_back(directory):
    directory.events.mkdir()
    with pytest.raises(IsADirectoryError):
        EventWriter(directory.events)
    release(directory, claim(directory))


def test_the_name_of_a_process_that_died_here_is_replaced(directory, dead):
    directory.lock.write_text(json.dumps(dead))
    held = claim(directory)
    assert json.loads(directory.lock.read_text()) == describe_process()
    release(directory, held)


def test_a_process_that_got_a_dead_holders_pid_is_not_taken_for_it(directory):
    directory.lock.write_text(json.dumps({**describe_process(), "start": 1}))
    release(directory, claim(directory))


@pytest.mark.parametrize(
    "named",
    [
        {**describe_process(), "host": "gpu\x1b7"},
        {"pid": 1, "host": "gpu\x1b7", "create_time": 1.0},  # as earlier versions wrote it
    ],
)
def test_a_holder_on_another_host_is_honoured_and_the_line_says_where_and_what_to_do(directory, named):
    directory.lock.write_text(json.dumps(named))
    with pytest.raises(BadInput, match=r"on gpu\?7 holds it and can't be asked from here; .* delete .*lock"):
        claim(directory)
    directory.lock.unlink()
    release(directory, claim(directory))


def test_a_holder_that_an_earlier_version_named_is_honoured_while_its_pid_is_in_use(directory, dead):
    named = {"pid": os.getpid(), "host": describe_process()["host"], "create_time": 1.0}
    directory.lock.write_text(json.dumps(named))
    with pytest.raises(BadInput, match="can't be asked from here; if it is over, delete"):
        claim(directory)
    directory.lock.write_text(json.dumps({**named, "pid": dead["pid"]}))
    release(directory, claim(directory))


@pytest.mark.parametrize("content", ["", "{", '{"pid": 3}', "[]"])
def test_a_lock_that_names_nobody_keeps_nobody_away(directory, content):
    directory.lock.write_text(content)
    held = claim(directory)
    assert json.loads(directory.lock.read_text()) == describe_process()
    release(directory, held)


def test_a_lock_with_values_that_make_no_sense_is_honoured(directory):
    directory.lock.write_text(json.dumps({"pid": "me", "host": "here", "create_time": None}))
    with pytest.raises(BadInput, match="can't be asked"):
        claim(directory)


def test_a_directory_that_is_gone_is_bad_input_and_stays_gone(tmp_path):
    with pytest.raises(BadInput, match=r"can't be made and locked \(no such directory\)"):
        claim(RunDirectory(tmp_path / "gone"))
    assert not (tmp_path / "gone").exists()


def test_a_file_system_without_locks_is_refused_in_one_line(directory, monkeypatch):
    def no_locks(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    with pytest.raises(BadInput, match=r"\.lock: can't be made and locked \(No locks available\)"):
        claim(directory)


def test_turns_are_taken_one_after_another(directory, monkeypatch):
    order = []

    def second():
        with turn(directory):
            order.append("second")

    thread = threading.Thread(target=second)
    with turn(directory):
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    monkeypatch.setattr(lock, "_PATIENCE", 0.1)
    with turn(directory), pytest.raises(BadInput, match="another process is changing it"):
        second()
