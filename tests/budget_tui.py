"""What the terminal app costs: bytes that reach a pty, seconds to the first paint, CPU. Run by hand:

python tests/budget_tui.py
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
from pathlib import Path
from statistics import median

import psutil

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "tui")]

from pilot import make_experiment, make_run, tasks_of, write_cell, write_step, write_steps  # noqa: E402

from stitchtui.run.control import describe_process  # noqa: E402
from stitchtui.run.events import EventWriter  # noqa: E402

CUTS = [f"layer{number}" for number in range(8)]
OURS = "from stitchtui.tui.main import main; main()"
BARE = (
    "from textual.app import App\nfrom textual.widgets import Static\n"
    "class Bare(App):\n def compose(self):\n  yield Static('verdict')\nBare().run()"
)

# ends by itself should this script be killed
_BUSY = "import os\nwhile os.getppid() == " + str(os.getpid()) + ": pass"


class Terminal:
    """A program on a pty, and what it wrote."""

    def __init__(self, code: str, runs: Path, size: tuple[int, int]) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            environment = {**os.environ, "STITCHTUI_RUNS": str(runs), "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
            environment |= {"COLORTERM": "truecolor", "XDG_CONFIG_HOME": str(runs)}
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
        self.read(0.1)
        start = time.monotonic()
        os.write(self.file, key)
        select.select([self.file], [], [], 10)
        return time.monotonic() - start

    def cpu(self) -> float:
        """CPU seconds that were used so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def close(self) -> None:
        """Press q and wait."""
        os.write(self.file, b"\x11q")
        self.read(2)
        self.process.kill()
        os.waitpid(self.pid, 0)
        os.close(self.file)


def first_paint(code: str, runs: Path, mark: bytes) -> float:
    """CPU seconds until `mark` is on the screen, the median of five; other load changes it little."""
    found = []
    for _ in range(5):
        terminal = Terminal(code, runs, (120, 36))
        terminal.read(20, until=mark)
        found.append(terminal.cpu())
        terminal.close()
    return median(found)


def live(size: tuple[int, int]) -> None:
    """Idle, 200 events a second and one cell, on a run that trains."""
    with tempfile.TemporaryDirectory() as folder:
        experiment = make_experiment()
        directory = make_run(Path(folder), experiment=experiment, cuts=CUTS, until="direct")
        directory.write_info(describe_process(os.getpid()))  # so that the run counts as going on
        task = tasks_of(experiment, "task")[0]
        terminal = Terminal(OURS, Path(folder), size)
        with EventWriter(directory.events) as writer:
            write_steps(writer, task, CUTS, steps=100_000, upto=1)
            terminal.read(60, until=b"verdict")
            terminal.read(5)
            report(size, "idle, bytes a second", len(terminal.read(10)) / 10)
            cpu, total = terminal.cpu(), 0
            for step in range(2, 2002):
                write_step(writer, task, step, 100_000, CUTS)
                total += len(terminal.read(0.005))
            total += len(terminal.read(3))
            report(size, "200 events a second, bytes a second", total / 13)
            report(size, "200 events a second, percent of a core", 100 * (terminal.cpu() - cpu) / 13)
            os.write(terminal.file, b"G")  # the cursor on the last cut, so that no measured cell is the selected one
            terminal.read(3)
            for cut in CUTS[:4]:
                write_cell(writer, task, cut, 12.34)
                report(size, f"a cell finishes ({cut}), bytes", len(terminal.read(4)))
        terminal.close()


def keys(size: tuple[int, int]) -> None:
    """Milliseconds from a key to the first byte that it leads to, while every core computes something else."""
    with tempfile.TemporaryDirectory() as folder:
        make_run(Path(folder), cuts=CUTS)
        terminal = Terminal(OURS, Path(folder), size)
        terminal.read(60, until=b"verdict")
        terminal.read(12)  # the inspector has started by then
        others = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(psutil.cpu_count() or 1)]
        try:
            found = sorted(terminal.latency(b"jk"[turn % 2 :][:1]) for turn in range(200))
        finally:
            for other in others:
                other.kill()
                other.wait()
        terminal.close()
    report(size, "key to repaint beside a busy process on every core, milliseconds, median", 1000 * median(found))
    report(size, "the same, 99th of 100", 1000 * found[round(0.99 * len(found)) - 1])


def report(size: tuple[int, int], what: str, value: float) -> None:
    """One row of the table."""
    print(f"| {size[0]}x{size[1]} | {what} | {value:.1f} |", flush=True)


def main() -> None:
    """Measure everything and print a table."""
    print("| size | what | value |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        make_run(Path(folder), cuts=CUTS)
        bare, ours = first_paint(BARE, Path(folder), b"verdict"), first_paint(OURS, Path(folder), b"help")
        grid = first_paint(OURS, Path(folder), b"verdict")
    report((120, 36), "first paint of a bare Textual app, CPU seconds", bare)
    report((120, 36), "first paint, CPU seconds", ours)
    report((120, 36), "first paint, times the bare one", ours / bare)
    report((120, 36), "grid on the screen, times the bare one", grid / bare)
    for size in ((80, 24), (120, 36), (200, 60)):
        live(size)
    keys((120, 36))


if __name__ == "__main__":
    main()
