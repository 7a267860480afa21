"""What the watched run has found: its claims with their verdicts, what to beware of, and what it rests on."""

import contextlib
from typing import ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.screen import Screen

from stitchtui.report.wording import printable, shortened
from stitchtui.tui import keys
from stitchtui.tui.findings import finding_lines
from stitchtui.tui.messages import RunChanged
from stitchtui.tui.shell import Shell
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.lines import Lines
from stitchtui.tui.widgets.reading import Reading


class FindingsScreen(Screen[None]):
    """Draws the run's own sentences, again when more was measured."""

    DEFAULT_CSS = """
    FindingsScreen #title { height: 1; background: $panel; padding: 0 1; text-style: bold; }
    FindingsScreen #text { height: 1fr; padding: 0 1; }
    FindingsScreen #all { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.FINDINGS]

    def __init__(self) -> None:
        super().__init__()
        self._drawn: object = None

    def compose(self) -> ComposeResult:
        """Lay out the run's name, the sentences and the keys."""
        yield Lines(id="title")
        with Reading(id="text"):
            yield Lines(id="all")
        yield Hints(id="hints")

    def on_screen_resume(self) -> None:
        """Draw what is known by now."""
        self.call_after_refresh(self._draw)

    @on(RunChanged)
    @on(Lines.Resized)
    def _draw(self) -> None:
        with contextlib.suppress(NoMatches):  # the screen is being left, its widgets are gone
            self._draw_all()

    def _draw_all(self) -> None:
        app = cast(Shell, self.app)
        watch, width = app.watched, self.query_one("#text").scrollable_content_region.width - 2
        wanted = (id(watch.state), watch.cells_changed, watch.condition, width)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        name = printable(watch.directory.name if watch.directory else "no run", app.ascii)
        self.query_one("#title", Lines).show([Text(shortened(f"what {name} found", self.size.width - 2, app.ascii))])
        text = finding_lines(watch.state, watch.condition or "", max(20, width), app.ascii)
        self.query_one("#all", Lines).show(text)

    def action_back(self) -> None:
        """Back to the grid."""
        self.dismiss(None)

    def action_scroll(self, way: str) -> None:
        """Scroll the sentences."""
        self.query_one(Reading).turn(way)

    def action_copy(self) -> None:
        """Copy the sentences."""
        from stitchtui.tui.clipboard import copy

        copy(self.app, "\n".join(str(line) for line in self.query_one("#all", Lines).texts), "the findings")
