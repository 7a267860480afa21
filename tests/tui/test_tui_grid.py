import re

import pytest
from pilot import (
    CUTS,
    make_experiment,
    make_run,
    screen_text,
    tasks_of,
    wait_for,
    wait_for_text,
    write_cell,
    write_step,
    write_steps,
    write_task,
)

from stitchtui.base.paths import cache_directory, runs_directory
from stitchtui.report.table import LEGEND, sides
from stitchtui.report.wording import signed
from stitchtui.run import control
from stitchtui.run.events import CellFailed, EventWriter, RunFinished, TaskFinished
from stitchtui.tui.app import StitchApp
from stitchtui.tui.measures import shown_measures
from stitchtui.tui.widgets.heatmap import Heatmap
from stitchtui.tui.widgets.hints import Hints

SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]


def heatmap(pilot):
    return pilot.app.screen.query_one(Heatmap)


async def ready(pilot, text="block2"):
    await wait_for_text(pilot, text)


@pytest.mark.parametrize("size", SIZES)
async def test_the_grid_shows_run_measure_cells_verdicts_and_keys_at_every_size(size):
    make_run(runs_directory())
    async with StitchApp().run_test(size=size) as pilot:
        await ready(pilot)
        await wait_for_text(pilot, "a > b at stem")
        text = screen_text(pilot.app)
        for words in ("tiny", "done", "penalty: error(stitched)", "bottom", "top", "verdict", "? help", "q quit"):
            assert words in text
        assert re.search(r"22(\.\d+)?( ±0.50)?>", text)
        assert all(len(line) <= size[0] for line in text.splitlines())


@pytest.mark.parametrize("size", SIZES)
async def test_every_number_of_the_grid_is_the_states(size):
    make_run(runs_directory())
    async with StitchApp().run_test(size=size) as pilot:
        await ready(pilot)
        state = pilot.app.watched.state
        lines = {line.split()[0]: line for line in screen_text(pilot.app).splitlines() if line.strip()}
        for cut in CUTS:
            for column in state.columns():
                value = state.summary(column, cut).penalty.value
                forms = (signed(value), signed(value, 1), f"{value:.1f}", f"{value:.0f}")
                assert any(form in lines[cut] for form in forms)


@pytest.mark.parametrize("size", SIZES)
async def test_wide_and_tall_screens_show_more(size):
    make_run(runs_directory())
    async with StitchApp().run_test(size=size) as pilot:
        await ready(pilot)
        await wait_for(pilot, lambda: ("what happened" in screen_text(pilot.app)) == (size[1] >= 30), "log when tall")
        await wait_for(pilot, lambda: ("CKA           0.875" in screen_text(pilot.app)) == (size[0] >= 100), "panel")


async def test_ascii_shows_nothing_else(monkeypatch):
    make_run(runs_directory(), until="direct")
    async with StitchApp(ascii=True).run_test(size=(120, 36)) as pilot:
        await ready(pilot)
        await wait_for_text(pilot, "a > b at stem")
        text = "".join(line for line in screen_text(pilot.app) if line not in "─│┃\n")
        assert text.isascii(), [c for c in text if not c.isascii()]


async def test_without_colours_every_number_stands_and_nothing_has_a_ground(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        assert pilot.app.palette.depth == "none"
        assert "+22." in screen_text(pilot.app)


async def test_direct_matching_fills_the_grid_and_trained_numbers_replace_it():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await ready(pilot, "~+1.30")
        await wait_for_text(pilot, "~ direct")
        with EventWriter(directory.events) as writer:
            for task in tasks_of(experiment, "task"):
                write_task(writer, task)
            writer.write(RunFinished(status="done", reason=None))
        await wait_for_text(pilot, "+0.60")
        await wait_for(pilot, lambda: "~" not in screen_text(pilot.app), "no direct numbers are left")
        await wait_for_text(pilot, "1.1≤")


@pytest.mark.parametrize("size", SIZES)
async def test_a_direct_value_of_an_earlier_run_is_marked_as_both(size):
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="networks")
    first, second, *_ = tasks_of(experiment, "direct")
    with EventWriter(directory.events) as writer:
        write_task(writer, first, reused_from="20250101-000000-earlier")
        write_task(writer, second)
    async with StitchApp().run_test(size=size) as pilot:
        await ready(pilot, "~ direct")
        await wait_for_text(pilot, "= reused")
        row = next(line for line in screen_text(pilot.app).splitlines() if line.lstrip().startswith("block2"))
        assert re.fullmatch(r"[^~=]*~[^~=]*=\s*~[^~=]*", row), row


async def test_a_verdict_appears_when_the_last_cell_is_in():
    experiment = make_experiment(controls=[])
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    task = tasks_of(experiment, "task")[0]
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        with EventWriter(directory.events) as writer:
            write_steps(writer, task)
            for cut in CUTS[:-1]:
                write_cell(writer, task, cut, 0.5)
            await wait_for_text(pilot, "+0.50")
            assert "from" not in screen_text(pilot.app)
            write_cell(writer, task, CUTS[-1], 0.5)
            writer.write(TaskFinished(task=task.id, seconds=1.0))
        await wait_for_text(pilot, "conn. from 1.0")


async def test_training_streams_into_status_and_curves():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    task = tasks_of(experiment, "task")[0]
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await ready(pilot)
        with EventWriter(directory.events) as writer:
            write_steps(writer, task, steps=500, upto=20)
            await wait_for_text(pilot, "loss 0.100")
            write_step(writer, task, 40, 500)
            await wait_for_text(pilot, "loss 0.050")


async def test_the_cursor_moves_by_arrows_and_by_letters():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await ready(pilot)
        for keys, place in (
            ("jl", (1, 1)), ("k", (0, 1)), ("h", (0, 0)), ("G", (2, 0)), ("g", (0, 0)),
        ):  # fmt: skip
            await pilot.press(*keys)
            await wait_for(pilot, lambda place=place: (heatmap(pilot).row, heatmap(pilot).column) == place, keys)
        await pilot.press("down", "right", "up", "left", "left", "up")
        await wait_for(pilot, lambda: (heatmap(pilot).row, heatmap(pilot).column) == (0, 0), "the edge holds")
        await pilot.press("j")
        await wait_for_text(pilot, "a > b at block1")


async def test_a_click_selects_a_cell():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        lines = screen_text(pilot.app).splitlines()
        y = next(i for i, line in enumerate(lines) if "block1" in line)
        await pilot.click(offset=(20, y))
        await wait_for_text(pilot, "at block1")


async def test_m_goes_through_every_measure_and_round():
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await ready(pilot)
        for words in (
            "against the bottom:",
            "against the self-stitch:",
            "best stitch",
            "test error of the stitched",
            "direct-matching",
            "95 % interval",
            "CKA",
            "activation gap",
            "out-of-distribution",
            "seconds",
            "penalty:",
        ):
            await pilot.press("m")
            await wait_for_text(pilot, words)
        await pilot.press("M")
        await wait_for_text(pilot, "seconds that")


@pytest.mark.parametrize("taken", [True, False])
async def test_the_filter_hides_columns_and_escape_brings_them_back_and_closes_it(taken):
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await ready(pilot)
        assert "esc back" not in screen_text(pilot.app)
        await pilot.press("slash", *"random")
        await wait_for(pilot, lambda: "self-" not in "".join(heatmap_lines(pilot.app)), "only random bottoms are left")
        if taken:
            await pilot.press("enter", "j")
            await wait_for_text(pilot, "random(a) > b at block1")
        await wait_for_text(pilot, "esc back")
        await pilot.press("escape")
        await wait_for(pilot, lambda: "self-" in "".join(heatmap_lines(pilot.app)), "all are back")
        await wait_for(pilot, lambda: not pilot.app.screen.query_one("#filter").display, "the field is gone")
        assert isinstance(pilot.app.focused, Heatmap) and "esc back" not in screen_text(pilot.app)


async def test_o_orders_the_columns():
    make_run(runs_directory())
    async with StitchApp().run_test(notifications=True) as pilot:
        await ready(pilot)
        for words, leftmost in (("largest first", "(identity) at stem"), ("smallest first", "(self-stitch) at stem")):
            await pilot.press("o")
            await wait_for_text(pilot, words)
            await pilot.press(*"hhhhhhhhh")
            await wait_for_text(pilot, leftmost)


async def test_enter_opens_the_cell_with_its_controls_and_next_questions():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await ready(pilot)
        await pilot.press("j", "enter")
        await wait_for_text(pilot, "what to ask next")
        text = screen_text(pilot.app)
        for words in (
            "a > b at block1",
            "self-stitch",
            "random bottom",
            "272 parameters",
            "train longer",
            "more seeds",
        ):
            assert words in text
        await pilot.press("escape")
        await wait_for_text(pilot, "verdict")


async def test_a_question_adds_its_columns_to_the_run_and_a_worker_takes_them_up(monkeypatch):
    directory = make_run(runs_directory())
    launched = []
    monkeypatch.setattr(control, "launch", lambda *args, **_: launched.append(args[0]))
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await ready(pilot)
        await pilot.press("enter")
        await wait_for_text(pilot, "train longer: 160 steps in place of 40")
        await pilot.press("enter")
        await wait_for_text(pilot, "verdict")
        await wait_for(pilot, lambda: launched, "a worker was launched")
        (request,) = directory.read_experiment().also
        assert (request.stitch.length, request.stitch.steps) == ("fixed", 160)
        assert [(p.bottom, p.top) for p in request.pairs] == [("a", "b")]


async def test_copying_names_the_file():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await ready(pilot)
        await pilot.press("y")
        await wait_for(pilot, (cache_directory() / "copied.txt").exists, "the file is there")
        assert "block1" in (cache_directory() / "copied.txt").read_text()


@pytest.mark.parametrize(("key", "screen"), [("n", "NewScreen"), ("r", "RunsScreen"), ("p", "PresetsScreen"),
    ("question_mark", "HelpScreen"), ("e", "ExportScreen")])  # fmt: skip
async def test_keys_open_the_other_screens_and_escape_leaves_them(key, screen):
    make_run(runs_directory())
    async with StitchApp().run_test() as pilot:
        await ready(pilot)
        await pilot.press(key)
        await wait_for(pilot, lambda: type(pilot.app.screen).__name__ == screen, f"{screen} is on")
        await pilot.press("escape")
        await wait_for(pilot, lambda: type(pilot.app.screen).__name__ == "GridScreen", "the grid is back")


async def test_stop_is_offered_only_while_the_run_goes_on_and_resume_only_after():
    make_run(runs_directory(), until="direct")
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "lost")
        await wait_for_text(pilot, "R resume")
        assert "s stop" not in screen_text(pilot.app)


async def test_resume_is_offered_on_a_run_that_is_done_only_where_something_is_left():
    directory = make_run(runs_directory())
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        await wait_for_text(pilot, "done")
        assert "R resume" not in screen_text(pilot.app)
        directory.write_experiment(make_experiment(controls=[*make_experiment().controls, "random_top"]))
        await wait_for_text(pilot, "done but for what is left: R goes on")
        assert "R resume" in screen_text(pilot.app)


@pytest.mark.parametrize("width", [60, 66, 80, 200])
async def test_help_and_quit_are_never_cut_off(width):
    make_run(runs_directory())
    async with StitchApp().run_test(size=(width, 24)) as pilot:
        await ready(pilot)
        hints = pilot.app.screen.query_one(Hints).hints()
        assert [hint.words for hint in hints[-2:]] == ["help", "quit"]
        assert "q quit" in screen_text(pilot.app).splitlines()[-1]


@pytest.mark.parametrize(("size", "cuts"), [((60, 20), 3), ((60, 20), 14), ((60, 16), 114), ((80, 24), 3)])
async def test_the_title_and_the_legend_of_every_measure_are_whole(size, cuts):
    names = tuple(f"layer{number}" for number in range(cuts))
    experiment = make_experiment(stitch={"seeds": [0, 1]})
    directory = make_run(runs_directory(), experiment=experiment, cuts=names, until="direct")
    with EventWriter(directory.events) as writer:
        first, second, third, fourth, *_ = tasks_of(experiment, "task")
        write_task(writer, first, names)
        for each in (third, fourth):
            write_task(writer, each, names, reused_from="20260101-000000-before")
        writer.write(CellFailed(task=second.id, cut=names[0], reason="not a number"))
    marks = {*LEGEND.values(), *sides(3.0), "· pending", "~ direct", "* some", "* some seeds", "x failed", "= reused"}
    async with StitchApp().run_test(size=size) as pilot:
        await wait_for_text(pilot, names[0])
        for measure in shown_measures():
            await wait_for(
                pilot,
                lambda measure=measure: (
                    re.split(r"  +(?:rows|columns)", heatmap_lines(pilot.app)[0])[0].strip() in measure.shade.titles
                ),
                f"{measure.shade.name} is shown with its whole title",
            )
            scale, *words = re.split(r"  +(?=[^-\d ])", heatmap_lines(pilot.app)[-1])
            assert re.fullmatch(r"[-.\d ]+", scale) and set(words) <= marks, (scale, words)
            assert words or measure.shade.name == "direct", "all else isn't there for every cell"
            await pilot.press("m")


def heatmap_lines(app):
    region = app.screen.query_one(Heatmap).region
    return [line[region.x : region.right].rstrip() for line in screen_text(app).splitlines()[region.y : region.bottom]]


async def test_a_failed_cell_says_why():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    task = tasks_of(experiment, "task")[0]
    with EventWriter(directory.events) as writer:
        write_steps(writer, task)
        writer.write(CellFailed(task=task.id, cut="stem", reason="the loss is not a number"))
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "the loss is not a number")
        await wait_for_text(pilot, "x failed")


async def test_names_with_markup_and_escapes_are_inert():
    evil = "[bold red]x\x1b[2J"
    make_run(runs_directory(), experiment=make_experiment("[red]q", "w[]"), cuts=(evil, "[link=x]", "normal"))
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "[link=x]")
        for key in ("d", "d", "enter"):
            await pilot.press(key)
        await wait_for_text(pilot, "what to ask next")
        assert "\x1b" not in screen_text(pilot.app)
        assert "[bold red]x?[2J" in screen_text(pilot.app)


async def test_a_cell_that_changes_is_the_only_thing_that_is_drawn_again():
    experiment = make_experiment()
    directory = make_run(runs_directory(), experiment=experiment, until="direct")
    task = tasks_of(experiment, "task")[0]
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await ready(pilot)
        refreshed = []
        widget = heatmap(pilot)
        original = widget.refresh
        widget.refresh = lambda *regions, **how: (refreshed.append(regions), original(*regions, **how))[1]
        with EventWriter(directory.events) as writer:
            write_cell(writer, task, "block1", 7.25)
        await wait_for_text(pilot, "+7.25")
        del widget.refresh
        regions = [region for regions in refreshed for region in regions]
        assert regions
        assert all(region.height == 1 for region in regions)


@pytest.mark.parametrize("size", [(60, 20), (120, 36)])
async def test_a_run_that_failed_before_its_first_cell_says_why(size):
    directory = make_run(runs_directory(), until="planned")
    async with StitchApp().run_test(size=size) as pilot:
        await wait_for_text(pilot, "tiny")
        with EventWriter(directory.events) as writer:
            writer.write(
                RunFinished(status="failed", reason="the checkpoint can't be read " + "of all " * 60 + "x" * 40)
            )
        await wait_for_text(pilot, "this run has no cells")
        await wait_for_text(pilot, "x" * 40)
