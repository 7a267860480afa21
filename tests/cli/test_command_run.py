import io
import json
import sys
import types
from pathlib import Path

import fake_worker as fake
import logged
import pytest
from rich.console import Console

from stitchtui import cli
from stitchtui.base.errors import BadInput
from stitchtui.cli import watching
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.state import RunState
from stitchtui.spec import overrides


def only_run():
    [directory] = all_runs()
    return directory


# a run from its start to its end


def test_a_run_is_watched_to_its_end_and_its_grid_printed(fake_worker, capsys):
    assert cli.invoke(["run", "quickstart"]) == 0
    captured = capsys.readouterr()
    assert "+0.25 ±0.50" in captured.out
    assert "a > b: connected" in captured.out
    assert "network a: ready, test error 4.00 % (trained)" in captured.err
    assert "a > b affine direct seed 0: finished" in captured.err
    assert "step" not in captured.err.replace("10 steps", "")
    assert captured.err.endswith(f"run {only_run().name}: done; `stitchtui report {only_run().name}` shows it again\n")


def test_with_json_stdout_carries_the_events_and_nothing_else(fake_worker, capsys):
    assert cli.invoke(["run", "quickstart", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    logged = [json.loads(line) for line in only_run().events.read_text("utf-8").splitlines()]
    assert events == logged
    assert (events[0]["type"], events[-1]["type"]) == ("run_started", "run_finished")


def test_detached_only_the_name_is_printed_and_the_run_goes_on(fake_worker, capsys):
    fake_worker("waits")
    assert cli.invoke(["run", "quickstart", "--detach"]) == 0
    name = capsys.readouterr().out.strip()
    assert name == only_run().name
    assert cli.invoke(["resume", name]) == 2
    assert "is running already; `stitchtui attach` shows it" in capsys.readouterr().err
    wait_for_the_worker()
    assert cli.invoke(["delete", name]) == 2
    assert "is running; `stitchtui stop" in capsys.readouterr().err
    assert cli.invoke(["stop", name]) == 0
    assert f"run {name}: stopped; `stitchtui resume {name}` goes on" in capsys.readouterr().err
    fake_worker("done")
    assert cli.invoke(["resume", name]) == 0
    assert "goes on: 2 columns" in capsys.readouterr().err
    capsys.readouterr()
    assert cli.invoke(["resume", "last"]) == 0
    line = f"run {name}: is done, nothing is left to do; `stitchtui report {name}` shows it\n"
    assert capsys.readouterr() == ("", line)


def wait_for_the_worker():
    import time

    for _ in range(2000):
        if only_run().events.is_file() and only_run().events.stat().st_size:
            return
        time.sleep(0.01)
    raise AssertionError("the worker said nothing")


def test_out_chooses_where_the_run_is_made(fake_worker, workplace):
    assert cli.invoke(["run", "quickstart", "--out", "elsewhere"]) == 0
    assert all_runs() == []
    [directory] = all_runs(workplace / "elsewhere")
    assert directory.read_experiment().name == "quickstart"


def test_a_run_starts_with_its_label_or_not_at_all(fake_worker, capsys):
    assert cli.invoke(["run", "quickstart", "--label", "x" * 41]) == 2
    assert "label: expected at most 40 characters, got 41" in capsys.readouterr().err
    assert cli.invoke(["run", "quickstart", "--label", "first try"]) == 0
    assert only_run().read_about().label == "first try"


def test_flags_reach_the_experiment_that_is_run(fake_worker):
    words = "--cuts conv1,conv2 --seeds 2 --epochs 0.5 --controls none --start random --set stitch.ridge=0.5"
    assert cli.invoke(["run", "quickstart", *words.split()]) == 0
    experiment = only_run().read_experiment()
    assert (experiment.stitch.cuts, experiment.stitch.seeds) == (("conv1", "conv2"), (0, 1))
    assert (experiment.stitch.epochs, experiment.stitch.ridge, experiment.controls) == (0.5, 0.5, ())
    assert experiment.stitch.start == "random"


def test_two_checkpoints_are_run_with_the_users_own_class(fake_worker, workplace):
    for name in ("a.pt", "b.pt", "nets.py"):
        (workplace / name).write_text("")
    (workplace / "images").mkdir()
    words = ["run", "a.pt", "b.pt", "--architecture", "nets.py:Net", "--data", "folder:images", "--both"]
    assert cli.invoke(words) == 0
    experiment = only_run().read_experiment()
    assert experiment.networks["a"].architecture == f"{workplace}/nets.py:Net"
    assert experiment.data.name == f"folder:{workplace}/images"
    assert len(experiment.pairs) == 2


# runs that end badly


@pytest.mark.parametrize(
    ("ending", "code", "text"),
    [
        ("out of memory", 1, "out of memory"),
        ("dies", 1, "its worker died without saying why"),
        ("dies at once", 1, "worker.log: Segmentation fault; "),
    ],
)
def test_a_run_that_ends_badly_gives_its_reason_and_a_code(ending, code, text, fake_worker, capsys):
    fake_worker(ending)
    assert cli.invoke(["run", "quickstart"]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith(f"stitchtui: run {only_run().name}: ")
    assert text in last


def test_a_new_run_whose_input_is_bad_is_removed_again(fake_worker, capsys):
    fake_worker("bad checkpoint: x.pt: no state dict")
    assert cli.invoke(["run", "quickstart"]) == 2
    captured = capsys.readouterr()
    *_, removed, last = captured.err.splitlines()
    assert (captured.out, all_runs()) == ("", [])
    assert removed == "nothing was measured, so the run's directory is removed again"
    assert last.startswith("stitchtui: run ")
    assert last.endswith(": bad checkpoint: x.pt: no state dict")


def test_a_run_whose_input_turns_out_bad_later_is_kept(fake_worker, capsys, monkeypatch):
    fake_worker("out of memory")
    assert cli.invoke(["run", "quickstart"]) == 1
    fake_worker("bad checkpoint")
    assert cli.invoke(["resume", "last"]) == 2
    assert "removed" not in capsys.readouterr().err
    assert only_run().events.is_file()


def test_a_run_whose_input_is_bad_is_kept_once_a_cell_is_measured(workplace, capsys):
    path = workplace / "runs" / "20240101-000000-x"
    path.mkdir(parents=True)
    end = {"t": 1_700_000_099.0, **fake.ended("failed", bad_input=True), "reason": "the stitch no longer fits"}
    fake.write_log(path / "events.jsonl", [*fake.whole_run()[:-1], end])
    with pytest.raises(BadInput, match="no longer fits"):
        watching.follow(RunDirectory(path), False, lambda: None, ends=1, new=True)
    assert path.is_dir()
    fake.write_log(path / "events.jsonl", [*fake.whole_run()[:5], end])
    with pytest.raises(BadInput, match="no longer fits"):
        watching.follow(RunDirectory(path), False, lambda: None, ends=1, new=True)
    assert not path.exists()


def test_a_detached_run_whose_input_is_bad_is_kept(fake_worker, capsys):
    fake_worker("bad checkpoint")
    assert cli.invoke(["run", "quickstart", "--detach"]) == 0
    assert cli.invoke(["attach", "last"]) == 2
    assert only_run().events.is_file()


def test_on_a_terminal_the_summary_breaks_between_words_with_an_indent(capsys, monkeypatch):
    file = io.StringIO()
    terminal = Console(file=file, width=50, force_terminal=True, color_system=None, legacy_windows=False)
    monkeypatch.setattr(watching, "output", lambda: terminal)
    state = RunState()
    state.apply_all(logged.events(fake.whole_run()))
    watching._print_result(state, "done")
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 50
    assert "says the\n  rest: each cut" in text


def test_a_resumed_worker_that_dies_at_once_is_not_taken_for_the_end_before_it(fake_worker, capsys):
    fake_worker("out of memory")
    assert cli.invoke(["run", "quickstart"]) == 1
    fake_worker("dies at once")
    assert cli.invoke(["run", "--resume", "last"]) == 1
    assert "its worker died without saying why" in capsys.readouterr().err


def test_ctrl_c_asks_the_worker_to_stop_and_says_how_to_go_on(fake_worker, capsys, monkeypatch):
    fake_worker("waits")

    class Impatient:
        def update(self, events, state):
            if state.status == "running":
                raise KeyboardInterrupt

        def close(self):
            self.closed = True

    view = Impatient()
    monkeypatch.setattr(watching, "view_for", lambda as_json: view)
    assert cli.invoke(["run", "quickstart"]) == 130
    assert view.closed
    assert capsys.readouterr().err.endswith(f"nothing is lost: `stitchtui resume {only_run().name}` goes on\n")
    assert json.loads(only_run().events.read_text("utf-8").splitlines()[-1])["status"] == "stopped"


# bad input leaves nothing behind


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "expected a PRESET, a FILE.toml, or BOTTOM TOP"),
        (["quikstart"], "nearest: 'quickstart'"),
        (["a.pt"], "a.pt: is one network; expected BOTTOM TOP"),
        (["a.pt", "b.pt", "c.pt"], "got 3 of them"),
        (["a.pt", "b.pt"], "--data: expected the images that both networks are for, such as cifar10 or folder:PATH"),
        (["a.pt", "b.pt", "--set", "data.test_size=9"], "--data: expected the images that both networks are for"),
        (["a.pt", "b.pt", "--set", "data=9"], "--data: expected the images that both networks are for"),
        (["a.pt", "b.pt", "--set", "data.name=digits"], "a.pt: no such file; expected a checkpoint"),
        (["a.pt", "b.pt", "--set", "data={name='digits'}"], "a.pt: no such file; expected a checkpoint"),
        (["a.pt", "b.pt", "--data", "digits"], "a.pt: no such file; expected a checkpoint"),
        ([".", "b.pt", "--data", "digits"], "is a folder; expected a checkpoint"),
        (["a.pt", "b.pt", "--scale", "mini"], "--scale: only a preset has scales"),
        (["quickstart", "--scale", "mini"], "has no scales"),
        (["quickstart", "--both"], "--both: is for BOTTOM TOP"),
        (["quickstart", "--architecture", "resnet20"], "--architecture: is for BOTTOM TOP"),
        (["quickstart", "--family", "afine"], "--family: 'afine' is not known; nearest: 'affine'"),
        (["quickstart", "--epochs", "0"], "--epochs: expected a number above 0, got 0"),
        (["quickstart", "--epochs", "nan"], "--epochs: expected a finite number, got nan"),
        (["quickstart", "--seeds", "x"], "--seeds: expected a number of seeds"),
        (["quickstart", "--seeds", "0"], "--seeds: expected a number of seeds"),
        (["quickstart", "--seeds", "1,1"], "--seeds: expected seeds that differ, got [1, 1]"),
        (["quickstart", "--cuts", ","], "--cuts: expected blocks, all, or names of cuts"),
        (["quickstart", "--controls", "self_stich"], "--controls: 'self_stich' is not known; nearest: 'self_stitch'"),
        (["quickstart", "--data", "cifar"], "--data: 'cifar' is not known; nearest: 'cifar10'"),
        (["quickstart", "--data", "folder:nowhere"], "nowhere: no such folder"),
        (["quickstart", "--data", "npz:nowhere.npz"], "nowhere.npz: no such file; expected an .npz file"),
        (["quickstart", "--device", "gpu"], "--device: 'gpu' is not known; expected auto, cpu, mps, cuda or cuda:N"),
        (["quickstart", "--set", "x"], "--set x: expected KEY=VALUE"),
        (["quickstart", "--set", "networks.seed0.architecture=nets.py:Net"], "nets.py: no such file"),
        (["quickstart", "--resume", "last"], "--resume: goes on with a run as it was planned"),
        (["--resume", "nothing"], "run 'nothing': no such run in runs"),
        (["quickstart", "--out", "taken"], "taken: can't make a run directory there"),
    ],
)
def test_bad_input_is_one_line_and_no_run_directory(words, expected, fake_worker, workplace, capsys):
    (workplace / "taken").write_text("")
    assert cli.invoke(["run", *words]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert expected in captured.err
    assert all_runs() == []


def test_seeds_are_a_number_or_a_list():
    def seeds(text):
        [setting] = overrides.settings(seeds=text)
        return setting.value

    assert (seeds("3"), seeds("4,7"), seeds("7,")) == ([0, 1, 2], [4, 7], [7])
    with pytest.raises(BadInput, match="--seeds"):
        seeds("-1")


# the plan without the run


@pytest.fixture
def estimate(monkeypatch):
    module = types.ModuleType("stitchtui.execute.estimate")
    rows = [
        {"task": "network seed0", "cells": 0, "seconds": 30.0, "bytes": 2**20},
        {"task": "seed0 > seed1", "cells": 5, "seconds": 90.0, "bytes": 3 * 2**20},
    ]
    module.estimate = lambda experiment, device: rows if device == "cpu" else []
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return rows


def test_a_dry_run_prints_the_plan_and_starts_nothing(workplace, estimate, capsys, monkeypatch):
    monkeypatch.setattr(control, "launch", lambda *_: pytest.fail("launched"))
    assert cli.invoke(["run", "quickstart", "--dry-run", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    lines = [line.split() for line in captured.out.splitlines()]
    assert ["seed0", ">", "seed1", "5", "1", "min", "30", "s", "3.0", "MiB"] in lines
    assert ["2", "tasks", "5", "about", "2", "min", "00", "s", "at", "most", "3.0", "MiB"] in lines
    assert captured.out.splitlines()[-1] == "data: digits, augmentation none"
    assert captured.err == ""
    assert list(Path("runs").glob("*")) == []


def test_a_claim_about_what_is_not_measured_is_said_beforehand(workplace, estimate, capsys):
    claim = "{kind='at_most',value=3,columns=[{pair='seed0 > seed1',control='random_top'},'seed0 > seed1']}"
    assert cli.invoke(["run", "quickstart", "--dry-run", "--set", f"claims=[{claim}]", "--device", "cpu"]) == 0
    assert capsys.readouterr().err == (
        "warning: claim 1 can't be decided: seed0 > random(seed1) is no column of this run; `stitchtui add` can measure"
        " it later\n"
    )


def test_a_dry_run_as_json_holds_the_experiment_and_the_tasks(workplace, estimate, capsys):
    assert cli.invoke(["run", "quickstart", "--dry-run", "--json", "--device", "cpu"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["tasks"], printed["augment"]) == (estimate, "none")
    assert printed["experiment"]["name"] == "quickstart"
