"""The last line: the keys of where you are. Unlike Textual's Footer it never cuts off `?` and `q`, and costs a line."""

from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

from stitchtui.tui.widgets.lines import Lines

_LAST = ("help", "quit")  # ids that are always shown, at the end
_ANYWHERE = "quit_anywhere"  # shown where the letter that quits is out of reach, as in a field


@dataclass(frozen=True)
class Hint:
    """A key and what it does."""

    key: str
    shown: str
    words: str

    @property
    def width(self) -> int:
        """Terminal cells that it takes, with one on either side."""
        return cell_len(f" {self.shown} {self.words} ")


class Hints(Lines):
    """Shows the screen's bindings that say `show`, as many as fit, then help and quit. A click presses the key."""

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self.call_after_refresh(self._draw)

    def on_resize(self, _event: events.Resize) -> None:
        """Fit the hints into the new width."""
        self._draw()

    def _changed(self, _screen: Screen[object]) -> None:
        self._draw()

    def _draw(self) -> None:
        if self.is_attached and self.size.width:
            line = Text(no_wrap=True)
            for hint in self.hints():
                line.append(f" {hint.shown}", style="bold").append(f" {hint.words} ", style="dim")
            self.show([line])

    def hints(self) -> list[Hint]:
        """What is shown, from left to right."""
        found: list[Hint] = []
        last: dict[str, Hint] = {}
        spare: Hint | None = None
        for active in self.screen.active_bindings.values():
            binding = active.binding
            hint = Hint(binding.key, _shown(self.app, binding), binding.description)
            if binding.id in _LAST:
                last.setdefault(binding.id, hint)
            elif binding.id == _ANYWHERE:
                spare = hint
            elif binding.show and active.enabled and hint.words not in [each.words for each in found]:
                found.append(hint)
        if spare is not None:
            last.setdefault("quit", spare)
        end = [last[id] for id in _LAST if id in last]
        while found and sum(hint.width for hint in [*found, *end]) > self.size.width:
            found.pop()
        return [*found, *end]

    def on_click(self, event: events.Click) -> None:
        """Press the key under the mouse."""
        x = 0
        for hint in self.hints():
            x += hint.width
            if event.x < x:
                self.app.simulate_key(hint.key)
                return


def key_now(screen: Screen[Any], id: str) -> str:
    """The key that the action `id` has on `screen`, its first one; its id where it has none."""
    found = (active.binding for active in screen.active_bindings.values() if active.binding.id == id)
    return next((_shown(screen.app, binding) for binding in found), id)


def _shown(app: App[Any], binding: Binding) -> str:
    shown = app.get_key_display(binding)
    return shown if shown.isascii() or not getattr(app, "ascii", False) else binding.key
