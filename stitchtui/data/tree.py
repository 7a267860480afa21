"""A folder of images as it is walked: its folders and image files in order, and what was skipped on the way."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from stitchtui.base.errors import BadInput
from stitchtui.data.words import shown

# What file managers, network drives and archives leave in folders, and what people keep beside images; lower case.
FOLDERS = ("@eadir", "__macosx", "#recycle", "$recycle.bin", "system volume information", "lost+found")
FILES = ("icon\r", "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini")
SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".md", ".log", ".html", ".htm")


class Tree:
    """Walks folders, without what is known to be no image; anything else counts as one."""

    def __init__(self) -> None:
        self._skipped: dict[Path, str] = {}  # what kind each entry is that was passed over

    def folders(self, folder: Path) -> list[Path]:
        """The folders in `folder`, sorted."""
        return sorted(entry for entry in folder.iterdir() if entry.is_dir() and self._wanted(entry, folder=True))

    def loose(self, folder: Path) -> int:
        """How many files lie in `folder` itself that may be images."""
        return sum(not entry.is_dir() and _kind(entry.name, folder=False) is None for entry in folder.iterdir())

    def files(self, folder: Path) -> Iterator[Path]:
        """Every file below `folder` that may be an image, in sorted order.

        Links are followed; a folder reached twice, such as by a link to its parent, is read once. BadInput names a link
        that leads nowhere.
        """
        seen: set[str] = set()
        for where, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
            seen.add(os.path.realpath(where))
            folders[:] = sorted(
                name
                for name in folders
                if self._wanted(Path(where, name), folder=True) and os.path.realpath(f"{where}/{name}") not in seen
            )
            for file in (Path(where, name) for name in sorted(names)):
                if not self._wanted(file, folder=False):
                    continue
                if not file.exists():
                    raise BadInput(f"{shown(file)}: is a link that leads nowhere; mend or remove it")
                yield file

    def notes(self) -> Iterator[str]:
        """Say how many entries of what kind were passed over, if any."""
        if self._skipped:
            kinds = sorted(Counter(self._skipped.values()).items(), key=lambda item: (-item[1], item[0]))
            each = ", ".join(f"{count} {kind}" for kind, count in kinds)
            yield f"skipped among the images, as no images: {each}"

    def _wanted(self, entry: Path, folder: bool) -> bool:
        kind = _kind(entry.name, folder)
        if kind is not None:
            self._skipped[entry] = kind
        return kind is None


def _kind(name: str, folder: bool) -> str | None:
    """The kind of an entry that holds no image, in words."""
    lower = name.lower()
    if name.startswith("."):
        return "._*" if name.startswith("._") else ".DS_Store" if lower == ".ds_store" else "hidden"
    if folder:
        return f"{name}/" if lower in FOLDERS else None
    if lower in FILES:
        return lower.strip()
    suffix = Path(lower).suffix
    return f"*{suffix}" if suffix in SUFFIXES else None


def _raise(error: OSError) -> None:
    raise error
