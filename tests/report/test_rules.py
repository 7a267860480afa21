"""A log's verdicts stay as they were called, marked where other rules than the present ones called them."""

import json

from claimed_run import experiment, run
from made_events import event, run_started

from stitchtui.report import html, markdown
from stitchtui.report.claim_lines import claim_lines
from stitchtui.report.export import json_text
from stitchtui.report.summary import IN_SHORT, summary_lines
from stitchtui.run.state import RunState
from stitchtui.stats.rules import RULES

CLAIM = {"kind": "at_most", "columns": ["a > c"], "value": 3}


def ended(*said) -> RunState:
    """A run whose penalties are all 1 point, with these events at its end."""
    state = run({"a > c affine task": [1] * 5, "b > c affine task": [1] * 5}, experiment([CLAIM]))
    for each in said:
        state.apply(each)
    assert state.unknown_events == 0
    return state


def claim(verdict, **more):
    return event("claim", index=0, sentence="s", verdict=verdict, reason="r", **more)


def pair(verdict, **more):
    task = next(task for task in ended().tasks if "a > c affine task" in task)
    return event("verdict", column="a > c", tasks=[task], verdict=verdict, epsilon=3.0, connected_from=7.5, **more)


def rules(state):
    return summary_lines(state, about=("rules",))


def test_a_claim_of_a_log_that_names_no_rules_is_of_the_first_and_keeps_its_verdict():
    state = ended(claim("rejected"))
    assert claim_lines(state) == ["claim 1 rejected by rules 1: s; r"]
    assert rules(state) == [f"claims: as called by rules 1; the present rules, {RULES}, say claim 1 confirmed"]
    assert rules(ended(claim("confirmed"))) == [
        f"claims: as called by rules 1; the present rules, {RULES}, say the same"
    ]


def test_a_pairs_verdict_and_margin_stay_as_they_were_called():
    state = ended(pair("undecided", rules=1))
    column = state.columns()[0]
    assert (state.verdict(column), state.connected_from(column)) == ("undecided", 7.5)
    assert state.verdict_now(column) == "connected"
    assert "a > c: undecided at epsilon 3 points by rules 1, connected at any margin from 7.5" in verdicts(state)
    assert rules(state) == [f"verdicts: as called by rules 1; the present rules, {RULES}, say a > c connected"]


def verdicts(state):
    return "\n".join(summary_lines(state, about=("verdicts",)))


def test_what_the_present_rules_called_is_marked_nowhere():
    state = ended(claim("rejected", rules=RULES), pair("undecided", rules=RULES))
    assert rules(state) == []
    assert "by rules" not in "\n".join(summary_lines(state)) + markdown.run_text(state)


def test_a_log_without_a_verdict_is_judged_by_the_present_rules():
    state = ended()
    assert (state.verdict(state.columns()[0]), rules(state)) == ("connected", [])


def test_verdicts_of_a_run_that_goes_on_are_called_anew():
    state = ended(pair("undecided"))
    state.apply(run_started(experiment([CLAIM]), resumed=True))
    assert state.verdicts == {}


def test_every_report_marks_them():
    state = ended(claim("rejected"))
    said = rules(state)[0]
    assert said in summary_lines(state, about=IN_SHORT)
    assert "| rejected by rules 1 |" in markdown.run_text(state)
    assert said in markdown.run_text(state)
    page = html.run_text(state)
    assert "rejected by rules 1</td>" in page
    assert said in page
    assert json.loads(json_text(state))["claims"][0]["rules"] == 1
