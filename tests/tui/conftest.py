"""What makes the tests of the app independent of how busy the machine is."""

import pytest
from pilot import settled
from textual.app import App
from textual.pilot import Pilot


class Mute:
    """An inspector that knows nothing, in place of a process that would load torch beside every test."""

    def start(self):
        pass

    def rest(self):
        pass

    def close(self):
        pass

    async def names(self):
        return {}

    async def cuts(self, source, data):
        return {}

    async def estimate(self, experiment, device):
        return {"dropped": True}


async def at_once(min_sleep=0.0, max_sleep=0.0):
    """In place of Textual's wait until the process hardly computes."""


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Each key waits for what the one before has set off, and no notification goes before it was seen.

    Textual's Pilot presses the next key once the process hardly computes: where nothing else has the core that takes
    40 ms a key, and where another process has it, that is also so while everything is still to be done.
    """
    press = Pilot.press

    async def one_by_one(self, *keys):
        for key in keys:
            await press(self, key)
            await settled(self)

    monkeypatch.setattr(Pilot, "press", one_by_one)
    monkeypatch.setattr("textual.app.wait_for_idle", at_once)
    monkeypatch.setattr(App, "NOTIFICATION_TIMEOUT", 600)
    monkeypatch.setattr("stitchtui.tui.app.Inspection", Mute)
