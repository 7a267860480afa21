"""One line of a form: what the field is called, its editor, and the reason why what it holds can't be used."""

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Static

from stitchtui.text import plain


class FieldRow(Horizontal):
    """A label, an editor, and beside it the reason."""

    DEFAULT_CSS = """
    FieldRow { height: 1; }
    FieldRow > .label { width: 11; color: $text-muted; }
    FieldRow > .editor { width: 26; }
    FieldRow > .reason { width: 1fr; padding: 0 0 0 1; color: $text-error; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, field: str, label: str, editor: Widget) -> None:
        super().__init__(id=f"row-{field}")
        self.field, self._label, self.editor = field, label, editor
        editor.add_class("editor")

    def compose(self) -> ComposeResult:
        """The three parts."""
        yield Static(self._label, markup=False, classes="label")
        yield self.editor
        yield Static(markup=False, classes="reason")

    def complain(self, reason: str) -> None:
        """Show why the value can't be used; nothing if `reason` is empty."""
        self.query_one(".reason", Static).update(plain(reason))
