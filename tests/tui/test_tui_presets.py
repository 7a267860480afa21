import threading

import pytest
from little_app import LittleApp
from pilot import make_run, screen_text, settled, wait_for, wait_for_text

from stitchtui.base.errors import BadInput
from stitchtui.base.paths import runs_directory
from stitchtui.report.claim_words import sentence
from stitchtui.run.directory import all_runs
from stitchtui.spec.network_seeds import in_every_seed
from stitchtui.spec.presets import list_presets, load_preset
from stitchtui.tui import recipe
from stitchtui.tui.app import StitchApp
from stitchtui.tui.catalogue import Catalogue
from stitchtui.tui.screens import actions, presets
from stitchtui.tui.screens.confirm import ConfirmScreen
from stitchtui.tui.screens.new import NewScreen
from stitchtui.tui.screens.presets import PresetsScreen
from stitchtui.tui.widgets.field_row import FieldRow

SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]


@pytest.fixture
def launched(monkeypatch):
    names = []
    monkeypatch.setattr(actions.control, "launch", lambda directory, *_: names.append(directory.name))
    return names


async def mark(pilot, label):
    """Put the cursor on the choice with this label."""
    await wait_for(pilot, lambda: pilot.app.screen._choices, "they are listed")
    labels = [choice.label for choice in pilot.app.screen._choices]
    await pilot.press("g", *["j"] * labels.index(label))


@pytest.mark.parametrize("size", SIZES)
async def test_what_the_marked_preset_claims_is_beside_the_list(size):
    async with LittleApp(PresetsScreen).run_test(size=size) as pilot:
        await mark(pilot, "quickstart")
        await wait_for_text(pilot, "Quickstart: two seeds on")
        await wait_for_text(pilot, "data: digits")
        await wait_for_text(pilot, "none here yet")
        assert screen_text(pilot.app).split()[-4:] == ["?", "help", "q", "quit"]
        assert "⏎ start" in screen_text(pilot.app)


async def test_every_preset_can_be_read_at_every_scale_and_the_quickstart_is_the_first():
    async with LittleApp(PresetsScreen).run_test(size=(200, 60)) as pilot:
        await wait_for(pilot, lambda: pilot.app.screen._choices, "they are listed")
        choices = pilot.app.screen._choices
        assert choices[0].label == "quickstart"
        assert {(choice.preset, choice.scale) for choice in choices} == {
            (info.name, scale) for info in list_presets() for scale in (None, *info.scales)
        }
        for choice in choices:
            text = "\n".join(pilot.app.screen._about(choice))
            assert choice.title in text and "plan: " in text and f"\n{choice.command}\n" in text
            claimed = load_preset(choice.preset, choice.scale).claims
            assert all(sentence(claim) in text for claim in claimed) and ("which a run confirms" in text) == bool(
                claimed
            )
        for choice in choices[:4]:
            await wait_for_text(pilot, choice.title[:60])
            await wait_for_text(pilot, choice.command)
            await pilot.press("j")


async def test_the_description_is_read_on_with_page_down_where_it_is_long():
    async with LittleApp(PresetsScreen).run_test(size=(60, 20)) as pilot:
        await mark(pilot, "quickstart")
        await wait_for_text(pilot, "data: digits")
        assert "once the cut is deep enough" not in screen_text(pilot.app)
        await pilot.press("pagedown", "pagedown", "space")
        await wait_for_text(pilot, "once the cut is deep enough")
        await pilot.press("pageup", "pageup", "pageup")
        await wait_for_text(pilot, "data: digits")


async def test_what_is_being_read_stays_in_place_until_another_preset_is_marked(monkeypatch):
    read = threading.Event()
    monkeypatch.setattr(Catalogue, "look", lambda self: read.wait(60) and [])
    taken = []
    honest = presets._last_verdict
    monkeypatch.setattr(presets, "_last_verdict", lambda *args: taken.append(read.is_set()) or honest(*args))
    async with LittleApp(PresetsScreen).run_test(size=(60, 20)) as pilot:
        await mark(pilot, "quickstart")
        about = pilot.app.screen.query_one("#about")
        await pilot.press("pagedown")
        place = about.scroll_y
        assert place > 0
        read.set()
        await wait_for(pilot, lambda: taken[-1], "the runs are known")
        await settled(pilot)
        assert about.scroll_y == place
        await pilot.press("j")
        assert about.scroll_y == 0


async def test_enter_and_yes_start_it_and_open_its_grid(launched):
    async with LittleApp(PresetsScreen).run_test(size=(80, 24)) as pilot:
        await mark(pilot, "quickstart")
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen), "it asks")
        await pilot.press("enter")
        await wait_for(pilot, lambda: pilot.app.opened, "it is opened")
        (run,) = all_runs()
        assert launched == [run.name] and pilot.app.opened == [run]
        assert run.read_experiment() == load_preset("quickstart")


async def test_no_starts_nothing(launched):
    async with LittleApp(PresetsScreen).run_test(size=(60, 20)) as pilot:
        await mark(pilot, "quickstart")
        await pilot.press("enter")
        await wait_for_text(pilot, "Start quickstart?")
        await pilot.press("n")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, PresetsScreen), "no leads back")
        assert launched == [] and all_runs() == []


async def test_a_scale_is_started_as_that_scale(launched):
    scaled = [choice for choice in presets._choices() if choice.scale]
    if not scaled:
        pytest.fail("no preset has a scale, so there is nothing to test this with")
    async with LittleApp(PresetsScreen).run_test(size=(80, 24)) as pilot:
        await mark(pilot, scaled[0].label)
        await pilot.press("enter", "y")
        await wait_for(pilot, lambda: pilot.app.opened, "it is opened")
        wanted = in_every_seed(load_preset(scaled[0].preset, scaled[0].scale))
        assert all_runs()[0].read_experiment() == wanted


async def test_a_runs_directory_that_can_not_be_made_is_said_where_one_looks(launched, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STITCHTUI_RUNS", str(tmp_path / "file"))
    async with LittleApp(PresetsScreen).run_test(size=(120, 36)) as pilot:
        await mark(pilot, "quickstart")
        await pilot.press("enter", "y")
        await wait_for_text(pilot, "can't make a run directory there")
        assert pilot.app.opened == [] and launched == []


async def test_the_last_verdict_is_of_a_run_of_the_same_experiment(launched):
    make_run(runs_directory(), "20260102-000000-quickstart", load_preset("quickstart"))
    make_run(runs_directory(), "20260103-000000-other", load_preset("quickstart", overrides=["stitch.epochs=1"]))
    async with LittleApp(PresetsScreen).run_test(size=(120, 36)) as pilot:
        await mark(pilot, "quickstart")
        await wait_for_text(pilot, "last run: 2 connected (20260102-000000-quickstart, done)")


async def test_copy_gives_the_command_line():
    async with LittleApp(PresetsScreen).run_test(size=(80, 24)) as pilot:
        await mark(pilot, "quickstart")
        await pilot.press("y")
        await wait_for(pilot, lambda: pilot.app.clipboard == "stitchtui run quickstart", "it is copied")


async def test_a_preset_that_can_not_be_read_is_said_and_breaks_nothing(monkeypatch):
    def broken():
        raise BadInput("presets/broken.toml: line 1, column 1: not TOML")

    monkeypatch.setattr(presets, "_choices", broken)
    async with LittleApp(PresetsScreen).run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "presets/broken.toml: line 1, column 1: not TOML")
        await pilot.press("enter", "y", "j", "G", "pagedown")


async def test_c_opens_the_marked_preset_in_new_to_be_changed_first(launched):
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "quickstart")
        await pilot.press("escape", "p")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, PresetsScreen), "the presets are there")
        await mark(pilot, "quickstart")
        await pilot.press("c")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, NewScreen), "New is there")
        assert recipe.check(pilot.app.screen.draft)[0] == load_preset("quickstart")
        assert recipe.command(pilot.app.screen.draft).startswith("stitchtui run quickstart")
        await wait_for(pilot, lambda: pilot.app.screen.query("#row-epochs"), "its fields are there")
        await settled(pilot)
        field = pilot.app.screen.query_one("#row-epochs", FieldRow).editor
        field.focus()
        await wait_for(pilot, lambda: field.has_focus, "it has the focus")
        await pilot.press("end", *["backspace"] * len(field.value), "1")
        await wait_for_text(pilot, "--epochs 1")
        await pilot.press("enter")
        await wait_for(pilot, all_runs, "it is started")
        assert all_runs()[0].read_experiment() == load_preset("quickstart", overrides=["stitch.epochs=1"])


async def test_a_scale_is_changed_as_that_scale_and_escape_leads_back():
    scaled = next(choice for choice in presets._choices() if choice.scale)
    async with StitchApp().run_test(size=(120, 36)) as pilot:
        await wait_for_text(pilot, "quickstart")
        await pilot.press("escape", "p")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, PresetsScreen), "the presets are there")
        await mark(pilot, scaled.label)
        await pilot.press("c")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, NewScreen), "New is there")
        assert recipe.command(pilot.app.screen.draft).startswith(
            f"stitchtui run {scaled.preset} --scale {scaled.scale}"
        )
        await pilot.press("escape")
        await wait_for(pilot, lambda: isinstance(pilot.app.screen, PresetsScreen), "the presets are there again")
        assert all_runs() == []


async def test_a_preset_that_can_not_be_used_is_not_opened_in_new(monkeypatch):
    def unusable(choice):
        raise BadInput("presets/broken.toml: stitch.epochs: expected a number")

    async with LittleApp(PresetsScreen).run_test(size=(80, 24)) as pilot:
        await mark(pilot, "quickstart")
        monkeypatch.setattr(presets, "_experiment", unusable)
        await pilot.press("c")
        await wait_for_text(pilot, "stitch.epochs: expected a number")
