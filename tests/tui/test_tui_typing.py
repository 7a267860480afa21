"""Letters are keys on every screen; typed into a text field they are text and nothing else."""

import pytest
from pilot import make_run, screen_text, settled, wait_for, wait_for_text
from scripted import Scripted, cut, known
from textual.widgets import Input

from stitchtui.base.paths import runs_directory
from stitchtui.run.directory import all_runs
from stitchtui.tui import keys, recipe
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens.new import NewScreen
from stitchtui.tui.widgets.field_row import FieldRow
from stitchtui.tui.widgets.form import LABELS
from stitchtui.tui.widgets.picker import Picker

NAMED = {"question_mark": "?", "slash": "/", "space": " "}


def typeable(*screens):
    """Every key of these screens, or of all, that writes something where text is written."""
    bindings = [binding for name in screens or keys.SCREENS for binding in keys.SCREENS[name]]
    found = [key for binding in bindings for key in binding.key.split(",")]
    written = dict.fromkeys(NAMED.get(key, key) for key in found)
    return "".join(key for key in written if len(key) == 1)


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app in a folder with two checkpoints, on a run that is done."""
    monkeypatch.chdir(tmp_path)
    for name in ("first.pt", "second.pt"):
        (tmp_path / name).write_bytes(b"x")
    make_run(runs_directory())
    made = StitchApp()
    made.inspection = Scripted()
    return made


def focused(app):
    return app.focused if isinstance(app.focused, Input) else None


async def type_all(pilot, *screens):
    """Type every key that means something on these screens, or somewhere, and see it in the field; then empty it."""
    screen, field = pilot.app.screen, focused(pilot.app)
    text = typeable(*screens)
    for character in text:
        pilot.app.simulate_key(character)
    await settled(pilot)
    await wait_for(pilot, lambda: field.value == text, "everything is in the field")
    assert pilot.app.screen is screen
    assert pilot.app.focused is field
    assert pilot.app.is_running
    assert len(all_runs()) == 1
    field.value = ""


def test_there_are_letters_to_mistake():
    assert set("nrpq?/xyjkgGhl sRmd") <= set(typeable())


async def to_form(pilot):
    await wait_for_text(pilot, "tiny")
    await pilot.press("n")
    await wait_for_text(pilot, "second.pt")
    await pilot.press("enter", "enter")
    await wait_for_text(pilot, "first.pt > second.pt")


async def test_in_every_text_field_of_new(app):
    for name, field in (("first.pt", "head"), ("second.pt", "leaves")):
        app.inspection.cuts_by_name[name] = {"error": f"checkpoint {name}: can't be used so", "field": field}
    async with app.run_test(size=(120, 50)) as pilot:
        await to_form(pilot)
        chosen = {"family": "low_rank", "start": "random", "cuts": ",", "controls": ",", "top": "resnet20"}
        for name, value in chosen.items():
            app.screen.draft.set(name, value)
        app.screen._draw()
        await wait_for_text(pilot, "best of")
        texts = [row for row in app.screen.query(FieldRow) if row.display and isinstance(row.editor, Input)]
        assert {row.field for row in texts} == {
            "own_cuts", "top_cuts", "rank", "best_of", "epochs", "seeds", "own_controls", "data", "bottom", "top",
            "head", "leaves", "set", "threads", "memory",
        }  # fmt: skip
        for number, row in enumerate(texts):
            row.editor.focus()
            row.editor.value = ""
            await wait_for(pilot, lambda row=row: focused(app) is row.editor, f"{row.field} has the keys")
            await type_all(pilot, *(["new"] if number else []))  # what other screens know is typed in one of them


@pytest.mark.parametrize(("opened", "shown"), [("n", "second.pt"), ("r", "1 run"), ("", "verdict")])
async def test_in_the_filter_of_a_list(app, opened, shown):
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press(*([opened] if opened else []))
        await wait_for_text(pilot, shown)
        await pilot.press("slash")
        await wait_for(pilot, lambda: focused(app) is not None, "the filter has the keys")
        await type_all(pilot)


async def test_in_the_name_of_an_exported_file(app):
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("e", "tab")
        await wait_for(pilot, lambda: focused(app) is not None, "the name has the keys")
        focused(app).value = ""
        await type_all(pilot)


async def test_cuts_are_chosen_by_name_and_checked_while_they_are_typed(app):
    app.inspection.cuts_by_name["second.pt"] = known(cuts=[cut("conv", 16, 8, 8), cut("mixed", 64, 4, 4)])
    async with app.run_test(size=(80, 24)) as pilot:
        await to_form(pilot)
        await wait_for_text(pilot, "conv")
        await pilot.press("h")
        await wait_for_text(pilot, "‹ by name ›")
        await wait_for(
            pilot,
            lambda: focused(app) is not None and focused(app).value == "stem:conv,block1:mixed",
            "they are there",
        )
        await pilot.press(*"block1:stem")
        await wait_for_text(pilot, "top: 'stem' is not known")
        line = next(line for line in screen_text(app).splitlines() if line.strip().startswith("named"))
        assert "'stem'" in line, "the reason stands beside the field"
        await pilot.press(*["backspace"] * 4, *"mix", "right")
        await wait_for_text(pilot, "--cuts block1:mixed")
        await wait_for(pilot, lambda: recipe.check(app.screen.draft)[0] is not None, "it can be started")
        assert recipe.check(app.screen.draft)[0].stitch.cuts == {"block1": "mixed"}
        row = next(line for line in screen_text(app).splitlines() if "32x4x4" in line)
        assert row.split()[:5] == ["block1", "32x4x4", ">", "mixed", "64x4x4"]


async def test_page_keys_page_the_chains_once_both_networks_are_picked(app, tmp_path):
    for number in range(60):
        (tmp_path / f"net{number:02d}.pt").write_bytes(b"x")
    cuts = [cut(f"layer{number}", 4) for number in range(40)]
    app.inspection.cuts_by_name = {name: known(cuts=cuts) for name in ("first.pt", "net00.pt")}
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("n")
        await wait_for_text(pilot, "layer0")
        await pilot.press("enter", "enter")
        await wait_for_text(pilot, "first.pt > net00.pt")
        await wait_for_text(pilot, "layer0")
        await pilot.press("pagedown")
        await wait_for(pilot, lambda: "layer0 " not in screen_text(app), "later cuts are shown")
        await pilot.press("pageup")
        await wait_for_text(pilot, "layer0 ")
        assert isinstance(app.screen, NewScreen)


@pytest.mark.parametrize(
    "size", [(60, 20), *(pytest.param(size, marks=pytest.mark.slow) for size in ((80, 24), (120, 36)))]
)
async def test_down_and_up_lead_through_every_field_and_each_comes_into_sight(app, size):
    async with app.run_test(size=size) as pilot:
        await to_form(pilot)
        await wait_for_text(pilot, "about 3 min")
        rows = [row for row in app.screen.query(FieldRow) if row.display]
        await wait_for(pilot, lambda: any(row.editor.has_focus for row in rows), "the form has the keys")
        await pilot.press("g")
        await wait_for(pilot, lambda: rows[0].editor.has_focus, "the first has the keys")
        for key, order in (("down", [*rows[1:], rows[0]]), ("up", [*reversed(rows)])):
            for row in order:
                await pilot.press(key)
                await wait_for(pilot, lambda row=row: row.editor.has_focus, f"{row.field} has the keys")
                label = LABELS.get(row.field, row.field)
                await wait_for_text(pilot, f" {label} ")


async def test_page_keys_page_the_list_also_while_a_filter_is_typed_and_never_lose_the_mark(app, tmp_path):
    for number in range(60):
        (tmp_path / f"net{number:02d}.pt").write_bytes(b"x")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("n")
        await wait_for_text(pilot, "  first.pt")
        picker = app.screen.query_one(Picker)
        for opening in ((), ("slash",)):
            await pilot.press(*opening, "pagedown")
            await wait_for(pilot, lambda: picker.marked.label.startswith("net"), "a page further")
            await pilot.press(*["pageup"] * 2)
            await wait_for(pilot, lambda: picker.marked.label == "first.pt", "back at the first, and no further")
            await pilot.press(*["pagedown"] * 5)
            await wait_for(pilot, lambda: picker.marked.label == "vgg11", "at the last, and no further")
            await pilot.press(*["pageup"] * 5)
            await wait_for(pilot, lambda: picker.marked.label == "first.pt", "and at the first again")
