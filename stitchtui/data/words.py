"""The words that the errors of every source share: names and reasons as one safe line. No torch here."""

import os
from collections.abc import Sequence

from stitchtui.base.text import plain


def shown(name: str | os.PathLike[str]) -> str:
    """A file's or class's name as one safe piece of text, also when its bytes are not UTF-8."""
    return plain(os.fspath(name).encode("utf-8", "replace").decode("utf-8"))


def one_line(error: BaseException, limit: int = 160) -> str:
    """An exception's text on one line of at most `limit` characters, or its type where it has no text."""
    text = shown(" ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of `names` as one safe line, and how many more there are."""
    more = len(names) - most
    return ", ".join(map(shown, names[:most])) + (f" and {more} more" if more > 0 else "")
