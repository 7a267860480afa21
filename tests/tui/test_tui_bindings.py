"""Every key of every screen does what it says: each is pressed where it holds, and something is different after."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from pilot import make_experiment, make_run, runs_read, screen_text, settled, wait_for, wait_for_text, write_steps
from scripted import Scripted, cut, known
from test_tui_cross import crossed_run
from textual.containers import VerticalScroll
from textual.widget import Widget
from textual.widgets import DataTable, OptionList

import stitchtui.tui
from stitchtui.base.paths import runs_directory
from stitchtui.run import control
from stitchtui.run.directory import RunDirectory, all_runs
from stitchtui.run.events import EventWriter
from stitchtui.spec.plan import resolve
from stitchtui.tui import keys
from stitchtui.tui.app import StitchApp
from stitchtui.tui.screens import actions
from stitchtui.tui.screens.grid import GridScreen
from stitchtui.tui.widgets.choice import Choice
from stitchtui.tui.widgets.heatmap import Heatmap
from stitchtui.tui.widgets.picker import Picker
from stitchtui.tui.widgets.run_list import RunList

SIZE = (60, 20)  # small, so that everything has something to scroll
DONE, LOST, GOING = "20260104-000000-done", "20260103-000000-lost", "20260102-040000-going"
CROSSED = "20260102-030405-crossed"
CUTS = tuple(f"layer{number}" for number in range(14))


@dataclass(frozen=True)
class Case:
    """`changed` is false before the key is pressed and true after it; `before` are keys that lead to where it can be.

    `run` is the run that is watched meanwhile, the one that is done where it says none. `back` are keys that undo what
    would be kept. One that `goes_on` begins where the case before it has ended, which spares the way there.
    """

    changed: Callable[[StitchApp], Any]
    before: str = ""
    run: str = DONE
    back: str = ""
    goes_on: bool = False


def then(changed: Callable[[StitchApp], Any], before: str = "", back: str = "") -> Case:
    """A case that goes on where the one before it has ended."""
    return Case(changed, before, back=back, goes_on=True)


def on(name: str) -> Callable[[StitchApp], bool]:
    """Whether the screen of this name is on."""
    return lambda app: type(app.screen).__name__ == name


def shows(text: str) -> Callable[[StitchApp], bool]:
    """Whether the screen shows this."""
    return lambda app: text in screen_text(app)


def at(row: int, column: int) -> Callable[[StitchApp], bool]:
    """Whether the grid's cursor is there."""
    return lambda app: (find(app, Heatmap).row, find(app, Heatmap).column) == (row, column)


def find(app: StitchApp, kind: Any) -> Any:
    """The only widget of its kind on the screen, or the first."""
    return app.screen.query(kind).first()


def marked(place: int) -> Callable[[StitchApp], bool]:
    """Whether the mark of the screen's list is there."""
    return lambda app: find(app, OptionList).highlighted == place


def chosen(name: str) -> Callable[[StitchApp], bool]:
    """Whether the cursor of the list of runs is on this run."""
    return lambda app: find(app, RunList).chosen.directory.name == name


def place(row: int, column: int) -> Callable[[StitchApp], bool]:
    """Whether the cursor of the table is there."""
    return lambda app: find(app, DataTable).cursor_coordinate == (row, column)


def scrolled(what: str, far: bool = True) -> Callable[[StitchApp], bool]:
    """Whether this part of the screen is scrolled away from its start, or with `far` false isn't."""
    return lambda app: (app.screen.query_one(what, VerticalScroll).scroll_y > 0) == far


def copied(text: str) -> Callable[[StitchApp], bool]:
    """Whether the clipboard holds this."""
    return lambda app: text in app.clipboard


def filters(app: StitchApp) -> bool:
    """Whether a filter is being typed."""
    return app.focused is not None and app.focused.id == "filter"


def field(name: str) -> Callable[[StitchApp], bool]:
    """Whether this field of New has the keys."""
    return lambda app: app.focused is not None and app.focused.parent.id == f"row-{name}"


def device(value: str) -> Callable[[StitchApp], bool]:
    """Whether New shows this device."""
    return lambda app: app.screen.draft.value("device") == value


def cuts_marked(text: str) -> Callable[[StitchApp], bool]:
    """Whether New stitches at these cuts."""
    return lambda app: app.screen.draft.value("cuts") == text


LEADING = {
    "new": Case(on("NewScreen")),
    "runs": Case(on("RunsScreen")),
    "presets": Case(on("PresetsScreen")),
}
OVER_OTHERS = {
    "help": Case(on("HelpScreen")),
    "quit_anywhere": Case(lambda app: app.left),
}
EVERYWHERE = {**OVER_OTHERS, "quit": Case(lambda app: app.left)}
FORM = "enter enter"  # both networks picked
CASES: dict[str, dict[str, Case]] = {
    "grid": {
        **LEADING,
        **EVERYWHERE,
        "grid.open": Case(on("CellScreen")),
        "grid.measure": Case(shows("against the bottom"), back="M"),
        "grid.measure_back": Case(shows("seconds"), back="m"),
        "grid.cross": Case(shows("lie equally deep"), run=CROSSED, back="x"),
        "grid.depth": Case(shows("against depth"), back="d"),
        "grid.findings": Case(on("FindingsScreen")),
        "grid.stop": Case(on("ConfirmScreen"), run=GOING),
        "grid.resume": Case(lambda app: app.launched == [LOST], run=LOST),
        "grid.export": Case(on("ExportScreen")),
        "grid.copy": Case(copied("| cut |")),
        "grid.filter": Case(filters, back="escape"),
        "grid.back": Case(lambda app: not app.screen.query_one("#filter").has_class("-open"), "slash"),
        "grid.sort": Case(shows("  largest first"), back="o o"),
        "grid.right": Case(at(0, 1)),
        "grid.left": then(at(0, 0)),
        "grid.down": then(at(1, 0)),
        "grid.up": then(at(0, 0)),
        "grid.last": then(at(len(CUTS) - 1, 0)),
        "grid.first": then(at(0, 0)),
        "grid.ramp": Case(lambda app: app.palette.ramp == "viridis"),
    },
    "cell": {
        **EVERYWHERE,
        "cell.back": Case(on("GridScreen")),
        "cell.next": Case(marked(1)),
        "cell.before": then(marked(0)),
        "cell.more": then(scrolled("#facts")),
        "cell.less": then(scrolled("#facts", False)),
        "cell.copy": then(copied("a > b at layer0")),
    },
    "findings": {
        **EVERYWHERE,
        "findings.back": Case(on("GridScreen")),
        "findings.down": Case(scrolled("#text")),
        "findings.up": then(scrolled("#text", False)),
        "findings.page_down": then(scrolled("#text")),
        "findings.page_up": then(scrolled("#text", False)),
        "findings.last": then(shows("check passed: frozen")),
        "findings.first": then(scrolled("#text", False)),
        "findings.copy": then(copied("network a: test error")),
    },
    "new": {
        **EVERYWHERE,
        "new.pick": Case(shows("pick the top")),
        "new.start": Case(lambda app: len(all_runs()) > app.runs_before, FORM),
        "new.filter": Case(filters),
        "new.back": Case(on("GridScreen")),
        "new.down": Case(lambda app: find(app, Picker).marked.label == "second.pt"),
        "new.up": then(lambda app: find(app, Picker).marked.label == "first.pt"),
        "new.copy": Case(copied("stitchtui run first.pt second.pt"), FORM),
        "new.mark_cuts": then(on("MarksScreen"), back="escape"),
        "new.cuts_down": then(scrolled("#right")),
        "new.cuts_up": then(scrolled("#right", False)),
        "new.last": then(field("set")),
        "new.next": then(device("cpu"), "up up up"),
        "new.before": then(device("cuda:0"), "h"),
        "new.swap": then(shows("second.pt > first.pt")),
        "new.first": then(field("data")),
    },
    "marks": {
        **OVER_OTHERS,
        "marks.mark": Case(lambda app: "│ [x] layer0" not in screen_text(app), back="space"),
        "marks.all": then(lambda app: "[x]" not in screen_text(app), back="a"),
        "marks.down": then(marked(1)),
        "marks.up": then(marked(0)),
        "marks.last": then(marked(len(CUTS) - 1)),
        "marks.first": then(marked(0)),
        "marks.leave": then(lambda app: on("NewScreen")(app) and cuts_marked("blocks")(app), "space"),
        "marks.other": Case(lambda app: app.focused.id == "top", "h h"),
        "marks.take": Case(lambda app: on("NewScreen")(app) and cuts_marked("layer1,layer2")(app), "a j space j space"),
    },
    "runs": {
        **EVERYWHERE,
        "runs.open": Case(lambda app: on("GridScreen")(app) and app.watched.directory.name == LOST, "j"),
        "runs.stop": Case(on("ConfirmScreen"), "j j"),
        "runs.resume": Case(lambda app: app.launched == [LOST], "j"),
        "runs.mark": Case(shows("1 marked")),
        "runs.compare": Case(on("CompareScreen"), "space j space"),
        "runs.label": Case(on("LabelScreen")),
        "runs.delete": Case(on("ConfirmScreen")),
        "runs.export": Case(on("ExportScreen")),
        "runs.copy": Case(copied(DONE)),
        "runs.filter": Case(filters),
        "runs.sort": Case(shows("by name")),
        "runs.back": Case(on("GridScreen")),
        "list.down": Case(chosen(LOST)),
        "list.up": then(chosen(DONE)),
        "list.last": then(chosen("20260101-000000-old00")),
        "list.first": then(chosen(DONE)),
        "list.page_down": then(lambda app: find(app, RunList).cursor > 3),
        "list.page_up": then(lambda app: find(app, RunList).cursor < 3),
    },
    "label": {
        "quit_anywhere": Case(lambda app: app.left),
        "label.take": Case(on("RunsScreen")),
        "label.other": Case(lambda app: app.focused.id == "note"),
        "label.leave": Case(on("RunsScreen")),
    },
    "compare": {
        **EVERYWHERE,
        "compare.right": Case(place(0, 2)),
        "compare.left": then(place(0, 1)),
        "compare.down": then(place(1, 1)),
        "compare.up": then(place(0, 1)),
        "compare.last": then(place(len(CUTS) - 1, 1)),
        "compare.first": then(place(0, 1)),
        "compare.swap": then(shows(f"first  {DONE}")),
        "compare.copy": then(copied("| cut | a > b |")),
        "compare.back": Case(on("RunsScreen")),
    },
    "presets": {
        **EVERYWHERE,
        "presets.start": Case(on("ConfirmScreen")),
        "presets.change": Case(on("NewScreen")),
        "presets.read_on": Case(scrolled("#about")),
        "presets.read_back": then(scrolled("#about", False)),
        "presets.copy": Case(copied("stitchtui run")),
        "presets.down": then(marked(1)),
        "presets.up": then(marked(0)),
        "presets.last": then(lambda app: find(app, OptionList).highlighted == find(app, OptionList).option_count - 1),
        "presets.first": then(marked(0)),
        "presets.back": Case(on("GridScreen")),
    },
    "export": {
        **OVER_OTHERS,
        "export.write": Case(lambda app: Path(f"{DONE}.csv").exists()),
        "export.other": Case(lambda app: app.focused.id == "path"),
        "export.leave": Case(on("GridScreen")),
        "export.down": Case(marked(1)),
        "export.up": then(marked(0)),
    },
    "confirm": {
        **{id: replace(case, run=GOING) for id, case in OVER_OTHERS.items()},
        "confirm.take": Case(lambda app: app.stopped == [GOING], "l", run=GOING),
        "confirm.yes": Case(lambda app: app.stopped == [GOING], run=GOING),
        "confirm.no": Case(lambda app: on("GridScreen")(app) and app.stopped == [], run=GOING),
        "confirm.other": Case(lambda app: app.focused.id == "yes", run=GOING),
    },
    "help": {
        "quit_anywhere": Case(lambda app: app.left),
        "help.leave": Case(on("GridScreen")),
        "help.down": Case(scrolled("Reading")),
        "help.up": then(scrolled("Reading", False)),
        "help.page_down": then(scrolled("Reading")),
        "help.page_up": then(scrolled("Reading", False)),
        "help.end": then(shows("Also, as in every")),
        "help.top": then(scrolled("Reading", False)),
    },
}
# From the grid to each screen, and what is there once it can be used.
WAYS = {
    "grid": ("", "layer0"),
    "cell": ("enter", "what to ask next"),
    "findings": ("f", "What it found"),
    "new": ("n", "second.pt"),
    "marks": (f"n {FORM} space", "[x] layer0"),
    "runs": ("r", DONE),
    "label": ("r l", "label: a short name"),
    "compare": ("r space j space c", "second - first"),
    "presets": ("p", "last run: 2 connected"),
    "export": ("e", "csv"),
    "confirm": ("s", "Let it run"),
    "help": ("question_mark", "Keys here"),
}


def test_every_key_of_every_screen_has_a_case():
    assert CASES.keys() == keys.SCREENS.keys() == WAYS.keys()
    for name, bindings in keys.SCREENS.items():
        needed = {binding.id for binding in bindings}
        # What the app's keys open they open from everywhere; once is enough.
        assert CASES[name].keys() == needed - (LEADING.keys() if name != "grid" else set()), name


def test_every_key_of_every_screen_and_widget_is_among_those_of_a_screen():
    listed = {binding.id for bindings in keys.SCREENS.values() for binding in bindings}
    for module in pkgutil.walk_packages(stitchtui.tui.__path__, "stitchtui.tui."):
        for each in vars(importlib.import_module(module.name)).values():
            if isinstance(each, type) and issubclass(each, Widget) and each.__module__ == module.name:
                found = {binding.id for binding in vars(each).get("BINDINGS", ())}
                assert found <= listed, each


class Watched(StitchApp):
    """Remembers what it was asked that would end it or a worker."""

    CSS_PATH = Path(stitchtui.tui.__file__).parent / "app.tcss"

    def __init__(self, run: RunDirectory) -> None:
        super().__init__(run)
        self.inspection = Scripted()
        chain = [cut(name, 8, 4, 4) for name in CUTS]
        self.inspection.cuts_by_name = {name: known(cuts=chain) for name in ("first.pt", "second.pt")}
        self.left, self.launched, self.stopped, self.runs_before = False, [], [], 0

    def action_leave(self) -> None:
        self.left = True


@pytest.fixture
def app(tmp_path, monkeypatch):
    """An app on the first of several runs, in a folder with two checkpoints; no worker is started or stopped."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("first.pt", "second.pt"):
        (tmp_path / name).write_bytes(b"x")
    experiment = make_experiment(description="words " * 200)
    for name, until in ((DONE, "done"), (LOST, "direct"), (GOING, "direct")):
        make_run(runs_directory(), name, experiment, CUTS, until)
    with EventWriter((runs_directory() / GOING) / "events.jsonl") as writer:
        write_steps(writer, next(task for task in resolve(experiment).tasks if task.objective == "task"), CUTS)
    for number in range(12):
        make_run(runs_directory(), f"20260101-000000-old{number:02d}", until="networks")
    crossed_run()
    honest = control.status
    monkeypatch.setattr(control, "status", lambda run, state: "running" if run.name == GOING else honest(run, state))
    made = Watched(RunDirectory(runs_directory() / DONE))
    monkeypatch.setattr(control, "launch", lambda run, *_: made.launched.append(run.name))
    monkeypatch.setattr(control, "stop", lambda run: made.stopped.append(run.name) or True)
    monkeypatch.setattr(actions, "in_background", lambda _, work: work())
    monkeypatch.setattr("stitchtui.tui.screens.presets._experiment", lambda choice: experiment)
    return made


async def begin(pilot, app, case):
    """Back to the grid as it is at first, with the case's run in it."""
    await settled(pilot)
    app.left, app.launched[:], app.stopped[:] = False, [], []
    app.clear_notifications()
    app.copy_to_clipboard("")
    app._remember(ramp="cividis")
    while type(app.screen) is not GridScreen:
        await app.pop_screen()
    app.open_run(RunDirectory(runs_directory() / case.run))
    await wait_for(pilot, lambda: app.watched.condition is not None and not app.watched.loading, "the run is read")
    await wait_for(pilot, lambda: find(app, Heatmap).selected is not None, "its grid is shown")
    find(app, Heatmap).go(0, 0)
    app.runs_before = len(all_runs())


async def press(pilot, *names):
    """Press keys one after the other, and wait for all that they lead to."""
    for key in names:
        pilot.app.simulate_key(key)
    await settled(pilot)


async def ready(pilot, app, name, case):
    """On the screen of this name, where the case's key holds."""
    way, words = WAYS[name]
    first, *others = way.split() or [""]
    await press(pilot, *([first] if first else []))
    if others:
        if first == "r":
            await runs_read(pilot)
        await settled(pilot)
        await press(pilot, *others)
    await wait_for_text(pilot, words if case.run != CROSSED else "block1")
    if name == "runs":
        await runs_read(pilot)
    if case.before.startswith(FORM):
        await press(pilot, *FORM.split())
        await wait_for(pilot, lambda: isinstance(app.focused, Choice), "the form has the keys")
        await wait_for_text(pilot, "of memory")  # the estimate is there, and takes no more room from the chains
    await press(pilot, *case.before.removeprefix(FORM).split())


@pytest.mark.parametrize("name", CASES)
async def test_every_key_does_what_it_says(app, name):
    bindings = {binding.id: binding for binding in keys.SCREENS[name]}
    async with app.run_test(size=SIZE, notifications=True) as pilot:
        await wait_for_text(pilot, "layer0")
        for id, case in CASES[name].items():
            if not case.goes_on:
                others = not case.before.startswith(FORM)  # in the form a key more costs a second, and typing is tested
            waiting = bindings[id].key.split(",")[: None if others else 1]
            while waiting:
                key, *waiting = waiting
                if case.goes_on:
                    await press(pilot, *case.before.split())
                else:
                    await begin(pilot, app, case)
                    await ready(pilot, app, name, case)
                await wait_for(pilot, lambda case=case: not case.changed(app), f"{name}: {id}, before")
                active = app.screen.active_bindings  # a key that is bound to the same there does the same
                waiting = [each for each in waiting if each not in active or active[each].binding.id != id]
                assert not (case.goes_on and waiting), f"{id} by {waiting} needs a way of its own"
                app.simulate_key(key)
                await wait_for(pilot, lambda case=case: case.changed(app), f"{name}: {id} by {key}")
                await press(pilot, *case.back.split())


async def test_the_key_of_a_screen_leads_nowhere_on_it(app):
    async with app.run_test(size=SIZE) as pilot:
        await wait_for_text(pilot, "layer0")
        for key, name in (("n", "NewScreen"), ("p", "PresetsScreen")):
            await begin(pilot, app, Case(bool))
            await press(pilot, key, key)
            await wait_for(pilot, lambda name=name: on(name)(app), f"{name} is on")
            assert [type(each).__name__ for each in app.screen_stack].count(name) == 1
