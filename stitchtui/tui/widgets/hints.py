"""The last line: the keys of where you are. Unlike Textual's Footer it never cuts off `?` and `q`, and costs a line."""

from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding
from textual.screen import Screen

from stitchtui.tui.widgets.lines import Lines

_LAST = ("help", "quit")  # ids that are always shown, at the end
_MOST = 8


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
            hint = Hint(binding.key, self._shown(binding), binding.description)
            if binding.id in _LAST:
                last.setdefault(binding.id, hint)
            elif binding.action == "quit":  # Textual's own, for when a field takes every letter
                spare = replace(hint, words="quit")
            elif binding.show and active.enabled and hint.words not in [each.words for each in found]:
                found.append(hint)
        if spare is not None:
            last.setdefault("quit", spare)
        end = [last[id] for id in _LAST if id in last]
        kept = found[: _MOST - len(end)]
        while kept and sum(hint.width for hint in [*kept, *end]) > self.size.width:
            kept.pop()
        return [*kept, *end]

    def _shown(self, binding: Binding) -> str:
        shown = self.app.get_key_display(binding)
        return shown if shown.isascii() or not getattr(self.app, "ascii", False) else binding.key

    def on_click(self, event: events.Click) -> None:
        """Press the key under the mouse."""
        x = 0
        for hint in self.hints():
            x += hint.width
            if event.x < x:
                self.app.simulate_key(hint.key)
                return
