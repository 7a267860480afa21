"""The app as bursts of keys are typed at it: one key notes down what it is at, another makes it new again."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from pilot import make_experiment, make_run
from scripted import Scripted
from textual.binding import Binding
from textual.widget import Widget
from textual.widgets import DataTable, Input, OptionList

import stitchtui.tui
from stitchtui.base.paths import runs_directory
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.tui import recipe, typed_ahead
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens.marks import CutList
from stitchtui.tui.screens.new import NewScreen
from stitchtui.tui.widgets.choice import Choice
from stitchtui.tui.widgets.heatmap import Heatmap
from stitchtui.tui.widgets.reading import Reading
from stitchtui.tui.widgets.run_list import RunList

RUNS = [f"2026010{number}-000000-run{number}" for number in range(4, 0, -1)]  # newest first
NETWORKS = [f"net{number}.pt" for number in range(6)]
CUTS = ("stem", *(f"layer{number}" for number in range(1, 9)))
TELL, ANEW = "f12", "f10"
typed_ahead.PATIENCE = 20.0  # the order is what is tested, and a busy machine takes longer


class Late(Scripted):
    """Answers while further keys arrive."""

    async def names(self):
        await asyncio.sleep(0.02)
        return await super().names()

    async def cuts(self, source, data):
        await asyncio.sleep(0.02)
        return await super().cuts(source, data)


class Noted(StitchApp):
    CSS_PATH = Path(stitchtui.tui.__file__).parent / "app.tcss"
    BINDINGS = (Binding(TELL, "tell", priority=True), Binding(ANEW, "anew", priority=True))

    def __init__(self):
        super().__init__(RunDirectory(runs_directory() / RUNS[0]))
        self.inspection = Late()
        self.told = []

    def action_tell(self):
        self.told.append(state(self))
        with Path(os.environ["TOLD"]).open("a") as file:
            file.write(json.dumps(self.told[-1]) + "\n")

    async def action_anew(self):
        for run in all_runs():
            if run.name not in RUNS:
                shutil.rmtree(run.path)
        for path in Path.cwd().glob("*.csv"):
            path.unlink()
        while len(self.screen_stack) > 1:
            self.pop_screen()
        from stitchtui.tui.screens.grid import GridScreen

        self.push_screen(GridScreen())
        self.open_run(RunDirectory(runs_directory() / RUNS[0]))


def state(app):
    """All that keys change: the screen, what has the keys, what every part holds, what is watched, written and made."""
    made = [run.read_experiment().plain() for run in all_runs() if run.name not in RUNS]
    watched = "made" if made and app.watched.directory == all_runs()[0] else app.watched.directory.name
    found = {"screen": type(app.screen).__name__, "focus": name_of(app.focused), "watched": watched, "made": made}
    found["files"] = sorted(path.name for path in Path.cwd().glob("*.*"))
    for node in app.screen.walk_children(Widget):
        found |= {name_of(node): what(node) for kind, what in HELD.items() if isinstance(node, kind)}
    if isinstance(app.screen, NewScreen):
        picked = {end: source.label for end, source in app.screen.draft.picked.items()}
        found |= {"picked": picked, "command": recipe.command(app.screen.draft)}
    return found


def name_of(node):
    return "" if node is None else node.id or f"{node.parent.id} {type(node).__name__}"


HELD = {
    Input: lambda field: field.value,
    OptionList: lambda listed: listed.highlighted,
    CutList: lambda listed: [listed.highlighted, *listed.marked],
    Choice: lambda choice: choice._value,
    DataTable: lambda table: list(table.cursor_coordinate),
    RunList: lambda runs: (
        [run.directory.name in RUNS and run.directory.name for run in (runs.chosen,) if run]
        + sorted(path.name for path in runs._marked if path.name in RUNS)
    ),
    Heatmap: lambda map: [map.row, map.column, map._title(map._layout), len(map._view.columns)],
    Reading: lambda text: text.scroll_y,
}


def prepare():
    """Make the runs and networks, in the working directory and in the directory of runs; no worker is launched."""
    for name in NETWORKS:
        Path(name).write_bytes(b"x")
    for name in RUNS:
        make_run(runs_directory(), name, make_experiment(description="words " * 400), CUTS)
    control.launch = lambda *_, **__: 0


if __name__ == "__main__":
    prepare()
    sys.exit(Noted().run() and 0)
