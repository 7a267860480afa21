"""What a path that is being typed may go on with: folders, and files of the kinds that are asked for."""

import ast
import os
from collections.abc import Sequence
from pathlib import Path

from stitchtui.base.paths import cache_directory

_SKIPPED = {"node_modules", "__pycache__", "site-packages", "stitches"}
_MARKS = ("pyvenv.cfg", "conda-meta", "CACHEDIR.TAG")  # what environments and caches hold
_LONGEST_CODE = 1 << 20  # bytes


def skipped(path: Path, hidden: bool = False) -> bool:
    """Whether a folder holds nothing of the user's own: it is of packages, a cache, or unless `hidden` a hidden one."""
    if path.name.startswith(".") and not hidden:
        return True
    if path.name in _SKIPPED or any((path / mark).exists() for mark in _MARKS):
        return True
    return os.path.realpath(path) == os.path.realpath(cache_directory())


def continued(text: str, suffixes: Sequence[str]) -> list[str]:
    """Every path that begins with `text`: folders first, with a slash at their end, then files with these suffixes."""
    before, begun = text[: text.rfind("/") + 1], text[text.rfind("/") + 1 :]
    folders, files = [], []
    try:
        with os.scandir(Path(before or ".").expanduser()) as entries:
            for entry in entries:
                if not entry.name.startswith(begun) or (entry.name.startswith(".") and not begun):
                    continue
                if entry.is_dir():
                    folders += [] if skipped(Path(entry.path), hidden=True) else [f"{before}{entry.name}/"]
                elif entry.name.lower().endswith(tuple(suffixes)):
                    files.append(before + entry.name)
    except (OSError, ValueError, RuntimeError):  # no such folder, a NUL in its name, no such user's home
        return []
    return [*sorted(folders), *sorted(files)]


def defined(path: Path) -> list[str]:
    """The names of the classes and functions of a file: classes first, and of both those that are defined last."""
    try:
        file = path.expanduser()
        tree = ast.parse(file.read_bytes() if file.stat().st_size <= _LONGEST_CODE else b"")
    except (OSError, ValueError, SyntaxError, RuntimeError, RecursionError):
        return []
    kinds = (ast.ClassDef, ast.FunctionDef)
    names = [node for node in reversed(tree.body) if isinstance(node, kinds) and not node.name.startswith("_")]
    return [node.name for node in sorted(names, key=lambda node: not isinstance(node, ast.ClassDef))]
