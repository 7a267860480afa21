"""New: pick a bottom and a top, see where they fit, set what is to be measured, start it."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.css.query import NoMatches
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Static
from textual.worker import Worker

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.report.wording import printable, to_ascii
from stitchtui.run.directory import all_runs
from stitchtui.tui import cut_pairs, draft, keys, recipe, sources
from stitchtui.tui.asker import Asker, Work
from stitchtui.tui.clipboard import copy
from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import BY_HAND, ENDS, OWN, End
from stitchtui.tui.inspection import Answer, Inspection
from stitchtui.tui.screens import actions
from stitchtui.tui.screens.marks import Marks, MarksScreen
from stitchtui.tui.shell import Shell
from stitchtui.tui.sources import Source
from stitchtui.tui.widgets.chains import Chains
from stitchtui.tui.widgets.form import LABELS, Form
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.outlook import Outlook
from stitchtui.tui.widgets.picker import Picker
from stitchtui.tui.widgets.reading import Reading


class _Found(Message):
    """What a thread found to pick from."""

    def __init__(self, kind: str, sources: list[Source]) -> None:
        super().__init__()
        self.kind, self.sources = kind, sources


class NewScreen(Screen[None]):
    """Draws a Draft. `prepared` is an experiment as `Experiment.plain()` gives it; with a key `origin`, what
    `stitchtui run` calls it: a preset's name, a TOML file, or a list of words."""

    DEFAULT_CSS = """
    NewScreen #said { height: auto; max-height: 2; padding: 0 1; }
    NewScreen #body { height: 1fr; layout: vertical; }
    NewScreen #left { height: 1fr; padding: 0 1; }
    NewScreen #right { height: auto; max-height: 40%; padding: 0 1; scrollbar-gutter: stable; }
    NewScreen.picking #form { display: none; }
    NewScreen.picking Outlook { display: none; }
    NewScreen.picking.-narrow #right { max-height: 7; }
    NewScreen.filling #picker { display: none; }
    NewScreen.filling #left { height: auto; max-height: 60%; }
    NewScreen.filling #right { height: 1fr; max-height: 100%; }
    NewScreen.-side #body { layout: horizontal; }
    NewScreen.-side #left { width: 1fr; height: 1fr; max-height: 100%; }
    NewScreen.-side #right { width: 1fr; height: 1fr; max-height: 100%; }
    NewScreen Hints { height: 1; }
    """
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-side")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*keys.NEW, *keys.CUTS]

    def __init__(self, prepared: Mapping[str, Any] | None = None, inspection: Inspection | None = None) -> None:
        super().__init__()
        self._given, self._own = inspection, False
        self._draft = draft.from_prepared(prepared) if prepared else Draft()
        # In the order of the list; None where it isn't known yet.
        self._sources: dict[str, list[Source] | None] = {"first": [], "files": None, "runs": None, "torchvision": None}
        self._form: Form | None = None  # once it is there
        self._devices: list[str] | None = None  # once they are known
        self._glimpsed: Answer | None = None  # what the inspector says of the network under the mark
        self._estimate = ""
        self._starting = False  # whether it was asked for, and waits for the networks to be checked
        self._marking = False  # whether the list of cuts was, which waits for them

    @property
    def draft(self) -> Draft:
        """What has been chosen."""
        return self._draft

    @property
    def picking(self) -> bool:
        """Whether a network is still to be picked."""
        return not self._draft.complete

    async def _add_form(self) -> None:
        """Make the form, of many widgets, behind the list: that is shown first, and mostly needed first."""
        form = Form(id="form")
        await self.query_one("#left", Reading).mount(form)
        self._form = form
        if not self.picking:
            self._step()

    @property
    def _in_use(self) -> bool:
        """Whether there is something to draw on: an answer may come when this screen has been left."""
        return self.is_mounted and self in self.app.screen_stack

    @property
    def unready(self) -> bool:
        """Whether what lies on this machine is still to be listed, or the form made; or the networks to be checked,
        on which depends what the form asks for and offers, and whether the run starts; or the options of a choice."""
        if self.picking:
            return self._sources["files"] is None or self._sources["runs"] is None
        if self._form is None or self._form.waits or self._marking:
            return True
        return self._checking and (self._form.untouched or self._starting)

    def compose(self) -> ComposeResult:
        """What is to be done, list or form, the chains, what will happen, the keys."""
        yield Static(id="said", markup=False)
        with Container(id="body"):
            with Reading(id="left"):
                yield Picker(id="picker")
            with Reading(id="right"):
                yield Chains(id="chains")
        yield Outlook()
        yield Hints()

    def on_mount(self) -> None:
        """List what can be picked; the slow parts follow from a thread and from the inspector."""
        given = self._given or getattr(self.app, "inspection", None)
        self._inspection, self._own = given or Inspection(), given is None
        self._ask = Asker(self._inspection, self, self._beside)
        if not all_runs():
            self._sources["first"] = [sources.QUICKSTART]
        self.call_after_refresh(self._add_form)
        self.call_after_refresh(self._inspection.start)
        threading.Thread(target=self._look_around, daemon=True).start()
        self._ask.names(self._named)
        with contextlib.suppress(NoMatches):  # it was left before it was there
            self._step()
        self._ask_about_both()

    def _beside(self, work: Work, group: str) -> "Worker[None]":
        return self.run_worker(work, group=group, exclusive=True)

    def on_unmount(self) -> None:
        """End an inspector of our own."""
        if self._own:
            self._inspection.close()

    def on_resize(self, _event: events.Resize) -> None:
        """Fit the chains into the new width."""
        self.call_after_refresh(self._draw)

    def _look_around(self) -> None:
        places: dict[str, Callable[[], list[Source]]] = {
            "files": sources.files,
            "runs": lambda: sources.of_runs(all_runs()),
        }
        for kind, look in places.items():
            found = look()
            with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
                self.post_message(_Found(kind, found))

    @on(_Found)
    def _take_found(self, message: _Found) -> None:
        self._offer(message.kind, message.sources)

    def _named(self, said: Answer) -> None:
        self._devices = list(said.get("devices", []))
        self._offer("torchvision", sources.of_torchvision(said.get("torchvision", [])))
        self._draw()

    def _offer(self, kind: str, found: list[Source]) -> None:
        self._sources[kind] = found
        with contextlib.suppress(NoMatches):
            if self._in_use:
                self._list()

    def _list(self) -> None:
        listed: list[Source] = []
        kinds = dict(self._sources)
        if kinds["files"] is not None and kinds["runs"] is not None:
            files, kinds["runs"] = sources.merged(kinds["files"], kinds["runs"])
            kinds["files"] = [*files, sources.BROWSE]
        for kind, found in kinds.items():
            if found is None:
                break  # what comes later waits, so that the list only grows at its end and nothing moves under the mark
            if kind != "first" or not self._draft.picked:
                listed += found
        self.query_one(Picker).offer(listed, self._sources["torchvision"] is not None)

    def _step(self) -> None:
        """Show the list or the form, whichever is due, and give it the keys."""
        self.set_class(self.picking, "picking")
        self.set_class(not self.picking, "filling")
        if self.picking:
            self._list()
            self.query_one(Picker).take_focus()
        elif self._form is not None:
            self._form.take_focus(self._draft)
        self._draw()
        self.refresh_bindings()

    def _draw(self) -> None:
        """Bring everything on the screen up to the draft, unless the screen is being left."""
        with contextlib.suppress(NoMatches):
            if self._in_use:
                self._draw_all()

    def _draw_all(self) -> None:
        self._say(self._draft.heading())
        if not self.picking:
            _, problems = recipe.check(self._draft)
            if self._form is not None:
                self._form.draw(self._draft, problems, self._devices)
            self.query_one(Outlook).show(self._reason(problems), self._expected, recipe.command(self._draft))
        right = self.query_one("#right")
        width = right.scrollable_content_region.width - right.styles.padding.width or self.size.width - 2
        self.query_one(Chains).draw(self._shown(), max(20, width), reasons=self.picking)

    @property
    def _expected(self) -> str:
        """What the run will take, or what is still to be done before that is known."""
        if not self._checking:
            return self._estimate
        return "checking the networks; it starts once they can be used" if self._starting else "checking..."

    def _say(self, text: str) -> None:
        ascii = bool(getattr(self.app, "ascii", False))
        self.query_one("#said", Static).update(Text(to_ascii(printable(text)) if ascii else printable(text)))

    def _reason(self, problems: dict[str, str]) -> str:
        labelled = ((name if name in ENDS else LABELS.get(name, name), reason) for name, reason in problems.items())
        return next((f"{label}: {reason}" if label else reason for label, reason in labelled), "")

    def _shown(self) -> Draft:
        """The draft, with the network under the mark at the end that is being picked."""
        marked = self.query_one(Picker).marked
        if not self.picking or marked is None or marked.preset or marked.folder:
            return self._draft
        end, trial = self._draft.next_end, self._trial(marked)
        unasked: Answer | None = None if trial.may_look(end) else {}  # is looked at once it is picked
        glimpsed = self._glimpsed or unasked
        trial.answers |= {end: glimpsed} if glimpsed is not None else {}
        return trial

    def _trial(self, source: Source) -> Draft:
        """The draft with this network at the end that is being picked."""
        picked = {**self._draft.picked, self._draft.next_end: source}
        return replace(self._draft, picked=picked, answers=self._draft.answers.copy())

    @on(Picker.Marked)
    def _marked(self, message: Picker.Marked) -> None:
        self._glimpsed = None
        if self.picking:
            self._draw()
            end = self._draft.next_end
            if message.source is not None and (trial := self._trial(message.source)).may_look(end):
                self._ask.glimpse(message.source, trial.question(end) or {}, trial.value("data"))

    def glimpsed(self, source: Source, answer: Answer) -> None:
        """Show the answer on the network under the mark."""
        with contextlib.suppress(NoMatches):
            marked = self.query_one(Picker).marked
            if self._in_use and self.picking and marked is not None and marked.value == source.value:
                # What its network is can be said once it is picked.
                self._glimpsed = {} if answer.get("field") == "architecture" else answer
                self._draw()

    @on(Picker.Picked)
    def _picked(self, message: Picker.Picked) -> None:
        if self.picking:
            self._pick(message.source)

    def _pick(self, source: Source) -> None:
        if source.folder:
            self.query_one(Picker).browse(source.value)
            return
        if reason := self._unusable(source):
            self.notify(reason, severity="error", markup=False)
            return
        if source.preset:
            self._take_preset(source.value)
        else:
            end, data = self._draft.next_end, self._draft.value("data")
            self._draft.picked[end] = source
            if data == self._draft.value("data"):
                self._ask.about(self._draft, end)
                self._think()
            else:  # whether the other fits is another question now
                self._ask_about_both()
        self.query_one(Picker).close_filter()
        self._step()
        if self.picking:
            self.query_one(Picker).mark_next()

    def _unusable(self, source: Source) -> str:
        """Why this network can't be used whatever else is said, in one line; empty where it may be, or isn't known."""
        answer = self._glimpsed if source == self.query_one(Picker).marked else None
        return plain(answer["error"]) if answer and answer.get("field") == "checkpoint" else ""

    def _take_preset(self, name: str) -> None:
        try:
            self._draft = draft.from_preset(name)
        except BadInput as error:
            self.notify(plain(error), severity="error", markup=False)
        self._ask_about_both()

    @on(Form.Changed)
    def _changed(self, message: Form.Changed) -> None:
        before = {end: self._draft.question(end) for end in ENDS}
        if not self._draft.set(message.field, message.value):
            return
        for end in ENDS:
            if message.field == "data" or self._draft.question(end) != before[end]:
                self._ask.about(self._draft, end, typed=True)
        self._draw()
        if message.value == BY_HAND and self._form is not None:
            self._form.focus_on(OWN + message.field)
        elif self.focused is not None:  # a reason may have pushed it out of sight
            self.call_after_refresh(self.focused.scroll_visible, animate=False)
        self._think()

    def _ask_about_both(self) -> None:
        self._ask.about_both(self._draft)
        self._think()

    def answered(self, end: End, question: dict[str, Any], answer: Answer) -> None:
        """Take the answer on a network, if it is still the one that was asked about."""
        if self._in_use and question == self._draft.question(end):
            needed = self._draft.needs_architecture(end)
            self._draft.take(end, question, answer)
            self._draw()
            differs = self._draft.needs_architecture(end) != needed
            if differs and not self.picking and self._form is not None and self._form.untouched:
                self._form.take_focus(self._draft)
            starting, marking = self._starting, self._marking
            self._think()
            if starting:
                self.action_start()
            elif marking and self._form is not None and self._form.at == "cuts":
                self.action_mark_cuts()

    def _think(self) -> None:
        """Estimate the draft once it has stood still for a while."""
        self._estimate, self._starting, self._marking = "", False, False
        self._ask.think(self._wanted)

    def _wanted(self) -> tuple[dict[str, Any], str] | None:
        if self.picking or self._checking:
            return None
        experiment, _ = recipe.check(self._draft)
        return None if experiment is None else (experiment.plain(), self._draft.value("device"))

    @property
    def _checking(self) -> bool:
        """Whether the inspector looks at networks that were picked."""
        return self._draft.document is None and any(self._draft.asking(end) for end in ENDS)

    def estimated(self, answer: Answer | None) -> None:
        """Say how long it takes and how much memory."""
        self._estimate = "estimating time and memory..." if answer is None else cut_pairs.estimate_text(answer)
        self._draw()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys mean something here."""
        if action in ("pick", "filter"):
            return self.picking
        if action in ("start", "copy", "swap"):
            return not self.picking and (action != "swap" or self._draft.document is None)
        if action == "mark_cuts":
            return not self.picking and self._form is not None and self._form.at == "cuts"
        return super().check_action(action, parameters)

    def action_pick(self) -> None:
        """Pick what is marked, at once, so that the next key already finds what follows from it."""
        if (source := self.query_one(Picker).marked) is not None:
            self._pick(source)

    def action_start(self) -> None:
        """Start the run and show its grid."""
        experiment, problems = recipe.check(self._draft)
        if experiment is None:
            self._draw()
            if self._form is not None:
                self._form.focus_problem(self._draft, problems)
            return
        if self._checking:
            self._starting = True
            self._draw()
            return
        try:
            directory = actions.start(experiment, recipe.worker_arguments(self._draft))
        except (BadInput, OSError) as error:
            self.query_one(Outlook).show(str(error), "", recipe.command(self._draft))
            return
        self._inspection.rest()  # an estimate would hold memory, on a GPU too, and cores that the run wants
        cast(Shell, self.app).open_run(directory)

    def action_filter(self) -> None:
        """Type to filter the list."""
        self.query_one(Picker).open_filter()

    def action_copy(self) -> None:
        """Copy the equivalent command line."""
        if command := recipe.command(self._draft):
            copy(self.app, command, "the command")
        else:
            self.notify("nothing to copy: this experiment gets a file of its own as it starts", markup=False)

    def action_swap(self) -> None:
        """Let bottom and top change places."""
        self._draft.swap()
        self._ask_about_both()  # whose data it is may be another's now
        self._draw()

    def action_mark_cuts(self) -> None:
        """Show the cuts in a list to mark them in, once they are known."""
        self._marking = any(self._draft.asking(end) for end in ENDS)
        if self._marking:
            return
        if self._draft.cuts("bottom"):
            self.app.push_screen(MarksScreen(self._draft), self._mark_cuts)
        else:
            self.notify("its cuts can't be listed: the bottom's aren't known", markup=False)

    def _mark_cuts(self, marked: Marks | None) -> None:
        if marked is not None:
            self._draft.mark(marked)
            self._draw()
            self._think()

    def action_move(self, action: str) -> None:
        """Move in the list, or between the fields."""
        if self.picking:
            self.query_one(Picker).move(action)
        elif self._form is not None:
            self._form.move(action)

    def action_scroll_chains(self, by: int) -> None:
        """Show other cuts, where they don't all fit; while a network is picked, other networks."""
        way = "page_down" if by > 0 else "page_up"
        if self.picking:
            self.query_one(Picker).move(way)
        else:
            self.query_one("#right", Reading).turn(way)

    def action_back(self) -> None:
        """Close the filter, or unpick the last network, or leave."""
        if self.picking and self.query_one(Picker).close_filter():
            return
        self._starting = self._marking = False
        if self._draft.unpick():
            self._step()
        else:
            self.dismiss()
