"""A result says what its run's reports say, and can be saved, read again, copied and pickled."""

import copy
import pickle
import shutil
from pathlib import Path

import pytest

from stitchtui.api.result import Result, load
from stitchtui.base.errors import BadInput
from stitchtui.report.wording import column_name
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import whole_state


@pytest.fixture(scope="module")
def result(tiny: RunDirectory) -> Result:
    return load(tiny.path)


def test_it_says_what_the_run_says_and_needs_its_directory_no_more(tiny: RunDirectory, tmp_path: Path) -> None:
    copied = RunDirectory(shutil.copytree(tiny.path, tmp_path / "copy"))
    result = Result.read(copied)
    shutil.rmtree(copied.path)
    state = whole_state(tiny)
    assert result.state == state
    assert result.experiment == tiny.read_experiment()
    pairs = [column for column in state.columns() if not column.control]
    assert result.verdicts == {column_name(pair): state.verdict(pair) for pair in pairs}
    assert result.epsilon_stars == {column_name(pair): state.connected_from(pair) for pair in pairs}


def test_one_verdict_of_several_pairs_is_refused_with_what_to_ask_for(result: Result) -> None:
    assert len(result.verdicts) == 2
    with pytest.raises(BadInput, match="2 pairs") as refused:
        _ = result.verdict
    assert refused.value.field == "verdicts"


def test_saved_it_is_a_run_that_reads_the_same(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "saved")
    assert load(tmp_path / "saved") == result
    result.save(tmp_path / "saved")  # the same run again


def test_it_is_never_written_over_anything_else(result: Result, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("here first")
    with pytest.raises(BadInput, match="is there already") as refused:
        result.save(tmp_path)
    assert refused.value.field == "folder"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_copies_and_pickles_are_equal(result: Result) -> None:
    for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert other == result
        assert other.state == result.state


def test_a_run_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run"):
        load(tmp_path / "nothing")
