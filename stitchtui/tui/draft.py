"""What New holds: two networks or a prepared experiment, and the fields over it; from it the experiment and command."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stitchtui.commands import flags
from stitchtui.commands.checks import check_device, check_files
from stitchtui.errors import BadInput
from stitchtui.experiment import Experiment
from stitchtui.presets import from_document, from_pair, load_preset, pair_names
from stitchtui.settings import Setting, dotted
from stitchtui.text import plain
from stitchtui.tui import fit
from stitchtui.tui.sources import Source

End = Literal["bottom", "top"]
ENDS: tuple[End, End] = ("bottom", "top")
EXPERIMENT_FIELDS = ("data", "cuts", "family", "objective", "start", "epochs", "seeds", "controls")
FIELDS = (*EXPERIMENT_FIELDS, "both", "device")
_DEFAULTS = {"both": "no", "device": "auto"}


@dataclass
class Draft:
    """The one place that knows what was chosen; everything else is worked out from it.

    `document` is a prepared experiment, `origin` what `stitchtui run` calls it; without one the networks are picked.
    """

    document: dict[str, Any] | None = None
    origin: tuple[str, ...] = ()
    picked: dict[End, Source] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)  # what the user changed
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
            return str(_table(document, "data").get("name", "cifar10"))
        if name == "controls":
            controls = document.get("controls", Experiment.model_fields["controls"].default)
            return ",".join(controls) or "none"
        return _text(name, _table(document, "stitch"))

    def value(self, name: str) -> str:
        """A field's value: what the user chose, or what the networks say of their data, or the default."""
        if name in self.values:
            return self.values[name]
        if name == "data" and self.document is None:
            said = [self.answers.get(end, {}).get("data") for end in ("top", "bottom")]
            said += [self.picked[end].data for end in ("top", "bottom") if end in self.picked]
            return next((str(word) for word in said if word), self.default(name))
        return self.default(name)

    def ends(self) -> dict[End, str]:
        """What the bottom and the top are called."""
        if self.document is not None:
            pair = (self.document.get("pairs") or [{}])[0]
            return {end: str(pair.get(end, "")) for end in ENDS}
        return {end: self.picked[end].name or self.picked[end].label for end in ENDS if end in self.picked}

    def question(self, end: End) -> dict[str, Any] | None:
        """What to ask the inspector about one end; None where nothing is picked, or the network isn't trained yet."""
        if self.document is None:
            return self.picked[end].question(self.architectures.get(end, "")) if end in self.picked else None
        spec = _table(_table(self.document, "networks"), self.ends()[end])
        keys = ("checkpoint", "architecture", "weights", "width", "options")
        return {key: spec[key] for key in keys if key in spec} or None

    def needs_architecture(self, end: End) -> bool:
        """Whether the user has to say, or has said, what the checkpoint at this end is for."""
        if self.document is not None or end not in self.picked or not self.picked[end].is_file:
            return False
        return end in self.architectures or "type its architecture" in self.answers.get(end, {}).get("error", "")

    def cuts(self, end: End) -> list[fit.Cut]:
        """Every cut of one end, as far as the inspector has said them."""
        return list(self.answers.get(end, {}).get("cuts", []))

    def chosen_cuts(self, end: End) -> list[fit.Cut]:
        """The cuts of one end that the experiment uses."""
        return fit.selected(self.cuts(end), self.value("cuts"))

    def check(self) -> tuple[Experiment | None, dict[str, str]]:
        """The experiment if it can be started, and the reason beside each field ("" for the whole) that it can't."""
        problems: dict[str, str] = {}
        experiment = self._experiment(problems) if self.complete else None
        if experiment is not None:
            self._check_places(experiment, problems)
        for end in ENDS:
            answer = self.answers.get(end, {})
            if error := answer.get("error"):
                problems[end] = plain(error)
            if misfit := answer.get("misfit"):
                problems.setdefault("data", f"{end}: {plain(misfit)}")
        both_known = bool(self.cuts("bottom") and self.cuts("top"))
        if both_known and (reason := self._misfit()):
            problems.setdefault("cuts", reason)
        return (None if problems else experiment), problems

    def _misfit(self) -> str:
        return fit.problem(self.chosen_cuts("bottom"), self.chosen_cuts("top"), self.value("family"))

    def _experiment(self, problems: dict[str, str]) -> Experiment | None:
        """Built again without each field that is at fault, so that every reason is found and not only the first."""
        while True:
            try:
                return self._build([name for name in EXPERIMENT_FIELDS if name not in problems])
            except BadInput as error:
                name = _field_of(str(error))
                if name == "" or name in problems:
                    problems.setdefault("", str(error))
                    return None
                problems[name] = str(error).removeprefix(f"--{name}: ")

    def _build(self, names: list[str]) -> Experiment:
        laid_over = flags.settings(**self._changed(names))
        if self.document is not None:
            return from_document(self.document, laid_over)
        bottom, top = self.picked["bottom"], self.picked["top"]
        own = [Setting(path, text, "--architecture") for path, text in self._own_architectures()]
        both = self.value("both") == "yes"
        experiment = from_pair(bottom.value, top.value, both=both, settings=[*laid_over, *own])
        return self._renamed(experiment)

    def _changed(self, names: list[str]) -> dict[str, Any]:
        changed: dict[str, Any] = {n: self.value(n) for n in names if self.value(n) != self.default(n)}
        if "epochs" in changed:
            try:
                changed["epochs"] = float(changed["epochs"])
            except ValueError:
                raise BadInput(f"--epochs: expected a number, got '{plain(changed['epochs'])}'") from None
        return changed

    def _own_architectures(self) -> list[tuple[tuple[str, ...], str]]:
        names = pair_names(self.picked["bottom"].value, self.picked["top"].value)
        said = [(name, self.architectures.get(end, "")) for name, end in zip(names, ENDS, strict=True)]
        return [(("networks", name, "architecture"), text) for name, text in said if text]

    def _renamed(self, experiment: Experiment) -> Experiment:
        """With the names that known runs have for their networks, in place of their files'."""
        old = pair_names(self.picked["bottom"].value, self.picked["top"].value)
        new = {before: self.picked[end].name or before for before, end in zip(old, ENDS, strict=True)}
        if len(set(new.values())) < len(new):
            new = {before: f"{name[:56]}-{end}" for (before, name), end in zip(new.items(), ENDS, strict=True)}
        if all(before == name for before, name in new.items()):
            return experiment
        document = experiment.plain()
        document["networks"] = {new[name]: spec for name, spec in document["networks"].items()}
        document["pairs"] = [{end: new[pair[end]] for end in ENDS} for pair in document["pairs"]]
        first = document["pairs"][0]
        document["name"] = f"{first['bottom'][:29]}-{first['top'][:29]}"
        document["title"] = f"{first['bottom']} > {first['top']}"
        return from_document(document)

    def _check_places(self, experiment: Experiment, problems: dict[str, str]) -> None:
        try:
            check_device(self.value("device"))
            check_files(experiment)
        except BadInput as error:
            problems.setdefault("data" if str(error).startswith("data.name") else "", str(error))

    def command(self) -> str:
        """The equivalent `stitchtui run` line; empty where a prepared experiment has no file yet."""
        if not self.complete or (self.document is not None and not self.origin):
            return ""
        what = self.origin or tuple(self.picked[end].value for end in ENDS)
        words = ["stitchtui", "run", *what]
        for name in EXPERIMENT_FIELDS:
            if self.value(name) != self.default(name):
                words += [f"--{name}", self.value(name)]
        words += self._architecture_flags() + (["--both"] if self.value("both") == "yes" else [])
        if self.value("device") != "auto":
            words += ["--device", self.value("device")]
        return " ".join(map(_quoted, words))

    def _architecture_flags(self) -> list[str]:
        said = self._own_architectures() if self.document is None else []
        if len(said) == 2:
            texts = list(dict.fromkeys(text for _, text in said))
            return [word for text in texts for word in ("--architecture", text)]
        return [word for path, text in said for word in ("--set", f"{dotted(path)}={text}")]


def _table(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = document.get(key)
    return found if isinstance(found, dict) else {}


def _text(name: str, stitch: Mapping[str, Any]) -> str:
    from stitchtui.experiment import StitchSpec

    value = stitch.get(name, StitchSpec.model_fields[name].default)
    if name == "seeds":
        seeds = list(value)
        return (
            str(len(seeds)) if seeds == list(range(len(seeds))) else ",".join(map(str, seeds)) + "," * (len(seeds) == 1)
        )
    if name == "epochs":
        return f"{value:g}"
    return value if isinstance(value, str) else ",".join(value)


def _field_of(message: str) -> str:
    """The field that an error speaks of, by the flag or the key that it names; empty where it names none."""
    for found in re.finditer(r"--(\w+)|\b(?:stitch|data)\.(\w+)", message):
        name = (found[1] or found[2]).replace("name", "data")
        if name in EXPERIMENT_FIELDS:
            return name
    return ""


def _quoted(word: str) -> str:
    """`word` as a shell reads it back, with control characters spelt out so that they do nothing on the way."""
    if plain(word) == word:
        return shlex.quote(word)
    text = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(c if plain(c) == c else _escape(c) for c in text) + "'"


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}"


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
