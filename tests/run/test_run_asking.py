"""What is left of a run that is done: cells that failed and could be tried again, columns that were added."""

import subprocess
import sys

import pytest
from made_events import event, experiment, whole_run

from stitchtui.run.asking import outstanding, see_to
from stitchtui.run.control import AlreadyRunning
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import decode, encode
from stitchtui.run.state import RunState
from stitchtui.spec.plan import resolve


@pytest.fixture
def finished(tmp_path):
    """A run that is done, and its state."""
    directory = RunDirectory(tmp_path)
    directory.write_experiment(experiment())
    state = RunState()
    state.apply_all(decode(encode(event)) for event in whole_run())  # as they come from a log
    return directory, state


def test_nothing_is_left_of_a_run_that_is_done(finished):
    assert not outstanding(*finished)


def test_columns_that_experiment_toml_was_given_since_are_left(finished):
    directory, state = finished
    directory.write_experiment(experiment().model_copy(update={"controls": ("self_stitch", "identity", "random_top")}))
    assert not outstanding(directory, state), "another experiment is no more of this one"
    directory.write_experiment(experiment().model_copy(update={"controls": (*experiment().controls, "random_top")}))
    assert outstanding(directory, state)


def test_words_that_were_changed_are_no_columns(finished):
    directory, state = finished
    directory.write_experiment(experiment().model_copy(update={"title": "Another title"}))
    assert not outstanding(directory, state)


@pytest.mark.parametrize("text", ["", "networks = 3", "[[[", None])
def test_an_experiment_that_can_not_be_read_asks_for_nothing(finished, text):
    directory, state = finished
    directory.experiment.unlink()
    if text is not None:
        directory.experiment.write_text(text)
    assert not outstanding(directory, state)


def test_a_cell_that_failed_is_left_unless_none_can_be(finished):
    directory, state = finished
    failed = {"task": resolve(experiment()).tasks[-1].id, "cut": "pool", "reason": "diverged"}
    state.apply(event("cell_failed", **failed))
    assert outstanding(directory, state)
    state.apply(event("cell_failed", misfit=True, **failed))
    assert not outstanding(directory, state)


ASKER = (
    "import sys; from pathlib import Path; from stitchtui.spec.experiment import Request\n"
    "from stitchtui.run.asking import ask; from stitchtui.run.directory import RunDirectory\n"
    "from stitchtui.run.state import RunState\n"
    "directory, steps = RunDirectory(Path(sys.argv[1])), int(sys.argv[2])\n"
    "stitch = directory.read_experiment().stitch\n"
    "print('ready', flush=True); sys.stdin.readline()\n"
    "ask(directory, Request(stitch=stitch.model_copy(update={'steps': steps})), RunState())\n"
)


def test_of_many_that_ask_at_once_every_request_is_there(finished):
    directory, _ = finished
    steps = range(10, 15)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    commands = [[sys.executable, "-c", ASKER, str(directory.path), str(number)] for number in steps]
    askers = [subprocess.Popen(command, **pipes) for command in commands]
    assert [asker.stdout.readline() for asker in askers] == ["ready\n"] * len(steps)
    for asker in askers:
        asker.stdin.write("\n")
        asker.stdin.flush()
    for asker in askers:
        asker.communicate()
    assert [asker.returncode for asker in askers] == [0] * len(steps)
    assert sorted(request.stitch.steps for request in directory.read_experiment().also) == list(steps)


def test_what_was_asked_for_is_waited_for_where_someone_else_launched_a_worker_just_before(finished):
    directory, state = finished
    tasks = [task.id for task in state.tasks.values() if task.kind == "column"]

    def launch():
        directory.events.write_bytes(b"".join(encode(each) + b"\n" for each in whole_run()))
        raise AlreadyRunning("run x: is running already")

    assert see_to(directory, tasks, launch) is None
    directory.events.unlink()
    assert see_to(directory, tasks, lambda: "launched") == "launched"
