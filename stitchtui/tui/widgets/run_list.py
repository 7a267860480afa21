"""The list of runs, a line each: only lines that differ are drawn again."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
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
from stitchtui.tui.conditions import CONDITIONS

_SIGNS, _GAP = 4, 2  # terminal cells before the name, and between two columns
_STATUS, _DONE, _VERDICTS, _STARTED = 9, 4, 28, 16  # terminal cells; "elsewhere", "100%", ..., "2026-01-02 03:04"
_STATUS_FROM, _VERDICTS_FROM, _STARTED_FROM = 72, 110, 140  # terminal cells of the list; a name begins with its time
_NARROWEST_NAME, _WIDEST_NAME, _NARROWEST_WORDS = 16, 44, 24


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
        self._names = (0, False)  # the longest name, and whether there are words beside some name

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
        names, self._names = self._names, _names(entries)
        paths = [entry.directory.path for entry in entries]
        self.virtual_size = Size(self._width, len(entries) + 1)
        place = paths.index(before.directory.path) if before and before.directory.path in paths else self.cursor
        self.set_reactive(RunList.cursor, max(0, min(place, len(entries) - 1)))
        if [entry.directory.path for entry in old] != paths or names != self._names:
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
            line = self._line("   ", "run", "status", "done", "label: what differs", "verdicts", "started")
            return _strip([(line, style)], width, background)
        place = y - 1 + self.scroll_offset.y
        if place >= len(self._entries):
            return Strip.blank(width, background)
        return self._entry_line(place, background)

    def _entry_line(self, place: int, background: Style) -> Strip:
        entry = self._entries[place]
        look = None if entry.condition is None else CONDITIONS[entry.condition]
        signs = f"{'*' if entry.directory.path in self._marked else ' '} {look.glyph if look else ' '}"
        done = "" if look is None else f"{entry.progress:.0%}".rjust(_DONE)
        status = entry.condition or "reading"
        line = self._line(signs, entry.directory.name, status, done, words(entry), entry.verdicts, moment(entry))
        style = background
        if look is not None and look.style:
            style += self.get_component_rich_style(f"run-list--{look.style}", partial=True)
        if place == self.cursor:
            style += self.get_component_rich_style("run-list--cursor", partial=True)
        return _strip([(line, style)], self._width, style if place == self.cursor else background)

    def _line(self, signs: str, name: str, *others: str) -> str:
        """The columns that there is room for: the name, the status in words, how far, words on it, verdicts, start."""
        names, *rooms = self._rooms()
        parts = [set_cell_size(shortened(printable(name), names, self._ascii), names)]
        for text, room in zip(others, rooms, strict=True):
            if room:
                part = Text(printable(text))
                part.truncate(room, overflow="ellipsis", pad=True)
                parts.append(part.plain)
        line = f"{signs} {(' ' * _GAP).join(parts)}"
        return set_cell_size(to_ascii(line), self._width) if self._ascii else line

    def _rooms(self) -> tuple[int, ...]:
        """How many terminal cells each column has, none where the list is too narrow for it."""
        since = {_STATUS: _STATUS_FROM, _VERDICTS: _VERDICTS_FROM, _STARTED: _STARTED_FROM}
        status, verdicts, started = (room if self._width >= least else 0 for room, least in since.items())
        left = self._width - _SIGNS - sum(room + _GAP for room in (status, _DONE, verdicts, started) if room)
        longest, any_words = self._names
        names = min(longest, _WIDEST_NAME, left - _NARROWEST_WORDS - _GAP if any_words else left)
        names = max(_NARROWEST_NAME, names)
        return names, status, _DONE, max(0, left - names - _GAP), verdicts, started


def _names(entries: Sequence[Entry]) -> tuple[int, bool]:
    """How long the longest name is, in terminal cells, and whether there are words beside some name."""
    longest = max((cell_len(printable(entry.directory.name)) for entry in entries), default=0)
    return longest, any(words(entry) for entry in entries)


def words(entry: Entry) -> str:
    """A run's label, and what tells it from others of its name: `wide: epochs 8, family conv3`."""
    return ": ".join(filter(None, (entry.about.label, ", ".join(entry.differs))))


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
