"""Every run there is: open, stop, resume, compare two, export."""

import contextlib
from pathlib import Path
from typing import ClassVar, cast

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input, Static

from stitchtui.base.paths import runs_directory
from stitchtui.base.text import duration, plain
from stitchtui.report.wording import listed, printable, shortened, to_ascii
from stitchtui.run.about import About
from stitchtui.run.directory import RunDirectory
from stitchtui.tui import keys
from stitchtui.tui.catalogue import Entry, Lookout
from stitchtui.tui.clipboard import copy
from stitchtui.tui.conditions import CONDITIONS, legend
from stitchtui.tui.screens import actions
from stitchtui.tui.shell import Shell
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.run_list import RunList, words
from stitchtui.tui.widgets.text_input import TextInput

_ORDERS = ("newest", "name", "status")
_OF_ONE = ("open", "stop", "resume", "mark", "compare", "label", "delete", "export", "copy")  # what is done to a run
_RANK = tuple(CONDITIONS)


class _Read(Message):
    """Other runs than before are there, or other things are known of them."""

    def __init__(self, entries: list[Entry]) -> None:
        super().__init__()
        self.entries = entries

    def can_replace(self, message: Message) -> bool:
        """Whether this makes an older message in the queue superfluous."""
        return isinstance(message, _Read)


class RunsScreen(Screen[None]):
    """The list of runs, kept fresh while it is on screen, with what is known of the one under the cursor."""

    DEFAULT_CSS = """
    RunsScreen #summary { height: 1; text-style: bold; }
    RunsScreen #filter { height: 1; border: none; padding: 0; display: none; }
    RunsScreen #filter.-open { display: block; }
    RunsScreen #facts { height: 6; border-top: solid $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.RUNS]

    def __init__(self) -> None:
        super().__init__()
        self._entries: list[Entry] | None = None
        self._marked: list[Path] = []
        self._order = 0
        self._words: list[str] = []
        self._lookout: Lookout | None = None

    @property
    def stitch_app(self) -> Shell:
        """The app, as what it is."""
        return cast(Shell, self.app)

    @property
    def legend(self) -> dict[str, str]:
        """What the glyphs in the list mean."""
        return legend()

    @property
    def unready(self) -> bool:
        """Whether the runs are still to be read."""
        return self._entries is None or any(entry.condition is None for entry in self._entries)

    def compose(self) -> ComposeResult:
        """A line that counts, the filter, the list, what is known of one, the keys."""
        yield Static("reading the runs", id="summary", markup=False)
        yield TextInput(placeholder="part of a name, label, setting, title or status", id="filter", compact=True)
        yield RunList(self.stitch_app.ascii, id="runs")
        yield Static(id="facts", markup=False)
        yield Hints()

    def on_mount(self) -> None:
        """Begin to look for runs."""
        self.set_focus(self.query_one(RunList))
        self._lookout = Lookout(self._tell, self.stitch_app.catalogue)

    def _tell(self, entries: list[Entry]) -> None:
        self.post_message(_Read(entries))

    def on_unmount(self) -> None:
        """End the thread that looks."""
        if self._lookout is not None:
            self._lookout.close()

    def on_screen_suspend(self) -> None:
        """Look no more while another screen covers this one."""
        if self._lookout is not None:
            self._lookout.pause()

    def on_screen_resume(self) -> None:
        """Look again."""
        if self._lookout is not None:
            self._lookout.resume()

    def on_resize(self) -> None:
        """Fit what is known of a run into the new width."""
        self._highlighted()

    @on(_Read)
    def _take(self, message: _Read) -> None:
        self._entries = message.entries
        known = {entry.directory.path for entry in message.entries}
        self._marked = [path for path in self._marked if path in known]
        with contextlib.suppress(NoMatches):  # the screen is being left, its widgets are gone
            self._draw()

    def _draw(self) -> None:
        if self._entries is None:
            return
        shown = self._sorted([entry for entry in self._entries if self._wanted(entry)])
        self.query_one(RunList).show(shown, frozenset(self._marked))
        self.query_one("#summary", Static).update(self._text(self._summary(len(shown))))
        self._draw_facts()

    def _wanted(self, entry: Entry) -> bool:
        told = (entry.directory.name, words(entry), entry.about.note, entry.title, entry.condition, entry.verdicts)
        text = " ".join(map(str, told)).lower()
        return all(word in text for word in self._words)

    def _sorted(self, entries: list[Entry]) -> list[Entry]:
        match _ORDERS[self._order]:
            case "name":
                return sorted(entries, key=lambda entry: entry.experiment or entry.directory.name)
            case "status":
                return sorted(entries, key=_rank)
        return entries

    def _summary(self, shown: int) -> str:
        entries = self._entries or []
        if not entries:
            return "no runs yet: n starts one, p lists the presets"
        going = sum(entry.goes_on for entry in entries)
        parts = [f"{len(entries)} runs" if len(entries) != 1 else "1 run", f"{going} going on"]
        if self._words:
            parts.append(f"{shown} with '{' '.join(self._words)}'")
        if self._marked:
            parts.append(f"{len(self._marked)} marked" + (": c compares" if len(self._marked) == 2 else ""))
        if self._order:
            parts.append(f"by {_ORDERS[self._order]}")
        return ", ".join(parts)

    def _draw_facts(self) -> None:
        entry = self.query_one(RunList).chosen
        facts = [f"looking in {runs_directory().absolute()}"] if entry is None else _facts(entry)
        room = max(1, self.size.width)
        lines = [*(shortened(printable(fact), room) for fact in facts[:3]), *map(printable, facts[3:])]
        self.query_one("#facts", Static).update(self._text("\n".join(lines), clean=True))

    def _text(self, text: str, clean: bool = False) -> Text:
        safe = text if clean else printable(text)
        return Text("\n".join(map(to_ascii, safe.split("\n"))) if self.stitch_app.ascii else safe)

    @on(RunList.Highlighted)
    def _highlighted(self) -> None:
        with contextlib.suppress(NoMatches):  # the screen is being left, its widgets are gone
            self._draw_facts()
            self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys do something for the run under the cursor, if there is one.

        Stop one that goes on, resume one that doesn't and has something left, delete one that is over.
        """
        if action not in _OF_ONE:
            return super().check_action(action, parameters)
        lists = self.query(RunList)
        entry = lists.first().chosen if lists else None
        if entry is None:
            return False
        return {"stop": entry.goes_on, "resume": entry.resumable, "delete": entry.over}.get(action, True)

    @on(RunList.Chosen)
    def action_open(self) -> None:
        """Watch the run under the cursor."""
        if (entry := self._chosen()) is not None:
            self.stitch_app.open_run(entry.directory)

    def _chosen(self) -> Entry | None:
        entry = self.query_one(RunList).chosen
        if entry is None:
            self.notify("there is no run here", severity="warning", markup=False)
        return entry

    def action_stop(self) -> None:
        """Ask, then stop the run under the cursor."""
        if (entry := self._chosen()) is not None:
            actions.ask_stop(self.app, entry.directory)

    def action_resume(self) -> None:
        """Go on with the run under the cursor."""
        if (entry := self._chosen()) is not None:
            actions.resume(self.app, entry.directory)

    def action_mark(self) -> None:
        """Mark the run under the cursor or take its mark away; a third mark replaces the older of the two."""
        if (entry := self._chosen()) is None:
            return
        path = entry.directory.path
        others = [each for each in self._marked if each != path]
        self._marked = others if path in self._marked else [*others[-1:], path]
        self._draw()

    def action_compare(self) -> None:
        """Compare the two marked runs, in the order of the list from old to new, or the marked with this one."""
        from stitchtui.tui.screens.compare import CompareScreen

        entry = self.query_one(RunList).chosen
        wanted = list(self._marked)
        if len(wanted) == 1 and entry is not None and entry.directory.path not in wanted:
            wanted.append(entry.directory.path)
        if len(wanted) < 2:
            self.notify("mark two runs with space first", severity="warning", markup=False)
            return
        both = [each.directory for each in reversed(self._entries or []) if each.directory.path in wanted]
        self.app.push_screen(CompareScreen(both[0], both[1]))

    def action_label(self) -> None:
        """Write a label and a note."""
        from stitchtui.tui.screens.label import LabelScreen

        if (entry := self._chosen()) is None:
            return
        directory = entry.directory

        def answered(about: About | None) -> None:
            if about is not None and about != entry.about:
                actions.in_background(self.app, lambda: self._keep(directory, about))

        self.app.push_screen(LabelScreen(directory.name, entry.about), answered)

    def _keep(self, directory: RunDirectory, about: About) -> None:
        directory.write_about(label=about.label, note=about.note)
        self._hurry()

    def action_delete(self) -> None:
        """Ask twice, then delete the run under the cursor."""
        if (entry := self._chosen()) is None:
            return
        name, others = entry.directory.name, self._entries or []
        takers = [each.directory.name for each in others if name in each.origins and each.directory.name != name]
        facts = [f"{entry.condition}: {entry.plan or 'nothing measured'}"]
        facts += [f"cells of it were taken over by {listed(takers)}; they keep their numbers"] if takers else []
        actions.ask_delete(self.app, entry.directory, "\n".join(facts), self._deleted)

    def _deleted(self, directory: RunDirectory) -> None:
        self.stitch_app.forget_run(directory)
        self._hurry()

    def _hurry(self) -> None:
        if self._lookout is not None:
            self._lookout.hurry()

    def action_export(self) -> None:
        """Write the numbers of the run under the cursor to a file."""
        from stitchtui.tui.screens.export import ExportScreen

        if (entry := self._chosen()) is not None:
            self.app.push_screen(ExportScreen(entry.directory))

    def action_copy(self) -> None:
        """Copy the path of the run under the cursor."""
        if (entry := self._chosen()) is not None:
            copy(self.app, str(entry.directory.path.absolute()), "the run's path")

    def action_sort(self) -> None:
        """Sort by the next of age, name and status."""
        self._order = (self._order + 1) % len(_ORDERS)
        self._draw()

    def action_filter(self) -> None:
        """Open the filter."""
        field = self.query_one("#filter", Input)
        field.add_class("-open")
        self.set_focus(field)

    @on(Input.Changed, "#filter")
    def _filtered(self, event: Input.Changed) -> None:
        self._words = plain(event.value).lower().split()
        self._draw()

    @on(Input.Submitted, "#filter")
    def _filter_taken(self) -> None:
        self.set_focus(self.query_one(RunList))

    def action_back(self) -> None:
        """Close the filter if there is one, else this screen."""
        field = self.query_one("#filter", Input)
        if field.has_class("-open"):
            field.value = ""
            field.remove_class("-open")
            self.set_focus(self.query_one(RunList))
        else:
            self.dismiss()


def _rank(entry: Entry) -> int:
    return len(_RANK) if entry.condition is None else _RANK.index(entry.condition)


def _facts(entry: Entry) -> list[str]:
    """What the list has no room for: three lines, and one that may be long."""
    if entry.condition is None:
        return [entry.directory.name, "reading"]
    first = ": ".join(filter(None, (entry.about.label, entry.title or entry.experiment or entry.directory.name)))
    took = "" if entry.took is None else f"took {duration(entry.took)}"
    left = "" if entry.remaining is None else f"about {duration(entry.remaining)} left"
    second = ", ".join(fact for fact in (entry.device, took, left, entry.plan) if fact)
    last = (entry.reason or entry.verdicts or "no verdict yet", ", ".join(entry.differs), entry.about.note)
    return [first, second, str(entry.directory.path), "; ".join(filter(None, last))]
