"""What New holds: two networks or a prepared experiment, and the fields over it; from it the experiment and command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from stitchtui.report.wording import counted
from stitchtui.spec.datasets import CIFAR10
from stitchtui.spec.experiment import DataSpec, Experiment, NetworkSpec
from stitchtui.spec.families import AT_RANDOM, FAMILIES, LEAST_SQUARES
from stitchtui.spec.objectives import DIRECT
from stitchtui.spec.pairing import Meeting, Pairing, Uneven, cuts_text, read_cuts, read_names
from stitchtui.spec.presets import load_preset
from stitchtui.spec.shapes import Misfit
from stitchtui.tui import cut_pairs
from stitchtui.tui.form_fields import (
    BY_HAND,
    DATA,
    ENDS,
    FREE,
    NETWORKS,
    OWN,
    End,
    end_of,
    field_of,
)
from stitchtui.tui.sources import Source

NORMALISATION: str = NetworkSpec.model_fields["normalisation"].default
EACH_ITS_OWN = "each its own"  # a normalisation for either network, as an earlier run had said it
_DEFAULTS = {
    "both": "no", "device": "auto", "threads": "", "memory": "", "normalisation": NORMALISATION, "head": "",
    "part": "", "leaves": "",
    "trust_code": "no", FREE: "",
}  # fmt: skip


@dataclass
class Draft:
    """The one place that knows what was chosen; everything else is worked out from it.

    `document` is a prepared experiment, `origin` what `stitchtui run` calls it; without one the networks are picked.
    """

    document: dict[str, Any] | None = None
    origin: tuple[str, ...] = ()
    picked: dict[End, Source] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)  # what the user changed
    by_hand: set[str] = field(default_factory=set)  # which of LISTS the user types
    architectures: dict[End, str] = field(default_factory=dict)  # what the user says a foreign checkpoint is for
    answers: dict[End, dict[str, Any]] = field(default_factory=dict)  # what the inspector says

    @property
    def complete(self) -> bool:
        """Whether both ends are chosen."""
        return self.document is not None or len(self.picked) == 2

    def default(self, name: str) -> str:
        """A field's value where nobody has said anything, as `stitchtui run` has it too."""
        if name in _DEFAULTS:
            return _DEFAULTS[name]
        document = self.document or {}
        if name == "data":
            return str(_table(document, "data").get("name", CIFAR10.name))
        if name in DATA:
            return str(_table(document, "data").get(name, DataSpec.model_fields[name].default))
        if name == "controls":
            controls = document.get("controls", Experiment.model_fields["controls"].default)
            return ",".join(controls) or "none"
        return _text(name, _table(document, "stitch"))

    def value(self, name: str) -> str:
        """A field's value: what the user chose, or what the networks say of their data, or the default."""
        if name in self.values:
            return self.values[name]
        if name == "data" and self.document is None:
            picked = [self.picked[end] for end in ("top", "bottom") if end in self.picked]
            said: list[Any] = [source.data for source in picked]
            said += [self.answers.get(end, {}).get("data") for end in ("top", "bottom")]
            said += [source.beside.data for source in picked]
            return next((str(word) for word in said if word), self.default(name))
        if name == "normalisation" and self.document is None:
            scales = [self.brings(end).get(name, NORMALISATION) for end in self.picked] or [NORMALISATION]
            return str(scales[0]) if scales[0] == scales[-1] and isinstance(scales[0], str) else EACH_ITS_OWN
        return self.default(name)

    def ends(self) -> dict[End, str]:
        """What the bottom and the top are called."""
        if self.document is not None:
            pair = (self.document.get("pairs") or [{}])[0]
            return {end: str(pair.get(end, "")) for end in ENDS}
        return {end: self.picked[end].name or self.picked[end].label for end in ENDS if end in self.picked}

    @property
    def next_end(self) -> End:
        """The end that is picked next."""
        return "top" if "bottom" in self.picked else "bottom"

    def heading(self) -> str:
        """What is to be done, or what the run is."""
        if not self.complete:
            role = "up to the cut" if self.next_end == "bottom" else "after the cut"
            return f"New run: pick the {self.next_end} (its layers {role})"
        ends = self.ends()
        more = len((self.document or {}).get("pairs", [1])) - 1
        return f"New run: {ends['bottom']} > {ends['top']}" + (f" and {more} more" if more > 0 else "")

    def question(self, end: End) -> dict[str, Any] | None:
        """What to ask the inspector about one end; None where nothing is picked, or the network isn't trained yet."""
        if self.document is None:
            if end not in self.picked:
                return None
            return {**self.picked[end].question(self.architecture(end)), **self.of_networks()}
        spec = _table(_table(self.document, "networks"), self.ends()[end])
        keys = ("checkpoint", "architecture", "weights", "width", "options", *NETWORKS)
        return {key: spec[key] for key in keys if key in spec} or None

    def of_networks(self) -> dict[str, Any]:
        """The options of both networks that are set."""
        said: dict[str, Any] = {name: self.value(name).strip() for name in ("head", "part")}
        said["normalisation"] = self.values.get("normalisation")
        said["leaves"] = cut_pairs.names_of(self.value("leaves"))
        return {name: value for name, value in said.items() if value} | (
            {"trust_code": True} if self.value("trust_code") == "yes" else {}
        )

    def applies(self, name: str) -> bool:
        """Whether a field means something for what is chosen."""
        family = FAMILIES.get(self.value("family"))
        if name in NETWORKS:
            asked = any(field_of(self.answers.get(end, {}).get("field")) == name for end in ENDS)
            unsaid = name == "normalisation" and any(source.unsaid for source in self.picked.values())
            return self.document is None and (asked or unsaid or self.value(name) != self.default(name))
        if name in ENDS:
            return self.needs_architecture(end_of(name))
        if name.startswith(OWN):
            return name.removeprefix(OWN) in self.by_hand
        return {
            "top_cuts": ":" not in self.value("cuts") and ("cuts" in self.by_hand or bool(self.value("top_cuts"))),
            "rank": family is None or family.takes_rank,  # a ladder climbs over it
            "best_of": self.value("start") == AT_RANDOM,
            "both": self.document is None,
        }.get(name, True)

    def differing(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that have to be said; always the data, of which two networks alone say nothing."""
        kept = [name for name in names if self.applies(name)]
        needed = [] if self.document is not None else ["data"]
        return [name for name in kept if self.value(name) != self.default(name) or name in needed]

    def architecture(self, end: End) -> str:
        """What the checkpoint at this end is said to be for: typed for it or for both, else as it is known."""
        if self.document is not None or end not in self.picked or not self.picked[end].is_file:
            return ""
        other, own = _other(end), self._known_architecture(end)
        if end in self.architectures:
            return _part(self.architectures[end], end)
        if own and self._known_architecture(other) not in ("", own):
            return own
        if not self.picked[end].unsaid:
            return own
        typed = _part(self.architectures.get(other, ""), end)
        beside = str(self.picked[end].beside.network.get("architecture", ""))
        return typed or own or self._known_architecture(other) or beside

    def _known_architecture(self, end: End) -> str:
        source = self.picked.get(end)
        return str(source.brings.get("architecture", "")) if source is not None and source.is_file else ""

    def brings(self, end: End) -> dict[str, Any]:
        """What else is known of the network at one end, but for what is typed for both."""
        if end not in self.picked:
            return {}
        source = self.picked[end]
        known = dict(source.brings)
        if source.unsaid and not known and "normalisation" in source.beside.network:
            known["normalisation"] = source.beside.network["normalisation"]
        typed = {"architecture", *self.of_networks()}
        return {key: value for key, value in known.items() if key not in typed}

    def needs_architecture(self, end: End) -> bool:
        """Whether there is a field for what the checkpoint at this end is for: one for both, unless they differ."""
        if self.document is not None or end not in self.picked or not self.picked[end].is_file:
            return False
        answer = self.answers.get(end, {})
        asked = answer.get("field") == "architecture" or (self.picked[end].unsaid and not answer.keys() - {"asking"})
        if not (end in self.architectures or self.architecture(end) or asked):
            return False
        return end == "bottom" or not self.needs_architecture("bottom") or self._differs()

    def _differs(self) -> bool:
        """Whether the top is for something else than the bottom, or turned out not to be for the same."""
        said = [self.architecture(end) for end in ENDS]
        if "top" in self.architectures or said[0] != said[1]:
            return "," not in self.architectures.get("bottom", "")
        bottom, top = (self.answers.get(end, {}) for end in ENDS)
        tried = bool(said[1]) and bottom.get("asked") == top.get("asked") == said[1]
        return tried and "cuts" in bottom and "error" in top and top.get("field", "architecture") == "architecture"

    def may_look(self, end: End) -> bool:
        """Whether the network at this end is looked at before it is picked: not what has to be fetched or runs code."""
        source = self.picked[end]
        return source.is_file and not (source.unsaid and ":" in self.architecture(end))

    def take(self, end: End, question: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keep the inspector's answer on one end."""
        self.answers[end] = {**answer, "asked": question.get("architecture")}

    def doubt(self, end: End) -> None:
        """Forget what was said of one end for other values, but for what its file alone says: it is asked again."""
        if end in self.answers:
            kept = {key: value for key, value in self.answers[end].items() if key in ("field", "data")}
            self.answers[end] = {**kept, "asking": True}

    def asking(self, end: End) -> bool:
        """Whether the inspector has still to answer on one end."""
        return self.question(end) is not None and self.answers.get(end, {"asking": True}).get("asking", False)

    def cuts(self, end: End) -> list[cut_pairs.Cut]:
        """Every cut of one end, as far as the inspector has said them."""
        return list(self.answers.get(end, {}).get("cuts", []))

    def chosen_cuts(self, end: End) -> list[cut_pairs.Cut]:
        """The cuts of one end that the experiment uses."""
        return cut_pairs.chosen(self.cuts("bottom"), self.cuts("top"), self.meeting)[ENDS.index(end)]

    @property
    def meeting(self) -> Meeting:
        """What decides which cuts meet, and whether a stitch fits between them."""
        try:
            cuts = read_cuts(self.value("cuts"))
        except ValueError:  # which is said beside the field
            cuts = ()
        tops = read_names(self.value("top_cuts")) if self.applies("top_cuts") else ()
        start = LEAST_SQUARES if self.value("objective") == DIRECT.name else self.value("start")
        return Meeting(cuts, tops or None, cast("Pairing", self.value("pairing")), self.value("family"), start)

    @property
    def top_field(self) -> str:
        """The field that the top's cuts are said in."""
        return "top_cuts" if self.applies("top_cuts") else "cuts"

    def _named_cuts(self, end: End) -> tuple[str, ...]:
        """The names that have to be those of cuts of one end."""
        cuts, tops, pairing = self.meeting.cuts, self.meeting.top_cuts, self.meeting.pairing
        if isinstance(cuts, dict):
            return tuple(cuts if end == "bottom" else cuts.values())
        if end == "top":
            cuts = tops if tops is not None else cuts if pairing == "equal" else "blocks"
        return () if isinstance(cuts, str) else cuts

    def set(self, name: str, value: str) -> bool:
        """Take over what a field holds; return whether that is new."""
        before = (self.values.copy(), self.architectures.copy(), self.by_hand.copy())
        if name == "bottom":
            self.architectures["bottom"] = value
        elif name == "top":
            if self.needs_architecture("bottom"):  # which had to do for both
                self.architectures.setdefault("bottom", self.architecture("bottom"))
            self.architectures["top"] = value
        elif value == BY_HAND:
            self._take_in_hand(name)
        elif name.startswith(OWN):
            self.values[name.removeprefix(OWN)] = value
        elif self.value(name) != value or name in self.by_hand:
            self.values[name] = value
            self.by_hand.discard(name)
            if name == "cuts":
                self.values.pop("top_cuts", None)
        return before != (self.values, self.architectures, self.by_hand)

    def _take_in_hand(self, name: str) -> None:
        """Let the user type the names of a field of LISTS, beginning with those that it means now."""
        text = cut_pairs.text(self.cuts("bottom"), self.cuts("top"), self.meeting) if name == "cuts" else ""
        self.by_hand.add(name)
        self.values[name] = text or self.value(name)

    def mark(self, marked: Mapping[End, Sequence[str]]) -> None:
        """Take over the cuts that are marked, as if their names had been typed; none of the top are the bottom's."""
        self.by_hand.add("cuts")
        self.values |= {name: ",".join(marked[end]) for name, end in zip(("cuts", "top_cuts"), ENDS, strict=True)}

    def swap(self) -> None:
        """Let bottom and top change places, and with them the cuts that are named for each."""
        said = {end: text for end in ENDS if (text := self.architecture(end))}
        typed = bool(self.architectures)
        for held in (self.picked, self.answers):
            both = cast("dict[End, Any]", held)
            swapped: dict[End, Any] = {_other(end): both[end] for end in both}
            both.clear()
            both.update(swapped)
        if typed:
            same = len(said) == len(ENDS) and len(set(said.values())) == 1
            self.architectures = {"bottom": said["top"]} if same else {_other(end): said[end] for end in said}
        if ":" in self.value("cuts"):
            pairs = (word.partition(":") for word in cut_pairs.names_of(self.value("cuts")))
            self.values["cuts"] = ",".join(f"{high}{colon}{low}" for low, colon, high in pairs)
        elif tops := self.value("top_cuts"):
            self.values |= {"cuts": tops, "top_cuts": self.value("cuts")}

    def unpick(self) -> bool:
        """Forget the network that was picked last; return whether there was one."""
        ends = [end for end in ENDS if end in self.picked]
        if self.document is not None or not ends:
            return False
        for held in (self.picked, self.architectures, self.answers):
            cast("dict[End, Any]", held).pop(ends[-1], None)
        return True

    def misfits(self) -> dict[str, str]:
        """Why the cuts can't be stitched, by field; nothing before both networks' cuts are known."""
        if not (self.cuts("bottom") and self.cuts("top")):
            return {}
        for end, name in zip(ENDS, ("cuts", self.top_field), strict=True):
            if reason := cut_pairs.unknown(self.cuts(end), self._named_cuts(end)):
                return {name: f"{end}: {reason}"}
        return cut_pairs.problems(self.cuts("bottom"), self.cuts("top"), self.meeting, self.top_field)

    def remarks(self) -> dict[str, str]:
        """What to know of a field that can be used all the same."""
        try:
            count, _, reason = cut_pairs.misfits(self.cuts("bottom"), self.cuts("top"), self.meeting)
        except (Uneven, Misfit):  # a problem
            return {}
        return {"cuts": f"{counted(count, 'cell')} can't be: {reason}"} if count else {}


def _other(end: End) -> End:
    return "top" if end == "bottom" else "bottom"


def _part(typed: str, end: End) -> str:
    """What is typed for one end: as a whole for both, or the bottom's and the top's with a comma between them."""
    first, comma, last = typed.partition(",")
    return (last if comma and end == "top" else first).strip()


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(name: str, stitch: Mapping[str, Any]) -> str:
    from stitchtui.spec.experiment import StitchSpec

    value = stitch.get(name, StitchSpec.model_fields[name].default)
    if name == "seeds":
        seeds = list(value)
        return (
            str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds)) + "," * (len(seeds) == 1)
        )
    if value is None:
        return ""
    if name == "epochs":
        return f"{value:g}"
    return cuts_text(value) if name in ("cuts", "top_cuts") else str(value)


def from_preset(name: str, scale: str | None = None) -> Draft:
    """A draft of one of the presets. Raises BadInput where it can't be read."""
    origin = (name,) if scale is None else (name, "--scale", scale)
    return Draft(load_preset(name, scale).plain(), origin)


def from_prepared(prepared: Mapping[str, Any]) -> Draft:
    """A draft of an experiment as `Experiment.plain()` gives it; its `origin`, if it has one, is how the command line
    calls it: a preset, a file, or a list of words."""
    document = dict(prepared)
    origin = document.pop("origin", ())
    return Draft(document, (origin,) if isinstance(origin, str) else tuple(origin))
