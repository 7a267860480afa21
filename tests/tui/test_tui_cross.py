"""Every cut with every cut: a grid beside the pairs, with its diagonal."""

from pilot import make_experiment, make_run, screen_text, tasks_of, wait_for, wait_for_text, write_start, write_task

from stitchtui.base.paths import runs_directory
from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import CellFinished, EventWriter, RunFinished, TaskFinished, TaskStarted
from stitchtui.run.records import row_name
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve
from stitchtui.tui.app import StitchApp
from stitchtui.tui.widgets.heatmap import Heatmap

CUTS = ["block1", "block2", "block3"]


def crossed_run(only: bool = False) -> RunDirectory:
    """A run whose first pair was also measured at every cut against every cut; with `only`, nothing else."""
    plain = make_experiment().plain()
    stitch = {**plain["stitch"], "pairing": "all", "objective": "direct"}
    also = [] if only else [{"pairs": plain["pairs"][:1], "stitch": stitch}]
    main = {"stitch": stitch, "controls": [], "pairs": plain["pairs"][:1]} if only else {}
    wanted = Experiment.model_validate({**plain, **main, "also": also})
    directory = RunDirectory(runs_directory() / "20260102-030405-crossed")
    directory.stitches.mkdir(parents=True)
    directory.write_experiment(wanted)
    task = next(task.id for task in resolve(wanted).tasks if task.cross)
    with EventWriter(directory.events) as writer:
        write_start(writer, wanted, CUTS, directory.name)
        for pair in () if only else tasks_of(wanted, "direct"):
            if not pair.cross:
                write_task(writer, pair, CUTS)
        ends = [[low, high] for low in CUTS for high in CUTS]
        rows = [row_name(low, high) for low, high in ends]
        writer.write(TaskStarted(task=task, steps=1, cuts=rows, ends=ends))
        for index, ((low, high), row) in enumerate(zip(ends, rows, strict=True)):
            value = {"penalty": float(index), "penalty_low": index - 0.5, "penalty_high": index + 0.5}
            writer.write(CellFinished(task=task, cut=row, bottom_cut=low, top_cut=high, identity=row, measures=value))
        writer.write(TaskFinished(task=task, seconds=1.0))
        writer.write(RunFinished(status="done", reason=None))
    return directory


async def test_a_key_shows_it_with_its_diagonal_and_again_the_pairs():
    crossed_run()
    async with StitchApp().run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "block2")
        await pilot.press("x")
        await wait_for_text(pilot, "both cuts lie equally deep")
        lines = screen_text(pilot.app).splitlines()
        rows = [line for line in lines if line.strip().startswith("block")]
        assert [row.count("╲") for row in rows[:3]] == [1, 1, 1]
        assert any("every cut with every cut" in line for line in lines)
        await pilot.press("x")
        await wait_for(pilot, lambda: "equally deep" not in screen_text(pilot.app), "the pairs are back")


async def test_a_cell_of_it_opens_with_what_is_known_of_it():
    crossed_run()
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "block2")
        await pilot.press("x", "j", "l", "l")
        heatmap = pilot.app.screen.query_one(Heatmap)
        await wait_for(pilot, lambda: heatmap.selected and heatmap.selected[1] == "block2 > block3", "it is selected")
        await pilot.press("enter")
        await wait_for_text(pilot, "a > b at block2 > block3")
        await wait_for_text(pilot, "+5.00 [+4.50, +5.50] points")


async def test_where_there_is_nothing_else_it_is_shown_at_once():
    crossed_run(only=True)
    async with StitchApp(ascii=True).run_test(size=(60, 20)) as pilot:
        await wait_for_text(pilot, "equally deep")
        assert "\\" in screen_text(pilot.app)


async def test_a_run_without_it_says_how_to_ask_for_it():
    make_run(runs_directory())
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "block2")
        await pilot.press("x")
        said = lambda: any("joins cuts in order" in each.message for each in pilot.app._notifications)  # noqa: E731
        await wait_for(pilot, said, "it is said")
