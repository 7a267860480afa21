"""Events from the JSON objects that a log holds of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from stitchtui.run.events import Event, Known


def event(said: Mapping[str, Any]) -> Event:
    """The event that `said` is; without a time it is of the second after 1970 began."""
    found: Event = msgspec.convert({"t": 1.0, **said}, Known)
    return found


def events(said: Iterable[Mapping[str, Any]]) -> list[Event]:
    return [event(each) for each in said]
