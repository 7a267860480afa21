"""Copying text out of the app: through the terminal's clipboard, and into a file because that may be deaf."""

from pathlib import Path
from typing import Any

from textual.app import App

from stitchtui.base.files import write_atomically
from stitchtui.base.paths import cache_directory
from stitchtui.base.text import plain


def copy(app: App[Any], text: str, what: str) -> Path | None:
    """Copy `text` and say where it went; `what` names it, as in "copied WHAT".

    The terminal gets it as OSC 52, which has no answer, so it is also written to a file. Returns the file, or None
    where none could be written.
    """
    whole = text.encode("utf-8", "replace")  # a lone surrogate of a file's name is neither text nor copyable
    app.copy_to_clipboard(whole.decode("utf-8"))
    path = cache_directory() / "copied.txt"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, whole.rstrip(b"\n") + b"\n")
    except OSError as error:
        why = plain(error.strerror or error)
        message = f"copied {plain(what)} to the clipboard, if the terminal allows; no file: {plain(path)}: {why}"
        app.notify(message, severity="warning", markup=False)
        return None
    message = f"copied {plain(what)} to the clipboard, if the terminal allows, and to {plain(path)}"
    app.notify(message, markup=False)
    return path
