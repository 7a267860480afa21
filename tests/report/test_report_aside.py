"""Several runs side by side: whose column is whose, how far they are apart, in text, Markdown and HTML."""

import io

import pytest
from rich.console import Console
from synthetic_run import CUTS, experiment, finished_run_events, fold, whole_run

from stitchtui.report.difference import compare
from stitchtui.report.side_by_side import aside, html_text, markdown_text, text_parts
from stitchtui.run.state import RunState

DONE = ["done"] * 4


def moved(by, spec=None):
    """A run whose every penalty is `by` points higher."""
    state = whole_run(spec)
    for cell in state.cells.values():
        for name in ("penalty", "penalty_low", "penalty_high"):
            cell.measures[name] += by
    return state


def other_pair():
    """A run of other networks, but for one of them."""
    events = finished_run_events(experiment("a", "c"))
    return fold([{**event, "run": "other"} if event["type"] == "run_started" else event for event in events])


def block(found, title):
    return next(each for each in found.blocks if each.title.startswith(title))


def drawn(states, width=100, ascii=False):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    for part in text_parts(aside(states, DONE[: len(states)]), width, ascii):
        console.print(part)
    return console.file.getvalue()


def test_each_column_stands_beside_itself_with_the_difference_from_the_first():
    found = aside([whole_run(), moved(2), moved(-1)], DONE[:3])
    first = block(found, "a > b: affine, task")
    assert first.cuts == CUTS
    assert first.differences == [1, 2]
    for row in range(len(CUTS)):
        assert [first.apart(row, run).value for run in (1, 2)] == pytest.approx([2.0, -1.0])


def test_differences_are_those_of_the_comparison_of_two_runs():
    one, other = whole_run(), moved(2)
    found, known = aside([one, other], DONE[:2]), compare(one, other)
    for column, pairing in enumerate(known.pairings):
        assert pairing.first.heading in found.blocks[column].title
        for row in range(len(known.cuts)):
            assert found.blocks[column].apart(row, 1) == known.cells[row][column].interval


def test_a_column_that_only_some_runs_have_is_shown_without_a_difference():
    found = aside([whole_run(), other_pair()], DONE[:2])
    alone = block(found, "a > c")
    assert alone.measured == (False, True)
    assert alone.differences == []
    assert any("only in" in note for note in found.notes)


def test_a_single_seed_and_three_are_compared_as_they_are():
    found = aside([whole_run(experiment(seeds=1)), moved(1, experiment(seeds=3))], DONE[:2])
    assert block(found, "a > b: affine, task").apart(0, 1) is not None


def test_the_table_for_a_terminal_names_runs_by_number_and_says_which_they_are():
    text = drawn([whole_run(), moved(2)])
    assert "run 1: 20260102-030405-tiny, done; cpu (2 threads)" in text
    assert "2 - 1" in text
    assert "+2.00 ±" in text
    assert max(map(len, text.splitlines())) <= 100


def test_ascii_text_has_only_ascii():
    assert drawn([whole_run(), moved(2)], ascii=True).isascii()


def test_markdown_holds_the_intervals_ends_and_every_table_is_even():
    text = markdown_text(aside([whole_run(), moved(2)], DONE[:2]))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert "| cut | run 1 | run 2 | 2 - 1 |" in tables
    assert {line.count("|") for line in tables} == {5}
    assert "[" in text


def test_the_page_of_several_runs_shows_each_ones_plot_and_claims():
    states = [whole_run(), moved(2)]
    page = html_text(aside(states, DONE[:2]), states)
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "Runs side by side" in page


def test_runs_that_have_not_begun_are_no_crash():
    found = aside([RunState(), whole_run()], ["starting", "done"])
    assert len(found.blocks) == len(whole_run().columns())
    assert markdown_text(aside([RunState(), RunState()], DONE[:2]))


def test_hostile_names_are_plain_in_every_output():
    states = [whole_run(experiment("[red]<script|", "b")), whole_run()]
    states[1].run = "\x1b[31m<script>|"
    found = aside(states, DONE[:2])
    assert "\x1b" not in drawn(states) + markdown_text(found) + html_text(found, states)
    assert "<script" not in html_text(found, states)
