"""Every screen as text at four sizes, beside the text it had before; and without colours and in the light.

After a change that is meant, write them again and read what differs (`git diff tests/tui/snapshots`):

    SNAPSHOTS=write python -m pytest tests/tui/test_tui_snapshots.py
"""

import difflib
import os
import re
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from pilot import (
    make_experiment,
    make_run,
    screen_strips,
    screen_text,
    settled,
    tasks_of,
    wait_for,
    wait_for_text,
    write_step,
    write_steps,
    write_task,
)
from scripted import Scripted, cut, known
from textual._wait import wait_for_idle
from textual.geometry import Region
from textual.screen import ModalScreen

from stitchtui.report.ramps import luminance
from stitchtui.run import control
from stitchtui.run.events import Claim, DataReady, EventWriter, HeldOut, Step, TaskStarted, encode, read_events
from stitchtui.tui.app import StitchApp

SIZES = [(60, 20), (80, 24), (120, 36), (200, 60)]
FOLDER = Path(__file__).parent / "snapshots"
WRITE = os.environ.get("SNAPSHOTS") == "write"
PATIENCE = 15.0  # seconds; only a test that fails waits so long

BRIGHT = 0.3  # of luminance, between what is dark and what is light
READABLE = 3.0  # the contrast that WCAG asks of large text and of all that isn't text
WELL = 4.5  # and of small text, as the numbers of the grid are

BEGIN = 1_767_322_800.0  # 2026-01-02 03:00 in UTC; the runs' clock moves on a second with each event
CUTS = ("conv1", *(f"layer{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)))
DONE, GOING = "20260102-030000-cifar-seeds", "20260103-040000-longer"
LOST, AWAY = "20260101-020000-width", "20251231-235900-elsewhere"
PRESET = """
title = "Two seeds of a small network"
description = "Stitches one seed to the other at every block. Claimed: connected."
networks.seed0 = { architecture = "digits_cnn" }
networks.seed1 = { architecture = "digits_cnn", seed = 1 }
pairs = [{ bottom = "seed0", top = "seed1" }]
data.name = "digits"
[scales.mini]
stitch.epochs = 1.0
"""


@pytest.fixture(autouse=True)
def drawn(patience, monkeypatch):
    """Each key waits until the process is idle, too: a dialog is shown over what was drawn before it came."""
    monkeypatch.setattr("textual.app.wait_for_idle", wait_for_idle)


@pytest.fixture
def world(tmp_path, monkeypatch):
    """A folder with four runs, two checkpoints and two presets, in which nothing depends on the machine or the day."""
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "STITCHTUI_RUNS": "runs", "HOME": str(tmp_path), "TZ": "UTC", "TERM": "xterm-256color",
        "COLORTERM": "truecolor", "XDG_CONFIG_HOME": "config",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    time.tzset()
    monkeypatch.setattr("stitchtui.tui.widgets.status.time", SimpleNamespace(time=lambda: BEGIN + 3600))
    honest = control.status
    monkeypatch.setattr(control, "status", lambda run, state: "running" if run.name == GOING else honest(run, state))
    presets = tmp_path / "presets"
    presets.mkdir()
    for name in ("quickstart", "seeds"):
        (presets / f"{name}.toml").write_text(PRESET.replace("Two seeds", f"{name.capitalize()}: two seeds"))
    monkeypatch.setattr("stitchtui.spec.presets.presets_directory", lambda: presets)
    for name in ("first.pt", "second.pt"):
        (tmp_path / name).write_bytes(b"x")
    made_runs(tmp_path / "runs")
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


def made_runs(parent):
    """A run that is done, one that goes on, one whose worker died, and one copied from another machine."""
    experiment = make_experiment("seed0", "seed1", title="Two seeds on CIFAR-10")
    done = make_run(parent, DONE, experiment, CUTS)
    with EventWriter(done.events) as writer:
        for index, verdict in enumerate(("confirmed", "rejected")):
            sentence, reason = f"penalty of seed0 > seed1 is at most {index} points", f"at all of {len(CUTS)} cuts"
            writer.write(Claim(index=index, sentence=sentence, verdict=verdict, reason=reason, source="Figure 2"))
    stamped(done, BEGIN)
    going = make_run(parent, GOING, experiment, CUTS, until="direct")
    first, second = tasks_of(experiment, "task")[:2]
    with EventWriter(going.events) as writer:
        write_task(writer, first, CUTS)
        write_steps(writer, second, CUTS, steps=400, upto=60)
    stamped(going, BEGIN + 86_400)
    lost = make_run(parent, LOST, experiment, CUTS, until="direct")
    lost.log.write_text("loading\nKilled: out of memory\n")
    stamped(lost, BEGIN - 86_400)
    away = make_run(parent, AWAY, experiment, CUTS, until="direct")
    away.write_info({"pid": 1, "host": "far-away", "create_time": 1.0})
    stamped(away, BEGIN - 2 * 86_400)


def stamped(run, begin):
    """Replace the time of every event: a second after the one before."""
    events = [replace(event, t=begin + number) for number, event in enumerate(read_events(run.events))]
    run.events.write_bytes(b"".join(encode(event) + b"\n" for event in events))


def inspector():
    """Two networks whose shapes differ in one place."""
    said = Scripted()
    shapes = {name: (16 * 2 ** max(0, int(name[5:6] or 1) - 1), 32, 32) for name in CUTS}
    cuts = [cut(name, *shapes[name], depth=(place + 0.5) / len(CUTS)) for place, name in enumerate(CUTS)]
    facts = {"shape": [3, 32, 32], "architecture": "resnet20", "data": "cifar10"}
    said.cuts_by_name["first.pt"] = known(cuts=cuts, **facts)
    wide = [{**each, "shape": [2 * each["shape"][0], *each["shape"][1:]]} for each in cuts]
    said.cuts_by_name["second.pt"] = known(cuts=wide, **facts)
    return said


def app_on(run):
    """The app, as if it had been started on this run."""
    from stitchtui.run.directory import RunDirectory

    app = StitchApp(RunDirectory(Path("runs") / run))
    app.inspection = inspector()
    return app


async def walk(pilot, size, take):
    """Go through all screens; `take` is told at each what it is called and what must be on it."""
    app, press = pilot.app, pilot.press
    await take("grid", "verdict")
    await press("m", "down", "right")
    await take("grid, against the bottom", "against the bottom")
    await press("M", "d")
    await take("depth plot", "against depth")
    await press("d", "enter")
    await take("cell", "what to ask next")
    await press("escape", "f")
    await take("findings", "What it found")
    await press("escape", "e")
    await take("export", "Export")
    await press("escape", "question_mark")
    await take("help on the grid", "Keys here")
    await press("escape", "r")
    await take("runs", "4 runs")
    await press("j", "j")
    await take("runs, one that is lost", "Killed")
    await press("k", "space", "k", "space", "c")
    await take("compare", "second - first")
    await press("escape", "escape", "p")
    await take("presets", "Claimed")
    await press("enter")
    await take("confirm a start", "Start quickstart?")
    await press("escape", "escape", "n")
    await take("new, picking", "vgg11")
    await press("enter", "enter")
    await take("new, filled in", "about 3 min 20 s")
    await press("h", *"layer1.0,layer9")
    await take("new, with a cut that is not there", "is not known")
    await press(*["escape"] * 3)
    await pilot.resize_terminal(59, 15)
    await take("too small", "60x16")
    await pilot.resize_terminal(*size)
    app.open_run(next(entry for entry in everything() if entry.name == GOING))
    await take("grid of a run that goes on", "running")
    await press("s")
    await take("confirm a stop", "Let it run")
    await press("escape")


def everything():
    from stitchtui.run.directory import all_runs

    return all_runs()


class Book:
    """The snapshots of one file: a heading and the screen's lines each."""

    def __init__(self, path, pilot):
        self.path, self.pilot = path, pilot
        self.stored = read_book(path)
        self.taken = {}

    async def take(self, name, words):
        """Compare the screen with what is stored under `name`, or note it where snapshots are written."""
        await wait_for_text(self.pilot, words)
        if WRITE:
            self.taken[name] = await still(self.pilot)
            return
        stored = self.stored.get(name, "")
        try:
            await wait_for(self.pilot, lambda: screen_text(self.pilot.app) == stored, name, PATIENCE)
        except AssertionError:
            lines = difflib.unified_diff(stored.split("\n"), screen_text(self.pilot.app).split("\n"), "was", "is", n=1)
            pytest.fail(f"{self.path.name}: {name}\n" + "\n".join(lines) + f"\n\n{__doc__}", pytrace=False)
        self.taken[name] = stored

    def close(self):
        """Write what was taken, or see that nothing is stored that was not taken."""
        if WRITE:
            self.path.parent.mkdir(exist_ok=True)
            self.path.write_text("".join(f"=== {name} ===\n{text}\n" for name, text in self.taken.items()), "utf-8")
        assert WRITE or self.taken.keys() == self.stored.keys()


def read_book(path):
    """What is stored: name -> the screen's text."""
    text = path.read_text("utf-8") if path.exists() else ""
    parts = [part.split(" ===\n", 1) for part in ("\n" + text).split("\n=== ")[1:]]
    return {name: body.removesuffix("\n") if number == len(parts) - 1 else body
            for number, (name, body) in enumerate(parts)}  # fmt: skip


async def still(pilot, seconds=1.2):
    """What the screen shows once it hasn't changed for a while."""
    await settled(pilot)
    text, since = screen_text(pilot.app), time.monotonic()
    while time.monotonic() < since + seconds:
        await settled(pilot)
        if screen_text(pilot.app) != text:
            text, since = screen_text(pilot.app), time.monotonic()
    return text


@pytest.mark.parametrize(
    "size",
    [pytest.param(size, marks=pytest.mark.slow if size == (200, 60) else ()) for size in SIZES],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
async def test_every_screen_looks_as_before(world, size):
    app = app_on(DONE)
    async with app.run_test(size=size) as pilot:
        book = Book(FOLDER / f"{size[0]}x{size[1]}.txt", pilot)

        async def take(name, words):
            await book.take(name, words)
            assert_readable(app, name)
            assert ground(app) < BRIGHT, name

        await walk(pilot, size, take)
        book.close()


DRAWN = re.compile("[\u2190-\u26ff\u2800-\u28ff\\s]*")  # lines, curves, scroll bars: no text


def segments(app):
    """Every text of the top screen; what lies below a question is shaded on purpose."""
    width, height = app.size
    region = app.screen.children[0].region if isinstance(app.screen, ModalScreen) else Region(0, 0, width, height)
    strips = [strip.crop(region.x, region.right) for strip in screen_strips(app)[region.y : region.bottom]]
    return [segment for strip in strips for segment in strip if not DRAWN.fullmatch(segment.text)]


def assert_readable(app, name):
    """No text may sink into its ground."""
    for segment in segments(app):
        number = segment.text.startswith(" ") and segment.text.lstrip().startswith("~")
        assert contrast(segment.style) >= (WELL if number else READABLE), (name, segment)


def contrast(style):
    """How far text and ground are apart: 1 is not at all, 21 is black on white (WCAG)."""
    ink, ground = (luminance(tuple(colour.get_truecolor())) for colour in (style.color, style.bgcolor))
    return (max(ink, ground) + 0.05) / (min(ink, ground) + 0.05)


def ground(app):
    """How bright what most of the text stands on is."""
    return statistics.median(luminance(tuple(each.style.bgcolor.get_truecolor())) for each in segments(app))


async def same_text(pilot, book, name, words):
    """See that the screen says what it says with colours; the help also says which there are."""
    await wait_for_text(pilot, words)
    if not WRITE and "help" not in name:
        await wait_for(pilot, lambda: screen_text(pilot.app) == book.get(name), f"{name}: the same text", PATIENCE)


TRAINING, MAKING, DEAD = "20260104-000000-training", "20260104-010000-making", "20260104-020000-dead"


def runs_at_work(parent):
    """A run that trains a column, one whose networks train, and one whose worker died at a column."""
    experiment = make_experiment("seed0", "seed1", title="Two seeds on CIFAR-10")
    making = make_run(parent, MAKING, experiment, CUTS, until="planned")
    with EventWriter(making.events) as writer:
        writer.write(DataReady(name="digits", train=1437, test=360, classes=list("0123456789")))
        writer.write(TaskStarted(task="network seed0", steps=1, cuts=[]))
        for step in range(5, 305, 5):
            said = {"loss": 2.0 / step, "accuracy": 99 - 90 / step, "epoch": -(-step // 12), "epochs": 30}
            writer.write(Step(task="network seed0", step=step, steps=360, **said))
    stamped(making, BEGIN)
    for name in (TRAINING, DEAD):
        run = make_run(parent, name, experiment, CUTS, until="direct")
        first, second = tasks_of(experiment, "task")[:2]
        with EventWriter(run.events) as writer:
            write_task(writer, first, CUTS)
            writer.write(TaskStarted(task=second.id, steps=400, cuts=CUTS, held_out=100))
            for step in range(1, 61):
                write_step(writer, second, step, 400, CUTS)
                if step % 20 == 0:
                    losses, accuracies = dict.fromkeys(CUTS, 3.0 / step), dict.fromkeys(CUTS, 99 - 60 / step)
                    writer.write(HeldOut(task=second.id, step=step, losses=losses, accuracies=accuracies))
        stamped(run, BEGIN)


@pytest.mark.parametrize(
    "size",
    [pytest.param(size, marks=pytest.mark.slow if size[0] in (120, 200) else ()) for size in
     [(60, 16), (80, 24), (120, 36), (200, 50)]],
    ids=lambda size: f"{size[0]}x{size[1]}",
)  # fmt: skip
async def test_a_run_at_work_uses_every_row_and_looks_as_before(world, monkeypatch, size):
    runs_at_work(world / "runs")
    honest = control.status
    at_work = (TRAINING, MAKING)
    monkeypatch.setattr(control, "status", lambda run, state: "running" if run.name in at_work else honest(run, state))
    app = app_on(TRAINING)
    async with app.run_test(size=size) as pilot:
        book = Book(FOLDER / f"at-work-{size[0]}x{size[1]}.txt", pilot)
        await book.take("a column trains", "accuracy")
        assert all(line.strip() for line in left(app)), "no row is blank"
        await pilot.press("l")
        await book.take("a cell that trains", "seed1 > seed0 at conv1")
        assert_readable(app, "a column trains")
        for name, words in ((MAKING, "error so far"), (DEAD, "lost: its worker")):
            app.open_run(next(entry for entry in everything() if entry.name == name))
            await book.take(name, words)
            assert name == DEAD or all(line.strip() for line in left(app)), "no row is blank"
            assert_readable(app, name)
        book.close()


def left(app):
    """The lines of the screen's left part, where grid, curves and what trains now are."""
    region = app.screen.query_one("#left").region
    return [line[region.x : region.right] for line in screen_text(app).splitlines()[region.y : region.bottom]]


async def test_without_colours_every_screen_says_the_same_and_nothing_is_coloured(world, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app, size = app_on(DONE), (80, 24)
    async with app.run_test(size=size) as pilot:
        book = read_book(FOLDER / "80x24.txt")

        async def take(name, words):
            await same_text(pilot, book, name, words)
            for segment in segments(app):
                for colour in (segment.style.color, segment.style.bgcolor):
                    assert colour is None or colour.is_default, (name, segment)

        await walk(pilot, size, take)


async def test_every_screen_says_the_same_by_daylight(world):
    app = app_on(DONE)
    async with app.run_test(size=(80, 24)) as pilot:
        app.theme = "textual-light"
        book = read_book(FOLDER / "80x24.txt")

        async def take(name, words):
            await same_text(pilot, book, name, words)
            assert_readable(app, name)
            assert ground(app) > BRIGHT, name

        await walk(pilot, (80, 24), take)
