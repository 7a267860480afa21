"""CSV, JSON and Markdown hold the state's numbers exactly, and hostile names do nothing there."""

import csv
import io
import json
import math
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet
from synthetic_run import (
    CUTS,
    Said,
    column_events,
    direct_only_run,
    experiment,
    finished,
    finished_run_events,
    fold,
    started,
    whole_run,
)

from stitchtui.base.errors import BadInput
from stitchtui.report.columns import meaning
from stitchtui.report.csv import rendered
from stitchtui.report.export import csv_text, json_text
from stitchtui.report.formats import FORMATS
from stitchtui.report.markdown import run_text
from stitchtui.report.origin import Origin
from stitchtui.report.table import grid
from stitchtui.report.wording import column_name
from stitchtui.run.state import RunState
from stitchtui.spec import measures
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve

PENALTIES = st.floats(-100, 100, allow_nan=False)


def rows(state: RunState) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(state))))


def with_penalties(values: list[float]) -> RunState:
    spec = experiment(seeds=1)
    task = resolve(spec).tasks[0]
    cuts = [f"layer{index}" for index in range(len(values))]
    cells = [finished(task, cut, value, loss=value / 3) for cut, value in zip(cuts, values, strict=True)]
    return fold([*started(spec, cuts), {"type": "task_started", "task": task.id, "steps": 1, "cuts": cuts}, *cells])


def named(text: str) -> RunState:
    """A run in which every name from outside that a network can have is `text`."""
    events = started(experiment())
    tasks: list[dict[str, Any]] = [task.as_dict() for task in resolve(experiment()).tasks]
    events[0]["tasks"] = [{key: text if value == "a" else value for key, value in task.items()} for task in tasks]
    cells: list[Said] = [
        {**event, "cut": text} if event["type"] == "cell_finished" else event
        for event in column_events(resolve(experiment()).tasks[0])
    ]
    return fold([*events, *cells])


def markdown_columns(line: str) -> int:
    return len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) - 1


@given(st.lists(PENALTIES, min_size=1, max_size=6))
def test_csv_holds_every_penalty_exactly(values: list[float]) -> None:
    assert [float(row["penalty"]) for row in rows(with_penalties(values))] == values


@given(st.lists(PENALTIES, min_size=1, max_size=6))
def test_json_holds_every_penalty_exactly(values: list[float]) -> None:
    report = json.loads(json_text(with_penalties(values)))
    assert [cell["measures"]["penalty"] for cell in report["cells"]] == values
    # direct matching of the first pair: shown in the grid as that pair's direct value
    assert [cut["direct"]["value"] for cut in report["columns"][0]["cuts"]] == values


def test_csv_has_one_row_a_cell_and_all_measures_in_a_fixed_order() -> None:
    state = whole_run()
    header = csv_text(state).splitlines()[0].split(",")
    assert header[-len(measures.columns()) :] == list(measures.columns())
    assert len(rows(state)) == len(state.cells)
    assert {(row["task"], row["cut"]) for row in rows(state)} == set(state.cells)


def test_csv_writes_null_and_missing_measures_as_empty() -> None:
    row = rows(whole_run())[0]
    assert row["direct_penalty"] == ""
    assert row["seconds"] == ""
    assert row["cka"] == "0.875"


def test_csv_gives_a_trained_cell_the_penalty_of_direct_matching_in_its_place() -> None:
    spec = experiment(seeds=2)
    found = rows(whole_run(spec))
    direct = {
        (r["bottom"], r["top"], r["control"], r["cut"]): r["penalty"] for r in found if r["objective"] == "direct"
    }
    trained = [row for row in found if row["objective"] == "task"]
    assert trained
    for row in trained:
        assert row["direct_penalty"] == direct[row["bottom"], row["top"], row["control"], row["cut"]]
    assert {row["direct_penalty"] for row in found if row["objective"] == "direct"} == {""}


def test_csv_keeps_a_direct_penalty_that_the_cell_itself_measured() -> None:
    spec = experiment(seeds=1)
    direct, trained = resolve(spec).tasks[0], next(task for task in resolve(spec).tasks if task.objective == "task")
    state = fold([*started(spec), *column_events(direct), finished(trained, "stem", 1.0, direct_penalty=7.5)])
    assert [row["direct_penalty"] for row in rows(state) if row["objective"] == "task"] == ["7.5"]


def test_csv_writes_counts_as_whole_numbers() -> None:
    spec = experiment(seeds=1)
    counts = {"images": 400.0, "steps": 540.0, "stitch_parameters": 4160.0, "epochs": 3.0}
    [row] = rows(fold([*started(spec), finished(resolve(spec).tasks[0], "stem", 2.0, **counts)]))
    assert (row["images"], row["steps"], row["stitch_parameters"]) == ("400", "540", "4160")
    assert (row["epochs"], row["penalty"]) == ("3.0", "2.0")


def test_parquet_has_the_rows_and_columns_of_the_csv_each_with_its_type_and_meaning() -> None:
    state = whole_run()
    next(iter(state.cells.values())).measures |= {"steps": 540.0, "loss": math.nan}
    found = parquet.read_table(io.BytesIO(FORMATS["parquet"].made(state, Origin())))
    said = rows(state)
    assert found.column_names == list(said[0])
    kinds = {name: str(found.schema.field(name).type) for name in ("run", "seed", "steps", "depth", "penalty")}
    assert kinds == {"run": "string", "seed": "int64", "steps": "int64", "depth": "double", "penalty": "double"}
    assert found.schema.field("penalty").metadata[b"description"].decode() == meaning("penalty")
    for name in found.column_names:
        written = ["" if value is None else str(value) for value in found[name].to_pylist()]
        assert written == [row[name] for row in said], name


def test_parquet_without_its_library_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match=r"needs pyarrow; install it with: pip install 'stitchtui\[parquet\]'"):
        FORMATS["parquet"].made(whole_run(), Origin())


def test_csv_appends_measures_it_does_not_know_in_alphabetical_order() -> None:
    spec = experiment(seeds=1)
    task = resolve(spec).tasks[0]
    state = fold([*started(spec), finished(task, "stem", 1.0, zeta=1.5, alpha=2.5)])
    assert csv_text(state).splitlines()[0].endswith(",alpha,zeta")
    assert rows(state)[0]["zeta"] == "1.5"


def test_csv_says_status_and_reason_of_a_failed_cell() -> None:
    spec = experiment(seeds=1)
    task = resolve(spec).tasks[0]
    failed = {"type": "cell_failed", "task": task.id, "cut": "stem", "reason": "out of memory"}
    row = rows(fold([*started(spec), failed]))[0]
    assert (row["status"], row["reason"], row["penalty"]) == ("failed", "out of memory", "")


def test_any_table_can_be_csv_with_its_numbers_unrounded() -> None:
    state = whole_run()
    rows = list(csv.reader(io.StringIO(rendered(grid(state)))))
    assert rows[0] == ["cut", *(column_name(column) for column in state.columns())]
    for row, cut in zip(rows[1:], state.cuts(), strict=True):
        assert row == [cut, *(repr(state.summary(column, cut).penalty.value) for column in state.columns())]


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-1", "@x", " =cmd()", "\uff1dcmd()"])
def test_formula_in_a_name_is_inert_in_csv(name: str) -> None:
    found = [row for row in rows(named(name)) if row["status"] == "finished"]
    assert {row["cut"] for row in found} == {"'" + name} == {row["bottom"] for row in found}


def test_negative_numbers_stay_numbers_in_csv() -> None:
    assert [row["penalty"] for row in rows(with_penalties([-1.5]))] == ["-1.5"]


def test_control_characters_of_a_name_reach_no_export() -> None:
    state = named("[bold red]x\x1b[2J\n\x9b")
    for text in (csv_text(state), json_text(state), run_text(state)):
        assert "\x1b" not in text
        assert "\x9b" not in text
    assert len(csv_text(state).splitlines()) == 1 + len(state.cells)


def test_json_keeps_names_as_they_are() -> None:
    name = "[bold red]x\x1b[2J"
    assert json.loads(json_text(named(name)))["columns"][0]["bottom"] == name


def test_json_has_verdicts_networks_and_intervals() -> None:
    state = whole_run()
    report = json.loads(json_text(state))
    assert [column["verdict"] for column in report["columns"]] == ["connected"] * 2 + [None] * 6
    assert report["networks"]["a"]["error"] == 3.25
    assert report["experiment"] == state.experiment
    column = state.columns()[0]
    for row in report["columns"][0]["cuts"]:
        penalty = state.summary(column, row["cut"]).penalty
        assert penalty is not None
        assert row["penalty"] == {"value": penalty.value, "low": penalty.low, "high": penalty.high}


def test_json_has_null_for_numbers_that_json_cannot_hold() -> None:
    state = whole_run()
    state.data = {"name": "digits", "mean": [float("nan"), 0.5]}  # the event log can't carry one; be safe anyway
    assert json.loads(json_text(state), parse_constant=pytest.fail)["data"]["mean"] == [None, 0.5]


@pytest.mark.parametrize("name", ["a|b", "a\\|b", "a\\", "`a|b`", "[bold red]x", "<b>"])
def test_markdown_table_has_the_same_columns_in_every_row(name: str) -> None:
    tables: list[list[str]] = [[]]
    for line in run_text(named(name)).splitlines():
        if line.startswith("|"):
            tables[-1].append(line)
        elif tables[-1]:
            tables.append([])
    assert [{markdown_columns(line) for line in table} for table in tables if table] == [{9}, {6 + 1}]


def test_markdown_has_each_penalty_with_its_interval_and_a_verdict_row() -> None:
    state = whole_run()
    text = run_text(state)
    for column in state.columns():
        for cut in CUTS:
            penalty = state.summary(column, cut).penalty
            assert penalty is not None
            assert f"{penalty.value:+.2f} [{penalty.low:+.2f}, {penalty.high:+.2f}]" in text
    assert "| verdict | connected | connected |  |" in text


def test_markdown_has_a_table_of_details_for_each_pair() -> None:
    text = run_text(whole_run())
    assert "Details of a > b: affine, task:\n\n| cut | penalty | direct |" in text
    assert "Details of b > a: affine, task:" in text
    assert "In the details, direct: the penalty of direct matching" in text
    assert "Details of" not in run_text(fold(started(experiment())))


def test_markdown_and_json_say_the_condition_of_the_run() -> None:
    state = fold(started(experiment()))
    assert "Run 20260102-030405-tiny: lost." in run_text(state, condition="lost")
    assert json.loads(json_text(state, condition="lost"))["run"]["condition"] == "lost"
    assert "Run 20260102-030405-tiny: running." in run_text(state)


def test_markdown_marks_a_reused_direct_matching_value_as_both() -> None:
    spec = experiment(seeds=1)
    state = fold([*started(spec), finished(resolve(spec).tasks[0], "stem", 1.0, reused_from="20250101-000000-old")])
    assert "+1.00 [+0.50, +1.50] (direct) (reused)" in run_text(state)


def test_markdown_says_which_cells_are_not_final() -> None:
    assert "(direct)" in run_text(direct_only_run())
    assert "(direct)" not in run_text(whole_run())


def test_exports_of_an_empty_run_are_whole() -> None:
    state = RunState()
    assert rows(state) == []
    assert json.loads(json_text(state))["columns"] == []
    assert run_text(state).startswith("| cut |\n| --- |\n")


def test_markdown_says_how_far_penalties_are_similarity_and_what_the_papers_are() -> None:
    spec = Experiment.model_validate({**experiment().plain(), "reference": "E11 cka images"})
    events = finished_run_events(spec, ["conv1", "layer1.0", "layer2.0"])
    said = [{**e, "architecture": "resnet18"} if e["type"] == "network_ready" else e for e in events]
    lines = run_text(fold(said)).splitlines()
    assert any(line.startswith("- a > b, b > a: ") and "read as similarity" in line for line in lines)
    assert any(line.startswith("- CKA of a > b beside the paper's figure 7") for line in lines)
