import asyncio
import functools
import os
import sys
from pathlib import Path

import pytest
from little_app import LittleApp
from pilot import (
    make_experiment,
    make_run,
    runs_read,
    screen_strips,
    screen_text,
    tasks_of,
    wait_for,
    wait_for_text,
    write_cell,
    write_start,
)
from textual.widgets import Input

from stitchtui.base.paths import runs_directory
from stitchtui.run import control
from stitchtui.run.about import About
from stitchtui.run.directory import RunDirectory, create
from stitchtui.run.events import CellFailed, EventWriter, RunFinished
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens import actions
from stitchtui.tui.screens.confirm import ConfirmScreen
from stitchtui.tui.screens.export import ExportScreen
from stitchtui.tui.screens.runs import RunsScreen
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.run_list import RunList

TESTS = Path(__file__).parents[1]
SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]
DONE, LOST, GOING = "20260103-000000-done", "20260102-000000-lost", "20260101-000000-going"


@pytest.fixture
def three_runs():
    """One that is done, one whose worker died, and one that this very process claims to work on."""
    parent = runs_directory()
    done = make_run(parent, DONE)
    lost = make_run(parent, LOST, until="direct")
    lost.log.write_text("loading\nKilled: out of memory\n")
    going = make_run(parent, GOING, until="direct")
    alive(going)
    return done, lost, going


def alive(directory):
    """Say that this process works on the run, since before the log began."""
    directory.write_info({**control.describe_process(os.getpid())})


def little(ascii=False):
    return LittleApp(RunsScreen, ascii)


def chosen(app):
    return app.screen.query_one(RunList).chosen.directory.name


async def to(pilot, name):
    """Put the cursor on the run of this name."""
    await wait_for_text(pilot, "3 runs")
    await runs_read(pilot)
    while chosen(pilot.app) != name:
        await pilot.press("j")


def hints(app):
    return screen_text(app).splitlines()[-1].split()


def keys_offered(app):
    return {"stop", "resume"} & set(hints(app))


def line_of(app, name):
    return next(line for line in screen_text(app).splitlines() if name[:16] in line)


@pytest.mark.parametrize("size", SIZES)
async def test_every_run_is_listed_with_its_condition(three_runs, size):
    async with little().run_test(size=size) as pilot:
        await wait_for_text(pilot, "3 runs, 1 going on")
        shown = {name: line_of(pilot.app, name).split() for name in (DONE, LOST, GOING)}
        words = [(DONE, "✓", "done"), (LOST, "†", "lost"), (GOING, "▸", "running")]
        for name, glyph, status in words:
            assert shown[name][0] == glyph
            assert (status in shown[name]) == (size[0] >= 80)
        assert "100%" in shown[DONE]


@pytest.mark.parametrize("size", SIZES)
async def test_help_and_quit_are_never_cut_off(three_runs, size):
    async with little().run_test(size=size) as pilot:
        await wait_for(
            pilot, lambda: screen_text(pilot.app).split()[-4:] == ["?", "help", "q", "quit"], "both are last"
        )


async def test_a_lost_run_shows_its_last_words(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, LOST)
        await wait_for_text(pilot, "its worker died; last words: Killed: out of memory")


async def test_a_run_copied_from_another_machine_is_elsewhere():
    run = make_run(runs_directory(), until="direct")
    run.write_info({"pid": 1, "host": "far-away", "create_time": 1.0})
    async with little().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "elsewhere")
        await wait_for_text(pilot, "its worker is on far-away")


async def test_enter_opens_the_run_under_the_cursor(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, LOST)
        await pilot.press("enter")
        await wait_for(pilot, lambda: [run.name for run in pilot.app.opened] == [LOST], "the run is opened")


async def test_the_cursor_stays_on_its_run_when_a_newer_one_comes(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, LOST)
        make_run(runs_directory(), "20260104-000000-newer")
        await wait_for_text(pilot, "4 runs")
        assert chosen(pilot.app) == LOST


async def test_a_run_that_goes_on_is_redrawn_in_its_line(three_runs):
    going = three_runs[2]
    async with little().run_test(size=(80, 24)) as pilot:
        await wait_for(pilot, lambda: "running" in line_of(pilot.app, GOING), "it is running")
        with EventWriter(going.events) as writer:
            writer.write(RunFinished(status="stopped", reason=None))
        await wait_for(pilot, lambda: "stopped" in line_of(pilot.app, GOING), "it is stopped")


async def test_without_runs_it_says_how_to_get_one():
    async with little().run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "n starts one")
        await pilot.press("enter", "s", "r", "space", "c", "e", "y", "G", "g")
        assert pilot.app.opened == [] and pilot.app.said == []
        assert pilot.app.screen.query_one(Hints).hints()[0].words == "back", "nothing is offered that needs a run"


async def test_stop_asks_first_and_no_is_the_first_answer(three_runs, monkeypatch):
    stopped = []
    monkeypatch.setattr(actions.control, "stop", lambda directory: stopped.append(directory.name) or True)
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, GOING)
        await pilot.press("s")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "it asks")
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, RunsScreen), "no leads back")
        await pilot.press("s")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "it asks again")
        assert stopped == []
        await pilot.press("y")
        await wait_for(pilot, lambda: stopped == [GOING], "it is stopped")
        await wait_for(
            pilot, lambda: any("nothing that was measured is lost" in said for said in pilot.app.said), "said"
        )


async def test_only_what_goes_on_can_be_stopped_and_only_what_does_not_can_be_resumed(three_runs, monkeypatch):
    asked = []
    monkeypatch.setattr(actions, "ask_stop", lambda _, directory: asked.append(("stop", directory.name)))
    monkeypatch.setattr(actions, "resume", lambda _, directory: asked.append(("resume", directory.name)))
    async with little().run_test(size=(80, 24)) as pilot:
        for name, offered in ((DONE, []), (LOST, ["resume"]), (GOING, ["stop"])):
            await to(pilot, name)
            wanted = set(offered)
            await wait_for(pilot, lambda wanted=wanted: keys_offered(pilot.app) == wanted, f"only {offered} is")
            await pilot.press("s", "r")
            assert asked == [(each, name) for each in offered]
            asked.clear()


async def test_a_run_that_is_done_can_be_resumed_once_more_is_asked_of_it(three_runs):
    done = three_runs[0]
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await wait_for(pilot, lambda: keys_offered(pilot.app) == set(), "nothing is left")
        done.write_experiment(make_experiment(controls=[*make_experiment().controls, "random_top"]))
        await wait_for(pilot, lambda: keys_offered(pilot.app) == {"resume"}, "more was asked")
        done.experiment.write_text("networks = 3")
        await wait_for(pilot, lambda: keys_offered(pilot.app) == set(), "what makes no sense can't be asked")


async def test_a_run_that_is_done_but_for_a_cell_that_failed_can_be_resumed_unless_none_can_be(three_runs):
    task = tasks_of(make_experiment(), "task")[0].id
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        with EventWriter(three_runs[0].events) as writer:
            writer.write(CellFailed(task=task, cut="stem", reason="not a number"))
        await wait_for(pilot, lambda: keys_offered(pilot.app) == {"resume"}, "the cell is left")
        with EventWriter(three_runs[0].events) as writer:
            writer.write(CellFailed(task=task, cut="stem", reason="needs equal channels", misfit=True))
        await wait_for(pilot, lambda: keys_offered(pilot.app) == set(), "nothing can be done about it")


async def test_a_run_on_another_machine_is_neither_stopped_nor_resumed_from_here():
    run = make_run(runs_directory(), until="direct")
    run.write_info({"pid": 1, "host": "far-away", "create_time": 1.0})
    async with little().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "its worker is on far-away")
        assert keys_offered(pilot.app) == set()


async def test_resume_launches_the_worker_of_a_lost_run(three_runs, monkeypatch):
    launched = []
    monkeypatch.setattr(actions.control, "launch", lambda directory, *_: launched.append(directory.name))
    async with little().run_test(size=(80, 24), notifications=True) as pilot:
        await to(pilot, LOST)
        pilot.app.notify("stopped", markup=False)
        await pilot.press("r")
        await wait_for(pilot, lambda: launched == [LOST], "it is launched")
        await wait_for(pilot, lambda: "goes on with what is missing" in pilot.app.said[-1], "it says so")
        await wait_for(pilot, lambda: len(pilot.app.screen.query("Toast")) == 1, "what was said before is gone")


async def test_resume_says_why_it_can_not(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        actions.resume(pilot.app, three_runs[0])  # as if it had ended just before the key was pressed
        await wait_for(pilot, lambda: "nothing is left to do" in pilot.app.said[-1], "it says so")


async def test_a_real_worker_is_stopped_and_resumed_from_here(monkeypatch):
    command = [sys.executable, str(TESTS / "fake_worker.py")]
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    monkeypatch.setenv("FAKE_WORKER", "waits")
    monkeypatch.setattr(control, "launch", functools.partial(control.launch, command=command))
    control.launch(create(make_experiment()))
    async with little().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "running")
        await pilot.press("s")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "it asks")
        await pilot.press("y")
        await wait_for_text(pilot, "stopped  ")
        monkeypatch.setenv("FAKE_WORKER", "done")
        await pilot.press("r")
        await wait_for_text(pilot, "done      ")
        await wait_for_text(pilot, "1 connected")


async def test_the_filter_hides_what_does_not_match_and_escape_clears_it(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "3 runs")
        await pilot.press("slash", *"lost")
        await wait_for_text(pilot, "1 with 'lost'")
        assert DONE not in screen_text(pilot.app)
        await pilot.press("enter")
        assert chosen(pilot.app) == LOST
        await pilot.press("escape")
        await wait_for_text(pilot, DONE)
        assert pilot.app.screen.query_one("#filter", Input).value == ""


async def test_sorting_by_status_puts_first_what_goes_on(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "3 runs, 1 going on")
        await pilot.press("o", "o")
        await wait_for_text(pilot, "by status")
        shown = screen_text(pilot.app)
        assert shown.index(GOING) < shown.index(LOST) < shown.index(DONE)


async def test_a_third_mark_takes_the_place_of_the_first(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("space", "j", "space", "j", "space")
        await wait_for_text(pilot, "2 marked")
        assert [line_of(pilot.app, name).startswith("*") for name in (DONE, LOST, GOING)] == [False, True, True]


async def test_comparing_needs_two(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("c")
        await wait_for(pilot, lambda: pilot.app.said == ["mark two runs with space first"], "it says so")


async def test_copy_names_the_clipboard_and_the_file(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("y")
        await wait_for(pilot, lambda: pilot.app.said, "it says so")
        path = runs_directory().absolute() / DONE
        assert pilot.app.clipboard == str(path)
        assert Path(pilot.app.said[-1].rpartition("and to ")[2]).read_text() == f"{path}\n"


async def test_a_label_and_a_note_are_written_beside_the_run_and_shown_in_the_list(three_runs):
    async with little().run_test(size=(120, 36)) as pilot:
        await to(pilot, LOST)
        await pilot.press("l", *"wide", "tab", *"bare", "enter")
        await wait_for(pilot, lambda: " wide" in line_of(pilot.app, LOST), "the list shows the label")
        await wait_for_text(pilot, "out of memory; bare")
        assert three_runs[1].read_about() == About("wide", "bare")
        await pilot.press("l", *"other", "escape", "slash", *"wide")
        await wait_for_text(pilot, "1 with 'wide'")
    assert three_runs[1].read_about().label == "wide"


async def test_a_run_is_deleted_by_two_answers_and_another_takes_its_place_in_the_grid(three_runs):
    done, lost, going = three_runs
    with EventWriter(lost.events) as writer:
        write_cell(writer, tasks_of(make_experiment(), "task")[0], "stem", 1.0, reused_from=DONE)
    app = StitchApp(done)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        await to(pilot, DONE)
        await pilot.press("D")
        await wait_for_text(pilot, f"taken over by {LOST}")
        await pilot.press("y", "n", "D", "y", "enter")  # which is no, as it is marked
        assert isinstance(app.screen, RunsScreen) and done.events.is_file()
        await pilot.press("D", "y", "y")
        await wait_for_text(pilot, "2 runs")
        await wait_for(pilot, lambda: app.watched.directory == lost, "the newest of the others is watched")
        assert not done.path.exists()
        for name in (GOING, LOST):
            await pilot.press("g" if name == LOST else "G", "D")
            assert isinstance(app.screen, ConfirmScreen) == (name == LOST), "only what is over can be deleted"
    assert lost.path.is_dir() and going.path.is_dir()


@pytest.mark.parametrize(("downs", "suffix"), [(0, "csv"), (2, "json"), (4, "txt"), (6, "pdf")])
async def test_export_writes_what_the_report_says_and_names_the_file(three_runs, tmp_path, monkeypatch, downs, suffix):
    monkeypatch.chdir(tmp_path)
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("e")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ExportScreen), "it asks how")
        await pilot.press(*["j"] * downs)
        await wait_for_text(pilot, f"{DONE}.{suffix}")
        await pilot.press("enter")
        await wait_for(pilot, lambda: pilot.app.said, "it is written")
    path = tmp_path / f"{DONE}.{suffix}"
    assert str(path) in pilot.app.said[-1]
    begin = {"csv": b"run,label,", "json": b'{\n  "format"', "txt": b"tiny", "pdf": b"%PDF-"}[suffix]
    assert path.read_bytes().startswith(begin)


async def test_export_into_a_place_that_can_not_be_written_says_why_and_stays(three_runs, tmp_path):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("e")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ExportScreen), "it asks how")
        pilot.app.screen.query_one("#path", Input).value = str(tmp_path / "no" / "where.csv")
        await pilot.press("enter")
        await wait_for_text(pilot, "can't be written")
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, RunsScreen), "escape leaves")


async def test_export_into_a_pipe_waits_for_a_reader_without_stopping_the_app(three_runs, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("e")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ExportScreen), "it asks how")
        pilot.app.screen.query_one("#path", Input).value = str(pipe)
        await pilot.press("enter")
        await wait_for_text(pilot, "reading the run")
        assert pilot.app.said == []
        assert (await asyncio.to_thread(pipe.read_bytes)).startswith(b"run,label,")
        await wait_for(pilot, lambda: pilot.app.said, "it is written")
    assert pipe.is_fifo() and str(pipe) in pilot.app.said[-1]


async def test_export_warns_before_it_replaces_a_file(three_runs, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.press("e")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ExportScreen), "it asks how")
        pilot.app.screen.query_one("#path", Input).value = str(tmp_path / "there.csv")
        await wait_for_text(pilot, "will be replaced")


async def test_ascii_draws_nothing_else_and_help_says_what_its_signs_mean(three_runs):
    async with little(ascii=True).run_test(size=(80, 50)) as pilot:
        await wait_for_text(pilot, "3 runs, 1 going on")
        lines = [line for line in screen_text(pilot.app).splitlines() if "2026" in line or "runs" in line]
        assert lines and all(line.isascii() for line in lines)
        assert [line_of(pilot.app, name).split()[0] for name in (DONE, LOST, GOING)] == ["+", "!", ">"]
        await pilot.press("question_mark")
        await wait_for_text(pilot, "!  lost: its worker died")


@pytest.mark.parametrize("looks", ["NO_COLOR", "textual-light", "textual-dark", "ansi-dark"])
async def test_the_cursor_is_seen_and_text_is_legible_in_every_theme(three_runs, monkeypatch, looks):
    if looks == "NO_COLOR":
        monkeypatch.setenv(looks, "1")
    app = StitchApp(three_runs[0])
    async with app.run_test(size=(80, 24)) as pilot:
        if looks in app.available_themes:
            app.theme = looks
        await pilot.press("r")
        await to(pilot, LOST)
        under = next(strip for strip in screen_strips(app) if LOST in strip.text)
        assert all(segment.style.reverse for segment in under if segment.text.strip())
        for segment in (each for strip in screen_strips(app) for each in strip if each.text.strip()):
            text, ground = segment.style.color, segment.style.bgcolor
            assert text != ground or text is None or text.is_default, segment


async def test_a_mouse_click_moves_the_cursor(three_runs):
    async with little().run_test(size=(80, 24)) as pilot:
        await to(pilot, DONE)
        await pilot.click(RunList, offset=(5, 3))
        await wait_for(pilot, lambda: chosen(pilot.app) == GOING, "the cursor is there")


async def test_two_hundred_runs_fill_the_list_and_the_last_is_two_keys_away():
    experiment = make_experiment()
    for number in range(200):
        directory = RunDirectory(runs_directory() / f"20260101-{number:06d}-many")
        directory.path.mkdir(parents=True)
        with EventWriter(directory.events) as writer:
            write_start(writer, experiment, name=directory.name, networks=False)
    async with little().run_test(size=(120, 36)) as pilot:
        await wait_for(pilot, lambda: len(pilot.app.screen.query_one(RunList)._entries) == 200, "all are there")
        await pilot.press("G")
        await wait_for_text(pilot, "20260101-000000-many")
        await pilot.press("g")
        await wait_for_text(pilot, "20260101-000199-many")
