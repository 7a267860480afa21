"""From a preset to the end of a run: claims are said as events, folded, reported, and the shell is told."""

import csv
import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import NormalDist

import pytest
from claimed_run import experiment, run
from made_events import event, run_started

from stitchtui import cli
from stitchtui.base.errors import ExitCode
from stitchtui.report import html
from stitchtui.report.claim_judging import judge_all
from stitchtui.report.claim_lines import claim_lines, claims
from stitchtui.report.export import claims_text, json_text
from stitchtui.report.markdown import run_text
from stitchtui.report.summary import summary_lines
from stitchtui.run import control
from stitchtui.stats.rules import RULES
from stitchtui.tui.findings import finding_lines

HOLDS = {"kind": "at_most", "columns": ["a > c"], "value": 3, "source": "E1"}
FAILS = {"kind": "at_least", "columns": ["a > c"], "value": 3}


def said(state, **more):
    for index, word in enumerate(("confirmed", "rejected")):
        said = {"index": index, "sentence": "s", "verdict": word, "reason": "r", "rules": RULES}
        state.apply(event("claim", **said | more))
    return state


def measured():
    return run({"a > c affine task": [1] * 5}, experiment([HOLDS, FAILS]))


def test_claims_are_folded_in_order_and_said_twice_count_once():
    state = said(said(measured()))
    assert [(claim.index, claim.verdict) for claim in state.claims] == [(0, "confirmed"), (1, "rejected")]
    assert state.unknown_events == 0


def test_a_run_that_goes_on_has_its_claims_said_anew():
    state = said(measured())
    state.apply(run_started(experiment([HOLDS, FAILS]), resumed=True))
    assert state.claims == []


def test_until_a_run_has_said_its_claims_they_are_judged_as_far_as_it_has_come():
    assert claims(measured()) == judge_all(measured())
    assert claim_lines(measured())[0] == (
        "claim 1 (E1) so far confirmed: penalty of a > c is at most 3 points at every cut;"
        " at all of 5 cuts; the closest: stem (0.00) +1.00 [+0.50, +1.50]"
    )
    assert claim_lines(said(measured()))[0] == "claim 1 confirmed: s; r"


def beside_others():
    """A claim that is rejected by itself, but not among four: at a cut its p value is about 1 percent."""
    numbers = [(4, 3.5, 4.5), *[1] * 4]
    just = {"kind": "at_most", "columns": ["a > c"], "value": 3.4, "cuts": ["stem"]}
    return run({"a > c affine task": numbers}, experiment([just, *[{**FAILS, "cuts": ["one"], "value": 1}] * 3]))


def test_a_claim_that_does_not_stand_among_others_is_open_and_says_what_it_is_alone():
    state = beside_others()
    (first, *_) = judge_all(state)
    assert (first.verdict, first.raw) == ("undecided", "rejected")
    assert first.p == pytest.approx(NormalDist().cdf(-0.6 / 0.5 * 1.959964))
    assert first.adjusted_p == pytest.approx(4 * first.p)
    said = "undecided (alone rejected)"
    assert f"claim 1 so far {said}: " in claim_lines(state)[0]
    assert f"| {said} |" in run_text(state)
    assert f"{said}</td>" in html.run_text(state)
    assert any(said in line.plain for line in finding_lines(state, "running", 200))
    found = json.loads(json_text(state))["claims"][0]
    assert (found["verdict"], found["raw"], found["p"]) == ("undecided", "rejected", first.p)


def test_claims_as_csv_have_a_row_each():
    rows = list(csv.DictReader(io.StringIO(claims_text(beside_others()))))
    assert [row["claim"] for row in rows] == ["1", "2", "3", "4"]
    assert (rows[0]["verdict"], rows[0]["raw"], rows[0]["rules"]) == ("undecided", "rejected", str(RULES))
    assert float(rows[0]["adjusted_p"]) == pytest.approx(4 * float(rows[0]["p"]))


def test_the_log_has_both_verdicts_of_a_claim():
    state = beside_others()
    before = judge_all(state)
    for claim in before:
        state.apply(event("claim", **asdict(claim)))
    assert state.claims == before


def test_a_run_without_claims_says_nothing_of_them():
    assert claim_lines(run({"a > c affine task": [1] * 5})) == []


def test_every_report_shows_each_claim_with_its_verdict():
    state = measured()
    text = "\n".join(summary_lines(state))
    assert "so far rejected: penalty of a > c is at least 3 points at every cut" in text
    assert [claim["verdict"] for claim in json.loads(json_text(state))["claims"]] == ["confirmed", "rejected"]
    assert "| penalty of a > c is at most 3 points at every cut | E1 | confirmed |" in run_text(state)


def test_hostile_words_of_a_claim_reach_no_terminal_and_no_markdown():
    state = measured()
    facts = {"index": 0, "sentence": "\x1b[31m<b>| x", "verdict": "confirmed", "reason": "`r`\n"}
    state.apply(event("claim", **facts))
    assert "\x1b" not in "".join(claim_lines(state)) + "".join(summary_lines(state))
    assert "\\<b>\\|" in run_text(state)


WORKER = """
import json, os, sys
from pathlib import Path
import logged
from fake_worker import begun, ended, measured
from stitchtui.run.control import describe_process
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import EventWriter
from stitchtui.stats.rules import RULES
directory = RunDirectory(Path(sys.argv[1]))
directory.write_info(describe_process(os.getpid()))
claim = {"type": "claim", "index": 0, "sentence": "it is so", "verdict": VERDICT, "reason": "by that", "rules": RULES}
with EventWriter(directory.events) as writer:
    for event in [begun(), *measured(), claim, ended()]:
        writer.write(logged.event(event))
"""


@pytest.mark.parametrize(
    ("verdict", "code"),
    [("rejected", ExitCode.CLAIM_REJECTED), ("confirmed", ExitCode.DONE), ("undecided", ExitCode.DONE)],
)
def test_a_run_with_a_rejected_claim_ends_with_a_code_of_its_own(verdict, code, tmp_path, monkeypatch, capsys):
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.replace("VERDICT", repr(verdict)))
    tests = Path(__file__).parent.parent
    monkeypatch.setenv("PYTHONPATH", f"{tests}:{tests.parent}")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(control, "launch", lambda d, a: _launch(d, a, [sys.executable, str(worker)]))
    assert cli.invoke(["run", "quickstart"]) == code
    out, err = capsys.readouterr()
    assert f"claim 1 {verdict}: it is so; by that" in out
    assert ("1 of 1 claims rejected: 1" in err) == (verdict == "rejected")


_real_launch = control.launch


def _launch(directory, arguments, command):
    return _real_launch(directory, arguments, command=command)
