"""Text from outside (file names, class labels, metadata) made safe for a terminal, and numbers as words."""

import re

# C0 and C1 controls and DEL, the bidirectional overrides, and the line and paragraph separators.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: object) -> str:
    """`text` with every control character shown as `?`, so that printing it moves no cursor and sets no colour."""
    return _CONTROL.sub("?", str(text))


def duration(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def read_size(text: str) -> int | None:
    """Bytes from what a person says: `4G`, `512 MiB`, `1000000`; units count in 1024. None for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:i?B)?|B)?", text.strip(), re.IGNORECASE)
    if found is None:
        return None
    return int(float(found[1]) * 1024 ** ("KMGT".index(found[2].upper()) + 1 if found[2] else 0)) or None


def size(count: float) -> str:
    """Bytes as a person says them: `812 MiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def significant(value: float) -> str:
    """A number that isn't negative with two digits that tell: `0.22`, `1.4`, `13`, `0.0010`; only nothing is `0`."""
    if value == 0:
        return "0"
    if not 1e-3 <= abs(value) < 9.95:
        return f"{value:.0f}" if 9.95 <= abs(value) < 1e4 else f"{value:.1e}"
    return f"{value:#.2g}"
