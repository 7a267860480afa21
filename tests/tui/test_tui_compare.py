import pytest
from little_app import LittleApp
from pilot import make_experiment, make_run, screen_text, wait_for, wait_for_text
from textual.widgets import DataTable

from stitchtui.base.paths import runs_directory
from stitchtui.run.events import CellFinished, encode, read_events
from stitchtui.tui.screens.compare import CompareScreen
from stitchtui.tui.screens.runs import RunsScreen

OLD, NEW = "20260101-000000-old", "20260102-000000-new"
SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]


def rewrite(directory, change):
    """Replace every event of the run's log by what `change` makes of it."""
    directory.events.write_bytes(b"".join(encode(change(event)) + b"\n" for event in read_events(directory.events)))


def higher(points):
    def change(event):
        if isinstance(event, CellFinished):
            for name in ("penalty", "penalty_low", "penalty_high"):
                event.measures[name] += points
        return event

    return change


@pytest.fixture
def two_runs():
    old, new = make_run(runs_directory(), OLD), make_run(runs_directory(), NEW)
    rewrite(new, higher(2.5))
    return old, new


def comparing(two_runs, ascii=False):
    return LittleApp(lambda: CompareScreen(*two_runs), ascii)


@pytest.mark.parametrize("size", SIZES)
async def test_the_grid_shows_what_the_second_costs_more(two_runs, size):
    async with comparing(two_runs).run_test(size=size) as pilot:
        await wait_for_text(pilot, "+2.50 ±0.71")
        await wait_for_text(pilot, f"first  {OLD}")
        await wait_for_text(pilot, "second - first, in points")
        assert screen_text(pilot.app).split()[-4:] == ["?", "help", "q", "quit"]


async def test_the_cell_under_the_cursor_is_told_in_full(two_runs):
    async with comparing(two_runs).run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "a > b at stem; verdict connected (from 1.1), then undecided (from 3.6)")
        await pilot.press("j", "l")
        await wait_for_text(pilot, "b > a at block1")
        await pilot.press("k", "h")
        await wait_for_text(pilot, "a > b at stem")
        await pilot.press("G")
        await wait_for_text(pilot, "at block2")
        await pilot.press("g")
        await wait_for_text(pilot, "at stem")


async def test_swapping_turns_the_difference_round(two_runs):
    async with comparing(two_runs).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "+2.50")
        await pilot.press("x")
        await wait_for_text(pilot, "-2.50 ±0.71")
        await wait_for_text(pilot, f"first  {NEW}")


async def test_what_is_written_to_a_run_meanwhile_is_shown(two_runs):
    async with comparing(two_runs).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "+2.50")
        rewrite(two_runs[1], higher(1.0))
        await wait_for_text(pilot, "+3.50 ±0.71")


async def test_runs_without_a_common_column_say_so(two_runs):
    other = make_run(runs_directory(), "20260103-000000-other", make_experiment("c", "d"))
    async with comparing((two_runs[0], other)).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "nothing to compare: no column has the same bottom")
        await pilot.press("j", "l", "G", "y", "x")


async def test_copy_gives_a_markdown_table(two_runs):
    async with comparing(two_runs).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "+2.50")
        await pilot.press("y")
        await wait_for(pilot, lambda: pilot.app.clipboard.startswith("| cut | a > b |"), "it is copied")


async def test_two_marked_runs_are_compared_old_to_new(two_runs):
    async with LittleApp(RunsScreen).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "2 runs")
        await pilot.press("space", "j", "space", "c")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, CompareScreen), "they are compared")
        await wait_for_text(pilot, f"second {NEW}")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, RunsScreen), "escape leads back")


async def test_ascii_draws_nothing_else(two_runs):
    async with comparing(two_runs, ascii=True).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "+2.50 +-0.71")
        table = pilot.app.screen.query_one(DataTable)
        assert all(str(cell).isascii() for row in range(table.row_count) for cell in table.get_row_at(row))
