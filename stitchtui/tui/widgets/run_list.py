"""The list of runs, a line each: only lines that differ are drawn again."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size, Spacing
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from stitchtui.report.wording import printable, shortened, to_ascii
from stitchtui.tui import keys
from stitchtui.tui.catalogue import Entry

_STATUS, _DONE, _STARTED = 9, 4, 16  # terminal cells; "elsewhere", "100%", "2026-01-02 03:04"
_NARROWEST_NAME, _WIDEST_NAME = 16, 44
_VERDICTS_FROM, _STARTED_FROM = 100, 72  # terminal cells of the whole list


class RunList(ScrollView, can_focus=True):
    """Draws entries in the order they are given; keeps the cursor on its run while others come and go."""

    DEFAULT_CSS = """
    RunList { height: 1fr; background: $surface; overflow-x: hidden; }
    RunList > .run-list--header { text-style: bold dim; }
    RunList > .run-list--cursor { text-style: reverse; }
    RunList > .run-list--going { text-style: bold; color: $text-success; }
    RunList > .run-list--trouble { color: $text-warning; }
    RunList > .run-list--dim { text-style: dim; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"run-list--{part}" for part in ("header", "cursor", "going", "trouble", "dim")
    }
    BINDINGS: ClassVar[list[BindingType]] = [*keys.LIST]
    cursor = reactive(0, repaint=False)

    class Highlighted(Message):
        """Another run is under the cursor, or other things are known of it."""

    class Chosen(Message):
        """The run under the cursor was clicked on."""

    def __init__(self, ascii: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self._ascii = ascii
        self._entries: list[Entry] = []
        self._marked: frozenset[Path] = frozenset()

    @property
    def _width(self) -> int:
        """Terminal cells of a line: what a scroll bar leaves of the list."""
        return self.scrollable_content_region.width

    @property
    def chosen(self) -> Entry | None:
        """The run under the cursor."""
        return self._entries[self.cursor] if self.cursor < len(self._entries) else None

    def show(self, entries: Sequence[Entry], marked: frozenset[Path]) -> None:
        """Draw these entries, those in `marked` with a mark."""
        before, old, old_marked = self.chosen, self._entries, self._marked
        self._entries, self._marked = list(entries), marked
        paths = [entry.directory.path for entry in entries]
        self.virtual_size = Size(self._width, len(entries) + 1)
        place = paths.index(before.directory.path) if before and before.directory.path in paths else self.cursor
        self.set_reactive(RunList.cursor, max(0, min(place, len(entries) - 1)))
        if [entry.directory.path for entry in old] != paths:
            self.refresh()
            self._follow()
        else:
            changed = (number for number, pair in enumerate(zip(old, entries, strict=True)) if pair[0] != pair[1])
            moved = (number for number, path in enumerate(paths) if (path in marked) != (path in old_marked))
            for number in {*changed, *moved}:
                self.refresh_line(number + 1)
        if self.chosen != before:
            self.post_message(self.Highlighted())

    def action_move(self, lines: int) -> None:
        """Move the cursor by so many runs."""
        self.cursor = max(0, min(len(self._entries) - 1, self.cursor + lines))

    def action_to(self, place: int) -> None:
        """Move the cursor to the first run, or with -1 to the last."""
        self.cursor = 0 if place == 0 else max(0, len(self._entries) - 1)

    def action_page(self, pages: int) -> None:
        """Move the cursor by a screen."""
        self.action_move(pages * max(1, self.size.height - 2))

    def watch_cursor(self, before: int, after: int) -> None:
        """Draw the line that the cursor left and the one it came to."""
        for line in (before, after):
            self.refresh_line(line + 1)
        self._follow()
        self.post_message(self.Highlighted())

    def _follow(self) -> None:
        self.scroll_to_region(
            Region(0, self.cursor + 1, 1, 1), spacing=Spacing(top=1), animate=False, force=True, x_axis=False
        )

    def on_resize(self) -> None:
        """Take the new width, and keep the cursor in sight."""
        self.virtual_size = Size(self._width, len(self._entries) + 1)
        self._follow()

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the run that was clicked on; a click on the run under the cursor chooses it."""
        place = event.y - 1 + self.scroll_offset.y
        if event.y == 0 or not 0 <= place < len(self._entries):
            return
        if place == self.cursor and event.chain > 1:
            self.post_message(self.Chosen())
        self.cursor = place

    def render_line(self, y: int) -> Strip:
        """The header in the first line, and below it the run that is scrolled there."""
        width, background = self._width, self.rich_style
        if y == 0:
            style = background + self.get_component_rich_style("run-list--header", partial=True)
            return _strip([(self._line(" ", "run", "status", "done", "verdicts", "started"), style)], width, background)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._entries):
            return Strip.blank(width, background)
        return self._entry_line(place, background)

    def _entry_line(self, place: int, background: Style) -> Strip:
        entry = self._entries[place]
        mark = "*" if entry.directory.path in self._marked else " "
        done = "" if entry.condition is None else f"{entry.progress:.0%}"
        line = self._line(mark, entry.directory.name, entry.condition or "reading", done, entry.verdicts, moment(entry))
        style = background + self._style(entry)
        if place == self.cursor:
            style += self.get_component_rich_style("run-list--cursor", partial=True)
        return _strip([(line, style)], self._width, style if place == self.cursor else background)

    def _style(self, entry: Entry) -> Style:
        if entry.condition in ("starting", "running"):
            return self.get_component_rich_style("run-list--going", partial=True)
        if entry.condition in ("lost", "failed"):
            return self.get_component_rich_style("run-list--trouble", partial=True)
        return Style() if entry.condition == "done" else self.get_component_rich_style("run-list--dim", partial=True)

    def _line(self, *texts: str) -> str:
        mark, name, status, done, verdicts, started = texts
        width = self._width
        shows_started, shows_verdicts = width >= _STARTED_FROM, width >= _VERDICTS_FROM
        room = width - 3 - _STATUS - _DONE - 4 - ((_STARTED + 2) if shows_started else 0)
        names = max(_NARROWEST_NAME, min(room, _WIDEST_NAME))
        parts = [f"{mark} {self._fitted(name, names)}", set_cell_size(status, _STATUS), done.rjust(_DONE)]
        if shows_started:
            parts.append(set_cell_size(started, _STARTED))
        if shows_verdicts:
            parts.append(self._fitted(verdicts, max(0, width - names - 45 + 6)))
        return "  ".join(parts)

    def _fitted(self, text: str, width: int) -> str:
        shown = printable(text)
        shown = to_ascii(shown) if self._ascii else shown
        return set_cell_size(shortened(shown, width, self._ascii), width)


def moment(entry: Entry) -> str:
    """When the run began, in this machine's time: `2026-01-02 03:04`; empty where it hasn't."""
    if entry.started is None:
        return ""
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.started))
    except (OverflowError, ValueError, OSError):  # a clock from nowhere
        return ""


def _strip(parts: list[tuple[str, Style]], width: int, background: Style) -> Strip:
    taken = sum(cell_len(text) for text, _ in parts)
    return Strip([Segment(text, style) for text, style in parts], taken).adjust_cell_length(width, background)
