"""The terminal app: which screen is on, which run is watched, and what every screen shares."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen

from stitchtui.errors import BadInput
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.tui import keys
from stitchtui.tui.colours import RAMPS, Palette, depth_of
from stitchtui.tui.inspection import Inspection
from stitchtui.tui.screens.grid import GridScreen
from stitchtui.tui.screens.too_small import TooSmallScreen
from stitchtui.tui.watch import Arrived, RunChanged, RunWatch

SMALLEST = (60, 16)  # columns and rows
REDRAW = 0.5  # seconds between two pictures, at least


class StitchApp(App[str | None]):
    """Watches one run at a time and shows it; without `run`, the newest in the runs directory."""

    TITLE = "stitchtui"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.APP]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (100, "-wide"), (160, "-xwide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-medium"), (30, "-tall"), (50, "-xtall")]  # noqa: RUF012

    def __init__(self, run: RunDirectory | None = None, ascii: bool = False) -> None:
        no_color = "NO_COLOR" in os.environ
        # Without colours the terminal's own are right; a theme's, turned to grey, are not what was asked for.
        super().__init__(ansi_color=True if no_color else None)
        self.ascii = ascii
        self.watched = RunWatch(None, self)
        self.inspection = Inspection()
        self.ramp = RAMPS[0]
        self._first, self._undrawn = run, False
        self.set_class(no_color, "-no-color")

    @property
    def palette(self) -> Palette:
        """How numbers are coloured on this terminal, with this theme."""
        depth = depth_of(self.console.color_system, self.has_class("-no-color"))
        return Palette(self.ramp, self.current_theme.dark, depth)

    def on_mount(self) -> None:
        """Open the run that was asked for, the newest, or New where there is none."""
        self.push_screen(GridScreen())
        self.call_after_refresh(self._use_own_keys)
        if not self.is_headless:  # without a terminal nobody is about to ask
            self.call_after_refresh(self.inspection.start)
        directory = self._first or next(iter(all_runs()), None)
        if directory is None:
            self.call_after_refresh(self.open_new)  # its parts are loaded while there is something to look at
        else:
            self.open_run(directory)
        self.theme_changed_signal.subscribe(self, lambda _: self._redraw())
        self.set_interval(REDRAW, self._tick)

    def _use_own_keys(self) -> None:
        try:
            self.set_keymap(keys.read_keymap(keys.keymap_path()))
        except BadInput as error:
            self.notify(str(error), severity="warning", markup=False)

    def on_unmount(self) -> None:
        """Let go of the run's log; the run itself goes on."""
        self.watched.close()
        self.inspection.close()

    def open_run(self, directory: RunDirectory) -> None:
        """Watch the run in `directory` from now on, and show its grid."""
        self.watched.close()
        self.watched = RunWatch(directory, self)
        self.go_home()
        self.screen.post_message(RunChanged(opened=True))
        self._fit(self.size)

    def go_home(self) -> None:
        """Back to the grid, the screen below all others."""
        while len(self.screen_stack) > 2:
            self.pop_screen()

    def open_new(self, prepared: Mapping[str, Any] | None = None) -> None:
        """Show New, filled in with `prepared`: an experiment as `Experiment.plain()` gives it."""
        from stitchtui.tui.screens.new import NewScreen

        self._show(NewScreen(dict(prepared) if prepared is not None else None))

    def _show(self, screen: Screen[Any]) -> None:
        """Put `screen` on top, unless one of its kind is there already."""
        if isinstance(self.screen, TooSmallScreen):  # it stays above all others
            self.pop_screen()
        if type(self.screen) is not type(screen):
            self.push_screen(screen)
        self._fit(self.size)

    def on_resize(self, event: events.Resize) -> None:
        """Below the smallest size say so, and come back unchanged when there is room again."""
        self._fit(event.size)

    def _fit(self, size: Size) -> None:
        small = size.width < SMALLEST[0] or size.height < SMALLEST[1]
        if small and not isinstance(self.screen, TooSmallScreen):
            self.push_screen(TooSmallScreen(SMALLEST))
        elif not small and isinstance(self.screen, TooSmallScreen):
            self.pop_screen()

    def on_arrived(self, _message: Arrived) -> None:
        """Fold in what the log brought; a run that was just opened is drawn at once, all else at the next tick."""
        opening = self.watched.loading
        self._undrawn = self.watched.collect() or self._undrawn
        if opening and not self.watched.loading:
            self._tick()

    def _tick(self) -> None:
        if self._undrawn:
            self._undrawn = False
            self._redraw()

    def _redraw(self) -> None:
        if self.screen_stack:  # none is left while the app closes
            self.screen.post_message(RunChanged())

    def get_system_commands(self, _screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The command palette: what the keys do, and the themes."""
        yield SystemCommand("New", "Start a run: pick two networks", self.action_new)
        yield SystemCommand("Runs", "List every run", self.action_runs)
        yield SystemCommand("Presets", "List the presets", self.action_presets)
        yield SystemCommand("Grid", "Back to the grid", self.go_home)
        yield SystemCommand("Help", "Explain the keys, the colours and the words", self.action_help)
        yield SystemCommand("Colours", "Colour numbers with cividis or with viridis", self.action_ramp)
        yield SystemCommand("Theme", "Dark, light, or the terminal's own colours", self.action_change_theme)
        yield SystemCommand("Quit", "Leave the app; a run that is going on goes on", self.action_leave)

    def action_new(self) -> None:
        """Show New."""
        self.open_new()

    def action_runs(self) -> None:
        """Show the list of runs."""
        from stitchtui.tui.screens.runs import RunsScreen

        self._show(RunsScreen())

    def action_presets(self) -> None:
        """Show the list of presets."""
        from stitchtui.tui.screens.presets import PresetsScreen

        self._show(PresetsScreen())

    def action_help(self) -> None:
        """Explain the screen that is on."""
        from stitchtui.tui.screens.help import HelpScreen

        self._show(HelpScreen())

    def action_ramp(self) -> None:
        """Colour with the other ramp."""
        self.ramp = RAMPS[(RAMPS.index(self.ramp) + 1) % len(RAMPS)]
        self._redraw()

    def action_leave(self) -> None:
        """Leave the app; a run that is going on goes on, and the shell says so."""
        directory, condition = self.watched.directory, self.watched.condition
        self.exit(directory.name if directory and condition in ("starting", "running") else None)
