"""README.md and presets/README.md against the program: presets, their blocks, commands and links that they name."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from results import OVERVIEW, Page

from stitchtui.cli import COMMANDS, app
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.presets import list_presets
from stitchtui.spec.settings import read_key
from stitchtui.spec.validation import known_keys

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PRESETS = (ROOT / "presets" / "README.md").read_text("utf-8")
PAGE = Page(PRESETS, "presets/README.md")
SECTIONS = dict(re.findall(r"^### (\S+)\n(.*?)(?=^##|\Z)", PRESETS, re.MULTILINE | re.DOTALL))
KNOWN = {preset.name: preset for preset in list_presets()}


def test_every_preset_has_one_section_and_every_section_a_preset():
    headings = re.findall(r"^### (.*)$", PRESETS, re.MULTILINE)
    assert sorted(headings) == sorted(KNOWN)


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.name)
def test_every_section_has_the_block_of_its_presets_smallest_scale(preset):
    scale = next((f", scale {scale}" for scale in ("mini", "paper") if scale in preset.scales), "")
    assert f"<!-- results: {preset.name}{scale} -->\n" in SECTIONS[preset.name]


def test_every_block_is_of_a_preset_at_a_scale_that_it_has_and_in_its_own_section():
    for key in PAGE.keys:
        name, _, scale = key.partition(", scale ")
        if key != OVERVIEW:
            assert f"<!-- results: {key} -->\n" in SECTIONS[name]
            assert scale in (KNOWN[name].scales or ("",))


def test_every_block_has_its_row_in_the_table_with_the_preset_linked():
    rows = [row for row in PAGE.content(OVERVIEW) if row.startswith("| [")]
    shown = [re.match(r"\| \[(\S+)\]\((\S+)\) \| (\w*) \|", row).groups() for row in rows]
    keys = [key.partition(", scale ") for key in PAGE.keys if key != OVERVIEW]
    assert shown == [(name, f"{name}.toml", scale) for name, _, scale in keys]


@pytest.mark.parametrize("preset", list_presets(), ids=lambda preset: preset.name)
def test_every_section_names_the_experiment_of_the_paper_that_its_file_does(preset):
    said = re.search(r"Experiment (E\d+)", preset.path.read_text("utf-8"))
    assert SECTIONS[preset.name].strip().startswith(f"{said[1]}, figure") if said else True


def test_every_command_stands_in_the_readme():
    assert [name for name in COMMANDS if f"stitchtui {name}" not in README] == []


def command_lines(text):
    """The words after `stitchtui` of every command line in a block or in a sentence."""
    found = re.findall(r"^ {4}(?:.*&& )?stitchtui (.*)$|`stitchtui ([^`]*)`", text, re.MULTILINE)
    for line in filter(None, (word for words in found for word in words)):
        words = shlex.split(line, comments=True)
        ends = [index for index, word in enumerate(words) if word in (">", "|", "&&")]
        yield words[: min(ends, default=None)]


@pytest.mark.parametrize("text", [README, PRESETS], ids=["README", "presets"])
def test_every_command_line_can_be_typed_and_names_a_preset_that_there_is(text):
    group = typer.main.get_command(app)
    lines = list(command_lines(text))
    assert {words[0] for words in lines if not words[0].startswith("-")} <= COMMANDS.keys()
    for name, *words in lines:
        if words:  # else it is only spoken of
            group.get_command(None, name).make_context(name, list(words))
    asked = {words[1] for words in lines if words[0] in ("run", "presets") and len(words) > 1}
    assert {word for word in asked if re.fullmatch(r"[a-z][\w-]+", word)} <= KNOWN.keys()


@pytest.mark.parametrize("text", [README, PRESETS], ids=["README", "presets"])
def test_every_flag_and_every_key_that_is_set_is_there(text):
    group = typer.main.get_command(app)
    commands = [group, *(group.get_command(None, name) for name in COMMANDS)]
    flags = {flag for command in commands for parameter in command.params for flag in parameter.opts}
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    code = " ".join(re.findall(r"`[^`]*`", " ".join(prose.split())))
    assert set(re.findall(r"(?<![\w-])--[a-z][\w-]*", code)) <= {*flags, "--help"}
    keys = map(read_key, re.findall(r"--set[ =]'?([a-z][\w-]*(?:\.[\w-]+)*)=", text))
    assert [key for key in keys if key != ("key",) and key[-1] not in known_keys(Experiment, key[:-1])] == []


@pytest.mark.parametrize(("text", "folder"), [(README, ROOT), (PRESETS, ROOT / "presets")], ids=["README", "presets"])
def test_every_file_that_is_linked_is_there(text, folder):
    links = re.findall(r"\]\((?!https?://|#)([^)\s]+)\)", text)
    assert links
    assert [link for link in links if not (folder / link).is_file()] == []
