import json
import tomllib

import fake_worker as made
import pytest
from rich.console import Console

from stitchtui import cli
from stitchtui.cli.runs import ago
from stitchtui.report.wording import verdict_counts
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import RunState, quick_state


@pytest.fixture
def past_run(workplace):
    """A function that makes a run directory which holds the given events."""

    def make(name, events):
        path = workplace / "runs" / name
        path.mkdir(parents=True)
        made.write_log(path / "events.jsonl", events)
        return RunDirectory(path)

    return make


def test_runs_are_listed_newest_first_with_status_and_verdicts(past_run, capsys):
    past_run("20240101-000000-old", made.whole_run())
    past_run("20240102-000000-new", made.whole_run()[:-4])
    assert cli.invoke(["runs"]) == 0
    new, old = (line.split() for line in capsys.readouterr().out.splitlines()[1:])
    assert (new[0], new[1]) == ("20240102-000000-new", "lost")
    assert old[:5] == ["20240101-000000-old", "done", "100%", "1", "connected"]
    assert old[-1] == "ago"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0 s ago"), (90, "1 min 30 s ago"), (86_400, "24 h 00 min ago"), (200_000, "2 days ago")],
)
def test_the_age_of_a_run_is_said_in_words(seconds, words):
    assert ago(seconds) == words


def test_runs_as_json(past_run, capsys):
    past_run("20240101-000000-old", made.whole_run())
    assert cli.invoke(["runs", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["status"], row["progress"], row["verdicts"]) == ("done", 1.0, "1 connected")


def test_runs_of_one_name_are_told_apart_by_label_and_by_what_differs(past_run, capsys):
    for number, stitch in enumerate(({"epochs": 4.0, "family": "affine"}, {"epochs": 8.0, "family": "affine"})):
        begun, *rest = made.whole_run()
        experiment = {**begun["experiment"], "stitch": {**stitch, "seeds": [0, 1]}, "title": f"number {number}"}
        past_run(f"2024010{number}-000000-x", [{**begun, "experiment": experiment}, *rest])
    past_run("20240109-000000-other", [{**begun, "experiment": {"name": "another"}}, *rest])
    assert cli.invoke(["label", "20240100", "short one"]) == 0
    assert cli.invoke(["note", "short one", "before the fix"]) == 0
    capsys.readouterr()
    assert cli.invoke(["runs"]) == 0
    shown = capsys.readouterr().out
    assert "-x      short one  done " in shown and " ago  epochs 4\n" in shown and " ago  epochs 8\n" in shown
    assert not any(word in shown for word in ("affine", "number", "0+1"))
    assert cli.invoke(["runs", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)[-1]
    assert (row["label"], row["note"], row["differs"]) == ("short one", "before the fix", ["epochs 4"])
    assert cli.invoke(["report", "short one"]) == 0
    assert "run: fake-run (short one), done" in (shown := capsys.readouterr().out)
    assert "note: before the fix" in shown


def test_at_80_columns_what_tells_runs_apart_is_whole_and_the_rest_gives_way(past_run, capsys, monkeypatch):
    for number, cuts in enumerate((["block1", "block2"], ["a_long_name_of_a_cut", "another_long_name_of_a_cut"])):
        begun, *rest = made.whole_run()
        stitch = {"cuts": cuts, "epochs": 4.0 + number, "seeds": [number]}
        past_run(
            f"2024010{number}-000000-quickstart", [{**begun, "experiment": {"name": "x", "stitch": stitch}}, *rest]
        )
    monkeypatch.setattr("stitchtui.cli.runs.output", lambda: Console(width=80, markup=False, highlight=False))
    assert cli.invoke(["runs"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["run", "status", "done", "verdicts", "differs"]
    assert lines[0].startswith("20240101-000000-quickstart  done    100%  1 connected  ")
    whole = "".join(line[heading.index("differs") :].strip() for line in lines)
    assert "a_long_name_of_a_cut" in whole and "epochs 5" in whole and "…" not in whole


def test_a_run_is_deleted_once_somebody_says_yes(past_run, capsys, monkeypatch):
    runs = [past_run(f"2024010{number}-000000-x", made.whole_run()) for number in range(2)]
    assert cli.invoke(["delete", "last"]) == 2
    assert "--yes: is needed where nobody can be asked" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, there in ((False, True), (True, False)):
        monkeypatch.setattr("typer.confirm", lambda *_, answer=answer, **__: answer)
        assert cli.invoke(["delete", "20240101"]) == 0
        assert runs[1].path.is_dir() == there
    assert "run 20240101-000000-x: done, 6 cells measured" in capsys.readouterr().err
    assert cli.invoke(["delete", "last", "--yes"]) == 0
    assert cli.invoke(["delete", "last", "--yes"]) == 2


def test_without_runs_stdout_stays_empty(workplace, capsys):
    assert cli.invoke(["runs"]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no runs in runs yet" in captured.err


def test_a_name_with_control_characters_or_markup_is_shown_as_data(past_run, capsys):
    past_run("20240101-000000-[red]\x1b[31m", made.whole_run())
    assert cli.invoke(["runs"]) == 0
    assert "20240101-000000-[red]?[31m" in capsys.readouterr().out


def test_skipping_steps_changes_nothing_that_a_list_of_runs_shows(past_run):
    directory = past_run("20240101-000000-x", made.whole_run())
    quick, whole = quick_state(directory), RunState.load(directory.events)
    assert (quick.status, verdict_counts(quick)) == (whole.status, verdict_counts(whole))
    assert quick.cells == whole.cells


def test_a_log_that_is_garbage_or_missing_is_listed_all_the_same(past_run, capsys):
    past_run("20240101-000000-x", []).events.write_bytes(b"\xff{}\n[]\n{")
    (past_run("20240102-000000-y", []).path / "experiment.toml").write_text("")
    assert cli.invoke(["runs"]) == 0
    assert capsys.readouterr().out.count(" lost ") == 2


def test_attaching_to_a_run_that_ended_prints_its_grid(past_run, capsys):
    past_run("20240101-000000-x", made.whole_run())
    assert cli.invoke(["attach", "last"]) == 0
    assert "+0.25 ±0.50" in capsys.readouterr().out


def test_attaching_to_a_lost_run_says_so(past_run, capsys):
    past_run("20240101-000000-x", made.whole_run()[:-1])
    assert cli.invoke(["attach", "2024"]) == 1
    captured = capsys.readouterr()
    assert "+0.25 ±0.50" in captured.out
    assert "its worker died without saying why" in captured.err
    assert "`stitchtui resume 20240101-000000-x` goes on" in captured.err


@pytest.mark.parametrize("command", ["attach", "stop", "resume", "delete"])
def test_a_run_that_is_not_there_is_bad_input(command, workplace, capsys):
    assert cli.invoke([command, "nothing"]) == 2
    assert "run 'nothing': no such run" in capsys.readouterr().err


def test_stopping_what_does_not_run_is_bad_input(past_run, capsys):
    past_run("20240101-000000-x", made.whole_run())
    assert cli.invoke(["stop", "last"]) == 2
    assert "is not running" in capsys.readouterr().err


def test_presets_are_listed_with_their_scales(capsys):
    assert cli.invoke(["presets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("seeds ") and "mini" in line for line in lines)
    assert any(line.split()[0] == "quickstart" for line in lines)


def test_a_preset_is_printed_as_a_start_for_ones_own(capsys):
    assert cli.invoke(["presets", "quickstart"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("#:schema ./stitchtui.schema.json\n")
    assert "networks" in tomllib.loads(printed)
    assert cli.invoke(["presets", "quikstart"]) == 2


def test_the_schema_of_an_experiment_is_printed_and_written(capsys, tmp_path):
    assert cli.invoke(["schema"]) == 0
    printed = capsys.readouterr().out
    assert "networks" in json.loads(printed)["properties"]
    assert cli.invoke(["schema", "--out", str(tmp_path / "schema.json")]) == 0
    assert (tmp_path / "schema.json").read_text("utf-8") == printed


def test_the_papers_curves_over_cuts_are_listed_with_what_they_are_of(capsys):
    assert cli.invoke(["presets", "--curves"]) == 0
    rows = {line[:20].strip(): line for line in capsys.readouterr().out.splitlines()}
    assert "6B" in rows["E1 resnet18 seeds"] and "a pair" in rows["E1 resnet18 seeds"]
    assert "random bottom" in rows["E3 resnet18 random"]
    assert " CKA " in rows["E11 cka width"]
    assert not any(name.startswith("E10") for name in rows)
    assert cli.invoke(["presets", "quickstart", "--curves"]) == 2
    assert "leave out 'quickstart'" in capsys.readouterr().err
