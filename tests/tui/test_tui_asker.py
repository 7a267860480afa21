"""What New asks of the inspector: nothing of a network before it is picked by name, and no key waits for an answer."""

import asyncio
import sys
import textwrap

import pytest
from pilot import make_run, screen_text, wait_for, wait_for_text
from scripted import NAMES, Scripted

from stitchtui.base.paths import runs_directory
from stitchtui.tui.app import StitchApp
from stitchtui.tui.asker import Asker
from stitchtui.tui.inspection import Inspection
from stitchtui.tui.sources import Source

# Answers about a network once a file is there: it might as well be building billions of parameters.
SLOW = """
import json, pathlib, sys, time
for line in sys.stdin:
    question = json.loads(line)
    if question["ask"] == "names":
        answer = {"torchvision": ["regnet_y_128gf", "vit_h_14"], "devices": ["cpu"]}
    else:
        while not pathlib.Path(sys.argv[1]).exists():
            time.sleep(0.01)
        cuts = [{"name": "stem", "shape": [4], "channel_axis": -1, "depth": 0.5, "parameters": 1, "block": True}]
        answer = {"cuts": cuts, "architecture": "large", "shape": [3, 8, 8], "classes": 10}
    print(json.dumps({"id": question["id"], **answer}), flush=True)
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app whose inspector answers only when there is a file `done`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow.py").write_text(textwrap.dedent(SLOW))
    make_run(runs_directory())
    made = StitchApp()
    made.inspection = Inspection([sys.executable, str(tmp_path / "slow.py"), str(tmp_path / "done")])
    return made


async def test_every_key_is_answered_while_a_large_network_is_looked_at(app, tmp_path):
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("n")
        await wait_for_text(pilot, "vit_h_14")
        await pilot.press("j", "enter")
        await wait_for_text(pilot, "pick the top")
        await pilot.press("enter")
        await wait_for_text(pilot, "New run: regnet_y_128gf > vit_h_14")
        await wait_for_text(pilot, "checking...")
        await pilot.press("l", "l")
        assert app.screen.unready and app.screen.draft.value("cuts") == "blocks", "which cuts there are isn't known yet"
        await pilot.press("down", "l", "l")
        await wait_for_text(pilot, "--pairing all")
        await pilot.press("x")
        await wait_for_text(pilot, "New run: vit_h_14 > regnet_y_128gf")
        await pilot.press("escape")
        await wait_for_text(pilot, "pick the top")
        await pilot.press("enter")
        await wait_for_text(pilot, "New run: vit_h_14 > ")
        assert "checking..." in screen_text(app)
        (tmp_path / "done").touch()
        await wait_for_text(pilot, "stem")
        await wait_for(pilot, lambda: "checking..." not in screen_text(app), "both are known")


async def test_a_network_that_is_only_marked_is_not_built(app):
    app.inspection = Scripted()
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_for_text(pilot, "tiny")
        await pilot.press("n")
        await wait_for_text(pilot, "vgg11")
        await pilot.press(*"jkjkj")
        await asyncio.sleep(0.5)  # longer than a mark has to stand still
        assert app.inspection.asked == []
        await pilot.press("enter")
        await wait_for(pilot, lambda: app.inspection.asked, "it is asked about")
    assert NAMES["torchvision"][0] in app.inspection.asked[0][0]["architecture"]


class Listening:
    """Notes what it is told, and does what it is asked to do beside."""

    def __init__(self):
        self.seen, self.work = [], {}

    def glimpsed(self, source, answer):
        self.seen.append(source.value)

    def go(self, work, group):
        if group in self.work:
            self.work[group].cancel()
        self.work[group] = asyncio.ensure_future(work())


class OneAtATime:
    """An inspector that answers in order, when it is told to."""

    def __init__(self):
        self.asked, self.answers = [], asyncio.Queue()

    async def cuts(self, source, data):
        self.asked.append(source["checkpoint"].rpartition("/")[2])
        return await self.answers.get()


async def test_of_all_that_was_marked_meanwhile_only_the_last_is_looked_at():
    listening, inspection = Listening(), OneAtATime()
    asker = Asker(inspection, listening, listening.go)
    asker.glimpse(Source("first.pt", "first.pt", "./"), {"checkpoint": "first.pt"}, "digits")
    while not inspection.asked:
        await asyncio.sleep(0.01)
    for number in range(5):
        asker.glimpse(Source(f"{number}.pt", "", "./"), {"checkpoint": f"{number}.pt"}, "digits")
        await asyncio.sleep(0.2)  # longer than a mark has to stand still
    assert inspection.asked == ["first.pt"]
    for _ in range(2):
        inspection.answers.put_nowait({})
    await asyncio.wait_for(listening.work["glimpse"], 60)
    assert inspection.asked == ["first.pt", "4.pt"]
    assert listening.seen == ["4.pt"], "nobody waited for the first any more"
