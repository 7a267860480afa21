"""The fields of New: what each sets of an experiment, and which one a key or a flag is set in."""

from typing import Literal

from stitchtui.spec.settings import read_key

End = Literal["bottom", "top"]
ENDS: tuple[End, End] = ("bottom", "top")
FLAGS = ("data", "cuts", "pairing", "family", "objective", "start", "epochs", "seeds", "controls")
"""Each is a flag of `stitchtui run` of the same name."""
STITCH = ("top_cuts", "rank", "best_of")
"""Keys of the stitch that have no flag of their own."""
DATA = ("augment",)
"""A key of the data that has none."""
NETWORKS = ("normalisation", "head", "part", "leaves", "trust_code")
"""What holds for both networks."""
FREE = "set"
"""Anything else: KEY=VALUE as for --set, several with semicolons between them."""
EXPERIMENT_FIELDS = (*FLAGS, *STITCH, *DATA, *NETWORKS, FREE)
WORKER = ("device", "threads", "memory")
"""What the worker is told: flags of the same names, no part of the experiment."""
LISTS = ("cuts", "controls")
"""Fields whose names can be typed by hand, with commas between them."""
BY_HAND = ","  # the choice to type them; no name holds a comma
OWN = "own_"  # what the field for the typing is called after

_OTHER_NAMES = {"leaf": "leaves", "trust-code": "trust_code"}


def end_of(field: str) -> End:
    """The end whose architecture a field holds."""
    return "bottom" if field == "bottom" else "top"


def field_of(key: str | None) -> str:
    """The field that sets a dotted key or a flag, as BadInput.field names it; empty where none does."""
    match read_key((key or "").removeprefix("--")):
        case ("data", "name"):
            return "data"
        case ("data", name) if name in DATA:
            return name
        case ("stitch", name, *_) | ("networks", _, name, *_) | (name, *_):
            name = _OTHER_NAMES.get(name, name)
            return name if name in (*EXPERIMENT_FIELDS, *WORKER) else ""
    return ""
