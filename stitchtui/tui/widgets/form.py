"""The form of New: a line a field, each with the reason why what it holds can't be used, or what it is for."""

from collections.abc import Mapping
from functools import cache
from typing import get_args

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input

from stitchtui.spec.controls import control_names
from stitchtui.spec.experiment import Augment, Experiment, NetworkSpec
from stitchtui.spec.families import ALL_RUNGS, FAMILIES, STARTS
from stitchtui.spec.length import CONVERGED_WITHIN, FIXED
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.spec.pairing import Pairing
from stitchtui.tui import cut_pairs
from stitchtui.tui.draft import Draft
from stitchtui.tui.form_fields import BY_HAND, ENDS, FREE, LISTS, OWN, end_of
from stitchtui.tui.widgets.choice import Choice
from stitchtui.tui.widgets.completers import Classes, DataNames
from stitchtui.tui.widgets.field_row import FieldRow
from stitchtui.tui.widgets.settings_typed import Settings
from stitchtui.tui.widgets.text_input import Names, TextInput

LABELS = {
    "both": "both ways", "bottom": "network is", "top": "top is", "top_cuts": "top's cuts", "best_of": "best of",
    "normalisation": "normalise", "trust_code": "run code", FREE: "also set",
    **{OWN + name: "named" for name in LISTS},
}  # fmt: skip
_ORDER = (
    *ENDS, "data", "cuts", f"{OWN}cuts", "top_cuts", "pairing", "family", "rank", "objective", "start", "best_of",
    "epochs", "seeds", "controls", f"{OWN}controls", "augment", "normalisation", "head", "part", "leaves", "trust_code",
    "both", "device", "threads", "memory", FREE,
)  # fmt: skip
_EMPTY = {
    "epochs": f"{CONVERGED_WITHIN:g}, or {FIXED:g} if fixed",
    "seeds": "how many, or which: 0,1,2",
    "data": "digits, cifar10, folder:PATH",
    "top_cuts": "where they meet",
    "rank": "such as 8",
    "best_of": "such as 3",
    "head": "train, or a file",
    "part": "such as teacher",
    "threads": "as torch chooses",
    "memory": "such as 4G",
    "leaves": "modules, with commas",
    FREE: "such as stitch.l1=0.001",
    "bottom": "its architecture",
    "top": "its architecture",
    **{OWN + name: "names, with commas" for name in LISTS},
    f"{OWN}cuts": "names, or bottom:top",
}
_HINTS = {
    "cuts": "space: mark cuts",
    f"{OWN}cuts": "or mark: up, space",
    "top_cuts": "of the top",
    "pairing": "which cuts meet",
    "objective": "what it is fitted to",
    "start": "where training starts",
    "epochs": "of training, at most",
    "seeds": "how many, or 0,1,2",
    "controls": "to compare with",
    f"{OWN}controls": "of the controls",
    "data": "the images",
    "augment": "auto: as the networks'",
    "rank": "of its map",
    "best_of": "so many random starts",
    "normalisation": "of the images' numbers",
    "head": "train, or a head's file",
    "part": "of the checkpoint",
    "leaves": "modules taken whole",
    "trust_code": "of the hub's repository",
    FREE: "KEY=VALUE; KEY=VALUE",
    "both": "the other way too",
    "device": "where it computes",
    "threads": "of the CPU, at most",
    "memory": "of a training step, at most",
    "bottom": "name, or file.py:Class; two with a comma",
    "top": "name, or file.py:Class",
}


@cache
def _choices() -> dict[str, tuple[str, ...]]:
    """What the fields offer that are chosen from a list."""
    every, usual = control_names(), Experiment.model_fields["controls"].default
    return {
        "cuts": ("blocks", "all"),
        "pairing": get_args(Pairing),
        "family": (*FAMILIES, ALL_RUNGS),
        "objective": tuple(OBJECTIVES),
        "start": STARTS,
        "augment": get_args(Augment),
        "controls": tuple(dict.fromkeys([",".join(usual), ",".join(every), *every, "none"])),
        "both": ("no", "yes"),
        "normalisation": get_args(get_args(NetworkSpec.model_fields["normalisation"].annotation)[0]),
        "trust_code": ("no", "yes"),
        "device": ("auto", "cpu"),
    }


@cache
def _words() -> dict[str, dict[str, str]]:
    """What choices are called where they aren't called as they are typed."""
    every, usual = control_names(), Experiment.model_fields["controls"].default
    return {
        "cuts": {BY_HAND: "by name"},
        "pairing": {"auto": "name or depth", "equal": "one with one", "all": "all with all"},
        "controls": {
            **{name: name.replace("_", " ") for name in every},
            ",".join(every): "all of them",
            ",".join(usual): "the usual three",
            BY_HAND: "by name",
        },
        **{
            name: {word: word.replace("_", " ") for word in _choices()[name]}
            for name in ("family", "objective", "start", "augment")
        },
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

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._untouched: Widget | None = None  # what was given the keys, while nothing was done to it

    def compose(self) -> ComposeResult:
        """A line for each field."""
        for name in _ORDER:
            yield FieldRow(name, LABELS.get(name, name), _editor(name))

    def draw(self, draft: Draft, problems: Mapping[str, str], devices: list[str] | None) -> None:
        """Show the draft's values, with a reason or a remark beside each field that has one.

        `devices` is None until it is known which there are.
        """
        remarks, awaited = draft.remarks(), _awaited(draft, devices)
        for row in self.query(FieldRow):
            row.display = draft.applies(row.field)
            _say(row, draft, problems, remarks, awaited)
            editor = row.editor
            if isinstance(editor, Choice):
                chosen = BY_HAND if row.field in draft.by_hand else draft.value(row.field)
                editor.show(chosen, _options(draft, row.field, devices or []))
                editor.waits = row.field in awaited
            elif isinstance(editor, TextInput):
                if isinstance(editor.suggester, Names):
                    editor.suggester.known = _names(draft, row.field)
                    editor.suggester.beyond = [cut["name"] for cut in draft.cuts("top")]
                editor.show(_typed(draft, row.field))

    def take_focus(self, draft: Draft) -> None:
        """Give the keys to the field that needs an answer, or to the cuts."""
        unsaid = (end for end in ENDS if draft.needs_architecture(end) and not draft.architecture(end))
        self.focus_on(next(unsaid, "cuts"))
        self._untouched = self.screen.focused

    @property
    def untouched(self) -> bool:
        """Whether no key was pressed here since `take_focus`: only then may the keys be given to another field."""
        return self._untouched is not None and self._untouched is self.screen.focused

    @property
    def at(self) -> str:
        """The field that has the keys; empty for none."""
        row = None if self.screen.focused is None else self.screen.focused.parent
        return row.field if isinstance(row, FieldRow) else ""

    @property
    def waits(self) -> bool:
        """Whether the keys are given to a choice whose options aren't all there yet."""
        focused = self.screen.focused
        return isinstance(focused, Choice) and focused.waits

    def focus_on(self, field: str) -> None:
        """Give the keys to this field, if it is there."""
        for row in self.query(FieldRow):
            if row.field == field:
                self._focus(row.editor)

    def _focus(self, editor: Widget) -> None:
        self.screen.set_focus(editor)

    def focus_problem(self, draft: Draft, problems: Mapping[str, str]) -> None:
        """Give the keys to the first field that can't be used."""
        at_fault = [row for row in self.query(FieldRow) if row.display and _said_at(draft, row.field) in problems]
        if at_fault:
            self._focus(at_fault[0].editor)

    def move(self, action: str) -> None:
        """Go to another field: `cursor_down`, `cursor_up`, `first`, `last`."""
        shown = [row.editor for row in self.query(FieldRow) if row.display]
        here = next((place for place, editor in enumerate(shown) if editor is self.screen.focused), 0)
        places = {"cursor_down": here + 1, "cursor_up": here - 1, "first": 0, "last": -1}
        self._focus(shown[places[action] % len(shown)])

    @on(Choice.Changed)
    def _chose(self, event: Choice.Changed) -> None:
        event.stop()
        self._tell(event.choice, event.value)

    @on(Input.Changed)
    def _written(self, event: Input.Changed) -> None:
        event.stop()
        self._tell(event.input, event.value)

    def _tell(self, editor: Widget, value: str) -> None:
        row = editor.parent
        if isinstance(row, FieldRow):
            self._untouched = None
            self.post_message(self.Changed(row.field, value))


def _editor(name: str) -> Widget:
    if name in _choices():
        return Choice(_choices()[name], _words().get(name))
    suggester: Suggester | None = Classes() if name in ENDS else DataNames() if name == "data" else None
    if name == "top_cuts" or name.startswith(OWN):
        suggester = Names()
    if name == FREE:
        suggester = Settings()
    return TextInput(placeholder=_EMPTY[name], compact=True, select_on_focus=True, suggester=suggester)


def _said_at(draft: Draft, name: str) -> str:
    """The field whose problem stands beside `name`: one that is typed by hand has it where it is typed."""
    if name.startswith(OWN):
        return name.removeprefix(OWN)
    return "" if name in draft.by_hand else name


def _awaited(draft: Draft, devices: list[str] | None) -> dict[str, str]:
    """The choices whose options aren't all there yet, with what is done until they are."""
    checking = any(draft.asking(end) for end in ENDS)
    awaited = {"cuts": "checking the networks"} if checking else {}
    return awaited | ({"device": "looking for devices"} if devices is None else {})


def _say(
    row: FieldRow, draft: Draft, problems: Mapping[str, str], remarks: Mapping[str, str], awaited: Mapping[str, str]
) -> None:
    about = _said_at(draft, row.field)
    reason = problems.get(about, "") if about else ""
    if row.field == FREE and (typed := _begun(row.editor)):  # which says more than that it isn't whole yet
        row.say(typed, "hint")
    elif reason:
        # Whose architecture it is, is said already.
        row.say(reason.partition(": ")[2] or reason if row.field in ENDS else reason, "reason")
    elif about and about in remarks:
        row.say(remarks[about], "remark")
    elif row.field == "family":
        family = FAMILIES.get(draft.value("family"))
        row.say(family.maps if family else "", "hint")
    else:
        row.say(awaited.get(row.field, _HINTS[row.field]), "hint")


def _begun(editor: Widget) -> str:
    """What can follow in a setting that is being typed; empty where it is whole, unknown, or not begun."""
    if not isinstance(editor, TextInput) or not editor.has_focus or not isinstance(editor.suggester, Settings):
        return ""
    return editor.suggester.hint(editor.value)


def _typed(draft: Draft, name: str) -> str:
    if name in ENDS:
        return draft.architectures.get(end_of(name), draft.architecture(end_of(name)))
    return draft.value(name.removeprefix(OWN))


def _options(draft: Draft, name: str, devices: list[str]) -> list[str]:
    listed = list(_choices()[name])
    if name == "cuts":
        listed += cut_pairs.shared(draft.cuts("bottom"), draft.cuts("top"))
    if name == "device" and devices:
        listed = ["auto", *devices]
    return [*listed, BY_HAND] if name in LISTS else listed


def _names(draft: Draft, name: str) -> list[str]:
    if name == f"{OWN}controls":
        return list(control_names())
    return [cut["name"] for cut in draft.cuts("top" if name == "top_cuts" else "bottom")]
