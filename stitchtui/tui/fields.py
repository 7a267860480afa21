"""The fields of New: what each sets of an experiment, and which one an error speaks of."""

import re
from typing import Literal

End = Literal["bottom", "top"]
ENDS: tuple[End, End] = ("bottom", "top")
FLAGS = ("data", "cuts", "pairing", "family", "objective", "start", "epochs", "seeds", "controls")
"""Each is a flag of `stitchtui run` of the same name."""
STITCH = ("top_cuts", "rank", "best_of")
"""Keys of the stitch that have no flag of their own."""
NETWORKS = ("head", "part", "leaves", "trust_code")
"""What holds for both networks."""
FREE = "set"
"""Anything else: KEY=VALUE as for --set, several with semicolons between them."""
EXPERIMENT_FIELDS = (*FLAGS, *STITCH, *NETWORKS, FREE)
LISTS = ("cuts", "controls")
"""Fields whose names can be typed by hand, with commas between them."""
BY_HAND = ","  # the choice to type them; no name holds a comma
OWN = "own_"  # what the field for the typing is called after

_KEYS = re.compile(r"""--([a-z_-]+)|\b(?:stitch|data|networks\.(?:"(?:[^"\\]|\\.)*"|[^."]+))\.(\w+)""")
_OTHER_NAMES = {"name": "data", "leaf": "leaves", "trust-code": "trust_code"}


def end_of(field: str) -> End:
    """The end whose architecture a field holds."""
    return "bottom" if field == "bottom" else "top"


def field_of(message: str) -> str:
    """The field that an error speaks of, by the flag or the key that it names; empty where it names none.

    Of several that contradict each other, the one that its words begin with.
    """
    named = [_OTHER_NAMES.get(word, word) for found in _KEYS.finditer(message) if (word := found[1] or found[2])]
    fields = [name for name in named if name in EXPERIMENT_FIELDS]
    words = re.findall(r"\w+", message.partition(" (with ")[0])
    return next((word for word in words if word in fields), fields[0] if fields else "")
