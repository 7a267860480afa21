"""Lines of text that are sent to the terminal only where they differ; what status, inspector and plots are made of."""

from collections.abc import Iterable, Sequence
from itertools import zip_longest

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

_NOTHING = Text()
_APART = 12  # terminal cells; a second piece of a line costs a move and its colours


class Lines(Widget):
    """Draws a list of texts, one a line, cut off at the widget's width. Nothing in them is read as markup."""

    ALLOW_SELECT = False

    class Resized(Message):
        """A widget whose lines depend on its size has another one."""

        def can_replace(self, message: Message) -> bool:
            """Whether this makes an older message in the queue superfluous."""
            return isinstance(message, Lines.Resized)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._texts: list[Text] = []

    def show(self, lines: Iterable[Text | str]) -> None:
        """Draw `lines`; of those that are as before, nothing is sent."""
        texts = [Text(line) if isinstance(line, str) else line for line in lines]
        before, self._texts = self._texts, texts
        if len(before) != len(texts) and self.styles.auto_dimensions:
            self.refresh(layout=True)
            return
        if not self.size:  # it is hidden: no line that Textual keeps for when it is shown again holds any more
            self.refresh()
            return
        for y, (one, other) in enumerate(zip_longest(before, texts, fillvalue=_NOTHING)):
            if y < self.size.height and not _same(one, other):
                old, new = (_cells(self._segments(text), self.size.width) for text in (one, other))
                if spans := differing(old, new):
                    self.refresh(*(Region(start, y, end - start, 1) for start, end in spans))

    def _segments(self, text: Text) -> list[Segment]:
        if text.spans:
            return list(text.render(self.app.console))
        return [Segment(text.plain, self.app.console.get_style(text.style))]  # rich forgets the style of such a text

    def on_resize(self, _event: events.Resize) -> None:
        """Ask the screen for lines that fit."""
        if not self.styles.auto_dimensions:
            self.post_message(self.Resized())

    @property
    def texts(self) -> Sequence[Text]:
        """The lines that are drawn."""
        return self._texts

    def get_content_height(self, _container: object, _viewport: object, _width: int) -> int:
        """Return the height: a row for each line."""
        return len(self._texts)

    def render_line(self, y: int) -> Strip:
        """The line at `y`."""
        style, width = self.rich_style, self.size.width
        if y >= len(self._texts):
            return Strip.blank(width, style)
        text = self._texts[y]
        strip = Strip(self._segments(text), text.cell_len).apply_style(style)
        return strip.adjust_cell_length(width, style).simplify()


def _same(one: Text, other: Text) -> bool:
    return (one.plain, one.spans, one.style) == (other.plain, other.spans, other.style)


def _cells(segments: Iterable[Segment], width: int) -> list[tuple[str, Style | None]]:
    """What stands in each terminal cell of a line, and how; a wide character stands in two, the second marked."""
    cells: list[tuple[str, Style | None]] = []
    for text, style, _ in segments:
        for character in text:
            length = cell_len(character)
            if length or not cells:
                cells += [(character, style), (f"{character}, on", style)][:length]
            else:  # an accent, drawn over what is before it
                cells[-1] = (cells[-1][0] + character, style)
    return [*cells, *([(" ", Style.null())] * width)][:width]


def differing(one: Sequence[object], other: Sequence[object]) -> list[tuple[int, int]]:
    """Where two sequences of one length differ, as (start, end); what is nearly one is one, since each costs a move."""
    spans: list[tuple[int, int]] = []
    for place, pair in enumerate(zip(one, other, strict=True)):
        if pair[0] != pair[1]:
            start = spans.pop()[0] if spans and place - spans[-1][1] < _APART else place
            spans.append((start, place + 1))
    return spans
