"""A Markdown page with blocks between HTML comments that a program fills; everything around them stays as it is.

A block begins with a line `<!-- results: NAME -->`, `<!-- results: NAME, scale SCALE -->` or, for the table over all of
the page's blocks, `<!-- results -->`, and ends with a line `<!-- end -->`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stitchtui.errors import BadInput
from stitchtui.text import plain

OVERVIEW = ""
"""The key of the block that holds the table over all others."""

_START = re.compile(r"<!-- results(?:: (?P<key>.*\S))? -->\s*")
_END = re.compile(r"<!-- end -->\s*")


@dataclass(frozen=True)
class _Block:
    first: int  # the lines of its two markers
    last: int


class Page:
    """A page's text and its blocks by key, in the page's order. Raises BadInput where a marker has no partner."""

    def __init__(self, text: str, shown: str) -> None:
        self.shown = shown
        self._lines = text.splitlines(keepends=True)
        self._blocks = self._found()

    @property
    def keys(self) -> list[str]:
        """What the blocks are called; the overview among them."""
        return list(self._blocks)

    def content(self, key: str) -> list[str]:
        """The lines in a block, without their ends."""
        block = self._blocks[key]
        return [line.rstrip("\r\n") for line in self._lines[block.first + 1 : block.last]]

    def filled(self, contents: Mapping[str, Sequence[str]]) -> str:
        """The page's text with these lines in the blocks of these keys, each set off by an empty line."""
        lines = list(self._lines)
        end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
        for key, block in reversed(self._blocks.items()):
            if key in contents:
                lines[block.first + 1 : block.last] = [f"{line}{end}" for line in ("", *contents[key], "")]
        return "".join(lines)

    def _found(self) -> dict[str, _Block]:
        found: dict[str, _Block] = {}
        open_at: tuple[str, int] | None = None
        for place, line in enumerate(self._lines):
            if start := _START.fullmatch(line):
                key = start["key"] or OVERVIEW
                if open_at is not None:
                    raise self._broken(place, f"a block begins inside that of line {open_at[1] + 1}")
                if key in found:
                    raise self._broken(place, f"a second block for '{plain(key)}'; expected one")
                open_at = key, place
            elif _END.fullmatch(line):
                if open_at is None:
                    raise self._broken(place, "<!-- end --> ends no block")
                found[open_at[0]] = _Block(open_at[1], place)
                open_at = None
        if open_at is not None:
            raise self._broken(open_at[1], "this block has no end; expected a line <!-- end -->")
        return found

    def _broken(self, place: int, what: str) -> BadInput:
        return BadInput(f"{self.shown}: line {place + 1}: {what}")
