"""The terminal app: which screen is on, which run is watched, and what every screen shares."""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import SystemCommand
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from stitchtui.base.errors import ExitCode
from stitchtui.base.signals import ended_by, ending_signals
from stitchtui.base.text import plain
from stitchtui.tui import keys
from stitchtui.tui.colours import RAMPS, Palette, depth_of
from stitchtui.tui.escape import read_escape_as_escape
from stitchtui.tui.inspection import Inspection
from stitchtui.tui.look import TERMINALS_OWN, look_path, read_look, write_look
from stitchtui.tui.messages import Arrived, RunChanged
from stitchtui.tui.screens.first import FirstScreen
from stitchtui.tui.screens.too_small import TooSmallScreen
from stitchtui.tui.spans import send_only_what_changed
from stitchtui.tui.typed_ahead import InOrder

if TYPE_CHECKING:
    from stitchtui.run.directory import RunDirectory
    from stitchtui.tui.catalogue import Catalogue
    from stitchtui.tui.watch import RunWatch

SMALLEST = (60, 16)  # columns and rows
REDRAW = 0.5  # seconds between two pictures, at least


class _AsciiBars(ScrollBarRender):
    """Scrollbars whose ends are whole rows and columns."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.VERTICAL_BARS)
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * len(ScrollBarRender.HORIZONTAL_BARS)


class StitchApp(InOrder[str | None]):
    """Watches one run at a time and shows it; without `run`, the newest in the runs directory."""

    TITLE = "stitchtui"
    CSS_PATH = "app.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [*keys.APP]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (80, "-normal"), (100, "-wide"), (160, "-xwide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (24, "-medium"), (30, "-tall"), (50, "-xtall")]  # noqa: RUF012

    def __init__(self, run: "RunDirectory | None" = None, ascii: bool = False) -> None:
        no_color = "NO_COLOR" in os.environ
        # Without colours the terminal's own are right; a theme's, turned to grey, are not what was asked for.
        super().__init__(ansi_color=True if no_color else None)
        send_only_what_changed()
        read_escape_as_escape()
        self.ascii = ascii
        ScrollBar.renderer = _AsciiBars if ascii else ScrollBarRender
        self.inspection = Inspection()
        self._look, self._look_problem = read_look(look_path(), self.available_themes)
        if self._look.theme and not no_color and "TEXTUAL_THEME" not in os.environ:
            self.theme = self._look.theme
        self._first, self._begun, self._undrawn = run, False, False
        self.set_class(no_color, "-no-color")

    @property
    def palette(self) -> Palette:
        """How numbers are coloured on this terminal, with this theme."""
        depth = depth_of(self.console.color_system, self.has_class("-no-color"))
        return Palette(self._look.ramp, self.current_theme.dark, depth)

    @cached_property
    def watched(self) -> "RunWatch":
        """The run that is shown; of no run until one is opened."""
        from stitchtui.tui.watch import RunWatch

        return RunWatch(None, self)

    @cached_property
    def catalogue(self) -> "Catalogue":
        """Every run there is, as far as that was read since the app began."""
        from stitchtui.tui.catalogue import Catalogue

        return Catalogue()

    def get_default_screen(self) -> Screen[Any]:
        """The first picture; all that it can do without is loaded behind it."""
        return FirstScreen()

    def on_load(self) -> None:
        """Leave in the ordinary way when a signal ends the app, so that the terminal is as it was."""
        for number in ending_signals():
            asyncio.get_running_loop().add_signal_handler(number, self._leave, ended_by(number))

    def on_mount(self) -> None:
        """Go on once the first picture is on the terminal."""
        self.call_after_refresh(self._begin)
        self.theme_changed_signal.subscribe(self, lambda theme: self._remember(theme=theme.name))
        self.set_interval(REDRAW, self._tick)

    async def _begin(self) -> None:
        """Show the run that was asked for, the newest, or New where there is none."""
        from stitchtui.run.directory import all_runs

        problems = [*filter(None, [self._look_problem]), *self._use_own_keys()]
        directory = self._first or next(iter(all_runs()), None)
        if directory is not None:
            self._watch(directory)  # its log is read while the rest is loaded
        from stitchtui.tui.screens.grid import GridScreen

        await self.push_screen(GridScreen())
        self._begun = True
        if directory is None:
            self.open_new()
        else:
            self._fit(self.size)
            self._draw_opened()
        self.take_keys()
        self.call_after_refresh(self._warn, problems)
        if not self.is_headless:  # without a terminal nobody is about to ask
            self.call_after_refresh(self.inspection.start)

    def _use_own_keys(self) -> list[str]:
        from stitchtui.tui.own_keys import keymap_path, read_keymap

        keymap, problems = read_keymap(keymap_path())
        if keymap:
            self.set_keymap(keymap)
        return problems

    def _warn(self, problems: Iterable[str]) -> None:
        for problem in problems:
            self.notify(problem, severity="warning", markup=False)

    def _remember(self, **chosen: str) -> None:
        """Draw with the theme or ramp that was chosen, and keep it for the next time."""
        before, self._look = self._look, replace(self._look, **chosen)
        self._redraw()
        if self._look == before:
            return
        try:
            kept, _ = read_look(look_path(), self.available_themes)  # in which another app may have changed the rest
            write_look(look_path(), replace(kept, **chosen))
        except OSError as error:
            why = f"{plain(look_path())}: can't be written ({plain(error.strerror or error)})"
            self._warn([f"{why}; the colours are forgotten when you leave"])

    def on_unmount(self) -> None:
        """Let go of the run's log; the run itself goes on."""
        self.watched.close()
        self.inspection.close()

    def open_run(self, directory: "RunDirectory") -> None:
        """Watch the run in `directory` from now on, and show its grid."""
        self._watch(directory)
        self.go_home()
        self.screen.post_message(RunChanged(opened=True))
        self._fit(self.size)

    def forget_run(self, directory: "RunDirectory") -> None:
        """Watch the newest run in place of the one in `directory`, which was deleted, if that is watched."""
        from stitchtui.run.directory import all_runs

        if self.watched.directory == directory:
            self._watch(next(iter(all_runs()), None))

    def _watch(self, directory: "RunDirectory | None") -> None:
        from stitchtui.tui.watch import RunWatch

        self.watched.close()
        self.watched = RunWatch(directory, self)

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
        if not self._begun:  # the first picture has its place below the others, however small
            return
        small = size.width < SMALLEST[0] or size.height < SMALLEST[1]
        if small and not isinstance(self.screen, TooSmallScreen):
            self.push_screen(TooSmallScreen(SMALLEST))
        elif not small and isinstance(self.screen, TooSmallScreen):
            self.pop_screen()

    def on_arrived(self, _message: Arrived) -> None:
        """Fold in what the log brought; a run that was just opened is drawn at once, all else at the next tick."""
        opening = self.watched.loading
        self._undrawn = self.watched.collect() or self._undrawn
        if opening:
            self._draw_opened()

    def _draw_opened(self) -> None:
        if self._begun and not self.watched.loading and self.screen_stack:  # none is left while the app closes
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
        yield SystemCommand("Theme", "Dark, light, and many more", self.action_change_theme)
        yield SystemCommand("Terminal colours", "The colours your terminal is set to", self.action_terminal_colours)
        yield SystemCommand("Quit", "Leave the app; a run that is going on goes on", self.action_leave)

    def check_action(self, action: str, _parameters: tuple[object, ...]) -> bool | None:
        """A key that leads to a screen does nothing on that screen."""
        where = type(self.screen).__name__ if self.screen_stack else ""
        return where != {"new": "NewScreen", "runs": "RunsScreen", "presets": "PresetsScreen"}.get(action)

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
        self._remember(ramp=RAMPS[(RAMPS.index(self._look.ramp) + 1) % len(RAMPS)])

    def action_terminal_colours(self) -> None:
        """Draw in the colours that the terminal itself is set to."""
        self.theme = f"{TERMINALS_OWN}-{'dark' if self.current_theme.dark else 'light'}"

    async def action_quit(self) -> None:
        """Leave by Textual's own key, which works in text fields too."""
        self.action_leave()

    def action_leave(self) -> None:
        """Leave the app; a run that is going on goes on, and the shell says so."""
        self._leave(ExitCode.DONE)

    def _leave(self, code: int) -> None:
        directory = self.watched.directory
        self.exit(directory.name if directory and self.watched.goes_on else None, code)
