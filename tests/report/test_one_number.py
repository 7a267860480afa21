"""At each cut one number counts, that of the trained stitch: every front says the same, of the same cuts."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable

import pytest
from claimed_run import CUTS, experiment, run

from stitchtui.report import difference, figures, html, markdown
from stitchtui.report.claim_lines import claims
from stitchtui.report.details import details
from stitchtui.report.export import csv_text, json_text
from stitchtui.report.harm import warnings
from stitchtui.report.readings import reading_lines
from stitchtui.report.side_by_side import side_by_side
from stitchtui.report.summary import summary_lines
from stitchtui.report.table import Table, grid
from stitchtui.report.terminal import texts
from stitchtui.run.state import RunState
from stitchtui.spec.measures import VERSUS_SELF_STITCH
from stitchtui.tui.facts import cell_facts
from stitchtui.tui.findings import finding_lines
from stitchtui.tui.gridview import grid_view
from stitchtui.tui.measures import FIRST, shown_measures

TRAINED = [2.11, -0.52, 8.33, 4.84, 1.25]
DIRECT = [3.0, 3.0, 1.0, 1.0, 1.0]  # worse at some cuts, better at others
SELF = [0.0, 4.8, 1.0, 3.0, 0.0]
HARMED = "one, three"
SHOWN = {measure.shade.name: measure for measure in shown_measures()}


@pytest.fixture(scope="module")
def state() -> RunState:
    """A pair beside a self-stitch that training did harm to, at one cut by less than counts."""
    made = experiment([{"kind": "at_most", "columns": ["a > c"], "value": value} for value in (3, -9)])
    columns = {
        "a > c affine task": TRAINED,
        "a > c affine direct": DIRECT,
        "c > c affine task": SELF,
        "c > c affine direct": [0.0] * 5,
        "random(a) > c affine task": [40.0] * 5,
    }
    return run(columns, made)


def _values(of: Table) -> list[float]:
    return [row[0].interval.value for row in of.entries if row[0].interval]


def _first_numbers(page: str, between: str) -> list[float]:
    """The first number after each cut's name, where that stands for the first time."""
    return [float(re.search(rf"{cut}{between}([-+]\d+\.\d+)", page, re.DOTALL)[1]) for cut in CUTS]  # type: ignore[index]


def _csv(state: RunState, name: str = "penalty") -> Iterable[float]:
    rows = csv.DictReader(io.StringIO(csv_text(state)))
    return [float(row[name]) for row in rows if row["task"] == "a > c affine task seed 0"]


def _cells(state: RunState, label: str = "penalty") -> Iterable[float]:
    facts = (dict(cell_facts(state, state.columns()[0], cut, doubts=True)) for cut in CUTS)
    return [float(fact[label].split()[0]) for fact in facts]


FRONTS: dict[str, Callable[[RunState], Iterable[float]]] = {
    "grid": lambda state: _values(grid(state)),
    "terminal": lambda state: [float(t.split()[0]) for t in texts([r[0] for r in grid(state).entries], 2, True)],
    "Markdown": lambda state: _first_numbers(markdown.run_text(state), r" \| "),
    "HTML": lambda state: _first_numbers(html.run_text(state), r"</th>.*?>"),
    "CSV": _csv,
    "app": lambda state: _values(grid_view(state, FIRST).table),
    "cell": _cells,
    "details": lambda state: _values(details(state)[0]),
    "depth plot": lambda state: [interval.value for _, interval in figures.lines(state)[0].points],
    "side by side": lambda state: _values(side_by_side([state, state], ["done", "done"]).tables[0]),
    "compare": lambda state: [float(r[0].note.split()[1]) for r in difference.compare(state, state).entries],
    "claim": lambda state: [{n["cut"]: n["value"] for n in claims(state)[1].numbers}[cut] for cut in CUTS],
}


@pytest.mark.parametrize("front", FRONTS)
def test_every_front_says_the_trained_stitchs_penalty_at_each_cut(state: RunState, front: str) -> None:
    assert list(FRONTS[front](state)) == TRAINED


def _details(state: RunState, name: str) -> list[float]:
    (table,) = details(state)[:1]
    place = [heading.name for heading in table.columns].index(name)
    return _values(table.part([place]))


def _thirds(page: str, name: str, after: str) -> list[float]:
    """The third entry of each cut's row in the details: behind the penalty and direct matching."""
    found = (re.findall(rf"{name.format(cut)}(?:[^|]*?{after}){{3}}\s*([-+]\d+\.\d+)", page)[-1] for cut in CUTS)
    return list(map(float, found))


def _in_json(state: RunState, name: str) -> list[float]:
    rows = {row["cut"]: row["measures"] for row in json.loads(json_text(state))["columns"][0]["cuts"]}
    return [rows[cut][name] for cut in CUTS]


VERSUS: dict[str, Callable[[RunState], Iterable[float]]] = {
    "CSV": lambda state: _csv(state, VERSUS_SELF_STITCH.name),
    "JSON": lambda state: _in_json(state, VERSUS_SELF_STITCH.name),
    "details": lambda state: _details(state, "vs self-stitch"),
    "Markdown": lambda state: _thirds(markdown.run_text(state), r"\| {}", r"\|"),
    "HTML": lambda state: _thirds(html.run_text(state), '<th scope="row">{}</th>', r"<td[^>]*>"),
    "app": lambda state: _values(grid_view(state, SHOWN["against the self-stitch"]).table),
    "cell": lambda state: _cells(state, "vs self"),
}


@pytest.mark.parametrize("front", VERSUS)
def test_every_front_says_the_same_penalty_against_the_self_stitch(state: RunState, front: str) -> None:
    assert list(VERSUS[front](state)) == pytest.approx([p - s for p, s in zip(TRAINED, SELF, strict=True)])


def test_figure_csv_and_json_have_the_same_band_of_a_pair(state: RunState) -> None:
    band = state.band(state.columns()[0])
    ends = [(band[cut].low, band[cut].high) for cut in CUTS]
    assert all(low < own - 0.5 and high > own + 0.5 for (low, high), own in zip(ends, TRAINED, strict=True))
    assert [(limits.low, limits.high) for limits in figures.lines(state)[0].band] == ends
    assert list(zip(_csv(state, "band_low"), _csv(state, "band_high"), strict=True)) == ends
    rows = {row["cut"]: row["band"] for row in json.loads(json_text(state))["columns"][0]["cuts"]}
    assert [(rows[cut]["low"], rows[cut]["high"]) for cut in CUTS] == ends
    assert not any(line.band for line in figures.lines(state) if line.kind == "control")


def test_verdict_claim_and_largest_penalty_go_by_it(state: RunState) -> None:
    said = "\n".join(summary_lines(state))
    assert state.verdict(state.columns()[0]) == "not connected"
    assert "; largest penalty +8.33 [+7.83, +8.83] at two" in said
    assert (
        claims(state)[0].reason
        == "not at 2 of 5 cuts: two (0.50) +8.33 [+7.83, +8.83]; three (0.75) +4.84 [+4.34, +5.34]"
    )
    assert "at two" in "\n".join(map(str, finding_lines(state, "done", 200)))


def test_direct_matching_stands_beside_it_by_name(state: RunState) -> None:
    column = state.columns()[0]
    assert [dict(cell_facts(state, column, cut))["direct"].split()[0] for cut in CUTS] == [f"{d:+.2f}" for d in DIRECT]
    assert [row[1].text for row in details(state)[0].entries] == [f"{d:+.2f}" for d in DIRECT]
    rows = [row for row in csv.DictReader(io.StringIO(csv_text(state))) if row["task"] == "a > c affine task seed 0"]
    assert [float(row["direct_penalty"]) for row in rows] == DIRECT


def test_warning_and_finding_name_the_same_cuts_of_a_harmed_self_stitch(state: RunState) -> None:
    (warning,) = warnings(state)
    assert f"made an exact self-stitch worse by more than 2 points at {HARMED}:" in warning
    assert any(f"a self-stitch costs something at {HARMED}:" in line for line in reading_lines(state))
