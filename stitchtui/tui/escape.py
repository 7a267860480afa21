"""Reads Escape as Escape, whatever comes in the same moment: Textual takes both for one key that it doesn't know.

Over a slow link Escape arrives together with the keys typed after it, which Textual would turn into `^` and text. Like
`spans`, this reaches into a private corner of Textual; with a version that has no such corner it changes nothing.
"""

import re
from collections.abc import Iterator
from typing import Any

from textual import _xterm_parser

_ESCAPE, _PASTE, _PASTED = "\x1b", "\x1b[200~", "\x1b[201~"
_BEGUN = "[O]P_" + _ESCAPE  # what a terminal's own sequences, or another Escape, go on with
_APART = re.compile(f"(?<={_ESCAPE})(?=[^{re.escape(_BEGUN)}])")


def read_escape_as_escape() -> None:
    """Make it so, for every app in this process; a second time changes nothing."""
    parser = _xterm_parser.XTermParser
    theirs = parser.feed
    if theirs.__module__ == __name__ or not hasattr(parser(), "_timeout_time"):
        return

    def ours(self: Any, data: str) -> Iterator[Any]:
        pasting = getattr(self, "pasting", False)
        for piece in [data] if pasting or _PASTE in data else _APART.split(data):
            waits = getattr(self, "escaped", False) and self._timeout_time is not None
            if waits and piece and piece[0] not in _BEGUN:
                self._timeout_time = 0.0  # no more of a sequence comes
                yield from self.tick()
            yield from theirs(self, piece)
            self.escaped = piece.endswith(_ESCAPE) and not pasting
        self.pasting = data.rfind(_PASTE) > data.rfind(_PASTED) or (pasting and _PASTED not in data)

    setattr(parser, "feed", ours)  # noqa: B010 (mypy forbids the assignment)
