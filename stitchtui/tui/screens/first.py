"""The first picture of the app: a status line and the grid's keys, made of little, so that it stands at once."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen

from stitchtui.tui import keys
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.lines import Lines


class FirstScreen(Screen[None]):
    """Lies below all others. The app holds back what is typed at it until there is a screen to type at."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.GRID]  # so that the last line is the grid's from the first

    def compose(self) -> ComposeResult:
        """The two lines that the grid has as well."""
        yield Lines(id="status")
        yield Hints(id="hints")

    def on_mount(self) -> None:
        """Say what the app is at."""
        self.query_one("#status", Lines).show(["reading the runs"])

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """Leave out the keys that need a run or a filter, as there is neither yet."""
        return action not in ("stop", "resume", "back")
