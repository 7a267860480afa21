"""The form of New: a line a field, each with the reason why what it holds can't be used."""

from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input

from stitchtui.experiment import DATASETS
from stitchtui.tui import fit
from stitchtui.tui.draft import ENDS, Draft
from stitchtui.tui.widgets.choice import Choice
from stitchtui.tui.widgets.field import Field
from stitchtui.tui.widgets.field_row import FieldRow

_CONTROLS = (
    "self_stitch,identity,random_bottom",
    "self_stitch,identity",
    "self_stitch,random_bottom",
    "identity,random_bottom",
    "self_stitch",
    "identity",
    "random_bottom",
    "none",
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "cuts": ("blocks", "all"),
    "family": ("affine", "identity", "bn_affine_bn"),
    "objective": ("task", "direct"),
    "start": ("least_squares", "random", "identity"),
    "controls": _CONTROLS,
    "both": ("no", "yes"),
    "device": ("auto", "cpu"),
}
_WORDS = {_CONTROLS[0]: "all three", "least_squares": "least squares", "random_bottom": "random bottom"}
_LABELS = {"both": "both ways", "bottom": "bottom is", "top": "top is"}
_ORDER = ("cuts", "family", "objective", "start", "epochs", "seeds", "controls", "data", "both", "device", *ENDS)
_HINTS = {
    "epochs": "such as 4",
    "seeds": "how many, or which: 0,1,2",
    "data": "digits, cifar10, folder:PATH",
    "bottom": "its architecture",
    "top": "its architecture",
}


class Form(Vertical):
    """The fields of a draft. It only draws: what is changed is posted as `Changed`, and comes back by `draw`."""

    DEFAULT_CSS = """
    Form { height: auto; }
    """

    class Changed(Message):
        """A field holds something else; `bottom` and `top` are the fields for their architectures."""

        def __init__(self, field: str, value: str) -> None:
            super().__init__()
            self.field, self.value = field, value

    def compose(self) -> ComposeResult:
        """A line for each field."""
        for name in _ORDER:
            yield FieldRow(name, _LABELS.get(name, name), _editor(name))

    def draw(self, draft: Draft, problems: Mapping[str, str], devices: list[str]) -> None:
        """Show the draft's values, with a reason beside each field that has one."""
        for row in self.query(FieldRow):
            name = row.field
            row.display = _applies(draft, name)
            reason = problems.get(name, "")
            # There is little room beside it, and whose architecture it is, is said already.
            row.complain(reason.partition(": ")[2] or reason if name in ENDS else reason)
            if isinstance(row.editor, Choice):
                row.editor.show(draft.value(name), _options(draft, name, devices))
            elif isinstance(row.editor, Input) and not row.editor.has_focus:
                value = _typed(draft, name)
                if row.editor.value != value:
                    with row.editor.prevent(Input.Changed):
                        row.editor.value = value

    def typed(self) -> dict[str, str]:
        """What the text fields hold that are shown."""
        rows = [row for row in self.query(FieldRow) if row.display]
        return {row.field: row.editor.value for row in rows if isinstance(row.editor, Input)}

    def take_focus(self, draft: Draft) -> None:
        """Give the keys to the field that needs an answer, or to the first; to none once the screen was left."""
        needed = [end for end in ENDS if draft.needs_architecture(end)]
        wanted = f"row-{needed[0] if needed else _ORDER[0]}"
        for row in self.query(FieldRow):
            if row.id == wanted:
                row.editor.focus()

    def focus_problem(self, problems: Mapping[str, str]) -> None:
        """Give the keys to the first field that can't be used."""
        at_fault = [row for row in self.query(FieldRow) if row.field in problems and row.display]
        if at_fault:
            at_fault[0].editor.focus()

    def move(self, action: str) -> None:
        """Go to another field: `cursor_down`, `cursor_up`, `first`, `last`."""
        shown = [row.editor for row in self.query(FieldRow) if row.display]
        here = next((place for place, editor in enumerate(shown) if editor.has_focus), 0)
        places = {"cursor_down": here + 1, "cursor_up": here - 1, "first": 0, "last": -1}
        shown[places[action] % len(shown)].focus()

    @on(Choice.Changed)
    def _chosen(self, event: Choice.Changed) -> None:
        event.stop()
        self._tell(event.choice, event.value)

    @on(Input.Changed)
    def _written(self, event: Input.Changed) -> None:
        event.stop()
        self._tell(event.input, event.value)

    def _tell(self, editor: Widget, value: str) -> None:
        row = editor.parent
        if isinstance(row, FieldRow):
            self.post_message(self.Changed(row.field, value))


def _editor(name: str) -> Widget:
    if name in _CHOICES:
        return Choice(_CHOICES[name], _WORDS)
    known = SuggestFromList([*DATASETS, "folder:", "npz:"]) if name == "data" else None
    return Field(placeholder=_HINTS[name], compact=True, select_on_focus=True, suggester=known)


def _applies(draft: Draft, name: str) -> bool:
    if name in ENDS:
        return draft.needs_architecture("bottom" if name == "bottom" else "top")
    return name != "both" or draft.document is None


def _typed(draft: Draft, name: str) -> str:
    if name in ENDS:
        return draft.architectures.get("bottom" if name == "bottom" else "top", "")
    return draft.value(name)


def _options(draft: Draft, name: str, devices: list[str]) -> list[str]:
    if name == "cuts":
        return [*_CHOICES[name], *fit.shared(draft.cuts("bottom"), draft.cuts("top"))]
    if name == "device" and devices:
        return ["auto", *devices]
    return list(_CHOICES[name])
