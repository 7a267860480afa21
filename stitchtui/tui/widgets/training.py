"""What trains now, always on the screen: whose training it is, its step, loss and accuracy, and how they went."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from stitchtui.report.wording import counted, printable, progress_bar, shortened
from stitchtui.run.records import TaskState
from stitchtui.run.state import Column, RunState
from stitchtui.tui import courses
from stitchtui.tui.courses import Course
from stitchtui.tui.plots import ACCURACY, LOSS, bars
from stitchtui.tui.widgets.curves import said, values
from stitchtui.tui.widgets.lines import Lines

_WORDY = 70  # terminal cells from which on there is room for held-out numbers
_LEAST_CURVE, _LONGEST_CURVE = 10, 32  # terminal cells
_LONGEST_NAME = 30  # terminal cells
_BAR = 24  # terminal cells


class Training(Lines):
    """Two lines about the task that is being worked on."""

    def draw(self, state: RunState, column: Column | None, happened: str, ascii: bool = False) -> None:
        """Say how the work stands: of several tasks at once the one in `column`, else the first.

        `happened` is said where there is no loss to tell.
        """
        tasks = courses.running_tasks(state)
        own = [task for task in tasks if column is not None and task.id in column.task_ids]
        task = next(iter((*own, *tasks)), None)
        width = self.size.width - 2
        if task is None:
            self.show(between_lines(state, happened, width, ascii))
        else:
            self.show(training_lines(task, len(tasks) - 1, width, happened, ascii))


def between_lines(state: RunState, happened: str, width: int, ascii: bool = False) -> list[Text]:
    """The two lines while nothing is being worked on: what comes next, or after all tasks what happened last."""
    coming = [f"to come: {printable(task.id, ascii)}" for task in state.tasks.values() if task.status == "pending"]
    below = coming[0] if coming else happened if state.status == "running" else "the worker is starting"
    words = "finishing" if state.finishing else "preparing"
    return [Text(words, style="bold"), Text(shortened(below, width, ascii), style="dim")]


def training_lines(task: TaskState, others: int, width: int, happened: str = "", ascii: bool = False) -> list[Text]:
    """The two lines, at most `width` wide."""
    name = printable("loading the data" if task.kind == "data" else task.id, ascii)
    course = courses.of_task(task)
    if course is None:
        bar = progress_bar(task.step / task.steps if task.steps else 0.0, _BAR, ascii)
        line = Text(shortened(name, width - len(bar) - 2, ascii), style="bold")
        where = "" if task.steps < 2 else f"{task.step} of {task.steps}  "
        return [line.append(f"  {bar}", "not bold"), Text(shortened(where + happened, width, ascii), style="dim")]
    return _with_curves((name, _where(task, others)), _reached(task, course, width >= _WORDY), course, width, ascii)


def network_lines(state: RunState, most: int, ascii: bool = False) -> list[Text]:
    """A line for each network while some are still to come, at most `most` of them, from what is being made on."""
    tasks = [task for task in state.tasks.values() if task.kind == "network"]
    ready = [task.status in ("finished", "failed") for task in tasks]
    if not tasks or all(ready):
        return []
    first = max(0, min(ready.index(False) - 1, len(tasks) - most))
    names = [printable(task.id.removeprefix("network "), ascii) for task in tasks]
    label = min(_LONGEST_NAME, max(map(cell_len, names)))
    lines: list[Text] = []
    for name, task in list(zip(names, tasks, strict=True))[first : first + most]:
        shown = shortened(name, label, ascii)
        style = "bold" if task.status == "running" else "" if task.status == "finished" else "dim"
        lines.append(Text(f"{shown}{' ' * (label - cell_len(shown))}  {_of_network(state, task)}", style=style))
    return lines


def _of_network(state: RunState, task: TaskState) -> str:
    ready = state.networks.get(task.id.removeprefix("network "))
    if task.status == "finished" and ready is not None:
        return f"ready, test error {ready.error:.2f} %"
    course = courses.of_task(task)
    if task.status == "running" and course is not None:
        return "  ".join([_where(task, 0), *_reached(task, course, wordy=False)])
    return "is being made" if task.status == "running" else "to come"


def _with_curves(names: Sequence[str], numbers: Sequence[str], course: Course, width: int, ascii: bool) -> list[Text]:
    middle = max(map(len, numbers))
    left = min(max(map(cell_len, names)), width - middle - _LEAST_CURVE - 4)
    room = min(_LONGEST_CURVE, width - left - middle - 4)
    lines: list[Text] = []
    for name, number, kind in zip(names, numbers, (LOSS, ACCURACY), strict=True):
        shown = shortened(name, left, ascii)
        line = Text(shown + " " * (left - cell_len(shown)), style="bold" if not lines else "", no_wrap=True)
        (bar,) = bars(values(course.training or course.held_out, kind), room, ascii=ascii)
        lines.append(line.append(f"  {number:<{middle}}  ", "not bold").append(bar, kind.style + Style(bold=False)))
    return lines


def _where(task: TaskState, others: int) -> str:
    """How far it is, always equally wide, so that what stands beside it doesn't move."""
    if task.epochs:
        return f"epoch {task.epoch:>{len(str(task.epochs))}} of {task.epochs}"
    beside = f", with {counted(others, 'other')}" if others else ""
    most = "at most " if task.at_most else ""
    return f"step {task.step:>{len(str(task.steps))}} of {most}{task.steps}{beside}"


def _reached(task: TaskState, course: Course, wordy: bool) -> tuple[str, str]:
    if task.kind == "network":
        return said(course, LOSS), f"error so far {100 - course.training[-1].accuracy:.1f} %"
    return said(course, LOSS, wordy), said(course, ACCURACY, wordy)
