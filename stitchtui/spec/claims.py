"""What a `[[claims]]` entry of a preset may say: a small vocabulary, checked when the preset is read. No torch here."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from stitchtui.base.errors import WrongKey, not_known
from stitchtui.spec.controls import CONTROLS, control_names
from stitchtui.spec.measures import CKA, PENALTY, claimed_measures
from stitchtui.spec.one_of import OneOf

Kind = Literal["at_most", "at_least", "below", "within", "peak", "rises", "falls", "jumps", "error_gap"]
Measure = Annotated[str, OneOf(claimed_measures)]
Region = Literal["all", "diagonal", "later", "earlier"]


class Part(BaseModel):
    """A part of a claim: unknown keys are errors, values don't change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ColumnSpec(Part):
    """A column of the grid: a pair, one of its controls, and whatever of the stitch tells it from others.

    `stitch` holds keys of the experiment's [stitch]. With an `objective` it is the stitch of that objective; without
    one it is the one that counts in the verdict: the trained one, or direct matching where nothing is trained.
    """

    pair: str
    """`bottom > top`."""
    control: str = ""
    """The control of the pair that is meant; unless said, the pair itself."""
    stitch: dict[str, bool | int | float | str] = {}
    """Keys of [stitch] that tell the column from others."""

    @field_validator("control")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in CONTROLS:
            raise ValueError(not_known(value, control_names()))
        return value

    @property
    def ends(self) -> tuple[str, str]:
        """The bottom and the top of the pair."""
        bottom, _, top = self.pair.partition(" > ")
        return bottom, top


class CutRange(Part):
    """The cuts whose depth (share of the FLOPs before them) is at least `past` and at most `until`."""

    past: float | None = Field(None, ge=0, le=1)
    """The least depth."""
    until: float | None = Field(None, ge=0, le=1)
    """The greatest depth."""

    def holds(self, depth: float) -> bool:
        """Whether a cut of that depth is meant."""
        return (self.past is None or depth >= self.past) and (self.until is None or depth <= self.until)


class Where(Part):
    """A condition on a cut: the measure of the claim's first column (of each, if it doesn't compare) is so there."""

    measure: Measure = PENALTY.name
    """The measure that decides."""
    at_most: float | None = None
    """Only cuts where it is at most this."""
    at_least: float | None = None
    """Only cuts where it is at least this."""

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        said = [value for value in (self.at_most, self.at_least) if value is not None]
        if len(said) != 1:
            raise ValueError(f"expected one of at_most and at_least, got {'both' if said else 'neither'}")
        _check_cka(self.measure, "at_least" if self.at_most is None else "at_most", said[0])
        return self

    @property
    def limit(self) -> float:
        """What the measure is at most or at least."""
        return self.at_most if self.at_most is not None else self.at_least or 0.0


@dataclass(frozen=True)
class Grammar:
    """Which keys a kind of claim needs, which it may have, and how many columns (or networks) it is about."""

    needs: tuple[str, ...]
    may: tuple[str, ...] = ()
    least: int = 1
    most: int | None = None


GRAMMAR: dict[str, Grammar] = {
    "at_most": Grammar(("columns", "value"), ("cuts", "at", "measure", "where")),
    "at_least": Grammar(("columns", "value"), ("cuts", "at", "measure", "where")),
    "below": Grammar(("columns",), ("by", "cuts", "at", "measure", "where"), least=2),
    "within": Grammar(("columns", "value"), ("cuts", "measure"), least=2),
    "peak": Grammar(("columns", "between")),
    "rises": Grammar(("columns",), ("by", "slack", "cuts")),
    "falls": Grammar(("columns",), ("by", "slack", "cuts")),
    "jumps": Grammar(("columns", "between", "by")),
    "error_gap": Grammar(("networks", "value"), least=2, most=2),
}
_EXAMPLES = {
    "columns": 'such as ["a > b"]',
    "value": "a number of points",
    "between": "such as [0.4, 0.75]",
    "by": "a number of points",
    "networks": 'such as ["a", "b"]',
}


class ClaimSpec(Part):
    """One claim. Its kind says what it states, of every column it names unless it compares them.

    - at_most, at_least: the measure is at most, at least `value`; `at` every or some cut.
    - below: each column's is below the next one's, by at least `by` (else just below).
    - within: no two columns' are further apart than `value`.
    - peak: the penalty is largest at a cut between two depths.
    - rises, falls: no deeper cut falls back (rises) by more than `slack`, and the last is beyond the first by `by`.
    - jumps: it rises by at least `by` between two depths.
    - error_gap: the first network's test error is at most `value` points above the second's.

    With `where` only cuts count at which that holds: `measure = "cka"` and `where = { at_most = 0 }` says that CKA is
    low where the penalty is.
    """

    kind: Kind
    """What it states."""
    columns: tuple[str | ColumnSpec, ...] = ()
    """The columns that it is about."""
    networks: tuple[str, ...] = ()
    """The networks that it is about."""
    measure: Measure = PENALTY.name
    """The measure that it is about."""
    cuts: Region | CutRange | tuple[str, ...] = "all"
    """The cuts that it is about: all, a part of a grid of every cut with every cut, a range of depth, or these."""
    at: Literal["every", "some"] = "every"
    """At every one of them, or at some."""
    where: Where | None = None
    """Only the cuts at which this holds."""
    value: float | None = None
    """The limit, in units of the measure."""
    by: float | None = Field(None, ge=0)
    """By how much at least."""
    slack: float | None = Field(None, ge=0)
    """How far a deeper cut may fall back."""
    between: tuple[float, float] | None = None
    """Two depths, from 0 to 1."""
    source: str = ""
    """Where the sentence comes from."""

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        grammar = GRAMMAR[self.kind]
        defaults = {name: field.default for name, field in ClaimSpec.model_fields.items()}
        given = [name for name, default in defaults.items() if getattr(self, name) != default]
        for name in grammar.needs:
            if name not in given:
                raise WrongKey(f"a claim of kind '{self.kind}' needs it, {_EXAMPLES[name]}", name)
        known = (*grammar.needs, *grammar.may, "kind", "source")
        for name in given:
            if name not in known:
                raise WrongKey(f"a claim of kind '{self.kind}' has no such key; it knows: {', '.join(known)}", name)
        self._check_counts(grammar)
        _check_cka(self.measure, "value", self.value)
        return self

    def _check_counts(self, grammar: Grammar) -> None:
        name = "networks" if "networks" in grammar.needs else "columns"
        count = len(self.networks or self.columns)
        if count < grammar.least or (grammar.most is not None and count > grammar.most):
            exactly = "" if grammar.most == grammar.least else " or more"
            raise WrongKey(f"a claim of kind '{self.kind}' needs {grammar.least}{exactly}, got {count}", name)
        compared: Sequence[object] = self.networks or (self.refs if grammar.least > 1 else ())
        if any(one == other for one, other in pairwise(compared)):
            raise WrongKey("expected two that differ, got one beside itself", name)
        if self.between is not None and not 0 <= self.between[0] < self.between[1] <= 1:
            raise WrongKey(f"expected two depths, 0 <= first < second <= 1, got {list(self.between)}", "between")
        _check_cuts(self.cuts)

    @property
    def refs(self) -> tuple[ColumnSpec, ...]:
        """The columns, those that are named by their pair alone too."""
        return tuple(ColumnSpec(pair=each) if isinstance(each, str) else each for each in self.columns)


def _check_cka(measure: Measure, key: str, value: float | None) -> None:
    if measure == CKA.name and value is not None and not 0 <= value <= 1:
        raise WrongKey(f"expected a CKA, 0 to 1, got {value:g}", key)


def _check_cuts(cuts: str | CutRange | tuple[str, ...]) -> None:
    # Here and not in CutRange: of a union, pydantic would report every other branch's complaint too.
    if isinstance(cuts, tuple) and not cuts:
        raise WrongKey("expected one name or more, or 'all'", "cuts")
    if isinstance(cuts, CutRange):
        if cuts.past is None and cuts.until is None:
            raise WrongKey("expected `past`, `until` or both", "cuts")
        if cuts.past is not None and cuts.until is not None and cuts.past > cuts.until:
            raise WrongKey(f"expected past <= until, got {cuts.past:g} and {cuts.until:g}", "cuts")


def check_claims(
    claims: Sequence[ClaimSpec], pairs: Iterable[tuple[str, str]], networks: Collection[str], stitch: type[BaseModel]
) -> None:
    """Raise WrongKey where a claim names a pair, a network or a key of [stitch] that isn't there."""
    known = [f"{bottom} > {top}" for bottom, top in pairs]
    for index, claim in enumerate(claims):
        for place, ref in enumerate(claim.refs):
            key = f"claims.{index}.columns.{place}"
            if ref.pair not in known:
                raise WrongKey(not_known(ref.pair, known), key)
            for name, value in ref.stitch.items():
                _check_stitch(f"{key}.stitch.{name}", name, value, stitch)
        for name in claim.networks:
            if name not in networks:
                raise WrongKey(not_known(name, networks), f"claims.{index}.networks")


def _check_stitch(key: str, name: str, value: object, stitch: type[BaseModel]) -> None:
    field = stitch.model_fields.get(name)
    if field is None:
        raise WrongKey(not_known(name, stitch.model_fields), key)
    named = (list(each.names()) for each in field.metadata if isinstance(each, OneOf))
    options = next(named, [option for option in get_args(field.annotation) if isinstance(option, str)])
    if options and isinstance(value, str) and value not in options:
        raise WrongKey(not_known(value, options), key)
