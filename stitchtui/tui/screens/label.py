"""A run's label and its note, to write and to change."""

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Static

from stitchtui.base.text import plain
from stitchtui.run.about import LONGEST, About
from stitchtui.tui import keys
from stitchtui.tui.screens.dialog import Dialog
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.text_input import TextInput


class LabelScreen(Dialog[About | None]):
    """Two fields, filled in with what is said of the run; dismissed with what they say then, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.LABEL]

    def __init__(self, name: str, about: About) -> None:
        super().__init__()
        self._run, self._about = plain(name), about

    def compose(self) -> ComposeResult:
        """The run, a field each, the keys."""
        with Vertical():
            yield Static(self._run, markup=False, classes="question")
            yield Static("label: a short name, which means this run on the command line", markup=False)
            yield TextInput(self._about.label, id="label", max_length=LONGEST["label"], compact=True)
            yield Static("note: anything else; reports show it", markup=False)
            yield TextInput(self._about.note, id="note", max_length=LONGEST["note"], compact=True)
        yield Hints()

    def on_mount(self) -> None:
        """Begin with the label."""
        self.set_focus(self.query_one("#label"))

    @on(Input.Submitted)
    def action_take(self) -> None:
        """Take what the fields say."""
        self.dismiss(About(**{what: self.query_one(f"#{what}", Input).value for what in LONGEST}))

    def action_leave(self) -> None:
        """Leave both as they were."""
        self.dismiss(None)
