"""A run has one worker: the lock is honoured while its holder lives, and taken over when it died here."""

import json
import subprocess
import sys

import pytest

from stitchtui.errors import BadInput
from stitchtui.run import lock
from stitchtui.run.directory import RunDirectory
from stitchtui.run.lock import claim, release
from stitchtui.run.process import describe_process


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path)


@pytest.fixture
def dead():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        described = describe_process(process.pid)
        process.communicate(b"\n")
    return described


def test_a_claimed_run_cannot_be_claimed_again_until_released(directory):
    claim(directory)
    with pytest.raises(BadInput, match=r"process \d+ on .* is working on it"):
        claim(directory)
    release(directory)
    assert not directory.lock.exists()
    claim(directory)


def test_the_lock_of_a_process_that_died_here_is_taken_over(directory, dead):
    directory.lock.write_text(json.dumps(dead))
    claim(directory)
    assert json.loads(directory.lock.read_text()) == describe_process()
    release(directory)
    assert list(directory.path.iterdir()) == []


def test_a_takeover_whose_process_died_midway_is_taken_over_itself(directory, dead, monkeypatch):
    directory.lock.write_text(json.dumps(dead))
    monkeypatch.setattr(lock, "write_atomically", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        claim(directory)
    monkeypatch.undo()
    (token,) = directory.path.glob(".lock-after-*")
    token.write_text(json.dumps(dead))  # as if the one that made it had died with it
    claim(directory)
    assert json.loads(directory.lock.read_text()) == describe_process()


def test_without_links_the_lock_is_made_all_the_same(directory, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(lock.os, "link", no_links)
    claim(directory)
    assert json.loads(directory.lock.read_text()) == describe_process()
    with pytest.raises(BadInput, match="is working on it"):
        claim(directory)


def test_a_process_that_got_a_dead_holders_pid_is_not_taken_for_it(directory):
    directory.lock.write_text(json.dumps({**describe_process(), "create_time": 1.0}))
    claim(directory)


def test_the_lock_of_another_host_is_honoured_and_names_host_and_file(directory):
    directory.lock.write_text(json.dumps({**describe_process(), "host": "gpu\x1b7"}))
    with pytest.raises(BadInput, match=r"on gpu\?7 holds it and can't be asked from here; .* delete .*lock"):
        claim(directory)


@pytest.mark.parametrize("content", ["", "{", '{"pid": 3}', "[]"])
def test_a_lock_that_nobody_finishes_writing_is_taken_over(directory, content, monkeypatch):
    monkeypatch.setattr(lock, "_WRITING", 0.05)
    directory.lock.write_text(content)
    claim(directory)
    assert json.loads(directory.lock.read_text()) == describe_process()


def test_a_lock_with_values_that_make_no_sense_is_honoured(directory):
    directory.lock.write_text(json.dumps({"pid": "me", "host": "here", "create_time": None}))
    with pytest.raises(BadInput, match="can't be asked"):
        claim(directory)


def test_a_slow_takeover_leaves_the_lock_of_who_was_quicker(directory, dead, monkeypatch):
    winner = describe_process()
    directory.lock.write_text(json.dumps(winner))
    monkeypatch.setattr(lock, "_holder", lambda _: dead)  # what the slow one saw before the winner came
    with pytest.raises(BadInput, match="keep taking its lock"):
        claim(directory)
    assert json.loads(directory.lock.read_text()) == winner


def test_releasing_a_lock_of_someone_else_leaves_it(directory, dead):
    directory.lock.write_text(json.dumps(dead))
    release(directory)
    assert directory.lock.exists()


def test_releasing_what_was_never_claimed_is_fine(directory):
    release(directory)


def test_a_directory_that_is_gone_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="can't be made"):
        claim(RunDirectory(tmp_path / "gone"))


def test_of_many_processes_that_claim_at_once_one_gets_the_run(directory, dead):
    directory.lock.write_text(json.dumps(dead))
    script = (
        "import sys, pathlib; from stitchtui.errors import BadInput\n"
        "from stitchtui.run.lock import claim; from stitchtui.run.directory import RunDirectory\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "try: claim(RunDirectory(pathlib.Path(sys.argv[1])))\n"
        "except BadInput: print('refused', flush=True)\n"
        "else: print('mine', flush=True)\n"
        "sys.stdin.readline()\n"
    )
    command = [sys.executable, "-c", script, str(directory.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen(command, **pipes) for _ in range(6)]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 6
    for racer in racers:
        racer.stdin.write("\n")
        racer.stdin.flush()
    answers = [racer.stdout.readline() for racer in racers]
    for racer in racers:
        racer.communicate("\n")
    assert sorted(answers) == ["mine\n", *["refused\n"] * 5]
