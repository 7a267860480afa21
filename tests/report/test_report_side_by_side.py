"""Several runs side by side: whose column is whose, how far they are apart, in text, Markdown and HTML."""

import io

import pytest
from rich.console import Console
from synthetic_run import CUTS, experiment, finished_run_events, fold, whole_run

from stitchtui.report import html, markdown
from stitchtui.report.console import draw_side_by_side
from stitchtui.report.difference import compare
from stitchtui.report.side_by_side import side_by_side
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


def table(found, title):
    return next(each for each in found.tables if each.title.startswith(title))


def headings(table):
    return [heading.name for heading in table.columns]


def drawn(states, width=100, ascii=False):
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    draw_side_by_side(console, side_by_side(states, DONE[: len(states)]), ascii)
    return console.file.getvalue()


def test_each_column_stands_beside_itself_with_the_difference_from_the_first():
    found = side_by_side([whole_run(), moved(2), moved(-1)], DONE[:3])
    first = table(found, "a > b: affine, task")
    assert first.rows == CUTS
    assert headings(first) == ["run 1", "run 2", "run 3", "2 - 1", "3 - 1"]
    for row in first.entries:
        assert [entry.interval.value for entry in row[3:]] == pytest.approx([2.0, -1.0])


def test_differences_are_those_of_the_comparison_of_two_runs():
    one, other = whole_run(), moved(2)
    found, known = side_by_side([one, other], DONE[:2]), compare(one, other)
    for column, heading in enumerate(known.columns):
        assert heading.column.heading in found.tables[column].title
        for mine, all_of_them in zip(found.tables[column].entries, known.entries, strict=True):
            assert mine[2].interval == all_of_them[column].interval


def test_a_column_that_only_some_runs_have_is_shown_without_a_difference():
    found = side_by_side([whole_run(), other_pair()], DONE[:2])
    assert headings(table(found, "a > c")) == ["run 2"]
    assert any("only in" in note for note in found.notes)


def test_a_single_seed_and_three_are_compared_as_they_are():
    found = side_by_side([whole_run(experiment(seeds=1)), moved(1, experiment(seeds=3))], DONE[:2])
    assert table(found, "a > b: affine, task").entries[0][2].interval is not None


def test_the_table_for_a_terminal_names_runs_by_number_and_says_which_they_are():
    text = drawn([whole_run(), moved(2)])
    assert "run 1: 20260102-030405-tiny, done; cpu (2 threads)" in text
    assert "2 - 1" in text
    assert "+2.00 ±" in text
    assert max(map(len, text.splitlines())) <= 100


def test_ascii_text_has_only_ascii():
    assert drawn([whole_run(), moved(2)], ascii=True).isascii()


def test_markdown_holds_the_intervals_ends_and_every_table_is_even():
    text = markdown.side_by_side_text(side_by_side([whole_run(), moved(2)], DONE[:2]))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert "| cut | run 1 | run 2 | 2 - 1 |" in tables
    assert {line.count("|") for line in tables} == {5}
    assert "[" in text


def test_the_page_of_several_runs_shows_each_ones_plot_and_claims():
    states = [whole_run(), moved(2)]
    page = html.side_by_side_text(side_by_side(states, DONE[:2]), states)
    assert page.count("data:image/svg+xml;base64,") == 2
    assert "Runs side by side" in page


def test_runs_that_have_not_begun_are_no_crash():
    found = side_by_side([RunState(), whole_run()], ["starting", "done"])
    assert len(found.tables) == len(whole_run().columns())
    assert markdown.side_by_side_text(side_by_side([RunState(), RunState()], DONE[:2]))


def test_hostile_names_are_plain_in_every_output():
    states = [whole_run(experiment("[red]<script|", "b")), whole_run()]
    states[1].run = "\x1b[31m<script>|"
    found = side_by_side(states, DONE[:2])
    page = html.side_by_side_text(found, states)
    assert "\x1b" not in drawn(states) + markdown.side_by_side_text(found) + page
    assert "<script" not in page
