"""What is shown when the terminal is too small for anything else."""

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen
from textual.widgets import Static

from stitchtui.tui.keys import key
from stitchtui.tui.widgets.hints import key_now


class TooSmallScreen(ModalScreen[None]):
    """One line that names the size needed; what was there before waits below."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # a modal screen keeps the app's keys away, this one too
        key("q", "app.leave", "quit", "Leave the app; a run that is going on goes on", "quit"),
    ]

    def __init__(self, smallest: tuple[int, int]) -> None:
        super().__init__()
        self._smallest = smallest

    def compose(self) -> ComposeResult:
        """The line."""
        columns, rows = self._smallest
        yield Static(Text(f"too small: needs {columns}x{rows}; {key_now(self, 'quit')} quits"))
