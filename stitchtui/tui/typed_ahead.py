"""Keys one after another: each acts on the state that the one before has left, however many arrive at once."""

import asyncio
import time
from typing import TypeVar

from textual import events
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget

PATIENCE = 2.0  # seconds that a key waits for what it is to act on, such as a list that takes long to read
_LOOK = 0.001  # seconds between looks at whether all is done
_PICTURES = 2  # of a screen that has just come up: without what it shows, and with it

Typed = events.Key | events.Paste
Result = TypeVar("Result")


class InOrder(App[Result]):
    """An app that hands on one key at a time.

    Textual forwards a key to the widget with the focus and asks for bindings once it has come back through the queue of
    every widget around that one; bindings with priority it asks at once. Keys that arrive together overtake each other.
    So each waits here until nothing that the one before has set off is still in a queue, and until the screen on top
    has been drawn and isn't `unready`: it says so while what keys act on is still to come.
    """

    def __init__(self, ansi_color: bool | None = None) -> None:
        super().__init__(ansi_color=ansi_color)
        self.typed: asyncio.Queue[Typed] = asyncio.Queue()
        self._on_top: Screen[object] | None = None
        self._drawn = 0  # how often, since it came up

    async def on_event(self, event: events.Event) -> None:
        """Put what is typed into the line."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            self.typed.put_nowait(event)
        else:
            await super().on_event(event)

    def take_keys(self) -> None:
        """Begin to hand on what was typed, and what will be."""
        self.run_worker(self._hand_on(), group="typed")

    async def _hand_on(self) -> None:
        in_vain: Screen[object] | None = None  # was waited for, and isn't again as long as it says the same
        while True:
            event = await self.typed.get()
            since = time.monotonic()
            while self._at_work() or (self._unready and self.screen is not in_vain):
                if time.monotonic() - since >= PATIENCE:
                    break
                await asyncio.sleep(_LOOK)
            in_vain = self.screen if self._unready else None
            done = asyncio.Event()
            self.call_later(self._act_on, event, done)
            await done.wait()
            self.typed.task_done()

    async def _act_on(self, event: Typed, done: asyncio.Event) -> None:
        await super().on_event(event)
        done.set()

    @property
    def _unready(self) -> bool:
        return bool(getattr(self.screen, "unready", False))

    def _at_work(self) -> bool:
        """Whether something that was set off is still to be done."""
        screen = self.screen
        if screen is not self._on_top:
            self._on_top, self._drawn = screen, 0
            screen.call_after_refresh(self._draws, screen)
        nodes = screen.walk_children(Widget, with_self=True)
        queued = any(node.message_queue_size or not node.is_mounted for node in nodes)
        return bool(queued or self.message_queue_size or self._drawn < _PICTURES)

    def _draws(self, screen: Screen[object]) -> None:
        if screen is self._on_top:
            self._drawn += 1
            if self._drawn < _PICTURES:
                screen.call_after_refresh(self._draws, screen)
