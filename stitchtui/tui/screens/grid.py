"""The grid, home of the app: the heatmap of penalties, what is known of the selected cell, and what trains now."""

import time
from typing import ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.screen import Screen
from textual.widgets import Input

from stitchtui.report.wording import printable
from stitchtui.run.state import Column
from stitchtui.tui import courses, keys
from stitchtui.tui.gridview import ORDERS, cross_view, grid_view, with_lost
from stitchtui.tui.measures import FIRST, Measure, shown_measures
from stitchtui.tui.shell import Shell
from stitchtui.tui.watch import RunChanged
from stitchtui.tui.widgets.curves import Curves
from stitchtui.tui.widgets.depth import DepthPlot
from stitchtui.tui.widgets.heatmap import Heatmap
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.inspector import Inspector, wrapped
from stitchtui.tui.widgets.lines import Lines
from stitchtui.tui.widgets.log import Log
from stitchtui.tui.widgets.status import Status
from stitchtui.tui.widgets.text_input import TextInput
from stitchtui.tui.widgets.training import Training, network_lines

_CURVES_EVERY = 2.0  # seconds; curves change with every step, and are the dearest thing on the screen
_PLOT = 9  # rows, the fewest that a plot among others has
_PLOTS_AFTER = 0.02  # seconds; the numbers are drawn first: the first plot of all has to load plotext


class GridScreen(Screen[None]):
    """Draws the watched run."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.GRID]
    AUTO_FOCUS = "Heatmap"

    def __init__(self) -> None:
        super().__init__()
        self._place = 0  # of what is shown among the measures
        self._order = 0
        self._cross: str | None = None  # the key of the cross column that is shown in place of the pairs
        self._words = ""
        self._plots_at = float("-inf")  # when they were drawn last, and when they will be
        self._plots_due = float("inf")
        self._drawn: object = None  # the cells that the heatmap shows, and whether their worker was lost

    @property
    def stitch_app(self) -> Shell:
        """The app, as what it is."""
        return cast(Shell, self.app)

    @property
    def unready(self) -> bool:
        """Whether the log is still to be read, or what it says of cells still to be drawn."""
        watch = self.stitch_app.watched
        if watch.loading:
            return True
        if self._words or self.query_one(Heatmap).selected is not None:
            return False
        return bool(watch.state.cells and (watch.state.columns() or self._shown_cross()))

    def compose(self) -> ComposeResult:
        """The widgets, from top to bottom."""
        ascii = self.stitch_app.ascii
        yield Status(id="status")
        with Container(id="main"):
            with Vertical(id="left"):
                with Vertical(id="numbers"):
                    yield Lines(id="waiting")
                    yield Heatmap(ascii, id="heatmap")
                    yield DepthPlot(id="depth")
                    yield Curves(id="curves")
                yield Training(id="training")
            with Vertical(id="side"):
                yield Inspector(id="inspector")
                yield Log(id="log")
        yield TextInput(placeholder="words of the columns to show; Escape shows all", id="filter", compact=True)
        yield Hints(id="hints")

    @on(RunChanged)
    def _changed(self, message: RunChanged) -> None:
        if message.opened and self.query(Heatmap):
            self._words, self._drawn, self._cross = "", None, None
            self.query_one("#filter", Input).value = ""
            self.query_one("#filter").remove_class("-open")
        self._draw()
        self.refresh_bindings()

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was on."""
        self.call_after_refresh(self._draw_all)

    @on(Lines.Resized)
    def _resized(self) -> None:
        self._draw_all()

    def _draw_all(self) -> None:
        self._draw(everything=True)

    def _draw(self, everything: bool = False) -> None:
        if not self.query(Heatmap):  # news may come before the widgets
            return
        watch, ascii = self.stitch_app.watched, self.stitch_app.ascii
        self.query_one(Status).draw(watch, ascii)
        cells = (watch.cells_changed, watch.condition == "lost")
        cells_changed = everything or cells != self._drawn
        if cells_changed or self.query_one(Heatmap).palette != self.stitch_app.palette:
            self._draw_heatmap()
        if cells_changed:
            self._drawn = cells
            self.query_one(Log).draw(list(watch.log), ascii)
            self._draw_inspector()
        self.query_one("#waiting", Lines).show(self._waiting())
        self._draw_training()
        self._plan_plots(_PLOTS_AFTER if cells_changed else self._plots_at + _CURVES_EVERY - time.monotonic())

    def _plan_plots(self, after: float) -> None:
        """Draw the plots `after` so many seconds, or earlier where that is planned already."""
        due = time.monotonic() + max(_PLOTS_AFTER, after)
        if due < self._plots_due:
            self._plots_due = due
            self.set_timer(due - time.monotonic(), self._draw_plots)

    def _draw_plots(self) -> None:
        self._plots_at, self._plots_due = time.monotonic(), float("inf")
        app, watch = self.stitch_app, self.stitch_app.watched
        self._share_out()
        plot, whole = self.query_one(DepthPlot), self.has_class("-depth")
        plot.draw(watch.state, self._measure, watch.cells_changed, watch.goes_on, app.ascii, whole=whole)
        course = courses.worth_watching(watch.state, self.query_one(Heatmap).selected)
        self.query_one(Curves).draw(course, app.ascii, self._around_now() if self._live and course is None else ())

    def _around_now(self) -> list[str]:
        """What happened last and what is to come, as many lines as fit where there is no curve yet."""
        watch, room = self.stitch_app.watched, self.query_one(Curves).size.height
        coming = [f"to come: {printable(task.id)}" for task in watch.state.tasks.values() if task.status == "pending"]
        happened = list(watch.log)[-max(room // 2, room - len(coming)) :] if room else []
        return [*happened, *coming[: room - len(happened)]]

    @property
    def _live(self) -> bool:
        """Whether a worker is at the run, as far as that can be known from here."""
        watch = self.stitch_app.watched
        return watch.goes_on or (watch.condition == "elsewhere" and watch.state.status == "running")

    def _draw_training(self) -> None:
        app, watch = self.stitch_app, self.stitch_app.watched
        self.set_class(self._live, "-live")
        selected = self.query_one(Heatmap).selected
        column, happened = selected[0] if selected else None, watch.log[-1] if watch.log else ""
        if self._live:
            self.query_one(Training).draw(watch.state, column, happened, app.ascii)

    def _share_out(self) -> None:
        """Give the rows that the grid leaves to the curves, the depth plot, or both."""
        state, depth = self.stitch_app.watched.state, self.query_one(DepthPlot)
        above = sum(self.query_one(part).size.height for part in ("#waiting", "#heatmap"))
        left = self.query_one("#numbers").size.height - above
        measured = any(cell.status == "finished" for cell in state.cells.values())
        for_both = left >= 2 * _PLOT
        depth.display = self.has_class("-depth") or (measured and (for_both or (left >= _PLOT and not self._live)))
        self.query_one(Curves).display = not self.has_class("-depth") and (for_both or not depth.display)

    def _draw_heatmap(self) -> None:
        watch, measure = self.stitch_app.watched, self._measure
        cross = self._shown_cross()
        if cross is not None:
            view = cross_view(watch.state, measure, cross)
        else:
            view = grid_view(watch.state, measure, self._words, ORDERS[self._order])
        if watch.condition == "lost":
            view = with_lost(view, watch.state)
        self.query_one(Heatmap).show(view, measure, self.stitch_app.palette)

    def _shown_cross(self) -> Column | None:
        """The pair whose grid of every cut with every cut is shown: the one that was chosen, or all that there is."""
        state = self.stitch_app.watched.state
        crosses = state.crosses()
        if self._cross is None and not state.columns():
            return next(iter(crosses), None)
        return next((column for column in crosses if column.key == self._cross), None)

    def _waiting(self) -> list[Text]:
        """What stands in the grid's place while there is none."""
        watch = self.stitch_app.watched
        if self.query_one(Heatmap).selected is not None:
            return []
        if self._live and (networks := network_lines(watch.state, self.size.height // 2, self.stitch_app.ascii)):
            return networks
        if watch.directory is None:
            words = ["Nothing is measured here yet.", "", "n  pick two networks and start", "p  the presets"]
        elif watch.loading:
            words = []
        elif self._words and watch.state.columns():
            words = [f"no column has '{self._words}'; Escape shows all"]
        elif watch.condition in ("running", "starting", None):
            words = ["the worker is starting: data and networks come first"]
        else:
            words = ["this run has no cells"]
            if watch.state.reason:
                room = max(1, self.query_one("#numbers").size.width)
                words += ["", *wrapped(printable(watch.state.reason, self.stitch_app.ascii), room)]
        return [Text(word) for word in words]

    def _draw_inspector(self) -> None:
        app = self.stitch_app
        watch, selected = app.watched, self.query_one(Heatmap).selected
        self.set_class(selected is None, "-no-cell")
        self.query_one(Inspector).draw(watch.state, selected, lost=watch.condition == "lost", ascii=app.ascii)

    @on(Heatmap.Moved)
    def _moved(self) -> None:
        self._draw_inspector()
        self._draw_training()
        self._plan_plots(_PLOTS_AFTER)

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor."""
        self.query_one(Heatmap).move(rows, columns)

    def action_first(self) -> None:
        """Go to the cut next to the input."""
        heatmap = self.query_one(Heatmap)
        heatmap.go(0, heatmap.column)

    def action_last(self) -> None:
        """Go to the cut next to the output."""
        heatmap = self.query_one(Heatmap)
        heatmap.go(1_000_000, heatmap.column)

    @on(Heatmap.Opened)
    def action_open_cell(self) -> None:
        """Show everything known of the selected cell."""
        from stitchtui.tui.screens.cell import CellScreen

        selected = self.query_one(Heatmap).selected
        if selected is not None:
            self.app.push_screen(CellScreen(selected[0].key, selected[1]))

    def action_findings(self) -> None:
        """Read what the run found."""
        from stitchtui.tui.screens.findings import FindingsScreen

        if self.stitch_app.watched.directory is not None:
            self.app.push_screen(FindingsScreen())

    @property
    def _measure(self) -> Measure:
        return shown_measures()[self._place] if self._place else FIRST

    def action_measure(self, on: int) -> None:
        """Show the measure so many places on, in the grid and against depth."""
        self._place = (self._place + on) % len(shown_measures())
        self._draw_heatmap()
        self._plan_plots(_PLOTS_AFTER)

    def action_sort(self) -> None:
        """Order the columns the next way."""
        self._order = (self._order + 1) % len(ORDERS)
        self._draw_heatmap()

    def action_ramp(self) -> None:
        """Colour with the other ramp."""
        self.stitch_app.action_ramp()

    def action_cross(self) -> None:
        """Show the next pair's grid of every cut with every cut; after the last, the pairs again."""
        keys = [column.key for column in self.stitch_app.watched.state.crosses()]
        if not keys:
            words = "this run joins cuts in order only; Enter on a cell can ask for every cut with every cut"
            self.notify(words, markup=False)
            return
        after = keys.index(self._cross) + 1 if self._cross in keys else 0
        self._cross = keys[after] if after < len(keys) else None
        self._draw_heatmap()
        self._draw_inspector()

    def action_depth(self) -> None:
        """Show the depth plot over the whole height, or the grid again."""
        self.toggle_class("-depth")
        self.call_after_refresh(self._draw_all)
        self.refresh_bindings()

    def action_filter(self) -> None:
        """Type words that the columns' names must hold."""
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        self.set_focus(field)
        self.refresh_bindings()

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        self._words = event.value.strip()
        self._draw_heatmap()
        self.query_one("#waiting", Lines).show(self._waiting())

    @on(Input.Submitted, "#filter")
    def _filtered(self) -> None:
        self.query_one("#filter").set_class(bool(self._words), "-open")
        self.set_focus(self.query_one(Heatmap))
        self.refresh_bindings()

    @property
    def _filters(self) -> bool:
        return any(field.has_class("-open") for field in self.query("#filter"))

    def action_back(self) -> None:
        """Show all columns again, or the grid in place of the depth plot."""
        if not self._filters:
            self.action_depth()
            return
        self._words = self.query_one("#filter", Input).value = ""
        self._filtered()
        self._draw_heatmap()

    def action_stop(self) -> None:
        """Ask, then stop the run."""
        from stitchtui.tui.screens import actions

        if (directory := self.stitch_app.watched.directory) is not None:
            actions.ask_stop(self.app, directory)

    def action_resume(self) -> None:
        """Go on with the run."""
        from stitchtui.tui.screens import actions

        if (directory := self.stitch_app.watched.directory) is not None:
            actions.resume(self.app, directory)

    def action_export(self) -> None:
        """Write the numbers to a file."""
        from stitchtui.tui.screens.export import ExportScreen

        if (directory := self.stitch_app.watched.directory) is not None:
            self.app.push_screen(ExportScreen(directory))

    def action_copy(self) -> None:
        """Copy the grid."""
        from stitchtui.report.markdown import run_text
        from stitchtui.tui.clipboard import copy

        if self.stitch_app.watched.directory is not None:
            copy(self.app, run_text(self.stitch_app.watched.state), "the grid as Markdown")

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """Which keys do something now: stop a run that goes on, resume one with something left, go back if one can."""
        watch = self.stitch_app.watched
        back = self.has_class("-depth") or self._filters
        return {"stop": watch.goes_on, "resume": watch.resumable, "back": back}.get(action, True)
