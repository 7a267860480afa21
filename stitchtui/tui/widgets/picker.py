"""The list that a network is picked from: folders of checkpoints, networks of runs, torchvision's; type to filter."""

from collections.abc import Iterable, Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from stitchtui.report.wording import printable
from stitchtui.tui.sources import SUFFIXES, Source, typed, within
from stitchtui.tui.widgets.completers import Paths
from stitchtui.tui.widgets.text_input import TextInput

_MOST = 300  # lines of the list; a filter finds the rest


class _Sources(OptionList):
    """Keeps a mark: Textual's list has none after a page that ends on a heading."""

    def action_page_up(self) -> None:
        """Move the mark a page up, at most to the first."""
        super().action_page_up()  # type: ignore[no-untyped-call]
        if self.highlighted is None:
            self.action_first()

    def action_page_down(self) -> None:
        """Move the mark a page down, at most to the last."""
        super().action_page_down()  # type: ignore[no-untyped-call]
        if self.highlighted is None:
            self.action_last()


class Picker(Vertical):
    """Lists sources under headings; posts `Marked` as the mark moves. The filter shows while it holds something."""

    DEFAULT_CSS = """
    Picker { height: 1fr; }
    Picker > #filter { display: none; }
    Picker.filtering > #filter { display: block; }
    Picker > #sources { height: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    Picker > #sources > .option-list--option-disabled { color: $text-muted; text-style: bold; }
    """

    class Marked(Message):
        """The mark moved to `source`, or to nothing."""

        def __init__(self, source: Source | None) -> None:
            super().__init__()
            self.source = source

    class Picked(Message):
        """A source was picked."""

        def __init__(self, source: Source) -> None:
            super().__init__()
            self.source = source

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._sources: list[Source] = []
        self._complete = False
        self._shown: list[Source] = []

    def compose(self) -> ComposeResult:
        """The filter and the list."""
        hint = "words to filter by, a path, timm:NAME, hf:OWNER/REPO"
        yield TextInput(placeholder=hint, id="filter", compact=True, suggester=Paths(SUFFIXES))
        yield _Sources(id="sources", compact=True, markup=False)

    @property
    def _list(self) -> OptionList:
        return self.query_one("#sources", _Sources)

    @property
    def marked(self) -> Source | None:
        """The source under the mark."""
        option = self._list.highlighted_option
        return self._shown[int(option.id)] if option is not None and option.id is not None else None

    def offer(self, sources: Sequence[Source], complete: bool) -> None:
        """List `sources`, keeping the mark where it was and the filter as it is; `complete` says that no more come."""
        if (list(sources), complete) != (self._sources, self._complete):
            self._sources, self._complete = list(sources), complete
            self._fill()

    def take_focus(self) -> None:
        """Let the keys move the mark."""
        self.screen.set_focus(self._list)

    def mark_next(self) -> None:
        """Move the mark on, to the first source again after the last."""
        self._list.action_cursor_down()

    def move(self, action: str) -> None:
        """Move the mark as the list's own keys do: `cursor_down`, `first`, ..."""
        getattr(self._list, f"action_{action}")()

    def open_filter(self) -> None:
        """Type to filter."""
        self.add_class("filtering")
        self.screen.set_focus(self.query_one("#filter", Input))

    def browse(self, folder: str) -> None:
        """List what is in `folder`, as if its path had been typed."""
        self.open_filter()
        path = self.query_one("#filter", Input)
        with path.prevent(Input.Changed):
            path.value = folder
        path.cursor_position = len(folder)
        self._fill()

    def close_filter(self) -> bool:
        """Take the filter away; return whether there was one."""
        open = self.has_class("filtering")
        self.remove_class("filtering")
        self.query_one("#filter", Input).value = ""
        if open:
            self.take_focus()
        return open

    @on(Input.Changed, "#filter")
    def _filter(self, event: Input.Changed) -> None:
        event.stop()
        self._fill()

    @on(OptionList.OptionHighlighted)
    def _marked(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(self.Marked(self.marked))

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.pick()

    def pick(self) -> None:
        """Pick what is marked."""
        if self.marked is not None:
            self.post_message(self.Picked(self.marked))

    def _fill(self) -> None:
        before = self.marked
        text = self.query_one("#filter", Input).value
        words = text.lower().split()
        below = within(text)
        found = below or [source for source in self._sources if source.matches(words)]
        path = typed(text)
        self._shown = ([path] if path is not None else []) + [each for each in found if each != path]
        self._list.set_options(self._options(self._shown, text))
        if self._shown:
            # By what it is called: more may be known of it than before.
            here = [
                place for place, each in enumerate(self._shown) if before is not None and each.value == before.value
            ]
            wanted = here[0] if here and path is None else 0
            places = {option.id: place for place, option in enumerate(self._list.options)}
            self._list.highlighted = places.get(str(wanted), 1)
        else:
            self.post_message(self.Marked(None))

    def _options(self, shown: Sequence[Source], text: str) -> Iterable[Option]:
        ascii = bool(getattr(self.app, "ascii", False))
        group = None
        for index, source in enumerate(shown[:_MOST]):
            if source.group != group:
                group = source.group
                yield Option(_line(printable(group, ascii)), disabled=True)
            label, detail = printable(source.label, ascii), printable(source.detail, ascii)
            yield Option(_line(f"  {label}", f"  {detail}"), id=str(index))
        if len(shown) > _MOST:
            yield Option(_line(f"and {len(shown) - _MOST} more: / to filter"), disabled=True)
        if not shown:
            yield Option(
                _line("nothing here is called that" if text else "no checkpoint below this folder"), disabled=True
            )


def _line(text: str, detail: str = "") -> Content:
    return Content.assemble(text, (detail, "$text 80%"))
