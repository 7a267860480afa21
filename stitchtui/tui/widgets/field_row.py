"""One line of a form: what the field is called, its editor, and what there is to say of what it holds."""

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from stitchtui.report.wording import printable, shortened

Kind = Literal["reason", "remark", "hint"]
"""Why it can't be used; what to know though it can; what the field is for, while it has the keys."""


_BESIDE = 11 + 24 + 1  # terminal cells of the label, the editor and the gap after it
_NARROWEST_HINT = 18  # in fewer a hint would say too little


class FieldRow(Horizontal):
    """A label, an editor, and beside it a text. A reason is shown whole, over as many lines as it takes."""

    DEFAULT_CSS = """
    FieldRow { height: auto; }
    FieldRow > .label { width: 11; height: 1; color: $text-muted; }
    FieldRow > .editor { width: 24; }
    FieldRow > .beside { width: 1fr; height: auto; max-height: 4; padding: 0 0 0 1; }
    FieldRow > .-reason { color: $text-error; }
    FieldRow > .-remark { color: $text-warning; }
    FieldRow > .-hint { color: $text-muted; height: 1; visibility: hidden; }
    FieldRow.-here > .-hint { visibility: visible; }
    """

    def __init__(self, field: str, label: str, editor: Widget) -> None:
        super().__init__(id=f"row-{field}")
        self.field, self._label, self.editor = field, label, editor
        self._text = ""
        self._kind: Kind = "hint"
        editor.add_class("editor")

    def compose(self) -> ComposeResult:
        """The three parts."""
        yield Static(self._label, markup=False, classes="label")
        yield self.editor
        yield Static(markup=False, classes="beside -hint")

    def on_descendant_focus(self) -> None:
        """Show the hint."""
        self.add_class("-here")

    def on_descendant_blur(self) -> None:
        """Hide it again."""
        self.remove_class("-here")

    def on_resize(self) -> None:
        """Fit the hint into the new width."""
        self.call_after_refresh(self._draw)

    def say(self, text: str, kind: Kind) -> None:
        """Show `text` beside the editor."""
        if (text, kind) != (self._text, self._kind):
            self._text, self._kind = text, kind
            self._draw()

    def _draw(self) -> None:
        beside, ascii = self.query_one(".beside", Static), bool(getattr(self.app, "ascii", False))
        for each in ("reason", "remark", "hint"):
            beside.set_class(each == self._kind, f"-{each}")
        text, room = printable(self._text, ascii), self.size.width - _BESIDE
        hint = shortened(text, room, ascii) if room >= _NARROWEST_HINT else ""
        beside.update(hint if self._kind == "hint" else text)
