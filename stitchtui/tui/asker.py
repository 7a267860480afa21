"""Asks the inspector what New has to know of the networks, and how long the run will take."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import ENDS, End
from stitchtui.tui.inspection import Answer, Inspection
from stitchtui.tui.sources import Source

_STILL = 0.15  # seconds that the mark, or a text, stands still before its network is looked at
_TYPED = 0.5  # seconds without a change before an estimate is asked for

Work = Callable[[], Coroutine[None, None, None]]


class Listener(Protocol):
    """The receiver of the answers."""

    def answered(self, end: End, question: dict[str, Any], answer: Answer) -> None:
        """Take the answer on the network at `end`."""

    def glimpsed(self, source: Source, answer: Answer) -> None:
        """Take the answer on the network under the mark."""

    def estimated(self, answer: Answer | None) -> None:
        """Take an estimate; None where it is only being made."""


class Asker:
    """Every question goes its own way beside the screen; a newer one about the same thing takes its place."""

    def __init__(self, inspection: Inspection, listener: Listener, go: Callable[[Work, str], object]) -> None:
        """`go` does a piece of work beside the screen, in place of what its group was at."""
        self._inspection, self._listener, self._go = inspection, listener, go
        self._looking: asyncio.Future[Answer] | None = None

    def about(self, draft: Draft, end: End, *, typed: bool = False) -> None:
        """Ask about the network at `end` of `draft`, where there is one; after a while, if its name is being typed."""
        if (question := draft.question(end)) is not None:
            data = draft.value("data")
            draft.doubt(end)
            self._go(partial(self._hear, end, question, data, _STILL if typed else 0.0), f"ask-{end}")

    def about_both(self, draft: Draft, *, typed: bool = False) -> None:
        """Ask about the networks at both ends."""
        for end in ENDS:
            self.about(draft, end, typed=typed)

    async def _hear(self, end: End, question: dict[str, Any], data: str, after: float) -> None:
        await asyncio.sleep(after)
        self._listener.answered(end, question, await self._inspection.cuts(question, data))

    def glimpse(self, source: Source, question: dict[str, Any], data: str) -> None:
        """Look at the network under the mark once it stands still, after the one that is being looked at."""
        self._go(partial(self._look, source, question, data), "glimpse")

    async def _look(self, source: Source, question: dict[str, Any], data: str) -> None:
        await asyncio.sleep(_STILL)
        # The inspector answers in order: questions that nobody waits for any more would hold up those that follow.
        while self._looking is not None and not self._looking.done():
            await asyncio.wait([self._looking])
        self._looking = asyncio.ensure_future(self._inspection.cuts(question, data))
        self._listener.glimpsed(source, await asyncio.shield(self._looking))

    def think(self, wanted: Callable[[], tuple[dict[str, Any], str] | None]) -> None:
        """Estimate the experiment, on a device, that is `wanted` once nothing has changed for a while, if one is."""
        self._go(partial(self._estimate, wanted), "estimate")

    async def _estimate(self, wanted: Callable[[], tuple[dict[str, Any], str] | None]) -> None:
        await asyncio.sleep(_TYPED)
        if (found := wanted()) is None:
            return
        self._listener.estimated(None)
        answer = await self._inspection.estimate(*found)
        if "dropped" not in answer:
            self._listener.estimated(answer)

    def names(self, told: Callable[[Answer], None]) -> None:
        """Ask which networks and devices are known by name."""
        self._go(partial(self._names, told), "names")

    async def _names(self, told: Callable[[Answer], None]) -> None:
        told(await self._inspection.names())
