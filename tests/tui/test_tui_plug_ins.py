import pytest
from plugged_in import plugged_in
from textual.app import App

from stitchtui.tui import recipe
from stitchtui.tui.draft import from_preset
from stitchtui.tui.widgets.choice import Choice
from stitchtui.tui.widgets.field_row import FieldRow
from stitchtui.tui.widgets.form import Form


@pytest.fixture
def plug_in():
    with plugged_in():
        yield


class FormApp(App):
    """An app with the form of New alone, which takes over what is chosen."""

    def __init__(self):
        super().__init__()
        self.draft = from_preset("quickstart")

    def compose(self):
        yield Form()

    def on_mount(self):
        self.query_one(Form).draw(self.draft, {}, [])

    def on_form_changed(self, event):
        self.draft.set(event.field, event.value)
        self.query_one(Form).draw(self.draft, {}, [])


async def offered(pilot, field):
    """Every value that a field comes to, one key after the other, as it is drawn."""
    choice = pilot.app.query_one(f"#row-{field}", FieldRow).query_one(Choice)
    choice.focus()
    seen = []
    while choice.render().plain not in seen:
        seen.append(choice.render().plain)
        await pilot.press("right")
    return " ".join(seen)


async def test_new_offers_what_is_installed(plug_in):
    async with FormApp().run_test(size=(100, 40)) as pilot:
        assert "‹ shift ›" in await offered(pilot, "family")
        assert "‹ half the data ›" in await offered(pilot, "controls")
        pilot.app.draft.set("family", "shift")
        pilot.app.draft.set("controls", "half_the_data")
        pilot.app.draft.set("data", "stripes")
        experiment, problems = recipe.check(pilot.app.draft)
        assert (problems, experiment.stitch.family, experiment.data.name) == ({}, "shift", "stripes")


async def test_new_says_what_a_family_of_ones_own_may_be(plug_in):
    async with FormApp().run_test(size=(100, 40)) as pilot:
        pilot.app.draft.set("family", "shift")
        pilot.app.on_mount()
        await pilot.pause()
        row = pilot.app.query_one("#row-family", FieldRow)
        assert "channels moved by a number each" in " ".join(str(each.render()) for each in row.children)
