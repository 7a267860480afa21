"""How the app looks, as its user last chose: theme and ramp, kept in a file beside the keys'."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.tui.colours import RAMPS
from stitchtui.tui.config import config_directory, read_config

TERMINALS_OWN = "ansi"  # may be written for Textual's `ansi-dark`: the colours that the terminal itself is set to


@dataclass(frozen=True)
class Look:
    """A choice; an empty theme is Textual's own choice."""

    theme: str = ""
    ramp: str = RAMPS[0]


def look_path() -> Path:
    """The file that remembers the choice."""
    return config_directory() / "look.toml"


def read_look(path: Path, themes: Collection[str]) -> tuple[Look, str]:
    """What the file at `path` asks for, as far as that can be had, and one line about the rest, empty if all is well.

    `themes` are the names that there are.
    """
    try:
        found = read_config(path)
    except BadInput as error:
        return Look(), f"{error}; until then colours are the usual ones"
    look: dict[str, str] = {}
    problems = []
    for name, known in (("theme", themes), ("ramp", RAMPS)):
        value = found.get(name)
        value = f"{TERMINALS_OWN}-dark" if value == TERMINALS_OWN else value
        if isinstance(value, str) and value in known:
            look[name] = value
        elif value is not None:
            problems.append(f"{name}: {not_known(plain(value), known)}")
    shown = f"{plain(path)}: {'; '.join(problems)}; choose one in the app, or mend the file" if problems else ""
    return Look(**look), shown


def write_look(path: Path, look: Look) -> None:
    """Remember `look`. Raises OSError as writing a file does."""
    import tomli_w  # imported late, as all that only a change of colours needs

    from stitchtui.base.files import write_atomically

    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, tomli_w.dumps({name: value for name, value in asdict(look).items() if value}))
