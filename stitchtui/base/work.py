"""Long work as generators: each yields how it comes along, and returns what it found."""

from collections.abc import Callable, Generator
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
Y = TypeVar("Y")

Pass = Generator[int, None, T]
"""A pass over images: yields of how many it has seen more."""


def finish(work: Generator[Any, Any, T]) -> T:
    """Go through `work` to its end, and return what it found."""
    while True:
        try:
            next(work)
        except StopIteration as ended:
            found: T = ended.value
            return found


def mapped(work: Generator[Y, None, T], said: Callable[[Y], S]) -> Generator[S, None, T]:
    """`work`, with `said(what)` in place of what it yields; closed with it."""
    try:
        while True:
            yield said(next(work))
    except StopIteration as ended:
        found: T = ended.value
        return found
    finally:
        work.close()
