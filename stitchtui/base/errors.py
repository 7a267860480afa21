"""Errors that a user can act on, and the exit codes of every command."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Self

from stitchtui.base.text import plain


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    CLAIM_REJECTED = 3
    NOT_CONNECTED = 3  # at the margin that `check` was asked for
    UNDECIDED = 4
    INTERRUPTED = 130


class BadInput(Exception):
    """Input that can't be used; its text is one line: which file or key, what was expected, what to do.

    `field` is the key or flag to change, as `stitch.cuts` or `--device`, where there is one: code asks it and never
    the text. `what` is the line without a field that it begins with.
    """

    def __init__(self, line: str, field: str | None = None) -> None:
        super().__init__(line)
        self.field = field
        self.what = line

    @classmethod
    def at(cls, field: str, what: str, given: object = "") -> Self:
        """The error whose line is `field: what`, or `field given: what` with the value that was given."""
        value = plain(given)
        error = cls(f"{field} {value}: {what}" if value else f"{field}: {what}", field)
        error.what = f"{value}: {what}" if value else what
        return error


@contextmanager
def about(field: str) -> Iterator[None]:
    """BadInput that is raised inside and names no field has `field` for its field."""
    try:
        yield
    except BadInput as error:
        error.field = error.field or field
        raise


class WrongKey(ValueError):
    """What a check of a table finds wrong with keys in it: one, or several that contradict each other.

    The keys are dotted; of several, whose names are among the words of `what`, the one to change comes first.
    """

    def __init__(self, what: str, *keys: str) -> None:
        super().__init__(f"{keys[0]}: {what}" if len(keys) == 1 else what)
        self.what, self.keys = what, keys


class RunFailed(Exception):
    """A run that can't go on for a reason that is not a fault of its input; its text is one line."""


def not_known(word: str, known: Iterable[str]) -> str:
    """The phrase for a name that is none of `known`: says so, and suggests the nearest or lists the first of them."""
    names = list(dict.fromkeys(known))
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"'{word}' is not known; nearest: '{close[0]}'"
    listed = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"'{word}' is not known; expected one of: {listed}"
