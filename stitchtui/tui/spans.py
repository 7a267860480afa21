"""Sends of a line only what changed: Textual sends all that lies left of it in the same widget as well.

This reaches into a private corner of Textual (whose own note there is "crop to x extents"), and is about bytes alone:
with a version that has no such corner the app draws the same picture at a higher price.
"""

from typing import Any

from rich.console import Console
from rich.control import Control
from textual import _compositor


def send_only_what_changed() -> None:
    """Make it so, for every app in this process; a second time changes nothing."""
    update = getattr(_compositor, "ChopsUpdate", None)
    theirs = getattr(update, "render_segments", None)
    if theirs is None or theirs.__module__ == __name__:
        return

    def ours(self: Any, console: Console) -> str:
        try:
            return "".join(_pieces(self, console))
        except (AttributeError, TypeError, ValueError):  # it holds other things than it did
            return str(theirs(self, console))

    setattr(update, "render_segments", ours)  # noqa: B010 (mypy forbids the assignment)


def _pieces(update: Any, console: Console) -> list[str]:
    pieces = []
    for y, first, last in update.spans:
        for end, (start, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
            left, right = max(start, first), min(end, last)
            if strip is not None and left < right:
                cut = strip.crop(left - start, right - start)
                pieces += [Control.move_to(left, y).segment.text, cut.render(console)]
    return pieces
