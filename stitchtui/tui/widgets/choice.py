"""A field with a few values in one line: left and right, or a click, go through them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.widget import Widget

from stitchtui.report.wording import printable, shortened
from stitchtui.tui import keys


class Choice(Widget, can_focus=True):
    """Shows the chosen one of `options`; `words` says what is shown for a value where that isn't the value."""

    DEFAULT_CSS = """
    Choice { height: 1; }
    Choice:focus { background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.CHOICE]

    class Changed(Message):
        """The user chose another value."""

        def __init__(self, choice: "Choice", value: str) -> None:
            super().__init__()
            self.choice, self.value = choice, value

        @property
        def control(self) -> "Choice":
            """The widget that was changed."""
            return self.choice

    def __init__(self, options: Sequence[str], words: Mapping[str, str] | None = None, *, id: str | None = None):
        super().__init__(id=id)
        self._options, self._words = list(options), dict(words or {})
        self._value = self._options[0] if self._options else ""
        self._unheard = False  # what the user chose last hasn't come back yet
        self.waits = False  # for further options: until they are there none is chosen, as another would be next to it

    def show(self, value: str, options: Sequence[str] | None = None) -> None:
        """Show `value`, which is added to the options where it isn't one; a choice still on its way is kept."""
        if self._unheard and value != self._value:
            return
        self._unheard = False
        offered = list(options) if options is not None else self._options
        offered = offered if value in offered else [*offered, value]
        if (value, offered) != (self._value, self._options):
            self._value, self._options = value, offered
            self.refresh()

    def render(self) -> Text:
        """The value between two arrows."""
        ascii = bool(getattr(self.app, "ascii", False))
        left, right = ("<", ">") if ascii else ("‹", "›")
        text = printable(self._words.get(self._value, self._value), ascii)
        return Text(f"{left} {shortened(text, max(1, self.size.width - 4), ascii)} {right}", no_wrap=True)

    def action_step(self, by: int) -> None:
        """Choose the next value, or the one before."""
        if len(self._options) > 1 and not self.waits:
            place = (self._options.index(self._value) + by) % len(self._options)
            self._value, self._unheard = self._options[place], True
            self.refresh()
            self.post_message(self.Changed(self, self._value))

    def on_click(self, event: events.Click) -> None:
        """The left arrow goes back, everything else on."""
        self.screen.set_focus(self)
        self.action_step(-1 if event.x < 2 else 1)
