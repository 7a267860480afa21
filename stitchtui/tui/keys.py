"""The keys of the app, of the grid, a cell and New, each with an id, and the user's own choice of keys from a file."""

import tomllib
from dataclasses import replace
from pathlib import Path

from textual.binding import Binding

from stitchtui.errors import BadInput
from stitchtui.text import plain


def key(keys: str, action: str, hint: str, tooltip: str, id: str, *, show: bool = False) -> Binding:
    """A binding with everything the house wants of one: an id to move it by, and a sentence that explains it."""
    return Binding(keys, action, hint, id=id, tooltip=tooltip, show=show)


APP = [
    key("n", "new", "new", "Start a run: pick two networks", "new", show=True),
    key("r", "runs", "runs", "List every run: attach, stop, resume, compare, export", "runs", show=True),
    key("p", "presets", "presets", "List the presets: read what each claims, start one", "presets", show=True),
    key("question_mark", "help", "help", "Explain the keys, the colours and the words of this screen", "help"),
    key("q", "leave", "quit", "Leave the app; a run that is going on goes on", "quit"),
]

GRID = [
    key("enter", "open_cell", "open", "All that is known of the cell, and what to ask next", "grid.open", show=True),
    key("m", "measure", "measure", "The next measure: penalty, against the bottom, ...", "grid.measure", show=True),
    key("d", "depth", "depth", "Penalty against depth, or back to the grid", "grid.depth", show=True),
    key("s", "stop", "stop", "Stop the run; it asks first", "grid.stop", show=True),
    key("R", "resume", "resume", "Go on with a run that was stopped, lost or failed", "grid.resume", show=True),
    key("e", "export", "export", "Write the run's numbers to a file", "grid.export", show=True),
    key("y", "copy", "copy", "Copy the grid as text, to the clipboard and to a file", "grid.copy"),
    key("slash", "filter", "filter", "Show the columns whose name holds some words", "grid.filter"),
    key("o", "sort", "sort", "Order the columns: as planned, largest first, smallest first", "grid.sort"),
    key("left,h", "move(0, -1)", "left", "The column to the left", "grid.left"),
    key("down,j", "move(1, 0)", "down", "The next cut", "grid.down"),
    key("up,k", "move(-1, 0)", "up", "The cut before", "grid.up"),
    key("right,l", "move(0, 1)", "right", "The column to the right", "grid.right"),
    key("g,home", "first", "first cut", "The cut next to the input", "grid.first"),
    key("G,end", "last", "last cut", "The cut next to the output", "grid.last"),
    key("M", "measure_back", "measure before", "Show the measure before", "grid.measure_back"),
    key("C", "ramp", "colours", "Colour with cividis or with viridis", "grid.ramp"),
]

CELL = [
    key("escape,backspace,left,h", "back", "back", "Back to the grid", "cell.back", show=True),
    key("j", "next", "next question", "Mark the next question", "cell.next"),
    key("k", "before", "question before", "Mark the question before", "cell.before"),
    # before the list's own, which would move its mark
    replace(key("pagedown", "scroll_facts(1)", "more", "Scroll what is known of the cell", "cell.more"), priority=True),
    replace(key("pageup", "scroll_facts(-1)", "less", "Scroll back", "cell.less"), priority=True),
    key("y", "copy", "copy", "Copy all that is known of the cell", "cell.copy", show=True),
]

NEW = [
    # priority: the list and the text fields have an `enter` of their own, which would hide these
    replace(key("enter", "pick", "pick", "Pick the marked network", "new.pick", show=True), priority=True),
    replace(key("enter", "start", "start", "Start the run", "new.start", show=True), priority=True),
    key("slash", "filter", "filter", "Filter the list by words, or type a file's path", "new.filter", show=True),
    key("y", "copy", "copy", "Copy the command line that does the same", "new.copy", show=True),
    key("x", "swap", "swap", "Let bottom and top change places", "new.swap", show=True),
    key("escape", "back", "back", "One step back; from the first, to the grid", "new.back", show=True),
    key("down,j", "move('cursor_down')", "down", "To the next line", "new.down"),
    key("up,k", "move('cursor_up')", "up", "To the line before", "new.up"),
    key("g", "move('first')", "first", "To the first line", "new.first"),
    key("G", "move('last')", "last", "To the last line", "new.last"),
    key("pagedown", "scroll_chains(1)", "cuts down", "Further cuts of the two chains", "new.cuts_down"),
    key("pageup", "scroll_chains(-1)", "cuts up", "Earlier cuts of the two chains", "new.cuts_up"),
]


def keymap_path() -> Path:
    """The file with the user's own keys: binding ids, each with a key or several separated by commas."""
    from platformdirs import user_config_path

    return user_config_path("stitchtui") / "keys.toml"


def read_keymap(path: Path) -> dict[str, str]:
    """The user's keys, binding id to keys; empty without a file. Raises BadInput, in one line, for a bad one."""
    shown = plain(path)
    try:
        if not path.is_file():
            return {}
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput(f"{shown}: can't be read as TOML ({plain(error)}); the keys are as they were") from None
    flat = _flat(found)
    for name, keys in flat.items():
        if not isinstance(keys, str) or not keys.strip():
            raise BadInput(f'{shown}: {plain(name)}: expected a key in quotes, such as "x" or "ctrl+x"')
    return {name: ",".join(_key_name(part.strip()) for part in str(keys).split(",")) for name, keys in flat.items()}


def _flat(table: dict[str, object], above: str = "") -> dict[str, object]:
    """`[grid]` with `open = "x"` means the same as `"grid.open" = "x"`."""
    found: dict[str, object] = {}
    for name, value in table.items():
        found |= _flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _key_name(text: str) -> str:
    """`?` as Textual calls it, `question_mark`; longer names are left as they are."""
    return next(iter(Binding.make_bindings([Binding(text, "none")]))).key if len(text) == 1 else text
