"""One cell: everything known of it, its column's curve, and the questions that follow from it."""

import contextlib
from typing import ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.screen import Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stitchtui.run.state import Column
from stitchtui.tui import courses, keys
from stitchtui.tui.facts import cell_facts, cell_title
from stitchtui.tui.questions import Question, questions
from stitchtui.tui.shell import Shell
from stitchtui.tui.watch import RunChanged
from stitchtui.tui.widgets.curves import Curves
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.inspector import fact_lines
from stitchtui.tui.widgets.lines import Lines
from stitchtui.tui.widgets.reading import Reading

_PANEL = 58  # terminal cells for the facts on a wide screen


class CellScreen(Screen[None]):
    """Draws one cell of the watched run; a question that is chosen is asked of the run, whose grid it joins."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.CELL]
    AUTO_FOCUS = "OptionList"

    def __init__(self, column: str, cut: str) -> None:
        super().__init__()
        self._key, self._cut = column, cut
        self._questions: list[Question] = []

    @property
    def stitch_app(self) -> Shell:
        """The app, as what it is."""
        return cast(Shell, self.app)

    def _column(self) -> Column | None:
        state = self.stitch_app.watched.state
        return next((c for c in (*state.columns(), *state.crosses()) if c.key == self._key), None)

    def compose(self) -> ComposeResult:
        """The facts, the curve, and what could be asked next."""
        yield Lines(id="title")
        with Container(id="body"):
            with Reading(id="facts"):
                yield Lines(id="all")
            yield Curves(id="curve")
        yield Static("what to ask next; Enter adds it to this run", markup=False, id="asked")
        yield OptionList(id="next")
        yield Hints(id="hints")

    def on_mount(self) -> None:
        """Offer the questions."""
        column = self._column()
        if column is not None:
            self._questions = questions(self.stitch_app.watched.state, column, self._cut)
            listed = self.query_one(OptionList)
            listed.add_options([Option(Text(each.words)) for each in self._questions])
            listed.action_first()
        self.query_one("#asked").display = bool(self._questions)

    def on_screen_resume(self) -> None:
        """Draw what is known by now."""
        self.call_after_refresh(self._draw)

    @on(RunChanged)
    @on(Lines.Resized)
    def _draw(self) -> None:
        with contextlib.suppress(NoMatches):  # the screen is being left, its widgets are gone
            self._draw_all()

    def _draw_all(self) -> None:
        column, state, ascii = self._column(), self.stitch_app.watched.state, self.stitch_app.ascii
        if column is None:
            self.query_one("#title", Lines).show([Text("the run no longer has this cell")])
            return
        self.query_one("#title", Lines).show([Text(cell_title(column, self._cut, ascii))])
        facts, lost = self.query_one("#all", Lines), self.stitch_app.watched.condition == "lost"
        width = min(_PANEL, self.size.width - 4) if self.size.width >= 100 else self.size.width - 4
        facts.show(fact_lines(cell_facts(state, column, self._cut, doubts=True, lost=lost), width))
        course = courses.of_cell(state, column, self._cut) or courses.of_column(state, column)
        self.query_one(Curves).draw(course, ascii)

    @on(OptionList.OptionSelected)
    def _ask(self, event: OptionList.OptionSelected) -> None:
        from stitchtui.spec.experiment import Request
        from stitchtui.tui.screens import actions

        watched = self.stitch_app.watched
        if watched.directory is not None:
            request = Request.model_validate(self._questions[event.option_index].request)
            actions.ask(self.app, watched.directory, request, watched.state)
            self.dismiss(None)

    def action_back(self) -> None:
        """Back to the grid."""
        self.dismiss(None)

    def action_scroll_facts(self, pages: int) -> None:
        """Scroll what is known by a page."""
        self.query_one(Reading).turn("page_down" if pages > 0 else "page_up")

    def action_next(self) -> None:
        """Mark the next question."""
        self.query_one(OptionList).action_cursor_down()

    def action_before(self) -> None:
        """Mark the question before."""
        self.query_one(OptionList).action_cursor_up()

    def action_copy(self) -> None:
        """Copy all that is known of the cell."""
        from stitchtui.tui.clipboard import copy

        lines = [str(line) for line in (*self.query_one("#title", Lines).texts, *self.query_one("#all", Lines).texts)]
        copy(self.app, "\n".join(lines), "this cell")
