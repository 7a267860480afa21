"""What the terminal app costs: bytes that reach a pty, seconds to the first paint, CPU, each beside its budget.

Run by hand, with nothing else computing: python tests/benchmarks/tui.py [paint] [live] [keys]

CPU and latencies are compared with a bare Textual app that was measured in turn with ours, round by round.
"""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tui")]

from pilot import make_experiment, make_run, tasks_of, write_cell, write_step, write_steps, write_task  # noqa: E402

from stitchtui.run.control import describe_process  # noqa: E402
from stitchtui.run.events import DataReady, EventWriter, HeldOut, Step, TaskFinished, TaskStarted  # noqa: E402

CUTS = [f"layer{number}" for number in range(8)]
SIZES = ((60, 16), (80, 24), (120, 36), (200, 50))
OURS = "from stitchtui.cli import main; main()"  # the command, with everything that it loads before the app
BARE = (
    "from textual.app import App\nfrom textual.widgets import Static\n"
    "class Bare(App):\n count = 0\n"
    " def compose(self):\n  yield Static('verdict')\n"
    " def on_key(self):\n  self.count += 1\n  self.query_one(Static).update(f'{self.count}')\n"
    "Bare().run()"
)
PAINTS, ROUNDS, KEYS, GAP = 11, 5, 200, 0.05

# ends by itself should this script be killed
_BUSY = "import os\nwhile os.getppid() == " + str(os.getpid()) + ": pass"


class Terminal:
    """A program on a pty, and what it wrote."""

    def __init__(self, code: str, runs: Path, size: tuple[int, int]) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "STITCHTUI_RUNS": str(runs), "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
            environment |= {"COLORTERM": "truecolor", "XDG_CONFIG_HOME": str(runs), "OMP_NUM_THREADS": "1"}
            environment |= {"COLUMNS": str(size[0]), "LINES": str(size[1])}  # an inherited size would count more
            time.sleep(0.05)  # until the size is set
            os.execvpe(sys.executable, [sys.executable, "-c", code], environment)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = psutil.Process(self.pid)

    def read(self, seconds: float, until: bytes | None = None) -> bytes:
        """What is written in the next `seconds`, or up to `until`."""
        end, found = time.monotonic() + seconds, b""
        while (left := end - time.monotonic()) > 0:
            if select.select([self.file], [], [], min(left, 0.01))[0]:
                try:
                    found += os.read(self.file, 1 << 16)
                except OSError:  # it has ended
                    break
            if until is not None and until in found:
                break
        return found

    def latency(self, key: bytes) -> float:
        """Seconds from a key to the first byte that it leads to."""
        self.read(GAP)
        start = time.monotonic()
        os.write(self.file, key)
        select.select([self.file], [], [], 10)
        return time.monotonic() - start

    def cpu(self) -> float:
        """CPU seconds that were used so far, by all threads; to the nanosecond where the kernel says so."""
        try:
            counts = (path.read_text() for path in Path(f"/proc/{self.pid}/task").glob("*/schedstat"))
            return sum(int(count.split()[0]) for count in counts) / 1e9
        except (OSError, ValueError, IndexError):
            times = self.process.cpu_times()
            return float(times.user + times.system)

    def close(self) -> None:
        """Press q and wait."""
        os.write(self.file, b"\x11q")
        self.read(2)
        self.process.kill()
        os.waitpid(self.pid, 0)
        os.close(self.file)


def first_paint(runs: Path, code: str, mark: bytes) -> float:
    """CPU seconds until `mark` is on the screen; other load changes them little."""
    terminal = Terminal(code, runs, (120, 36))
    terminal.read(60, until=mark)
    found = terminal.cpu()
    terminal.close()
    return found


def paint() -> None:
    """The first picture and the grid, each as a multiple of the bare app's of the same round."""
    cases = {"bare": (BARE, b"verdict"), "ours": (OURS, b"help"), "grid": (OURS, b"verdict")}
    with tempfile.TemporaryDirectory() as folder:
        make_run(Path(folder), cuts=CUTS)
        for case in cases.values():  # once beforehand, so that every file is read and compiled
            first_paint(Path(folder), *case)
        rounds = [{name: first_paint(Path(folder), *case) for name, case in cases.items()} for _ in range(PAINTS)]
    bare = median(each["bare"] for each in rounds)
    report((120, 36), "first paint of a bare Textual app, CPU milliseconds", 1000 * bare)
    report((120, 36), "first paint of `stitchtui`, times the bare one", _ratio(rounds, "ours"), 1.5)
    report((120, 36), "the run's grid is on the screen, times the bare one", _ratio(rounds, "grid"))


def _ratio(rounds: list[dict[str, float]], name: str) -> float:
    return median(each[name] / each["bare"] for each in rounds)


def live() -> None:
    """Idle, 200 events a second and single cells, on a run that trains."""
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            experiment = make_experiment()
            directory = make_run(Path(folder), experiment=experiment, cuts=CUTS, until="direct")
            directory.write_info(describe_process(os.getpid()))  # so that the run counts as going on
            tasks = tasks_of(experiment, "task")
            terminal = Terminal(OURS, Path(folder), size)
            with EventWriter(directory.events) as writer:
                write_task(writer, tasks[1], CUTS)  # so that there is a depth plot
                write_steps(writer, tasks[0], CUTS, steps=100_000, upto=1)
                shown = terminal.read(60, until=b"verdict") + terminal.read(8)  # the inspector process runs by then
                report(size, "idle, bytes a second", len(terminal.read(10)) / 10, 0)
                _stream(size, terminal, "steps", partial(_column_step, writer, tasks[0]))
                _cells(size, terminal, writer, tasks, b"against depth" in shown)
            terminal.close()
        _networks(size)


def _networks(size: tuple[int, int]) -> None:
    """A network that trains, before there is a grid."""
    with tempfile.TemporaryDirectory() as folder:
        directory = make_run(Path(folder), cuts=CUTS, until="planned")
        directory.write_info(describe_process(os.getpid()))
        terminal = Terminal(OURS, Path(folder), size)
        with EventWriter(directory.events) as writer:
            writer.write(DataReady(name="digits", train=1437, test=360, classes=list("0123456789")))
            writer.write(TaskStarted(task="network a", steps=1, cuts=[]))
            terminal.read(60, until=b"to come")
            terminal.read(8)
            _stream(size, terminal, "steps of a network", partial(_network_step, writer))
        terminal.close()


def _column_step(writer: EventWriter, task: Any, step: int) -> None:
    write_step(writer, task, step, 100_000, CUTS)
    if step % 50 == 0:
        loss, accuracy = dict.fromkeys(CUTS, 3.0 / step), dict.fromkeys(CUTS, 99.0 - 50.0 / step)
        writer.write(HeldOut(task=task.id, step=step, losses=loss, accuracies=accuracy))


def _network_step(writer: EventWriter, step: int) -> None:
    reached = {"loss": 2.0 / step, "accuracy": 99.0 - 80.0 / step, "epoch": 1 + step // 100, "epochs": 30}
    writer.write(Step(task="network a", step=step, steps=3000, **reached))


def _stream(size: tuple[int, int], terminal: Terminal, what: str, say: Callable[[int], None]) -> None:
    cpu, total, start = terminal.cpu(), 0, time.monotonic()
    for step in range(2, 2002):
        say(step)
        total += len(terminal.read(max(0.0, start + step / 200 - time.monotonic())))
    total += len(terminal.read(3))
    seconds = time.monotonic() - start
    report(size, f"200 {what} a second, bytes a second", total / seconds, 3 * 1024)
    report(size, f"200 {what} a second, percent of a core", 100 * (terminal.cpu() - cpu) / seconds, 10)


def _cells(size: tuple[int, int], terminal: Terminal, writer: EventWriter, tasks: list[object], plot: bool) -> None:
    """Single cells, in the first column and in the last that is on the screen; the cursor is on another."""
    os.write(terminal.file, b"G")
    terminal.read(4)
    beside = "beside the depth plot" if plot else "no depth plot is shown"
    for name, task in (("first", tasks[0]), ("last", tasks[-1])):
        found = []
        for number, cut in enumerate(CUTS[:4]):
            write_cell(writer, task, cut, 12.34 + number / 3)
            found.append(len(terminal.read(4)))
        report(size, f"a cell of the {name} column finishes, {beside}, bytes at most", max(found), 400)
    for cut in CUTS[4:]:
        write_cell(writer, tasks[0], cut, 13.0)
    writer.write(TaskFinished(task=tasks[0].id, seconds=1.0))
    report(size, "a column ends: four cells, verdict, plot, bytes", len(terminal.read(5)))


def keys() -> None:
    """Milliseconds from a key to the first byte that it leads to, while every core computes something else."""
    p99s: dict[str, list[float]] = {"bare": [], "ours": []}
    middles: dict[str, list[float]] = {"bare": [], "ours": []}
    with tempfile.TemporaryDirectory() as folder:
        make_run(Path(folder), cuts=CUTS)
        terminals = {name: Terminal(code, Path(folder), (120, 36)) for name, code in (("bare", BARE), ("ours", OURS))}
        for terminal in terminals.values():
            terminal.read(60, until=b"verdict")
            terminal.read(12)  # the inspector has started by then
        with _busy():
            for _ in range(ROUNDS):
                for name, terminal in terminals.items():
                    found = sorted(terminal.latency(b"jk"[turn % 2 :][:1]) for turn in range(KEYS))
                    middles[name].append(1000 * median(found))
                    p99s[name].append(1000 * found[round(0.99 * KEYS) - 1])
        for terminal in terminals.values():
            terminal.close()
    what = "key to repaint beside a busy process on every core, milliseconds"
    report((120, 36), f"{what}: a bare Textual app, median", median(middles["bare"]))
    report((120, 36), f"{what}: a bare Textual app, 99th of 100", median(p99s["bare"]))
    report((120, 36), f"{what}: ours, median", median(middles["ours"]))
    report((120, 36), f"{what}: ours, 99th of 100", median(p99s["ours"]), 50)


@contextmanager
def _busy() -> Iterator[None]:
    others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(psutil.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def report(size: tuple[int, int], what: str, value: float, budget: float | None = None) -> None:
    """One row of the table."""
    allowed = "" if budget is None else f"{budget:g}"
    verdict = "" if budget is None else "yes" if value <= budget else "**no**"
    print(f"| {size[0]}x{size[1]} | {what} | {value:.{2 if value < 10 else 1}f} | {allowed} | {verdict} |", flush=True)


def main() -> None:
    """Measure what is named, or everything, and print a table."""
    load = ", ".join(f"{each:.1f}" for each in psutil.getloadavg())
    print(f"{psutil.cpu_count()} cores, load {load} before; medians of {PAINTS} and {ROUNDS} rounds taken in turn\n")
    print("| size | what | measured | budget | kept |\n| --- | --- | ---: | ---: | --- |")
    for part in (paint, live, keys):
        if not sys.argv[1:] or part.__name__ in sys.argv[1:]:
            part()
    print(f"\nload {', '.join(f'{each:.1f}' for each in psutil.getloadavg())} after")


if __name__ == "__main__":
    main()
