"""Lines of text that are sent to the terminal only where they differ; what status, inspector and plots are made of."""

from collections.abc import Iterable, Sequence

from rich.text import Text
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget


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
        count = max(len(before), len(texts))
        changed = [y for y in range(count) if _at(before, y) != _at(texts, y)]
        if len(before) != len(texts) and self.styles.auto_dimensions:
            self.refresh(layout=True)
        elif changed:
            self.refresh(*(Region(0, y, self.size.width, 1) for y in changed if y < self.size.height))

    def on_resize(self, _event: events.Resize) -> None:
        """Ask the screen for lines that fit."""
        if not self.styles.auto_dimensions:
            self.post_message(self.Resized())

    @property
    def texts(self) -> Sequence[Text]:
        """The lines that are drawn."""
        return self._texts

    def get_content_height(self, _container: object, _viewport: object, _width: int) -> int:
        """As many rows as there are lines."""
        return len(self._texts)

    def render_line(self, y: int) -> Strip:
        """The line at `y`."""
        style, width = self.rich_style, self.size.width
        if y >= len(self._texts):
            return Strip.blank(width, style)
        text = self._texts[y]
        strip = Strip(text.render(self.app.console), text.cell_len).apply_style(style)
        return strip.adjust_cell_length(width, style)


def _at(texts: Sequence[Text], y: int) -> tuple[str, object, object] | None:
    return (texts[y].plain, texts[y].spans, texts[y].style) if y < len(texts) else None
