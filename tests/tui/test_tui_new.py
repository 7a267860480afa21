import asyncio
import functools
import re
import sys
from pathlib import Path

import pytest
from pilot import make_experiment, make_run, screen_strips, screen_text, settled, wait_for, wait_for_text
from scripted import Scripted, known

from stitchtui.base.paths import runs_directory
from stitchtui.run import control
from stitchtui.run.directory import all_runs
from stitchtui.tui import recipe
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens.new import NewScreen
from stitchtui.tui.widgets.field_row import FieldRow
from stitchtui.tui.widgets.form import Form

TESTS = Path(__file__).parents[1]
SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app in a folder with two checkpoints, whose workers do no science."""
    monkeypatch.chdir(tmp_path)
    for name in ("first.pt", "second.pt"):
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setenv("PYTHONPATH", str(TESTS.parent))
    monkeypatch.setenv("FAKE_WORKER", "done")
    command = [sys.executable, str(TESTS / "fake_worker.py")]
    monkeypatch.setattr(control, "launch", functools.partial(control.launch, command=command))
    made = StitchApp()
    made.inspection = Scripted()
    return made


async def picked(pilot, *, estimated=True):
    """Both checkpoints picked, one after the other."""
    await wait_for_text(pilot, "first.pt")
    if "quickstart" in screen_text(pilot.app):
        await pilot.press("j")
    await pilot.press("enter")
    await wait_for_text(pilot, "pick the top")
    await pilot.press("enter")
    await wait_for_text(pilot, "New run: first.pt > second.pt")
    if estimated:
        await wait_for_text(pilot, "about 3 min 20 s")


async def to_field(pilot, name):
    """Give the keys to the field of this name, which "down" leads to."""
    pilot.app.screen.query_one(Form).query_one(f"#row-{name}", FieldRow).editor.focus()
    await settled(pilot)


def experiment_of_the_only_run():
    [run] = all_runs()
    return run.read_experiment()


async def test_n_pick_pick_enter_is_enough_for_a_run(app):
    make_run(runs_directory())
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("n")
        await wait_for_text(pilot, "first.pt")
        assert "quickstart" not in screen_text(app)
        await pilot.press("enter", "enter")
        await wait_for_text(pilot, "first.pt > second.pt")
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(all_runs()) == 2, "a run was made")
        await wait_for(pilot, lambda: not isinstance(app.screen, NewScreen), "the grid is shown")
        made = all_runs()[0]
        assert list(made.read_experiment().networks) == ["first", "second"]
        assert app.watched.directory == made
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")


async def test_keys_that_arrive_together_act_one_after_another(app, tmp_path):
    for number in range(6):
        (tmp_path / f"net{number}.pt").write_bytes(b"x")
    make_run(runs_directory())
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        for key in ("n", *["down"] * 4, "enter", "down", "enter", "enter"):
            app.simulate_key(key)
        await wait_for(pilot, lambda: len(all_runs()) == 2, "a run was made")
        assert list(all_runs()[0].read_experiment().networks) == ["net3", "net5"]
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")


async def test_the_quickstart_is_the_first_choice_where_there_is_no_run(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "quickstart")
        await pilot.press("enter")
        await wait_for_text(pilot, "stitchtui run quickstart")
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(all_runs()) == 1, "a run was made")
        assert experiment_of_the_only_run().name == "quickstart"
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")


@pytest.mark.parametrize("size", SIZES)
async def test_everything_needed_is_on_the_screen_at_every_size(app, size):
    async with app.run_test(size=size) as pilot:
        await picked(pilot)
        text = screen_text(app)
        for part in ("cuts", "family", "digits_cnn", "stem", "16x8x8", "start", "? help", "q quit"):
            assert part in text
        assert "--data digits" in re.sub(r"\s+", " ", text)
        assert "about 3 min 20 s, at most 512 MiB" in text
        assert all(strip.cell_length <= size[0] for strip in screen_strips(app))


async def test_resizing_keeps_what_was_chosen(app):
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot)
        await to_field(pilot, "pairing")
        await pilot.press("l", "l")
        await wait_for_text(pilot, "‹ all with all ›")
        await pilot.resize_terminal(60, 20)
        await wait_for(pilot, lambda: app.screen.has_class("-narrow"), "the narrow layout")
        await wait_for_text(pilot, "‹ all with all ›")


async def test_a_field_that_can_not_be_used_says_why_beside_it_and_enter_goes_there(app):
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot)
        await to_field(pilot, "epochs")
        await pilot.press("backspace", "0")
        await wait_for_text(pilot, "expected a number above 0")
        line = next(line for line in screen_text(app).split("\n") if line.strip().startswith("epochs"))
        assert "expected a number" in line
        await pilot.press("enter")
        assert all_runs() == []
        assert isinstance(app.screen, NewScreen)
        await pilot.press("backspace", "2")
        await wait_for_text(pilot, "--epochs 2")
        assert "expected a number" not in screen_text(app)


async def test_one_cut_can_be_chosen_from_those_that_both_have(app):
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot)
        await pilot.press("l", "l")
        await wait_for_text(pilot, "--cuts stem")
        assert recipe.check(app.screen.draft)[0].stitch.cuts == ("stem",)


async def test_the_device_and_the_seeds_reach_the_run(app):
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot)
        await to_field(pilot, "device")
        await pilot.press("h")
        await wait_for_text(pilot, "--device cuda:0")
        await pilot.press("l", "l")
        await wait_for_text(pilot, "--device cpu")
        await to_field(pilot, "threads")
        await pilot.press("0")
        await wait_for_text(pilot, "threads: 0: expected a whole number above 0")
        await pilot.press("backspace", "1", "down", *"2G")
        await wait_for_text(pilot, "--threads 1 --memory 2G")
        await to_field(pilot, "set")
        await pilot.press(*"stitch.froz", "right")
        await wait_for_text(pilot, "stitch.frozen_bn=")
        await wait_for(pilot, lambda: "eval, batch" in screen_text(app), "the hint says the values")
        await pilot.press("e", "right")
        await wait_for_text(pilot, "--set stitch.frozen_bn=eval")
        await to_field(pilot, "seeds")
        await pilot.press("backspace", "2", "enter")
        await wait_for(pilot, lambda: len(all_runs()) == 1, "a run was made")
        assert experiment_of_the_only_run().stitch.seeds == (0, 1)
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")


async def test_a_checkpoint_that_can_not_be_read_says_why_and_the_other_still_works(app):
    app.inspection.cuts_by_name["first.pt"] = {"error": "checkpoint first.pt: is damaged or cut short: bad magic"}
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "first.pt")
        await pilot.press("j")
        await wait_for_text(pilot, "is damaged or cut short")
        await pilot.press("j")
        await wait_for_text(pilot, "1x8x8")
        assert "damaged" not in screen_text(app)


async def test_a_run_can_not_start_with_a_network_that_can_not_be_read(app):
    app.inspection.cuts_by_name["second.pt"] = {"error": "checkpoint second.pt: is empty", "field": "checkpoint"}
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "first.pt")
        await pilot.press("j", "enter")
        await wait_for_text(pilot, "second.pt: is empty")
        await pilot.press("enter")
        assert app.screen.picking
        assert any("second.pt: is empty" in note.message for note in app._notifications)
        app.screen._glimpsed = None  # as where the key comes before the answer
        await pilot.press("enter")
        await wait_for_text(pilot, "top: checkpoint second.pt: is empty")
        await pilot.press("enter")
        assert all_runs() == []


async def test_what_was_said_for_former_data_goes_as_the_data_changes_and_enter_waits_for_the_new_check(app):
    answered, told = asyncio.Event(), app.inspection.cuts

    async def cuts(source, data):
        if data == "cifar100":
            await answered.wait()
        misfit = None if data == "cifar100" else "it was trained for 7 classes, the data has 10"
        return {**await told(source, data), "misfit": misfit}

    app.inspection.cuts = cuts
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot, estimated=False)
        await wait_for_text(pilot, "data: bottom: it was trained for 7 classes, the data has 10")
        await pilot.press("enter")
        assert app.focused.parent.id == "row-data"
        await pilot.press(*"cifar100")
        assert "7 classes" not in screen_text(app)
        assert "checking..." in screen_text(app)
        await pilot.press("enter")
        assert all_runs() == []
        answered.set()
        await wait_for(pilot, lambda: len(all_runs()) == 1, "what was asked for is started")
        assert experiment_of_the_only_run().data.name == "cifar100"
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")


async def test_foreign_checkpoints_are_asked_for_their_architecture_right_there_and_once(app):
    def needs(source):
        if source["architecture"] == "digits_cnn":
            return known(data=None)
        return {"error": "checkpoint: doesn't say what network it is for", "field": "architecture"}

    app.inspection.cuts_by_name = {"first.pt": needs, "second.pt": needs}
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot, estimated=False)
        await wait_for_text(pilot, "network is")
        await wait_for(
            pilot, lambda: app.focused is not None and app.focused.parent.id == "row-bottom", "it has the focus"
        )
        await pilot.press(*"digits_cnn")
        await wait_for_text(pilot, "--architecture digits_cnn")
        await wait_for(pilot, lambda: recipe.check(app.screen.draft)[0] is not None, "it can be started")
        assert "top is" not in screen_text(app)


async def test_typing_filters_and_a_path_is_a_file(app, tmp_path):
    elsewhere = tmp_path / ".elsewhere"
    elsewhere.mkdir()
    (elsewhere / "third.pt").write_bytes(b"x")
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_for_text(pilot, "vgg11")
        await pilot.press("slash", *"vgg")
        await wait_for(pilot, lambda: "first.pt" not in screen_text(app), "the others are gone")
        assert "vgg11" in screen_text(app)
        await pilot.press("escape")
        await wait_for_text(pilot, "first.pt")
        await pilot.press("slash", *".elsewhere/third.pt")
        await wait_for_text(pilot, "  third.pt")
        await pilot.press("enter")
        await wait_for_text(pilot, "pick the top")
        assert app.screen.draft.picked["bottom"].label == "third.pt"


async def test_networks_of_known_runs_are_offered_under_their_names(app, tmp_path):
    experiment = make_experiment(
        networks={"mine": {"checkpoint": str(tmp_path / "first.pt")}}, pairs=[{"bottom": "mine", "top": "mine"}]
    )
    make_run(runs_directory(), experiment=experiment)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("n")
        await wait_for_text(pilot, "mine of 20260102-030405-tiny")


async def test_bottom_and_top_change_places(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await picked(pilot)
        await pilot.press("x")
        await wait_for_text(pilot, "New run: second.pt > first.pt")
        await wait_for_text(pilot, "stitchtui run second.pt first.pt")


async def test_escape_goes_back_step_by_step(app):
    make_run(runs_directory())
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("n")
        await picked(pilot)
        await pilot.press("escape")
        await wait_for_text(pilot, "pick the top")
        await pilot.press("escape")
        await wait_for_text(pilot, "pick the bottom")
        await pilot.press("escape")
        await wait_for(pilot, lambda: not isinstance(app.screen, NewScreen), "the grid is shown")


async def test_the_command_line_is_copied(app):
    async with app.run_test(size=(120, 36)) as pilot:
        await picked(pilot)
        await pilot.press("y")
        await wait_for(pilot, lambda: app.clipboard.startswith("stitchtui run first.pt second.pt"), "it was copied")


async def test_a_prepared_experiment_is_filled_in_and_started_as_it_is(app):
    wanted = make_experiment(stitch={"epochs": 8.0, "seeds": [0, 1, 2]})
    make_run(runs_directory())
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "tiny")
        app.open_new(wanted.plain())
        await wait_for_text(pilot, "New run: a > b and 1 more")
        assert "prepared here" in screen_text(app)
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(all_runs()) == 2, "a run was made")
        assert all_runs()[0].read_experiment() == wanted
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")


async def test_names_from_outside_are_inert(app, tmp_path):
    (tmp_path / "[bold red]x\x1b[2J.pt").write_bytes(b"x")
    (tmp_path / "first.pt").unlink()
    app.inspection.cuts_by_name["second.pt"] = known(architecture="[red]evil\x1b]0;x\x07", data=None)
    async with app.run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "[bold red]x?[2J.pt")
        await pilot.press("j", "enter")
        await wait_for_text(pilot, "pick the top")
        await pilot.press("enter")
        await wait_for_text(pilot, "[bold red]x?[2J.pt > second.pt")
        await wait_for_text(pilot, "[red]evil?]0;x?")
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", screen_text(app))


async def test_without_colour_and_in_ascii_nothing_is_lost(tmp_path, monkeypatch, app):
    monkeypatch.setenv("NO_COLOR", "1")
    plain = StitchApp(ascii=True)
    plain.inspection = app.inspection
    async with plain.run_test(size=(80, 24)) as pilot:
        await picked(pilot)
        assert "< blocks >" in screen_text(plain)
        body = "\n".join(screen_text(plain).split("\n")[:-1])
        assert body.isascii()


async def test_the_light_theme_shows_the_same(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await picked(pilot)
        dark = screen_text(app)
        app.theme = "textual-light"
        await wait_for(pilot, lambda: screen_text(app) == dark, "the text is the same")


async def test_every_key_has_an_id_and_says_what_it_does():
    keys = list(NewScreen.BINDINGS)
    assert all(binding.id and binding.tooltip for binding in keys)
    assert len({binding.id for binding in keys}) == len(keys)


async def test_a_run_of_ones_own_two_files_at_one_cut_takes_few_keys_and_no_text_twice(app, tmp_path):
    def needs(source):
        if source["architecture"] == "net.py:Net":
            return known(data=None)
        return {"error": "checkpoint: doesn't say what network it is for", "field": "architecture"}

    (tmp_path / "net.py").write_text("class Net: pass\n")
    (tmp_path / "images").mkdir()
    app.inspection.cuts_by_name = {"first.pt": needs, "second.pt": needs}
    typed = [
        ["down", "enter", "enter"],
        "net.py:N",
        ["right", "down"],
        "folder:im",
        ["right", "down", "right", "right"],
    ]
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "second.pt")
        for keys in typed:
            await pilot.press(*keys)
        await wait_for_text(pilot, "--cuts stem")
        await pilot.press("enter")
        await wait_for(pilot, lambda: len(all_runs()) == 1, "a run was made")
        made = experiment_of_the_only_run()
        assert {network.architecture for network in made.networks.values()} == {f"{tmp_path}/net.py:Net"}
        assert (made.data.name, made.stitch.cuts) == (f"folder:{tmp_path}/images", ("stem",))
        assert sum(len(keys) for keys in typed if isinstance(keys, list)) + 1 <= 12
        await wait_for(pilot, lambda: app.watched.condition == "done", "the worker has ended")
