"""Registries: what can be asked for by name, ours first and then what installed packages add by entry points."""

import os
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from stitchtui.base.errors import not_known
from stitchtui.base.text import plain

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Declared(Protocol):
    """What a registry holds: anything with a name."""

    @property
    def name(self) -> str:
        """What it is called wherever it is asked for."""


T = TypeVar("T", bound=Declared)


class Registry(Mapping[str, T]):
    """Declarations by name, in order; those of installed packages are looked for when one of ours won't do.

    A package adds some with an entry point of the registry's `group`, `any = "module:object"`, where the object is a
    declaration or several. One that can't be used is a line on stderr, and is left out.
    """

    def __init__(self, group: str, kind: type[T], own: Iterable[T]) -> None:
        self.group, self.kind = f"stitchtui.{group}", kind
        self._known = {declaration.name: declaration for declaration in own}
        self._complete = False
        self._loading = threading.RLock()  # one thread may ask on while it loads: a plug-in that asks sees our own

    def register(self, declaration: T) -> None:
        """Add a declaration. Raises ValueError for one whose name is taken or can't be typed, or of another kind."""
        if not isinstance(declaration, self.kind):
            raise ValueError(f"expected a {self.kind.__name__}, got a {type(declaration).__name__}")
        if not declaration.name.isidentifier():
            raise ValueError(f"expected a name of letters, digits and underscores, got '{declaration.name}'")
        if declaration.name in self._known:
            raise ValueError(f"the name '{declaration.name}' is taken")
        self._known[declaration.name] = declaration

    def __getitem__(self, name: str) -> T:
        known = self._known if name in self._known else self._all()
        if name not in known:
            raise KeyError(not_known(name, known))
        return known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._known or name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._all()))

    def __len__(self) -> int:
        return len(self._all())

    def place(self, name: str) -> int:
        """How many come before `name`: all of them, where it isn't known."""
        known = self._known if name in self._known else self._all()
        return [*known, name].index(name)

    def _all(self) -> dict[str, T]:
        with self._loading:
            if not self._complete:
                self._complete = True
                for entry in (each for each in _installed(tuple(sys.path)) if each.group == self.group):
                    try:
                        found = entry.load()
                        for declaration in found if isinstance(found, list | tuple) else [found]:
                            self.register(declaration)
                    except Exception as error:  # it is somebody else's code
                        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
                        line = f"warning: plug-in '{entry.name}' of {self.group} is left out: {entry.value}: {what}"
                        print(plain(" ".join(line.split())), file=sys.stderr)
        return self._known


@cache
def _installed(path: tuple[str, ...]) -> tuple["EntryPoint", ...]:
    """The entry points of every package on the path, which are read once for all registries.

    `importlib.metadata` takes ten times as long to be imported as a look at whether any package has some for us.
    """
    if not any(map(_may_add, path)):
        return ()
    from importlib.metadata import entry_points

    found: Any = entry_points()  # whose type is another one from Python 3.12 on
    return tuple(each for group in sorted(found.groups) for each in found.select(group=group))


def _may_add(folder: str) -> bool:
    """Whether a package in this folder has entry points for us; a zipped one may have."""
    try:
        packages = [Path(each.path) for each in os.scandir(folder or ".") if each.name.endswith("-info")]
    except OSError as error:
        return isinstance(error, NotADirectoryError)
    for package in packages:
        with suppress(OSError):
            if b"[stitchtui." in (package / "entry_points.txt").read_bytes():
                return True
    return False


def load(where: str) -> Any:
    """The object that a declaration names as `module:object`."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)
