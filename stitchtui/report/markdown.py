"""Markdown as GitHub reads it: tables, and text from outside that stays text."""

import re
from collections.abc import Iterable, Sequence

from stitchtui.report.wording import printable


def escaped(text: str) -> str:
    """`text` from outside as plain words of a GitHub page: no control characters, no markup."""
    clean = printable(text)
    return re.sub(r"[\\`*\[\]<|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\\g<0>", clean)


def line(entries: Iterable[str]) -> str:
    """One row of a table; the entries are Markdown already."""
    return "| " + " | ".join(entries) + " |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> list[str]:
    """The lines of a table whose first `texts` columns are words, and set left, and the others numbers."""
    return [line(head), line(["---"] * texts + ["---:"] * (len(head) - texts)), *map(line, rows)]
