"""A question with two answers, asked before anything that can't be taken back."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Static

from stitchtui.base.text import plain
from stitchtui.tui import keys
from stitchtui.tui.screens.dialog import Dialog
from stitchtui.tui.widgets.hints import Hints


class ConfirmScreen(Dialog[bool]):
    """Asks; dismissed with whether the answer was yes. `Enter` takes the answer that is marked, at first no."""

    DEFAULT_CSS = """
    ConfirmScreen > Vertical { width: 60; }
    ConfirmScreen Horizontal { height: auto; margin-top: 1; }
    ConfirmScreen Button { margin-right: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.CONFIRM]

    def __init__(self, question: str, detail: str = "", *, yes: str = "Yes", no: str = "No", sure: bool = False):
        super().__init__()
        self._question, self._words, self._sure = plain(question), (yes, no), sure
        self._detail = "\n".join(map(plain, detail.split("\n")))

    def compose(self) -> ComposeResult:
        """The question, what follows from yes, the two answers, the keys."""
        yes, no = self._words
        with Vertical():
            yield Static(self._question, markup=False, classes="question")
            yield Static(self._detail, markup=False)
            with Horizontal():
                yield Button(yes, id="yes", compact=True)
                yield Button(no, id="no", compact=True)
        yield Hints()

    def on_mount(self) -> None:
        """Mark an answer: no, unless the question says that yes does no harm."""
        self.set_focus(self.query_one("#yes" if self._sure else "#no", Button))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Take the answer that was pressed."""
        self.dismiss(event.button.id == "yes")

    def action_take(self) -> None:
        """Take the answer that is marked, if one is."""
        if isinstance(self.focused, Button):
            self.focused.press()

    def action_answer(self, yes: bool) -> None:
        """Take the answer of a key."""
        self.dismiss(yes)
