"""The foot of New: why it can't start or what it will take, and the command line that does the same."""

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from stitchtui.report.wording import printable, to_ascii

NO_COMMAND = "prepared here: its command line exists once it has started"


class Outlook(Vertical):
    """Three texts, each only as high as it needs to be; the first two only where there is something to say."""

    DEFAULT_CSS = """
    Outlook { height: auto; padding: 0 1; }
    Outlook > #problem { height: auto; max-height: 3; color: $text-error; }
    Outlook > #estimate { height: auto; max-height: 2; }
    Outlook > #command { height: auto; max-height: 3; color: $text-muted; }
    """

    def compose(self) -> ComposeResult:
        """The three texts."""
        for name in ("problem", "estimate", "command"):
            yield Static(id=name, markup=False)

    def show(self, problem: str, estimate: str, command: str) -> None:
        """Say why it can't start, or else what it will take; `command` may be empty."""
        texts = {"problem": problem, "estimate": "" if problem else estimate, "command": command or NO_COMMAND}
        for name, text in texts.items():
            static = self.query_one(f"#{name}", Static)
            static.display = bool(text)
            safe = printable(text)
            static.update(Text(to_ascii(safe) if getattr(self.app, "ascii", False) else safe))
