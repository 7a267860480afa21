"""A result says what its run's reports say, and can be saved, read again, copied and pickled."""

import copy
import io
import json
import pickle
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_events import column, experiment, network_ready, run_started
from matplotlib import pyplot
from rich.console import Console
from small_runs import experiment as small
from tiny_run import NETWORKS

from stitchtui.api.result import Result, load
from stitchtui.base.errors import BadInput
from stitchtui.execute.in_process import carried_out
from stitchtui.report.export import json_text
from stitchtui.report.summary import IN_SHORT, summary_lines
from stitchtui.run.control import status
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import EventWriter, TaskFinished, encode
from stitchtui.run.process import describe_process
from stitchtui.run.state import whole_state
from stitchtui.spec.plan import resolve


def test_it_says_what_the_run_says_and_needs_its_directory_no_more(tiny: RunDirectory, tmp_path: Path) -> None:
    copied = RunDirectory(shutil.copytree(tiny.path, tmp_path / "copy"))
    result = Result.read(copied)
    shutil.rmtree(copied.path)
    assert result.state == whole_state(tiny)
    assert result.experiment == tiny.read_experiment()


def test_its_numbers_are_those_of_the_reports(tiny: RunDirectory, result: Result) -> None:
    said, ended = json.loads(json_text(result.state)), json.loads(tiny.result.read_text())
    pairs = [column for column in said["columns"] if not column["control"]]
    assert list(result.verdicts.values()) == [column["verdict"] for column in pairs]
    assert result.verdicts == ended["verdicts"]
    assert list(result.epsilon_stars.values()) == [column["connected_from"] for column in pairs]
    for name, told in zip(result.penalties.columns, said["columns"], strict=True):
        shown = {row["cut"]: row["penalty"] for row in told["cuts"]}
        found = {cut: vars(row[name]) for cut, row in result.penalties.items()}
        assert found == {cut: {**penalty, "errors": None} for cut, penalty in shown.items()}
    assert [cell.measures for cell in result.cells] == [cell["measures"] for cell in said["cells"]]
    assert [cell.identity for cell in result.cells if cell.status == "finished"] == [
        cell["identity"] for cell in ended["cells"]
    ]
    assert result.warnings == said["warnings"] == ended["warnings"]


def test_a_cell_knows_which_images_it_answers_wrongly(result: Result) -> None:
    for cell in result.cells:
        assert cell.wrong is not None and cell.wrong.dtype == bool and cell.wrong.shape == (100,)
        assert 100 * cell.wrong.mean() == pytest.approx(cell.measures["error"])


def test_one_verdict_of_several_pairs_is_refused_with_what_to_ask_for(result: Result) -> None:
    with pytest.raises(BadInput, match="2 pairs") as refused:
        _ = result.verdict
    assert refused.value.field == "verdicts"


def test_saved_it_is_a_run_that_reads_the_same(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "saved")
    assert load(tmp_path / "saved") == result
    result.save(tmp_path / "saved")  # the same run again


def test_saved_before_its_end_it_goes_on_with_what_is_missing(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(place / "cache"))
    stitch = {"objective": "direct", "cuts": ["block2", "block4"]}
    begun = create(small(networks=NETWORKS, controls=[], stitch=stitch), tmp_path / "begun")
    work = carried_out(begun, {"device": "cpu"})
    next(event for event in work if isinstance(event, TaskFinished) and " > " in event.task)
    work.close()
    part = load(begun.path)
    assert part.verdicts == {"seed0 > seed1": "not connected", "seed1 > seed0": None}
    part.save(tmp_path / "saved")
    for _ in carried_out(RunDirectory(tmp_path / "saved"), {"device": "cpu"}):
        pass
    whole = load(tmp_path / "saved")
    assert whole.cells[0] == part.cells[0] and None not in whole.verdicts.values()
    with pytest.raises(BadInput, match="is there already"):
        part.save(tmp_path / "saved")  # which has come further
    whole.save(begun.path)
    assert load(begun.path) == whole


def test_saved_while_a_worker_is_at_it_nobody_is_at_the_copy(tiny: RunDirectory, tmp_path: Path) -> None:
    going = RunDirectory(shutil.copytree(tiny.path, tmp_path / "going"))
    going.events.write_bytes(b"".join(going.events.read_bytes().splitlines(keepends=True)[:-1]))
    going.write_info({**describe_process(), "hardware": "this"})
    result = load(going.path)
    result.save(tmp_path / "copy")
    copied = RunDirectory(tmp_path / "copy")
    assert (status(going, result.state), status(copied, result.state)) == ("running", "lost")
    assert copied.read_info()["hardware"] == "this"
    assert load(copied.path) == result
    with EventWriter(going.events), pytest.raises(BadInput, match="working on it"):
        result.save(going.path)


def test_it_is_never_written_over_anything_else(result: Result, tiny: RunDirectory, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("here first")
    other = RunDirectory(shutil.copytree(tiny.path, tmp_path / "other"))
    other.events.write_bytes(other.events.read_bytes().replace(b'"block2"', b'"block3"'))
    for place in (tmp_path, other.path, tmp_path / "mine.txt"):
        with pytest.raises(BadInput, match="is there already") as refused:
            result.save(place)
        assert refused.value.field == "folder"
    assert b'"block2"' not in other.events.read_bytes()


def test_copies_and_pickles_are_equal(result: Result) -> None:
    for other in (copy.copy(result), copy.deepcopy(result), pickle.loads(pickle.dumps(result))):
        assert other == result
        assert other.state == result.state


def test_a_run_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such run"):
        load(tmp_path / "nothing")


def test_it_prints_in_one_screen_however_many_cuts_there_are(tmp_path: Path) -> None:
    for cuts in (2, 100):
        directory = RunDirectory(tmp_path / str(cuts))
        directory.path.mkdir()
        made, names = experiment(seeds=[0]), [f"layer{index}" for index in range(cuts)]
        said = [run_started(made), *(network_ready(name, cuts=names) for name in "ab")]
        said += [event for task in resolve(made).tasks for event in column(task.id, cuts=names)]
        directory.events.write_bytes(b"".join(encode(event) + b"\n" for event in said))
        said = repr(load(directory.path)).splitlines()
        assert len(said) <= 24 and max(map(len, said)) <= 80
        assert any("layer1 " in line for line in said)
    assert any("more cuts" in line for line in said)


def test_a_terminal_gets_what_a_report_says(result: Result) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(result)
    said = " ".join(console.export_text().split())
    assert all(" ".join(line.split()) in said for line in summary_lines(result.state, about=IN_SHORT))


def test_its_page_holds_every_number_and_no_markup_of_others(tiny: RunDirectory, tmp_path: Path) -> None:
    directory = RunDirectory(shutil.copytree(tiny.path, tmp_path / "named"))
    directory.events.write_bytes(directory.events.read_bytes().replace(b"seed1", b"<b>&"))
    page = load(directory.path)._repr_html_()
    assert "<b>" not in page and "&lt;b&gt;&amp;" in page
    for row in load(directory.path).penalties.values():
        assert all(f"{each.value:+.2f}" in page or each.value == 0 for each in row.values())
    assert "http" not in page and "<script" not in page


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_have_a_row_a_cell_and_say_so_where_their_library_is_missing(
    result: Result, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[list[dict[str, object]]] = []
    frame = SimpleNamespace(astype=lambda _: None)
    stub = SimpleNamespace(DataFrame=lambda rows, **_: made.append(rows) or frame)
    monkeypatch.setitem(sys.modules, library, stub)  # type: ignore[arg-type]
    getattr(result, f"to_{library}")()
    assert [(row["task"], row["cut"], row["penalty"]) for row in made[0]] == [
        (cell.task, cell.cut, cell.measures["penalty"]) for cell in result.cells
    ]
    monkeypatch.setitem(sys.modules, library, None)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=f"pip install {library}"):
        getattr(result, f"to_{library}")()


def test_it_draws_on_axes_that_are_given_and_on_its_own(result: Result) -> None:
    figure, axes = pyplot.subplots(1, 2)
    assert result.plot(axes[1]) is axes[1]
    assert not axes[0].lines and axes[1].lines and axes[1].get_legend() is not None
    own = result.plot()
    assert own.figure is not figure and own.get_ylabel().startswith("stitching penalty")
    figure.canvas.draw()
    own.figure.canvas.draw()
    pyplot.close("all")
