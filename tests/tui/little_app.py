"""An app with nothing but what the screens under test ask of it, and a note of what it was asked to open."""

from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import Binding

import stitchtui.tui
from stitchtui.tui.app import StitchApp
from stitchtui.tui.catalogue import Catalogue


class LittleApp(App):
    CSS_PATH = Path(stitchtui.tui.__file__).parent / "app.tcss"
    HORIZONTAL_BREAKPOINTS = StitchApp.HORIZONTAL_BREAKPOINTS
    VERTICAL_BREAKPOINTS = StitchApp.VERTICAL_BREAKPOINTS
    BINDINGS: ClassVar = [
        Binding("question_mark", "help", "help", id="help", tooltip="Explain this screen"),
        Binding("q", "quit", "quit", id="quit", tooltip="Leave the app"),
    ]

    def __init__(self, screen, ascii=False):
        super().__init__()
        self.ascii = ascii
        self.catalogue = Catalogue()
        self.opened = []
        self.said = []
        self._make = screen

    def on_mount(self):
        self.push_screen(self._make())

    def open_run(self, directory):
        self.opened.append(directory)

    def action_help(self):
        from stitchtui.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen())

    def notify(self, message, **options):
        assert options.get("markup") is False, "a notification that would read markup"
        self.said.append(message)
        super().notify(message, **options)
