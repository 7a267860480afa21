"""The cuts of both networks side by side, to be chosen by marking them."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from stitchtui.report.wording import ending, printable
from stitchtui.tui import keys
from stitchtui.tui.cut_pairs import Cut, shape_text
from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import ENDS, End
from stitchtui.tui.screens.dialog import Dialog
from stitchtui.tui.widgets.hints import Hints

Marks = Mapping[End, Sequence[str]]
"""The names of the cuts that are marked of each end, in their order; none of the top where they are the bottom's."""


class CutList(OptionList):
    """The cuts of one network, a line each, with a mark before those that are chosen."""

    def __init__(self, cuts: Sequence[Cut], marked: set[str], *, id: str) -> None:
        super().__init__(*(Option("") for _ in cuts), id=id, compact=True, markup=False)
        self._cuts, self._marked = list(cuts), set(marked)

    @property
    def marked(self) -> list[str]:
        """The names of the marked cuts, from input to output."""
        return [cut["name"] for cut in self._cuts if cut["name"] in self._marked]

    def on_mount(self) -> None:
        """Begin at the first that is marked."""
        places = [place for place, cut in enumerate(self._cuts) if cut["name"] in self._marked]
        self.highlighted = places[0] if places else 0 if self._cuts else None

    def on_resize(self, _event: events.Resize) -> None:
        """Fit the names into the new width."""
        self._draw(range(len(self._cuts)))

    def mark(self) -> None:
        """Mark the cut under the cursor, or take its mark away."""
        if self.highlighted is not None:
            self._marked ^= {self._cuts[self.highlighted]["name"]}
            self._draw([self.highlighted])

    def mark_all(self) -> None:
        """Take all marks away; where there are none, mark every cut."""
        self._marked = set() if self._marked else {cut["name"] for cut in self._cuts}
        self._draw(range(len(self._cuts)))

    def _draw(self, places: Sequence[int]) -> None:
        ascii = bool(getattr(self.app, "ascii", False))
        shapes = max(len(shape_text(cut)) for cut in self._cuts) if self._cuts else 0
        room = max(6, self.scrollable_content_region.width - shapes - 5)  # 5: the mark, a gap on either side
        for place in places:
            cut = self._cuts[place]
            name = ending(printable(cut["name"], ascii), room, ascii)
            mark = "[x]" if cut["name"] in self._marked else "[ ]"
            line = Text(f"{mark} {name:<{room}} {shape_text(cut)}", no_wrap=True)
            self.replace_option_prompt_at_index(place, line)


class MarksScreen(Dialog[Marks | None]):
    """Two lists, with marks at the cuts that a draft uses; dismissed with those that are marked then, or None."""

    DEFAULT_CSS = """
    MarksScreen > Vertical { width: 100; padding: 0 1; }
    MarksScreen Horizontal { height: auto; }
    MarksScreen Horizontal > Vertical { width: 1fr; height: auto; }
    MarksScreen Horizontal Static { height: 1; text-style: bold; }
    MarksScreen #of_top { color: $text-muted; margin-left: 1; }
    MarksScreen CutList { height: auto; scrollbar-size-vertical: 1; }
    MarksScreen #note { height: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.MARKS]

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._draft = draft

    def compose(self) -> ComposeResult:
        """Both lists, each under its network's name, what none marked means, the keys."""
        with Vertical():
            with Horizontal():
                for end in ENDS:
                    said = end == "bottom" or bool(self._draft.value("top_cuts")) or ":" in self._draft.value("cuts")
                    marked = {cut["name"] for cut in self._draft.chosen_cuts(end)} if said else set()
                    with Vertical(id=f"of_{end}"):
                        yield Static(markup=False, classes="name")
                        yield CutList(self._draft.cuts(end), marked, id=end)
            yield Static("no mark at the top: where the bottom's meet it", markup=False, id="note")
        yield Hints()

    def on_mount(self) -> None:
        """Begin with the bottom's, at a height that leaves room for the rest."""
        self.set_focus(self.query_one("#bottom"))
        self._fit()

    def on_resize(self, _event: events.Resize) -> None:
        """Keep everything on the screen."""
        self._fit()

    def _fit(self) -> None:
        ascii, room = bool(getattr(self.app, "ascii", False)), min(100, self.app.size.width) // 2 - 3
        for end, name, listed in zip(ENDS, self.query(".name").results(Static), self.query(CutList), strict=True):
            about = ending(printable(self._draft.ends()[end], ascii), room - len(end) - 1, ascii)
            name.update(Text(f"{end} {about}", no_wrap=True))
            listed.styles.max_height = max(1, self.app.size.height - 5)  # 5: the frame, a name, the note, the keys

    @property
    def _here(self) -> CutList:
        return self.query_one("#top" if self.focused is self.query_one("#top") else "#bottom", CutList)

    def action_mark(self) -> None:
        """Mark the cut under the cursor, or take its mark away."""
        self._here.mark()

    def action_mark_all(self) -> None:
        """Take all marks of this list away, or mark all."""
        self._here.mark_all()

    def action_other(self) -> None:
        """Give the keys to the other list."""
        self.set_focus(self.query_one("#bottom" if self._here.id == "top" else "#top"))

    def action_list(self, action: str) -> None:
        """Move in the list, as its own keys do."""
        getattr(self._here, f"action_{action}")()

    def action_take(self) -> None:
        """Take what is marked; nothing marked changes nothing."""
        marks = {end: self.query_one(f"#{end}", CutList).marked for end in ENDS}
        self.dismiss(marks if marks["bottom"] else None)

    def action_leave(self) -> None:
        """Leave the cuts as they were."""
        self.dismiss(None)
