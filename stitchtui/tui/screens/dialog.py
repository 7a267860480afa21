"""The frame of screens that stand before another one and ask for something."""

from typing import TypeVar

from textual.screen import ModalScreen

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A box in the middle, as high as what is in it."""

    DEFAULT_CSS = """
    Dialog { align: center middle; }
    Dialog > Vertical {
        width: 72; max-width: 100%; height: auto; max-height: 100%; padding: 0 2; border: round $primary;
        background: $surface;
    }
    Dialog .question { text-style: bold; }
    """
