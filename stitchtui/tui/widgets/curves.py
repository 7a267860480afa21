"""Loss and accuracy of what trains now, or of the selected cell's column when nothing does."""

from rich.cells import cell_len
from rich.text import Text

from stitchtui.report.wording import printable, shortened
from stitchtui.run.records import TaskState
from stitchtui.run.state import Column, RunState
from stitchtui.tui.plots import ACCURACY, LOSS, curve_lines
from stitchtui.tui.widgets.lines import Lines
from stitchtui.tui.widgets.status import running_task

_LEAST_NAME = 20  # terminal cells of a task's name, before the words after it go


class Curves(Lines):
    """Two curves, side by side or one above the other; the loss alone where there is no room for two."""

    _drawn: object = None  # what the lines show: drawing them again takes longer than all else on the screen

    def draw(self, state: RunState, selected: tuple[Column, str] | None, ascii: bool = False) -> None:
        """Draw the curves of what is most worth watching."""
        task = curve_task(state, selected[0] if selected else None)
        width, height = self.size.width - 1, self.size.height
        if task is None or height < 5 or width < 16:
            self._drawn = None
            self.show([])
            return
        wanted = (task.id, task.steps, len(task.curve), task.curve[-1], width, height, ascii)
        if wanted == self._drawn:
            return
        self._drawn = wanted
        self.show([_title(task, width, ascii), *_curves(task, width, height - 1, ascii)])


def curve_task(state: RunState, column: Column | None) -> TaskState | None:
    """The task that trains now, else the last of `column` that has a curve."""
    running = running_task(state)
    if running is not None and running.curve:
        return running
    own = [state.tasks[task] for task in column.task_ids if task in state.tasks] if column else []
    return next((task for task in reversed(own) if task.curve), None)


def _title(task: TaskState, width: int, ascii: bool) -> Text:
    _, loss, accuracy, *_ = task.curve[-1]
    name, numbers = printable(task.id, ascii), f"loss {loss:.3f}, accuracy {accuracy:.1f} %"
    full = f"{numbers}, mean over its cuts" if task.kind == "column" else numbers
    if len(full) + 2 + min(cell_len(name), _LEAST_NAME) <= width:
        numbers = full
    name = shortened(name, max(12, width - len(numbers) - 2), ascii)
    return Text(f"{name}: {numbers}"[:width], style="bold")


def _curves(task: TaskState, width: int, height: int, ascii: bool) -> list[Text]:
    losses = [(float(step), loss) for step, loss, *_ in task.curve]
    accuracies = [(float(step), accuracy) for step, _, accuracy, *_ in task.curve]
    if width < 60 and height < 16:
        return curve_lines(losses, task.steps, (width, height), LOSS, ascii)
    if width < 60 or height > width // 2:
        size = (width, height // 2)
        above = curve_lines(losses, task.steps, size, LOSS, ascii)
        return [*above, *curve_lines(accuracies, task.steps, size, ACCURACY, ascii)]
    size = (width // 2, height)
    left = curve_lines(losses, task.steps, size, LOSS, ascii)
    right = curve_lines(accuracies, task.steps, size, ACCURACY, ascii)
    return [Text.assemble(a, b) for a, b in zip(left, right, strict=True)]
