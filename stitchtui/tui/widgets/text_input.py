"""A text field for a calm screen, and what completes names in one that holds several."""

from typing import Any

from textual.suggester import Suggester
from textual.widgets import Input


class TextInput(Input):
    """An Input whose cursor doesn't blink: while nothing happens, nothing is sent to the terminal."""

    DEFAULT_CSS = """
    TextInput > .input--placeholder, TextInput > .input--suggestion { color: $text-muted; }
    """

    def __init__(self, value: str | None = None, **how: Any) -> None:
        super().__init__(value, **how)
        self.cursor_blink = False


class Names(Suggester):
    """Completes the last of several names with commas between them by one of `known`, which may change."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self.known: list[str] = []

    async def get_suggestion(self, value: str) -> str | None:
        """`value` with its last name complete; None where no known name begins so."""
        before, comma, last = value.rpartition(",")
        begun = last.lstrip()
        taken = {name.strip() for name in before.split(",")}
        found = (name for name in self.known if begun and name.startswith(begun) and name not in taken)
        name = next(found, None)
        return None if name is None else before + comma + last[: len(last) - len(begun)] + name
