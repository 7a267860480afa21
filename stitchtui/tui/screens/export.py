"""A run's report into a file: which kind, and where."""

import contextlib
import threading
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.files import write_out
from stitchtui.base.text import plain, size
from stitchtui.report.formats import FORMATS
from stitchtui.report.origin import Origin, origin_of
from stitchtui.report.wording import ending, printable
from stitchtui.run.directory import RunDirectory
from stitchtui.run.state import RunState, whole_state
from stitchtui.tui import keys
from stitchtui.tui.screens.dialog import Dialog
from stitchtui.tui.widgets.hints import Hints
from stitchtui.tui.widgets.text_input import TextInput

KINDS = {each.endings[0].removeprefix("."): each for each in FORMATS.values() if each.endings}
"""The formats by how their files end."""


class _Loaded(Message):
    def __init__(self, state: RunState, origin: Origin, path: Path) -> None:
        super().__init__()
        self.state, self.origin, self.path = state, origin, path


class _Written(Message):
    def __init__(self, path: Path, count: int) -> None:
        super().__init__()
        self.path, self.count = path, count


class _Failed(Message):
    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason


class ExportScreen(Dialog[Path | None]):
    """Offers the kinds of file and a name; dismissed with the file that was written, or None."""

    DEFAULT_CSS = """
    ExportScreen OptionList { height: auto; }
    ExportScreen .where { color: $text-muted; }
    ExportScreen #said { height: auto; min-height: 1; color: $text-warning; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*keys.EXPORT]

    def __init__(self, directory: RunDirectory) -> None:
        super().__init__()
        self._directory = directory
        self._kind: str = "csv"
        self._busy = False

    @property
    def unready(self) -> bool:
        """Whether the file is being written, after which this screen is gone."""
        return self._busy

    def compose(self) -> ComposeResult:
        """The kinds, the file's name, what is wrong with it, the keys."""
        with Vertical():
            yield Static(f"Export {plain(self._directory.name)}", markup=False, classes="question")
            width = max(map(len, KINDS))
            offers = (Option(Text(f"{kind:<{width}} {what.holds}"), id=kind) for kind, what in KINDS.items())
            yield OptionList(*offers, compact=True)
            yield TextInput(self._proposed(), id="path", compact=True)
            yield Static(id="said", markup=False)
            yield Static(markup=False, classes="where")
        yield Hints()

    def on_mount(self) -> None:
        """Begin with the kinds."""
        self.set_focus(self.query_one(OptionList))

    def _proposed(self) -> str:
        return f"{plain(self._directory.name)}.{self._kind}"  # in the working directory

    @on(OptionList.OptionHighlighted)
    def _kind_marked(self, event: OptionList.OptionHighlighted) -> None:
        field, before = self.query_one("#path", Input), self._proposed()
        self._kind = str(event.option_id)
        if field.value == before:
            field.value = self._proposed()
        elif Path(field.value).suffix.removeprefix(".") in KINDS:
            field.value = str(Path(field.value).with_suffix(f".{self._kind}"))

    @on(Input.Changed, "#path")
    def _path_changed(self, event: Input.Changed) -> None:
        path = _path(event.value)
        self._say("a file of this name is there and will be replaced" if path and _is_file(path) else "")
        self._draw_where()

    def on_resize(self) -> None:
        """Fit the whole path into the new width."""
        self.call_after_refresh(self._draw_where)

    def _draw_where(self) -> None:
        """Say which file it will be: the end of its path, where it is too long."""
        where, path = self.query_one(".where", Static), _path(self.query_one("#path", Input).value)
        folder = "" if path is None else f"in {_from_home(path.parent)}"
        ascii = bool(getattr(self.app, "ascii", False))
        where.update(Text(ending(printable(folder, ascii), max(20, where.size.width), ascii)))

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(Text(plain(text)))

    def action_write(self) -> None:
        """Read the run and write the file."""
        path = _path(self.query_one("#path", Input).value)
        if self._busy:
            return
        if path is None:
            self._say("expected the name of a file")
            return
        self._busy = True
        self._say("reading the run")
        threading.Thread(target=self._load, args=(path,), daemon=True).start()

    def _load(self, path: Path) -> None:
        message: Message
        try:
            state = whole_state(self._directory)
            message = _Loaded(state, origin_of(self._directory, state), path)
        except OSError as error:
            message = _Failed(str(error))
        with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
            self.post_message(message)

    @on(_Loaded)
    def _loaded(self, message: _Loaded) -> None:
        if not self.is_current:
            return  # left while the run was read
        arguments = (message.state, message.origin, self._kind, message.path)
        threading.Thread(target=self._write, args=arguments, daemon=True).start()

    def _write(self, state: RunState, origin: Origin, kind: str, path: Path) -> None:
        message: Message  # from a thread: a pipe takes what is written only once somebody reads it
        try:
            message = _Written(path, write(state, origin, kind, path))
        except (BadInput, RunFailed) as error:
            message = _Failed(str(error))
        with contextlib.suppress(RuntimeError):  # the app was closed in the meantime
            self.post_message(message)

    @on(_Written)
    def _written(self, message: _Written) -> None:
        self.app.notify(f"wrote {plain(message.path)} ({size(message.count)})", markup=False)
        if self.is_current:
            self.dismiss(message.path)

    @on(_Failed)
    def _failed(self, message: _Failed) -> None:
        self._busy = False
        if self.is_current:
            self._say(message.reason)

    def action_list(self, action: str) -> None:
        """Move in the list of kinds, as its own keys do."""
        getattr(self.query_one(OptionList), f"action_{action}")()

    def action_leave(self) -> None:
        """Write nothing."""
        self.dismiss(None)


def _path(typed: str) -> Path | None:
    """The file that was typed, in the working directory where it says no other; None for none."""
    try:
        return Path(typed.strip()).expanduser().absolute() if typed.strip() else None
    except RuntimeError:  # `~somebody` that this machine doesn't know
        return Path(typed.strip()).absolute()


def _from_home(path: Path) -> str:
    """`path` as a person writes it, from `~` where it lies there."""
    try:
        return str(Path("~") / path.relative_to(Path.home()))
    except (ValueError, RuntimeError):
        return str(path)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def write(state: RunState, origin: Origin, kind: str, path: Path) -> int:
    """Write the run's report as `kind` to `path`; return the number of bytes. Raises BadInput or RunFailed."""
    data = KINDS[kind].made(state, origin)
    write_out(path, data)
    return len(data)
