"""`stitchtui add`: more columns for a run that exists."""

import json

import pytest
from small_runs import experiment

from stitchtui import cli
from stitchtui.base.text import read_size
from stitchtui.run import control
from stitchtui.run.control import AlreadyRunning
from stitchtui.run.directory import create
from stitchtui.spec.plan import resolve


@pytest.fixture
def directory(workplace):
    return create(experiment(stitch={"cuts": ["block2", "block4"]}), workplace / "runs")


def test_what_is_not_said_is_as_the_runs_own(directory, fake_worker):
    before = directory.read_experiment()
    assert cli.invoke(["add", directory.name, "--epochs", "16", "--pair", "seed1 > seed0", "--detach"]) == 0
    after = directory.read_experiment()
    (request,) = after.also
    assert request.stitch == before.stitch.model_copy(update={"epochs": 16.0})
    assert [(p.bottom, p.top) for p in request.pairs] == [("seed1", "seed0")]
    assert request.controls == ()
    assert after.model_copy(update={"also": ()}) == before


def test_every_cut_with_every_cut_may_be_asked_for_in_one_line(directory, fake_worker):
    words = ["add", directory.name, "--pairing", "all", "--objective", "direct", "--cuts", "all", "--detach"]
    assert cli.invoke(words) == 0
    assert {t.objective for t in resolve(directory.read_experiment()).tasks if t.cross} == {"direct"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "has this already"),
        (["--pair", "seed0>seed9"], "--pair"),
        (["--family", "afine"], "--family"),
        (["--set", "stitch.epoch=3"], "epoch"),
        (["--set", "epsilon=3"], "belongs to the whole run"),
        (["--device", "abacus"], "--device"),
    ],
)
def test_a_request_that_makes_no_sense_is_one_line_and_changes_nothing(directory, capsys, words, says):
    before = directory.experiment.read_bytes()
    assert cli.invoke(["add", directory.name, *words]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert directory.experiment.read_bytes() == before


def test_a_run_of_another_machine_is_not_asked(directory, capsys):
    directory.write_info({"host": "somewhere-else", "pid": 1, "create_time": 1.0})
    directory.events.write_text(json.dumps({"t": 1.0, "type": "warning", "text": "x"}) + "\n")
    assert cli.invoke(["add", directory.name, "--epochs", "9"]) == 2
    assert "another machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "count"),
    [("4G", 4 << 30), ("1.5 MiB", 3 << 19), ("512kb", 512 << 10), ("700", 700), ("0", None), ("x", None)],
)
def test_a_size_is_read_as_a_person_says_it(text, count):
    assert read_size(text) == count


def test_a_size_that_can_not_be_read_is_one_line(directory, capsys):
    assert cli.invoke(["add", directory.name, "--epochs", "9", "--memory", "lots"]) == 2
    assert "--memory lots: expected a size" in capsys.readouterr().err


def test_an_asker_that_another_ones_worker_comes_before_goes_on_all_the_same(directory, monkeypatch, capsys):
    def launched_already(*_):
        raise AlreadyRunning("run x: is running already")

    monkeypatch.setattr(control, "launch", launched_already)
    assert cli.invoke(["add", directory.name, "--epochs", "9", "--detach"]) == 0
    assert "its worker comes to it" in capsys.readouterr().err
    assert len(directory.read_experiment().also) == 1
