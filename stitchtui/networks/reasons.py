"""An exception from elsewhere as part of a one-line message."""

from stitchtui.base.text import plain


def reason(error: BaseException, limit: int = 200) -> str:
    """The exception's kind and the first line of what it says, safe to print."""
    said = str(error).strip().splitlines()
    text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    return plain(text if len(text) <= limit else text[: limit - 3] + "...")
