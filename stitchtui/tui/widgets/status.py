"""The status line: which run, how it is, how far, how long still, and on what."""

import time

from rich.cells import cell_len
from rich.text import Text

from stitchtui.base.text import duration, size
from stitchtui.report.claim_lines import claim_counts
from stitchtui.report.harm import warnings
from stitchtui.report.wording import counted, ending, printable, progress_bar, shortened
from stitchtui.run import progress
from stitchtui.run.state import RunState
from stitchtui.tui.watch import RunWatch
from stitchtui.tui.widgets.lines import Lines

_BAR = 12  # terminal cells
_COARSE = 5.0  # seconds; what is left is said in such steps, so that the line doesn't change every second


class Status(Lines):
    """One line about the watched run."""

    def draw(self, watch: RunWatch, ascii: bool = False) -> None:
        """Say how the run is now."""
        self.show([status_line(watch, self.size.width, time.time(), ascii)])


def status_line(watch: RunWatch, width: int, now: float, ascii: bool = False) -> Text:
    """The line, with as many of its parts as fit into `width`; the first ones go last."""
    if watch.directory is None:
        return Text("no run yet: n starts one, p lists the presets", style="bold")
    name = printable(watch.directory.name, ascii)
    parts = [(ending(name, max(16, width // 3), ascii), "bold", False)]
    parts += [(part, "", urgent) for part, urgent in _parts(watch, now, ascii) if part]
    line = Text(no_wrap=True)
    for text, style, urgent in parts:
        gap = "  " if line else ""
        room = width - line.cell_len - len(gap)
        if cell_len(text) <= room or not gap or (urgent and room > 12):
            line.append(gap).append(shortened(text, room, ascii), style)
    return line


def _parts(watch: RunWatch, now: float, ascii: bool) -> list[tuple[str, bool]]:
    """What to say, and whether it is urgent."""
    state, condition = watch.state, watch.condition
    if watch.loading:
        return [("reading the log", False)]
    left = progress.remaining(state, now) if condition == "running" else None
    failed = [check for check in state.checks if not check["passed"]]
    check = f"CHECK FAILED: {printable(failed[0]['name'], ascii)}" if failed else ""
    # What was asked of a run that was done is counted from 0, also before its worker says so.
    share = 0.0 if condition == "starting" and state.status == "done" else state.progress.share
    others = [
        f"{share:.0%}" if condition != "done" and not state.finishing else "",
        "" if left is None else f"{duration(_coarse(left))} left",
        _memory(state) if condition == "running" else "",
        progress_bar(share, _BAR, ascii) if condition == "running" else "",
        _took(state) if condition == "done" else "",
        counted(len(found), "warning") if (found := warnings(state)) else "",
        f"{counted(len(state.checks), 'check')} passed" if condition == "done" and state.checks and not failed else "",
        claim_counts(state),
        f"{watch.bad_lines} bad lines in its log" if watch.bad_lines else "",
        printable(state.device, ascii),
    ]
    return [(_words(watch), condition == "failed"), (check, True), *((each, False) for each in others)]


def _words(watch: RunWatch) -> str:
    condition, state = watch.condition, watch.state
    if condition == "failed":
        return printable(f"failed: {state.reason or 'no reason given'}")
    if condition == "lost":
        return "lost: its worker died; R resumes it"
    if condition == "stopped":
        return "stopped; R resumes it"
    if condition == "elsewhere":
        return "on another machine"
    if watch.resumable:
        return "done but for what is left: R goes on"
    return "finishing" if condition == "running" and state.finishing else condition or ""


def _took(state: RunState) -> str:
    return "" if state.started is None or state.finished is None else f"in {duration(state.took())}"


def _memory(state: RunState) -> str:
    """What the run holds, so coarse that the line doesn't change with every step."""
    if state.memory is None:
        return ""
    step = 1 << 26 if state.memory < 1 << 30 else 1 << 28
    return size(max(1, round(state.memory / step)) * step)


def _coarse(seconds: float) -> float:
    step = _COARSE if seconds < 120 else 30.0 if seconds < 3600 else 300.0
    return max(step, round(seconds / step) * step)
