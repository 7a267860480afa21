"""The sentences of a run can be read in the app: claims, verdicts, warnings, checks."""

import pytest
from pilot import make_experiment, make_run, screen_text, tasks_of, wait_for, wait_for_text, write_task

from stitchtui.base.paths import runs_directory
from stitchtui.report.summary import summary_lines
from stitchtui.run.events import Claim, EventWriter, Warned
from stitchtui.run.state import RunState
from stitchtui.tui.app import StitchApp
from stitchtui.tui.findings import finding_lines
from stitchtui.tui.widgets.lines import Lines


def told_run(warning="the classes may be in another order", **how):
    """A run whose end said three claims, and that has something to warn of."""
    directory = make_run(runs_directory(), **how)
    with EventWriter(directory.events) as writer:
        for index, verdict in enumerate(("confirmed", "rejected", "undecided")):
            writer.write(
                Claim(
                    index=index,
                    sentence=f"sentence {index}",
                    verdict=verdict,
                    reason=f"the reason of {index}",
                    source="Figure 2",
                    numbers=[],
                )
            )
        writer.write(Warned(text=warning))
    return directory


def text(state, width=60, ascii=False):
    return "\n".join(str(line) for line in finding_lines(state, "done", width, ascii))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_f_shows_the_claims_with_verdict_and_reason_before_all_else(size):
    told_run()
    async with StitchApp().run_test(size=size) as pilot:
        await wait_for_text(pilot, "f findings")
        await pilot.press("f")
        await wait_for_text(pilot, "✓ confirmed")
        shown = screen_text(pilot.app)
        for words in ("1. sentence 0 (Figure 2)", "the reason of 0", "✗ rejected", "? undecided"):
            assert words in shown
        await pilot.press("G")
        await wait_for_text(pilot, "check passed: frozen")
        await pilot.press("escape")
        await wait_for_text(pilot, "verdict")


def test_everything_that_the_report_says_is_said():
    state = RunState.load(told_run().events)
    said = " ".join(text(state).split())
    for line in summary_lines(state, condition="done"):
        if line not in summary_lines(state, about=("claims", "how judged")):
            assert " ".join(line.split()) in said
    for claim in state.claims:
        assert claim.sentence in said and claim.reason in said
    assert said.index("sentence 0") < said.index("warning: the classes") < said.index("network a")


@pytest.mark.parametrize("width", [20, 58, 118])
def test_no_line_is_longer_than_there_is_room(width):
    state = RunState.load(told_run().events)
    assert max(map(len, text(state, width).split("\n"))) <= width


def test_without_claims_and_warnings_only_the_run_is_told():
    state = RunState.load(make_run(runs_directory()).events)
    assert text(state).startswith("What it found\na > b: connected")
    assert "\n\nWhat that rests on\nrun: " in text(state)


def test_names_are_inert_and_in_ascii_nothing_else_is_sent():
    hostile = make_experiment("[red]q", "ß")
    state = RunState.load(told_run("look out: \x1b[2J", experiment=hostile).events)
    assert "\x1b" not in text(state)
    assert "[red]q" in text(state)
    assert text(state, ascii=True).isascii()
    assert "+ confirmed" in text(state, ascii=True)


async def test_what_is_measured_meanwhile_is_drawn():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "f findings")
        await pilot.press("f")
        await wait_for_text(pilot, "a > b: no verdict yet")
        with EventWriter(directory.events) as writer:
            for task in tasks_of(experiment, "task"):
                write_task(writer, task)
        await wait_for_text(pilot, "a > b: connected at epsilon 3 points")


async def test_a_run_that_has_said_nothing_has_a_screen_all_the_same():
    make_run(runs_directory(), until="planned").events.write_text("")
    async with StitchApp().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "f findings")
        await pilot.press("f")
        await wait_for_text(pilot, "nothing has happened yet")
        assert pilot.app.screen.query_one("#all", Lines).texts
        await pilot.press("G", "g", "escape")
        await wait_for(pilot, lambda: type(pilot.app.screen).__name__ == "GridScreen", "the grid is back")


async def test_the_status_line_and_the_list_of_runs_count_the_claims():
    told_run()
    counts = "claims: 1 confirmed, 1 rejected, 1 undecided"
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, counts)
        await pilot.press("r")
        await wait_for_text(pilot, f"2 connected; {counts}")
