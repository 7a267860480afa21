"""Long work as generators: each yields how it comes along, and returns what it found."""

from collections.abc import Generator
from typing import Any, TypeVar

T = TypeVar("T")

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
