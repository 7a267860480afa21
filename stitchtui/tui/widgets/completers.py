"""What completes a path, the name of a dataset, or an architecture of one's own."""

from collections.abc import Sequence
from pathlib import Path

from stitchtui.spec.datasets import BY_PATH, DATASETS
from stitchtui.tui.typed_paths import continued, defined
from stitchtui.tui.widgets.text_input import Completer, OneOf


class Paths(Completer):
    """Completes the path of a file with one of some suffixes."""

    def __init__(self, suffixes: Sequence[str]) -> None:
        super().__init__()
        self._suffixes = suffixes

    def complete(self, value: str) -> str | None:
        """Return the first path that goes on from `value`; None for what isn't begun as a path."""
        begun = value.startswith("~") or "/" in value
        return next((path for path in continued(value, self._suffixes) if path != value), None) if begun else None


class DataNames(OneOf):
    """Completes the name of a dataset, or the path after `folder:` or `npz:`."""

    def __init__(self) -> None:
        super().__init__([*DATASETS, *BY_PATH])

    def complete(self, value: str) -> str | None:
        """Return the first name, folder or file that begins so."""
        kind, colon, path = value.partition(":")
        if f"{kind}{colon}" not in BY_PATH:
            return super().complete(value)
        found = continued(path, (".npz",) if kind == "npz" else ())
        return next((f"{kind}:{each}" for each in found if each != path), None)


class Classes(Completer):
    """Completes `path/to/file.py:Class`: the path, then a class or function of the file, which isn't run for that."""

    def complete(self, value: str) -> str | None:
        """Return the first file or class that begins so, of what is typed last."""
        before, comma, last = value.rpartition(",")
        text = last.lstrip()
        path, name = text.rpartition(":")[::2] if ":" in text else (text, "")
        if path.endswith(".py"):
            found = [f"{path}:{each}" for each in defined(Path(path)) if each.startswith(name)]
        else:
            found = continued(text, (".py",)) if text else []
        return next((before + comma + last[: len(last) - len(text)] + each for each in found if each != text), None)
