"""A text field for a calm screen that is never written over while somebody types, and what completes its text."""

import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from textual.suggester import Suggester
from textual.widgets import Input
from textual.widgets.input import Selection


class Completer(Suggester):
    """Completes a text at once, so that the key that takes it up finds the completion of what is there."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    @abstractmethod
    def complete(self, value: str) -> str | None:
        """Return `value` made whole; None where nothing that is known begins so."""

    async def get_suggestion(self, value: str) -> str | None:
        """Return what is shown behind the cursor."""
        return self.complete(value)


class OneOf(Completer):
    """Completes a text by the first of `known` that begins so."""

    def __init__(self, known: Sequence[str]) -> None:
        super().__init__()
        self.known = known

    def complete(self, value: str) -> str | None:
        """Return the first that begins with `value`."""
        return next((each for each in self.known if each.startswith(value)), None)


class Names(Completer):
    """Completes the last of several names with commas between them by one of `known`, which may change.

    After a colon, it is one of `beyond`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.known: list[str] = []
        self.beyond: list[str] = []

    def complete(self, value: str) -> str | None:
        """Return `value` with its last name whole; None where no known name begins so."""
        begun = re.split("[,:]", value)[-1].lstrip()
        before = value[: len(value) - len(begun)]
        second = before.rstrip().endswith(":")
        taken = [] if second else [word.partition(":")[0].strip() for word in before.split(",")]
        known = self.beyond if second else self.known
        name = next((name for name in known if begun and name.startswith(begun) and name not in taken), None)
        return None if name is None else before + name


class TextInput(Input):
    """An Input whose cursor doesn't blink: while nothing happens, nothing is sent to the terminal."""

    DEFAULT_CSS = """
    TextInput > .input--placeholder, TextInput > .input--suggestion { color: $text-muted; }
    """

    def __init__(self, value: str | None = None, **how: Any) -> None:
        super().__init__(value, **how)
        self.cursor_blink = False
        self._shown = self.value

    def show(self, value: str) -> None:
        """Show `value`, which isn't the user's doing; a text that the user has begun to change stays."""
        whole = self.selection == Selection(0, len(self.value))  # as a field is that was just come to
        if self.value == self._shown != value and (whole or not self.has_focus):
            with self.prevent(Input.Changed):
                self.value = value
            if self.has_focus:
                self.select_all()
        if self.value == value:
            self._shown = value

    def action_cursor_right(self, select: bool = False) -> None:
        """Take up what completes the text, whether it is shown already or not; else move the cursor."""
        at_end = self.cursor_at_end and self.selection.is_empty and not select
        if at_end and self.value and isinstance(self.suggester, Completer):
            self.value = self.suggester.complete(self.value) or self.value
            self.cursor_position = len(self.value)
        else:
            super().action_cursor_right(select)
