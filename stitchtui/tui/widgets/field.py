"""A text field for a calm screen."""

from typing import Any

from textual.widgets import Input


class Field(Input):
    """An Input whose cursor doesn't blink: while nothing happens, nothing is sent to the terminal."""

    def __init__(self, value: str | None = None, **how: Any) -> None:
        super().__init__(value, **how)
        self.cursor_blink = False
