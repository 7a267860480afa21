"""Experiment -> tasks: the columns of cells that a run measures, in order, and what identifies each cell."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from stitchtui.experiment import Experiment, PairSpec, Request, StitchSpec

Control = Literal["", "self_stitch", "identity", "random_bottom"]

# Raised whenever a change to the code may change a number, so that an older cell isn't taken for a newer one.
NUMERICS = 1

# What of a stitch's spec decides which numbers its direct matching finds, and what only how it is trained; the rest
# (family, objective, seeds) a task says itself.
_PLACE_KEYS = ("cuts", "top_cuts", "pairing", "ridge")
_RECIPE_KEYS = ("start", "epochs", "steps", "batch_size", "learning_rate", "weight_decay", "frozen_bn", "precision")


@dataclass(frozen=True)
class Task:
    """A column: every cut of one pair with one stitch, objective and seed; `control` is empty for the pair itself.

    `place` and `recipe` say in words how its cuts and its training differ from the run's main request, and are empty
    where they don't. With `cross` every bottom cut meets every top cut. `request` is its place in
    `Experiment.requests`.
    """

    bottom: str
    top: str
    control: Control
    family: str
    objective: str
    start: str
    seed: int
    place: str = ""
    recipe: str = ""
    cross: bool = False
    request: int = field(default=0, compare=False)

    @property
    def id(self) -> str:
        """A name that is unique within a run and stays the same when the run is resumed."""
        words = (self.column, self.family, self.objective, self.place, self.recipe, f"seed {self.seed}")
        return " ".join(word for word in words if word)

    @property
    def column(self) -> str:
        """The heading of the column: `a > b`, `random(a) > b`."""
        bottom = f"random({self.bottom})" if self.control == "random_bottom" else self.bottom
        return f"{bottom} > {self.top}"

    def as_dict(self) -> dict[str, Any]:
        """The task as an event carries it."""
        return {"id": self.id, "column": self.column, **asdict(self)}


def plan(experiment: Experiment) -> list[Task]:
    """All tasks of `experiment`: of each request the closed-form ones first, since they fill the grid in seconds.

    What a later request shares with an earlier one, such as a direct matching, is planned once.
    """
    tasks: dict[str, Task] = {}  # by id: an identity stitch that is asked for may be there as a control already
    for index, request in enumerate(experiment.requests):
        columns = list(_columns(request, index, experiment.stitch))
        for closed_form in (True, False):
            for task in columns:
                if (task.objective == "direct") == closed_form:
                    tasks.setdefault(task.id, task)
    return list(tasks.values())


def _columns(request: Request, index: int, main: StitchSpec) -> Iterator[Task]:
    controls: tuple[Control, ...] = ("", *request.controls)
    for control in controls:
        for pair in request.pairs or ():
            yield from _Pair(request.stitch, main, index).tasks(pair, control)


@dataclass(frozen=True)
class _Pair:
    stitch: StitchSpec
    main: StitchSpec
    request: int

    def tasks(self, pair: PairSpec, control: Control) -> list[Task]:
        stitch = self.stitch
        bottom = pair.top if control == "self_stitch" else pair.bottom
        if control == "" and pair.bottom == pair.top:
            control = "self_stitch"
        if control == "identity" and stitch.family == "identity":
            return []  # the pair itself is this control
        direct = self._direct(bottom, pair.top, control)
        if control == "identity" or stitch.family == "identity":
            return [replace(direct, family="identity", start="identity")]
        if stitch.objective == "direct":
            return [direct]
        start = stitch.start
        if control == "self_stitch" and stitch.family == "affine":
            start = "identity"  # so that the penalty before training is exactly 0: an invariant that every run checks
        recipe = self._differences(_RECIPE_KEYS)
        trained = replace(direct, family=stitch.family, objective="task", start=start, recipe=recipe)
        return [direct, *(replace(trained, seed=seed) for seed in stitch.seeds)]

    def _direct(self, bottom: str, top: str, control: Control) -> Task:
        place, cross = self._differences(_PLACE_KEYS), self.stitch.pairing == "all"
        return Task(bottom, top, control, "affine", "direct", "least_squares", 0, place, "", cross, self.request)

    def _differences(self, keys: tuple[str, ...]) -> str:
        said = ((key, getattr(self.stitch, key)) for key in keys)
        return ", ".join(_said(key, value) for key, value in said if value != getattr(self.main, key))


def _said(key: str, value: Any) -> str:
    if key == "pairing":
        return "every cut with every cut" if value == "all" else "equal cuts"
    if key in ("cuts", "top_cuts"):
        words = value if isinstance(value, str) else " ".join(value or ("as the bottom's",))
        return f"{'cuts' if key == 'cuts' else 'top cuts'} {words}"
    if key == "epochs":
        return f"{value:g} epochs"
    words = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{key.replace('_', ' ')} {words}"


def cell_identity(facts: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything that determines a cell's numbers."""
    canonical = json.dumps({**facts, "numerics": NUMERICS}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
