"""Errors that a user can act on, and the exit codes of every command."""

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    CLAIM_REJECTED = 3
    INTERRUPTED = 130


class BadInput(Exception):
    """Input that can't be used; its text is one line: which file or key, what was expected, what to do."""


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
