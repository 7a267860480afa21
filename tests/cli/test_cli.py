import inspect
import os
import re
import subprocess
import sys
import types
from importlib import import_module
from pathlib import Path

import pytest
import typer

from stitchtui import __version__, cli
from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.spec.identity import NUMERICS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def command(monkeypatch):
    """A function that makes `stitchtui broken` do what it is given."""

    def install(function):
        module = types.ModuleType("stitchtui.cli.broken")
        module.broken = function
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.COMMANDS, "broken", cli.CommandInfo("broken", "broken", "Break."))

    return install


def raising(error):
    def broken() -> None:
        """Break."""
        raise error

    return broken


def test_without_arguments_help_is_printed(capsys):
    assert cli.invoke([]) == 0
    alone = capsys.readouterr().out
    assert cli.invoke(["--help"]) == 0
    assert alone.strip() == capsys.readouterr().out.strip()
    assert all(f"\n  {name} " in alone for name in cli.COMMANDS)


def test_the_versions_and_the_device_are_printed_on_stdout(capsys):
    assert cli.invoke(["--version"]) == 0
    said = dict(line.split(" ", 1) for line in capsys.readouterr().out.splitlines())
    assert said["stitchtui"] == __version__
    assert said["numerics"] == str(NUMERICS)
    assert said["torch"] and said["device"].startswith(("cpu", "cuda", "mps"))


def test_what_to_cite_is_bibtex_of_the_paper_and_of_this_version(capsys):
    assert cli.invoke(["cite"]) == 0
    said = capsys.readouterr().out
    assert re.findall(r"^@(\w+)\{(\w+),$", said, re.MULTILINE) == [
        ("inproceedings", "bansal2021revisiting"),
        ("misc", "stitchtui"),
    ]
    assert "author = {Bansal, Yamini and Nakkiran, Preetum and Barak, Boaz}" in said
    assert f"note = {{Version {__version__}}}" in said
    lines = [line for line in said.splitlines() if line not in ("", "}") and not line.startswith("@")]
    assert [line for line in lines if not re.fullmatch(r"  \w+ = \{.+\},", line)] == []


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_that_begins_with_its_line_in_the_list(name, capsys):
    info = cli.COMMANDS[name]
    function = getattr(import_module(f"stitchtui.cli.{info.module}"), info.function)
    assert inspect.getdoc(function).split("\n")[0] == info.summary
    assert cli.invoke([name, "--help"]) == 0
    assert info.summary.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_option_and_argument_has_help(name):
    group = typer.main.get_command(cli.app)
    parameters = group.get_command(None, name).params
    assert [each.name for each in parameters if not each.help and each.name != "help"] == []


def test_an_unknown_command_suggests_the_nearest(capsys):
    assert cli.invoke(["atach"]) == 2
    assert capsys.readouterr().err == "stitchtui: command 'atach' is not known; nearest: 'attach'\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "--eposh", "3"], "No such option: --eposh"),
        (["--nonsense"], "No such option: --nonsense"),
        (["run", "quickstart", "--epochs", "x"], "'--epochs'"),
        (["run", "quickstart", "--epochs"], "--epochs"),
        (["attach"], "Missing argument 'RUN'"),
        (["runs", "extra"], "extra"),
    ],
)
def test_wrong_usage_is_one_line_that_points_to_help(words, expected, capsys):
    assert cli.invoke(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert expected in captured.err
    assert captured.err.startswith("stitchtui: ")
    assert captured.err.endswith("--help`.\n")
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (BadInput("x.toml: name: no\nsuch \x1b[31mthing"), 2, "x.toml: name: no such ?[31mthing"),
        (RunFailed("out of memory"), 1, "out of memory"),
        (ValueError("odd\nvalue"), 1, "unexpected ValueError: odd value (add --debug for the traceback)"),
        (ZeroDivisionError(), 1, "unexpected ZeroDivisionError (add --debug for the traceback)"),
    ],
)
def test_an_error_is_one_line_on_stderr_and_an_exit_code(error, code, text, command, capsys):
    command(raising(error))
    assert cli.invoke(["broken"]) == code
    assert capsys.readouterr() == ("", f"stitchtui: {text}\n")


@pytest.mark.parametrize("words", [["--debug", "broken"], ["broken", "--debug"]])
def test_debug_anywhere_shows_the_traceback_of_an_unexpected_error(words, command):
    command(raising(ValueError("odd")))
    with pytest.raises(ValueError, match="odd"):
        cli.invoke(words)


def test_debug_by_environment_too_but_never_for_bad_input(command, monkeypatch, capsys):
    monkeypatch.setenv("STITCHTUI_DEBUG", "1")
    command(raising(ValueError("odd")))
    with pytest.raises(ValueError, match="odd"):
        cli.invoke(["broken"])
    command(raising(BadInput("no")))
    assert cli.invoke(["broken"]) == 2
    assert capsys.readouterr().err == "stitchtui: no\n"


def test_an_interrupt_gives_130(command):
    command(raising(KeyboardInterrupt()))
    assert cli.invoke(["broken"]) == 130


def test_a_command_chooses_its_exit_code(command):
    command(raising(typer.Exit(3)))
    assert cli.invoke(["broken"]) == 3


def leaving(*words, **streams):
    """How `stitchtui` ends with these words and streams."""
    return subprocess.run([sys.executable, "-m", "stitchtui", *words], cwd=ROOT, check=False, **streams)


COMPLAINT = b"stitchtui: output: can't be written (No space left on device)\n"
PRINTING = [
    ["--help"],
    ["--version"],
    ["presets"],
    ["presets", "quickstart"],
    ["runs", "--json"],
    ["report", "--columns"],
]


@pytest.mark.parametrize("words", PRINTING)
def test_a_reader_that_leaves_early_is_no_error(words):
    reading, writing = os.pipe()
    os.close(reading)
    done = leaving(*words, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no device that is always full")
@pytest.mark.parametrize("words", PRINTING)
def test_a_full_disk_is_one_line(words):
    with Path("/dev/full").open("wb") as full:
        done = leaving(*words, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, COMPLAINT)


@pytest.mark.parametrize(("words", "code"), [(["presets"], 1), (["nonesuch"], 2)])
def test_where_nothing_can_be_said_the_code_still_says_it(words, code):
    reading, writing = os.pipe()
    os.close(reading)
    assert leaving(*words, stdout=writing, stderr=writing).returncode == code
    os.close(writing)


def test_an_output_that_was_closed_is_no_error(tmp_path):
    command = f"{sys.executable} -m stitchtui presets 2> {tmp_path / 'said'} >&- <&-"
    assert subprocess.run(["sh", "-c", command], cwd=ROOT, check=False).returncode == 0
    assert (tmp_path / "said").read_bytes() == b""


def test_a_file_that_can_not_be_written_any_longer_is_named(command, capsys):
    command(raising(OSError(28, "No space left on device", "runs/x/run.json")))
    assert cli.invoke(["broken"]) == 1
    assert capsys.readouterr().err == "stitchtui: runs/x/run.json: can't be written (No space left on device)\n"
