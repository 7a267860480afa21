"""Choices of New: none is taken among options that aren't all there yet."""

from textual.app import App

from stitchtui.tui.draft import from_preset
from stitchtui.tui.widgets.choice import Choice
from stitchtui.tui.widgets.form import Form


class FormApp(App):
    def compose(self):
        yield Form()


async def test_cuts_and_devices_are_chosen_once_it_is_known_which_there_are():
    draft = from_preset("quickstart")
    draft.question = lambda end: {"architecture": "digits_cnn"}
    async with FormApp().run_test(size=(100, 40)) as pilot:
        form = pilot.app.query_one(Form)
        cuts, device = (form.query_one(f"#row-{field} Choice", Choice) for field in ("cuts", "device"))

        def after_a_key(devices):
            form.draw(draft, {}, devices)
            for choice in (cuts, device):
                choice.action_step(1)
            return cuts._value, device._value

        pilot.app.screen.set_focus(cuts)
        assert after_a_key(None) == ("blocks", "auto")
        assert form.waits
        draft.answers = {"bottom": {"cuts": []}, "top": {"cuts": []}}
        assert after_a_key(["cpu"]) == ("all", "cpu")
        assert not form.waits
