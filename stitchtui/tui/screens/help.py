"""Help for the screen it was asked on: its keys as they are now, the colours found, the words."""

import os
from collections.abc import Iterable
from typing import Any, ClassVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import ActiveBinding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widgets import Static

from stitchtui.base.text import plain
from stitchtui.report.wording import to_ascii
from stitchtui.tui import keys
from stitchtui.tui.glossary import GLOSSARY
from stitchtui.tui.own_keys import keymap_path
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.reading import Reading

_COLOURS = {
    "truecolor": "16 million colours",
    "256": "256 colours",
    "standard": "16 colours: shades of the grid run together, the numbers carry the meaning",
    "windows": "16 colours: shades of the grid run together, the numbers carry the meaning",
}
_NAMES_FROM = 104  # columns of the terminal
_EXAMPLE = '"grid.measure" = "z"'
_COMMON = 3  # the rank of keys that every widget of its kind has


class HelpScreen(ModalScreen[None]):
    """Made of the live bindings of the screen that is on when it is made, so it can't go stale."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; }
    HelpScreen Reading {
        width: 104; max-width: 100%; height: auto; max-height: 100%; padding: 0 2; border: round $primary;
        border-title-style: bold; background: $surface;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.HELP]

    def __init__(self) -> None:
        super().__init__()
        where: Screen[Any] = self.app.screen
        self._legend: dict[str, str] = getattr(where, "legend", {})
        bindings = where.active_bindings.values()
        self._keys = key_rows(self.app, [each for each in bindings if _rank(each) < _COMMON])
        self._common = key_rows(self.app, [each for each in bindings if _rank(each) == _COMMON])

    def compose(self) -> ComposeResult:
        """One long text that scrolls, and the keys."""
        with Reading():
            yield Static(self._content(), markup=False)
        yield Hints()

    def on_mount(self) -> None:
        """Say what it is."""
        self.query_one(Reading).border_title = "Help"

    def _content(self) -> RenderableType:
        named = self.app.size.width >= _NAMES_FROM
        where = " (on the right)" if named else f" (shown from {_NAMES_FROM} columns on)"
        ascii = bool(getattr(self.app, "ascii", False))
        glyphs = [(to_ascii(glyph) if ascii else glyph, meaning) for glyph, meaning in self._legend.items()]
        legend: list[RenderableType] = [_heading("Signs here"), _table(glyphs, "bold")] if glyphs else []
        return Group(
            _heading("Keys here"),
            _table([row if named else row[:2] for row in self._keys], "bold"),
            *legend,
            Text(f"\nTo move a key, write its name{where} and the new key to {_keys_file()}\n{_EXAMPLE}"),
            _heading("This terminal"),
            _table(terminal_rows(self.app), ""),
            _heading("Words"),
            _table(GLOSSARY.items(), "bold"),
            _heading("Also, as in every list and field"),
            _table([row[:2] for row in self._common], "bold"),
        )

    def action_scroll(self, way: str) -> None:
        """Scroll the text."""
        self.query_one(Reading).turn(way)

    def action_leave(self) -> None:
        """Close the help."""
        self.dismiss()


def key_rows(app: App[Any], bindings: Iterable[ActiveBinding]) -> list[tuple[str, str, str]]:
    """Every key that does something now, those of one action together, with what it does and its name if it has one."""
    keys: dict[str, list[str]] = {}
    words: dict[str, tuple[str, str]] = {}
    for _, binding, enabled, tooltip in sorted(bindings, key=_rank):
        text = tooltip or binding.tooltip or binding.description
        if binding.system or not enabled or not text:
            continue
        keys.setdefault(binding.action, []).append(app.get_key_display(binding))
        words.setdefault(binding.action, (text, binding.id or ""))
    return [(" ".join(dict.fromkeys(each)), *words[action]) for action, each in keys.items()]


def _rank(active: ActiveBinding) -> int:
    """The screen's own keys, then the app's and the widget's that are ours, then those that every widget has."""
    if not active.binding.id:
        return _COMMON
    return 0 if isinstance(active.node, Screen) else 1 if isinstance(active.node, App) else 2


def terminal_rows(app: App[Any]) -> list[tuple[str, str]]:
    """What the app found out about the terminal, and what to do where that is little."""
    system = app.console.color_system
    colours = "none (NO_COLOR is set)" if app.no_color else _COLOURS.get(system or "", "none")
    rows = [
        ("terminal", plain(os.environ.get("TERM", "unknown"))),
        ("size", f"{app.size.width} x {app.size.height}"),
        ("colours", colours),
        ("theme", plain(app.theme)),
    ]
    if not app.no_color and system != "truecolor":
        rows.append(("for more", "set COLORTERM=truecolor; in tmux: set -g default-terminal tmux-256color"))
    return rows


def _keys_file() -> str:
    path, home = str(keymap_path()), os.environ.get("HOME", "")
    return plain(f"~{path.removeprefix(home)}" if home and path.startswith(f"{home}/") else path)


def _heading(text: str) -> Text:
    return Text(f"\n{text}", style="bold underline")


def _table(rows: Iterable[tuple[str, ...]], style: str) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, style=style)
    table.add_column()
    table.add_column(no_wrap=True, style="dim")
    for row in rows:
        table.add_row(*map(Text, row))
    return table
