"""A run is deleted whole or not at all, and nothing but the run."""

import json
import shutil
import threading

import fake_worker as made
import pytest
from made_events import experiment

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.run import control, deletion
from stitchtui.run.deletion import delete, dependents
from stitchtui.run.directory import RunDirectory, all_runs, create
from stitchtui.run.lock import claim, release, turn
from stitchtui.run.process import describe_process


@pytest.fixture
def directory(tmp_path):
    made = create(experiment(), tmp_path / "runs")
    (made.stitches / "one.safetensors").write_bytes(b"weights")
    return made


ELSEWHERE = {"pid": 7, "host": "far-away", "boot": "b", "start": 3.0}


def test_a_deleted_run_is_gone_with_all_that_is_its_own_and_hidden(directory):
    directory.write_info({})
    with turn(directory):
        pass  # leaves a hidden file
    delete(directory)
    assert list(directory.path.parent.iterdir()) == []
    with pytest.raises(BadInput, match="is gone already"):
        delete(directory)


def test_links_in_it_are_removed_and_what_they_lead_to_stays(directory, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine").write_text("mine")
    shutil.rmtree(directory.stitches)
    directory.stitches.symlink_to(kept)
    linked = RunDirectory(directory.path.with_name("linked"))
    linked.path.symlink_to(directory.path)
    with pytest.raises(BadInput, match="is a link to"):
        delete(linked)
    delete(directory)
    assert (kept / "mine").read_text() == "mine"
    assert [path.name for path in directory.path.parent.iterdir()] == ["linked"]


def test_a_run_is_found_by_any_path_to_it_and_its_parents_stay(directory, monkeypatch):
    monkeypatch.chdir(directory.stitches)
    delete(RunDirectory(directory.stitches.parent / "stitches" / ".."))
    assert all_runs(directory.path.parent) == [] and directory.path.parent.is_dir()


@pytest.mark.parametrize("name", ["report.html", ".git", "data"])
def test_a_directory_with_anything_of_others_is_left_as_it_is(directory, name):
    (directory.path / name).mkdir()
    with pytest.raises(BadInput, match=rf"holds {name}, not its own; move that away first"):
        delete(directory)
    assert directory.experiment.is_file()


@pytest.mark.parametrize("file", ["info", "launched"])
def test_a_run_that_a_worker_is_at_is_not_deleted(directory, file):
    getattr(directory, file).write_text(json.dumps(describe_process()))
    with pytest.raises(BadInput, match="is running; `stitchtui stop"):
        delete(directory)
    assert directory.experiment.is_file()


def test_a_run_that_a_writer_holds_is_not_deleted(directory):
    lock = claim(directory)
    with pytest.raises(BadInput, match="is working on it"):
        delete(directory)
    release(directory, lock)
    delete(directory)


def test_a_run_of_another_machine_is_deleted_only_where_its_log_says_that_this_worker_ended(directory):
    directory.write_info(ELSEWHERE)
    with pytest.raises(BadInput, match="on far-away, may be at it"):
        delete(directory)
    made.write_log(directory.events, [{"t": 1.0, **event} for event in (made.begun(process=ELSEWHERE), made.ended())])
    directory.launched.write_text('{"pid": 8, "host": "far-away", "boot": "b", "start": 4.0}')
    with pytest.raises(BadInput, match="may be at it"):  # it was resumed there, and hasn't spoken yet
        delete(directory)
    directory.launched.unlink()
    delete(directory)


def test_who_resumes_a_run_while_it_is_deleted_hears_of_it_and_starts_nothing(directory, monkeypatch):
    said, waiting = [], threading.Event()

    def resume():
        waiting.set()
        try:
            control.launch(directory, command=("false",))
        except BadInput as error:
            said.append(str(error))

    resumes = threading.Thread(target=resume)

    def late(run):  # called while the deletion has its turn
        resumes.start()
        waiting.wait()

    monkeypatch.setattr(deletion, "refuse_unless_over", late)
    delete(directory)
    resumes.join()
    assert len(said) == 1 and not directory.path.exists()


def test_a_turn_is_not_given_on_what_is_no_run_any_more(directory):
    delete(directory)
    directory.path.mkdir()  # as the lock's library may do for one who waits
    with pytest.raises(BadInput, match="is gone; it was deleted"):
        control.launch(directory, command=("false",))


def test_what_a_killed_deletion_left_is_no_run_and_goes_with_the_next(directory, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(deletion, "_remove", lambda doomed: None)
        delete(directory)
    assert len(list(directory.path.parent.iterdir())) == 1
    assert all_runs(directory.path.parent) == []
    other = create(experiment(), directory.path.parent)
    mine = directory.path.with_name(".mine.deleted")
    mine.mkdir()
    delete(other)
    assert list(directory.path.parent.iterdir()) == [mine]


def test_what_can_not_be_removed_is_named(directory, monkeypatch):
    def refused(path, **_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(deletion.shutil, "rmtree", refused)
    with pytest.raises(RunFailed, match=r"\.deleted: not all of the run could be removed \(Permission denied\)"):
        delete(directory)


def test_runs_that_took_cells_from_it_are_named(directory):
    for name, origin in (("taker", directory.name), ("stranger", "another"), ("own", None)):
        other = RunDirectory(directory.path.with_name(name))
        other.path.mkdir()
        cell = {**made.cell(made.tasks()[0]["id"], "pool", 0.5), "reused_from": origin}
        made.write_log(other.events, [{"t": 1.0, **event} for event in (made.begun(), cell)])
    assert dependents(directory) == ["taker"]
