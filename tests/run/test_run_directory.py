"""Run directories are made whole, found by name, and never trusted."""

import json
import os
from pathlib import Path

import pytest
from made_events import experiment

from stitchtui.base.errors import BadInput
from stitchtui.base.files import write_atomically
from stitchtui.run.directory import RunDirectory, all_runs, create, find


def make(parent, name, content=b""):
    path = parent / name
    path.mkdir(parents=True)
    (path / "events.jsonl").write_bytes(content)
    return path


def test_a_new_run_holds_its_experiment_with_every_default_written_out(tmp_path):
    made = experiment()
    directory = create(made, tmp_path)
    assert directory.read_experiment() == made
    assert "evaluation_batch = 500" in directory.experiment.read_text("utf-8")
    assert directory.stitches.is_dir()
    assert directory.read_info() == {}


def test_a_runs_name_is_the_time_and_a_slug_without_anything_hostile(tmp_path):
    hostile = experiment().model_copy(update={"name": "..\\ [red]Évil\u202e; rm -rf *"})
    assert create(hostile, tmp_path).name[15:] == "-red-vil-rm-rf"
    nameless = experiment().model_copy(update={"name": "猫"})
    assert create(nameless, tmp_path).name[15:] == "-run"


def test_runs_made_in_the_same_second_get_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("stitchtui.run.directory.time.strftime", lambda *_: "20240101-000000")
    names = [create(experiment(), tmp_path).name for _ in range(11)]
    assert names[0] == "20240101-000000-two-seeds"
    assert names[1] == "20240101-000000-two-seeds-2"
    assert [run.name for run in all_runs(tmp_path)] == names[::-1]


def test_runs_go_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("STITCHTUI_RUNS", str(tmp_path / "elsewhere"))
    assert create(experiment()).path.parent == tmp_path / "elsewhere"
    assert len(all_runs()) == 1
    assert find("last") == all_runs()[0]


def test_a_parent_that_is_a_file_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="can't make a run directory there"):
        create(experiment(), tmp_path / "file")


def test_a_name_that_utf_8_cannot_hold_is_bad_input(tmp_path):
    made = experiment().model_copy(update={"title": "caf\udce9"})
    with pytest.raises(BadInput, match="not UTF-8"):
        create(made, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_runs_are_listed_newest_first_and_other_things_are_not(tmp_path):
    for name in ("20230101-000000-b", "20240101-000000-a", "20220505-101010-c"):
        make(tmp_path, name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "events.jsonl").write_text("")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    assert [run.name[0:4] for run in all_runs(tmp_path)] == ["2024", "2023", "2022"]


def test_a_run_with_a_chosen_name_is_listed_by_its_time(tmp_path):
    make(tmp_path, "20230101-000000-b")
    chosen = make(tmp_path, "chosen 3")
    os.utime(chosen, (1, 1))
    assert [run.name for run in all_runs(tmp_path)] == ["20230101-000000-b", "chosen 3"]


def test_where_there_are_no_runs_none_are_listed(tmp_path):
    assert all_runs(tmp_path / "nowhere") == []


def test_a_run_is_found_by_name_start_path_and_as_the_last(tmp_path, monkeypatch):
    old, new = make(tmp_path / "runs", "20230101-000000-b"), make(tmp_path / "runs", "20240101-000000-b")
    parent = tmp_path / "runs"
    assert find("last", parent).path == new
    assert find("20230101-000000-b", parent).path == old
    assert find("2023", parent).path == old
    assert find(str(old), tmp_path / "other").path == old
    monkeypatch.chdir(parent)
    assert find("./20230101-000000-b", tmp_path / "other").path == old


def test_a_full_name_is_preferred_to_a_longer_one_that_starts_with_it(tmp_path):
    make(tmp_path, "20230101-000000-b-2")
    assert find("20230101-000000-b", tmp_path).name == "20230101-000000-b-2"
    make(tmp_path, "20230101-000000-b")
    assert find("20230101-000000-b", tmp_path).name == "20230101-000000-b"


def test_a_start_that_means_several_runs_names_them(tmp_path):
    make(tmp_path, "20230101-000000-a")
    make(tmp_path, "20230101-000000-b")
    with pytest.raises(BadInput, match=r"more than one run \(20230101-000000-b, 20230101-000000-a\)"):
        find("2023", tmp_path)


@pytest.mark.parametrize("word", ["nothing", "", "last", "\x00", "x" * 5000, "../.."])
def test_a_word_that_means_no_run_says_where_to_look(tmp_path, word):
    with pytest.raises(BadInput, match=r"no such run in .*`stitchtui runs` lists them"):
        find(word, tmp_path)


def test_control_characters_of_a_wrong_word_never_reach_the_message(tmp_path):
    with pytest.raises(BadInput) as caught:
        find("\x1b[2Jx\n", tmp_path)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"pid": ' + b"9" * 5000 + b"}"]
)
def test_a_malformed_run_json_reads_as_empty(tmp_path, content):
    directory = RunDirectory(make(tmp_path, "run"))
    directory.info.write_bytes(content)
    assert directory.read_info() == {}


def test_a_run_json_that_is_a_pipe_or_a_directory_reads_as_empty(tmp_path):
    pipe, other = RunDirectory(make(tmp_path, "one")), RunDirectory(make(tmp_path, "two"))
    os.mkfifo(pipe.info)
    other.info.mkdir()
    assert pipe.read_info() == other.read_info() == {}


def test_run_json_is_read_as_it_was_written(tmp_path):
    directory = RunDirectory(make(tmp_path, "run"))
    directory.write_info({"pid": 3, "host": "box"})
    assert directory.read_info() == {"pid": 3, "host": "box"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"name = ", "can't be read as an experiment"),
        (b"\xff", "can't be read as an experiment"),
        (b"name = 'x'\n", "networks: expected a value, but there is none"),
    ],
)
def test_a_malformed_experiment_is_bad_input_that_names_the_file(tmp_path, content, expected):
    directory = RunDirectory(make(tmp_path, "run"))
    directory.experiment.write_bytes(content)
    with pytest.raises(BadInput, match=expected) as caught:
        directory.read_experiment()
    assert str(directory.experiment) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_that_wrote_out_a_key_which_is_gone_is_read_where_it_changed_no_number(tmp_path):
    directory = create(experiment(), tmp_path)
    text = directory.experiment.read_text("utf-8")
    directory.experiment.write_text(text.replace("[stitch]\n", "[stitch]\nviews = 0\n"), "utf-8")
    assert directory.read_experiment() == experiment()
    directory.experiment.write_text(text.replace("[stitch]\n", "[stitch]\nviews = 2\n"), "utf-8")
    with pytest.raises(BadInput, match=r"stitch\.views: "):
        directory.read_experiment()


def test_a_missing_experiment_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"experiment\.toml: can't be read"):
        RunDirectory(tmp_path).read_experiment()


def test_an_atomic_write_that_fails_leaves_the_old_content_and_nothing_beside(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_atomically(path, "old")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_atomic_write_makes_a_file_that_others_may_read_as_the_umask_allows(tmp_path):
    plain_file = tmp_path / "plain"
    plain_file.write_text("")
    write_atomically(tmp_path / "atomic", json.dumps({}))
    assert (tmp_path / "atomic").stat().st_mode == plain_file.stat().st_mode
