"""A package that is installed beside this one is in every front, with no other edit; README shows which."""

import csv
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from plugged_in import EXPERIMENT, PLUG_IN, plugged_in
from small_runs import new_run

from stitchtui.cli.reference import pages
from stitchtui.report.export import csv_text
from stitchtui.report.html import run_text
from stitchtui.report.markdown import run_text as markdown_text
from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.schema import experiment_schema
from stitchtui.tui.facts import cell_facts, short_facts
from stitchtui.tui.gridview import grid_view, headings
from stitchtui.tui.measures import shown_measures

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Your own stitch, control, measure or data\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def plug_in():
    with plugged_in():
        yield


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("toy") / "runs"


@pytest.fixture(scope="module")
def state(plug_in, runs) -> RunState:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STITCHTUI_CACHE", str(runs.parent / "cache"))
        return new_run(Experiment.model_validate(EXPERIMENT), runs)[1]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTION, re.DOTALL)


def test_readme_shows_the_package_that_these_tests_try():
    (code,), (points,) = blocks("python"), blocks("toml")
    assert code == (PLUG_IN / "toy.py").read_text(encoding="utf-8").partition("\n\n")[2]
    said = re.sub(r'project\.entry-points\."([^"]*)"', r"\1", points).replace('"', "")
    assert said.split() == (PLUG_IN / "toy-1.0.dist-info" / "entry_points.txt").read_text(encoding="utf-8").split()
    assert len(SECTION.splitlines()) < 60


def test_help_lists_what_is_installed(plug_in):
    command = [sys.executable, "-m", "stitchtui", "run", "--help"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert [name for name in ("shift", "half_the_data", "stripes") if name not in text] == []


def test_the_schema_and_the_reference_list_what_is_installed(plug_in):
    choices = {row[0].strip("`") for page in pages() for section in page.sections for row in section.rows}
    assert {"shift", "half_the_data", "classes_said", "stripes"} <= choices
    Draft202012Validator(experiment_schema()).validate(EXPERIMENT)


def test_what_is_not_installed_is_not_known():
    command = [sys.executable, "-m", "stitchtui", "run", "quickstart", "--family", "shift", "--dry-run"]
    path = {"PYTHONPATH": str(PLUG_IN.parents[1])}
    found = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | path)
    assert found.returncode == 2
    assert "'shift' is not known" in found.stderr


def test_a_run_measures_with_all_of_it(state):
    assert {(t.family, t.control) for t in state.tasks.values() if t.kind == "column"} == {
        ("shift", ""),
        ("shift", "half_the_data"),
    }
    assert {cell.status for cell in state.cells.values()} == {"finished"}
    assert {cell.measures["classes_said"] for cell in state.cells.values()} <= {1.0, 2.0}
    assert state.data["name"] == "stripes"
    steps = {t.control: t.steps for t in state.tasks.values() if t.objective == "task"}
    assert steps["half_the_data"] == steps[""], "fewer images, and as many steps"


def test_grid_and_inspector_show_it(state):
    classes = next(measure for measure in shown_measures() if measure.shade.name == "classes")
    view = grid_view(state, classes)
    assert {entry.interval.value for row in view.table.entries for entry in row} <= {1.0, 2.0}
    assert [line for line in headings(view, 6)[1] if line][-2:] == ["1/2", "data"]
    column, cut = view.place(0, 0)
    facts = cell_facts(state, column, cut)
    assert re.fullmatch(r"[12] classes", dict(facts)["answers"])
    assert "half of the data" in dict(facts)
    brief = [label for label, _ in short_facts(facts)]
    assert brief.index("answers") > brief.index("penalty"), "what isn't brief comes where there is room"


def test_exports_and_pages_have_it(state):
    header, *rows = csv.reader(io.StringIO(csv_text(state)))
    assert {row[header.index("classes_said")] for row in rows} <= {"1", "2"}
    assert {row[header.index("control")] for row in rows} == {"", "half_the_data"}
    for text in (run_text(state), markdown_text(state)):
        assert "half of the data" in text
        assert "classes: how many are ever answered" in text


def test_a_run_made_with_it_can_be_read_but_not_resumed_without_it(state, runs):
    command = [sys.executable, "-m", "stitchtui"]
    env = os.environ | {"PYTHONPATH": str(PLUG_IN.parents[1]), "STITCHTUI_RUNS": str(runs)}
    full = [*command, "report", "last", "--full"]
    shown = subprocess.run(full, check=True, capture_output=True, text=True, env=env).stdout
    assert "half_the_data" in shown
    assert "data: stripes, 200 training" in shown
    resumed = subprocess.run([*command, "resume", "last"], check=False, capture_output=True, text=True, env=env)
    assert resumed.returncode == 2
    assert "experiment.toml: data.name: 'stripes' is not known; expected one of: digits, mnist" in resumed.stderr
