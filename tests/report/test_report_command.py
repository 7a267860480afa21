"""`stitchtui report`: which run, which format, where to."""

import csv
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import typer
from synthetic_run import Said, experiment, finished_run_events, started, timed
from typer.testing import CliRunner, Result

from stitchtui.base.errors import BadInput
from stitchtui.cli.report import report
from stitchtui.spec.plan import resolve

NAME = "20260102-030405-tiny"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STITCHTUI_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("COLUMNS", raising=False)


def put(path: Path, events: list[Said]) -> Path:
    path.mkdir(parents=True)
    (path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in timed(events)), "utf-8")
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return put(tmp_path / "runs" / NAME, finished_run_events(experiment()))


def call(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, arguments)


def output(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exception is None, result.output
    return result.stdout


@pytest.mark.parametrize("word", ["last", NAME, NAME[:8]])
def test_run_is_found_by_name_prefix_or_last(run: Path, word: str) -> None:
    assert f"run: {NAME}, done" in output(word)


def test_run_is_found_by_path_wherever_it_was_copied(run: Path, tmp_path: Path) -> None:
    copied = put(tmp_path / "elsewhere" / "copy", finished_run_events(experiment()))
    assert f"run: {NAME}, done" in output(str(copied))


def test_what_a_small_run_found_fits_a_screen_and_the_way_to_the_rest_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STITCHTUI_RUNS", str(Path(__file__).parents[1] / "golden" / "runs"))
    text = output("20260101-120000-quickstart")
    assert len(text.splitlines()) <= 40
    for words in ("verdict", "connected at epsilon 3 points and at any margin from", "as similarity", "--full"):
        assert words in text


def test_table_summary_and_curve_fit_80_columns_when_piped(run: Path) -> None:
    text = output("--full")
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "verdict" in text
    assert "network a: test error 3.25 %" in text
    assert "penalty (points) against depth" in text
    assert "\x1b" not in text


def test_details_of_each_pair_stand_between_the_grid_and_the_summary(run: Path) -> None:
    text = output("--full")
    places = [text.index(words) for words in ("verdict", "a > b: affine, task", "b > a: affine, task", "run: ")]
    assert places == sorted(places)
    assert "agree: images on which the stitched network says what the top says" in " ".join(text.split())


def test_width_follows_columns(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    assert max(map(len, output().splitlines())) <= 60


def test_curve_can_be_left_out(run: Path) -> None:
    assert "against depth" not in output("--full", "--no-plot")


def test_ascii_output_has_only_ascii(run: Path) -> None:
    assert output("--ascii").isascii()


def test_formats_go_to_stdout_and_nothing_else_does(run: Path) -> None:
    assert len(list(csv.DictReader(io.StringIO(output("--csv"))))) == 3 * len(resolve(experiment()).tasks)
    assert json.loads(output("--json"))["run"]["run"] == NAME
    assert output("--markdown").startswith("| cut |")


def test_two_formats_at_once_are_refused(run: Path) -> None:
    result = call("--csv", "--json")
    assert isinstance(result.exception, BadInput)
    assert "--csv and --json" in str(result.exception)


def test_parquet_goes_to_a_file_alone(run: Path) -> None:
    result = call("--parquet")
    assert isinstance(result.exception, BadInput)
    assert (result.exception.field, result.stdout) == ("--out", "")


@pytest.mark.parametrize("ending", ["csv", "json", "md", "txt"])
def test_file_holds_what_stdout_would_show(run: Path, tmp_path: Path, ending: str) -> None:
    flags = {"csv": ["--csv"], "json": ["--json"], "md": ["--markdown"], "txt": []}[ending]
    out = tmp_path / f"report.{ending}"
    assert output("last", "--out", str(out)) == ""
    assert out.read_text("utf-8") == output("last", *flags)


def test_file_ending_that_names_no_format_is_refused(run: Path, tmp_path: Path) -> None:
    result = call("last", "--out", str(tmp_path / "report.xlsx"))
    assert isinstance(result.exception, BadInput)
    assert ".csv" in str(result.exception)


def test_file_that_cannot_be_written_is_one_clear_line(run: Path, tmp_path: Path) -> None:
    result = call("last", "--out", str(tmp_path / "missing" / "report.csv"))
    assert isinstance(result.exception, BadInput)
    assert "can't be written" in str(result.exception)


@pytest.mark.parametrize("flags", [["--csv", "--out"], ["--parquet", "--out"], ["--html"], ["--png"]])
def test_a_pipe_is_written_to_and_stays(run: Path, tmp_path: Path, flags: list[str]) -> None:
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    call("last", *flags, str(pipe))
    reader.join(30)
    begin = {"--csv": b"run,label,", "--parquet": b"PAR1", "--html": b"<!doctype html>", "--png": b"\x89PNG"}[flags[0]]
    assert read[0].lower().startswith(begin.lower())
    assert pipe.is_fifo()


def test_unknown_run_is_bad_input(run: Path) -> None:
    assert isinstance(call("nonesuch").exception, BadInput)


def test_run_whose_worker_is_gone_says_that_it_is_lost(tmp_path: Path) -> None:
    put(tmp_path / "runs" / NAME, started(experiment()))
    text = " ".join(output().split())
    assert "worker: lost" in text
    assert f"run: {NAME}, lost" in text
    assert "running" not in text
    assert "so far" not in text
    assert json.loads(output("--json"))["run"]["condition"] == "lost"
    assert f"Run {NAME}: lost." in output("--markdown")
    assert f"`stitchtui resume {NAME}`" in text


def test_unfinished_run_of_another_machine_says_where_its_worker_is(tmp_path: Path) -> None:
    path = put(tmp_path / "runs" / NAME, started(experiment()))
    (path / "run.json").write_text(json.dumps({"pid": 1, "host": "another.example", "create_time": 1.0}))
    assert "worker: on another machine" in output()


def test_run_that_failed_says_why(tmp_path: Path) -> None:
    end: Said = {"type": "run_finished", "status": "failed", "reason": "no space left"}
    put(tmp_path / "runs" / NAME, [*started(experiment()), end])
    first, *rest = output().splitlines()
    assert first.startswith("run: ") and first.endswith("failed: no space left") and "verdict" not in rest


def test_run_without_any_event_is_shown_as_empty(tmp_path: Path) -> None:
    put(tmp_path / "runs" / NAME, [])
    assert "no cells planned yet" in output()


def test_reports_load_neither_torch_nor_textual() -> None:
    code = (
        "import sys, stitchtui.cli.report, stitchtui.report.table, stitchtui.report.export\n"
        "from stitchtui.report.depth import depth_plot\n"
        "import plotext\n"
        "print([name for name in ('torch', 'textual') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_page_and_a_picture_are_written_where_they_are_asked_for(run: Path, tmp_path: Path) -> None:
    for flag, start in (("--html", b"<!DOCTYPE html>"), ("--png", b"\x89PNG")):
        target = tmp_path / f"report{flag}"
        assert output("last", flag, str(target)) == ""
        assert target.read_bytes().startswith(start)
        by_ending = tmp_path / f"same.{flag.removeprefix('--')}"
        output("last", "--out", str(by_ending))
        assert by_ending.read_bytes() == target.read_bytes()


def test_the_page_holds_the_command_line_that_the_run_was_started_with(run: Path, tmp_path: Path) -> None:
    (run / "command.txt").write_text("stitchtui run seeds --scale mini\n")
    output("last", "--html", str(tmp_path / "page.html"))
    assert "stitchtui run seeds --scale mini" in (tmp_path / "page.html").read_text("utf-8")


def test_a_page_asked_for_twice_or_beside_another_format_is_refused(run: Path, tmp_path: Path) -> None:
    for flags in (["--html", "a.html", "--out", "b.html"], ["--html", "a.html", "--csv"]):
        result = call("last", *flags)
        assert isinstance(result.exception, BadInput)
        assert not list(tmp_path.glob("*.html"))


def test_several_runs_stand_side_by_side_in_every_format_that_can(run: Path, tmp_path: Path) -> None:
    other = put(tmp_path / "runs" / "20260102-030406-tiny", finished_run_events(experiment(seeds=1)))
    both = (NAME, other.name)
    assert "2 - 1" in output(*both)
    assert "| cut | run 1 | run 2 | 2 - 1 |" in output(*both, "--markdown")
    output(*both, "--html", str(tmp_path / "both.html"))
    assert "Runs side by side" in (tmp_path / "both.html").read_text("utf-8")
    output(*both, "--out", str(tmp_path / "both.txt"))
    assert (tmp_path / "both.txt").read_text("utf-8") == output(*both)
    for flags in (["--csv"], ["--json"], ["--png", "x.png"]):
        result = call(*both, *flags)
        assert isinstance(result.exception, BadInput)
        assert "is for one run, got 2" in str(result.exception)


def test_what_the_columns_of_the_csv_hold_is_printed_without_any_run(tmp_path: Path) -> None:
    assert "| `penalty` | error - top_error, points" in output("--columns")
