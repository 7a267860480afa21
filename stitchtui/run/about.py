"""What people say of a run: a label, which is a short name, and a note, which is free text."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain

LONGEST = {"label": 40, "note": 2000}
"""How many characters each may have."""


@dataclass(frozen=True)
class About:
    """Each is a line without control characters, empty where nothing was said."""

    label: str = ""
    note: str = ""

    @classmethod
    def read(cls, said: Mapping[str, object]) -> Self:
        """Take from an object, which may hold anything, what it says of these."""
        return cls(**{what: _line(said[what])[:longest] for what, longest in LONGEST.items() if what in said})

    def changed(self, **said: str) -> Self:
        """Return it with another label, another note or both. Raises BadInput for one that is too long."""
        lines = {what: _line(text) for what, text in said.items()}
        for what, text in lines.items():
            if len(text) > LONGEST[what]:
                why = f"expected at most {LONGEST[what]} characters, got {len(text)}"
                raise BadInput(f"{what}: {why}", f"--{what}")
        return replace(self, **lines)


def _line(text: object) -> str:
    """`text` as a line: white space, line breaks too, is one blank, and what can't be shown is a `?`."""
    return plain(" ".join(str(text).split())).encode("utf-8", "replace").decode()
