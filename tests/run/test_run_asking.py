"""What is left of a run that is done: cells that failed and could be tried again, columns that were added."""

import json

import pytest
from made_events import event, experiment, whole_run

from stitchtui.run.asking import outstanding
from stitchtui.run.directory import RunDirectory
from stitchtui.run.plan import plan
from stitchtui.run.state import RunState


@pytest.fixture
def finished(tmp_path):
    """A run that is done, and its state."""
    directory = RunDirectory(tmp_path)
    directory.write_experiment(experiment())
    events = json.loads(json.dumps(whole_run()))  # as they come from a log
    state = RunState()
    state.apply_all(events)
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
    failed = {"task": plan(experiment())[-1].id, "cut": "pool", "reason": "diverged"}
    state.apply(event("cell_failed", **failed))
    assert outstanding(directory, state)
    state.apply(event("cell_failed", misfit=True, **failed))
    assert not outstanding(directory, state)
