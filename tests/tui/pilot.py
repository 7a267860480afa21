"""What the tests of the terminal app share: waiting for a condition, reading the screen, and made-up runs."""

import asyncio
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

from stitchtui.run.directory import RunDirectory
from stitchtui.run.events import (
    CellFinished,
    Check,
    DataReady,
    EventWriter,
    NetworkCut,
    NetworkReady,
    PlannedTask,
    RunFinished,
    RunStarted,
    Step,
    TaskFinished,
    TaskStarted,
)
from stitchtui.run.process import describe_process
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve
from stitchtui.tui.typed_ahead import InOrder
from stitchtui.tui.widgets.run_list import RunList

ROOT = Path(__file__).parents[2]
_PLACES = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "tui")]
CUTS = ("stem", "block1", "block2")
LEVELS = {"": 1.0, "self_stitch": 0.1, "identity": 40.0, "random_bottom": 15.0}


LONG = 60.0  # seconds; only a test that fails waits so long, and a busy machine is no failure
_HOPS = 8  # a message from the deepest widget, passed on from parent to parent, has reached the app by then
_QUIET = 3  # so often in a row nothing is found in any queue, and nothing is passed on any more


async def wait_for(pilot, predicate, message, seconds=LONG):
    """Wait until `predicate()` holds; fails with `message` and what the screen shows."""
    end, pause = time.monotonic() + seconds, 0.01
    while True:
        try:
            if predicate():
                return
        except Exception:  # a widget that isn't there yet
            if time.monotonic() > end:
                raise
        if time.monotonic() > end:
            raise AssertionError(f"never happened: {message}\n{screen_text(pilot.app)}")
        await asyncio.sleep(pause)
        pause = min(1.2 * pause, 0.2)  # whoever is waited for that long has better use for the processor


async def settled(pilot):
    """Wait until the app, its screen and every widget on it have done what was waiting for them, and what that led to.

    It asks each of them to say so after the rest of its queue, several times over.
    """
    if isinstance(pilot.app, InOrder):
        handed_on = asyncio.ensure_future(pilot.app.typed.join())
        while pilot.app.is_running and not handed_on.done():
            await asyncio.sleep(0.001)
        handed_on.cancel()
    quiet = 0
    for _ in range(_HOPS):
        if quiet == _QUIET or not (pilot.app.is_running and pilot.app.screen_stack):
            return
        asked = {}
        for node in (pilot.app, *pilot.app.screen.walk_children(with_self=True)):
            said = asyncio.Event()
            if node.call_later(said.set):
                asked[node] = said
        end = time.monotonic() + LONG
        # one that was taken off the screen meanwhile says nothing
        while any(not said.is_set() and node.is_attached for node, said in asked.items()):
            assert time.monotonic() < end, "the app doesn't answer"
            await asyncio.sleep(0.001)
        quiet = 0 if any(node.message_queue_size for node in asked) else quiet + 1


async def wait_for_text(pilot, text, seconds=LONG):
    """Wait until the screen shows `text`."""
    await wait_for(pilot, lambda: text in screen_text(pilot.app), f"the screen shows {text!r}", seconds)


async def runs_read(pilot):
    """Wait until the list of runs, which is on, shows some, and all that is known of each."""

    def read():
        entries = pilot.app.screen.query_one(RunList)._entries
        return entries and all(entry.condition for entry in entries)

    await wait_for(pilot, read, "the runs are read")


_LEADER = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which whoever runs the tests may have been told to ignore
fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that the app hears when the terminal goes away
os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])
"""


class Terminal:
    """`stitchtui`, or another module, on a terminal of its own, and what it wrote."""

    def __init__(self, *arguments, size=(120, 36), module="stitchtui"):
        self.written = ""
        self.file, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        # A parent that read lines by readline leaves its own terminal's size, which would count more than this one's.
        left = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment = {
            **left,
            "PYTHONPATH": os.pathsep.join(_PLACES),
            "TERM": "xterm-256color",
            "PYTHONUTF8": "1",
        }
        command = [sys.executable, "-c", _LEADER, module, *arguments]
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True
        )
        os.close(other)

    def wait_for(self, condition, message):
        """Read what the app writes until `condition()` holds."""
        end = time.monotonic() + 3 * LONG
        while not condition():
            assert time.monotonic() < end and self.read(), f"never happened: {message}\n{self.written[-2000:]!r}"

    def read(self, seconds=0.05):
        """Take in what was written by now, or is within so many seconds; returns whether there may be more."""
        if select.select([self.file], [], [], seconds)[0]:
            try:
                more = os.read(self.file, 1 << 16)
            except OSError:
                more = b""
            self.written += more.decode("utf-8", "replace")
            return bool(more)
        return True

    def press(self, keys):
        """Type `keys`."""
        os.write(self.file, keys)

    def close(self):
        """Take the terminal away; returns the app's exit code."""
        os.close(self.file)
        try:
            return self.process.wait(LONG)
        finally:
            self.process.kill()
            self.process.wait()


def screen_strips(app):
    """The lines of the active screen as strips, as the terminal would get them."""
    width, height = app.size
    return app.screen._compositor.render_strips()[:height] if width else []


def screen_text(app):
    """What the active screen shows: a line of text for each row, without trailing blanks."""
    return "\n".join(strip.text.rstrip() for strip in screen_strips(app))


def make_experiment(first="a", second="b", **settings):
    """Two small networks, both directions; `settings` replace top-level keys."""
    return Experiment.model_validate(
        {
            "name": "tiny",
            "networks": {first: {"architecture": "digits_cnn"}, second: {"architecture": "digits_cnn", "seed": 1}},
            "pairs": [{"bottom": first, "top": second}, {"bottom": second, "top": first}],
            "data": {"name": "digits"},
            **settings,
        }
    )


def make_run(parent, name="20260102-030405-tiny", experiment=None, cuts=CUTS, until="done"):
    """A run directory with its log. `until`: "planned", "networks", "direct" (no cell trained), "trained" or "done"."""
    experiment = experiment or make_experiment()
    directory = RunDirectory(Path(parent) / name)
    directory.stitches.mkdir(parents=True)
    directory.write_experiment(experiment)
    with EventWriter(directory.events) as writer:
        write_start(writer, experiment, cuts, name, networks=until != "planned")
        if until in ("direct", "trained", "done"):
            write_tasks(writer, experiment, cuts, "direct")
        if until in ("trained", "done"):
            write_tasks(writer, experiment, cuts, "task")
        if until == "done":
            writer.write(Check(name="frozen", passed=True, detail="the hashes are unchanged"))
            writer.write(RunFinished(status="done", reason=None))
    return directory


def write_start(writer, experiment, cuts=CUTS, name="20260102-030405-tiny", networks=True):
    """The events of a run up to its networks being ready."""
    writer.write(
        RunStarted(
            run=name,
            experiment=experiment.plain(),
            tasks=[PlannedTask(**task.as_dict()) for task in resolve(experiment).tasks],
            device="cpu (2 threads)",
            versions={"stitchtui": "0.1.0"},
            resumed=False,
            process=describe_process(),
        )
    )
    if not networks:
        return
    writer.write(DataReady(name="digits", train=1437, test=360, classes=list("0123456789")))
    for index, network in enumerate(experiment.networks):
        listed = [
            NetworkCut(name=cut, shape=[8, 4, 4], depth=(2 * i + 1) / (2 * len(cuts)), parameters=10 * i)
            for i, cut in enumerate(cuts)
        ]
        writer.write(
            NetworkReady(
                network=network,
                digest=f"{index}abc" * 16,
                architecture="digits_cnn",
                error=3.25 + index,
                parameters=12345,
                source="trained",
                cuts=listed,
            )
        )


def tasks_of(experiment, objective):
    """The planned tasks with this objective."""
    return [task for task in resolve(experiment).tasks if task.objective == objective]


def write_tasks(writer, experiment, cuts=CUTS, objective="task"):
    """Every task with this objective, from its start to its end, with a few steps."""
    for task in tasks_of(experiment, objective):
        write_task(writer, task, cuts)


def write_task(writer, task, cuts=CUTS, reused_from=None):
    """A whole task: started, stepping, its cells, finished."""
    write_steps(writer, task, cuts)
    for index, cut in enumerate(cuts):
        write_cell(writer, task, cut, level(task) * (index + 1) / len(cuts) - 0.4, reused_from=reused_from)
    writer.write(TaskFinished(task=task.id, seconds=1.0))


def write_steps(writer, task, cuts=CUTS, steps=10, upto=10):
    """A task that started and is at step `upto` of `steps`."""
    writer.write(TaskStarted(task=task.id, steps=steps, cuts=list(cuts)))
    if task.objective == "task":
        for step in range(1, upto + 1):
            write_step(writer, task, step, steps, cuts)


def write_step(writer, task, step, steps=10, cuts=CUTS):
    """One step of a task: the loss falls, the accuracy rises."""
    loss, accuracy = 2.0 / step, 100.0 - 50.0 / step
    each = len(cuts)
    writer.write(
        Step(
            task=task.id,
            step=step,
            steps=steps,
            loss=loss,
            accuracy=accuracy,
            losses=[loss] * each,
            accuracies=[accuracy] * each,
        )
    )


def level(task):
    """How large the penalties of a task are."""
    rise = 1.0 if task.objective == "task" else 1.7
    return LEVELS[task.control] * rise + 0.05 * task.seed + 0.3 * (task.bottom > task.top)


def write_cell(writer, task, cut, value, half=0.5, *, reused_from=None, **more):
    """One finished cell with a penalty of `value` points."""
    measures = {
        "error": 3.0 + value, "loss": 0.1, "penalty": value, "penalty_low": value - half, "penalty_high": value + half,
        "versus_bottom": value - 1, "versus_bottom_low": value - 1 - half, "versus_bottom_high": value - 1 + half,
        "agreement": 96.5, "cka": 0.875, "activation_gap": 0.25, "ood": 0.625, "stitch_parameters": 272.0,
        "seconds": 12.0, "direct_penalty": None, "bottom_error": 3.25, "top_error": 4.25, "images": 360.0,
        "steps": 40.0, **more,
    }  # fmt: skip
    writer.write(
        CellFinished(
            task=task.id,
            cut=cut,
            bottom_cut=cut,
            top_cut=cut,
            identity="f" * 64,
            measures=measures,
            reused_from=reused_from,
        )
    )
