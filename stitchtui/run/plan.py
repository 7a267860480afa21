"""Experiment -> tasks: the columns of cells that a run measures, in order, and what identifies each cell."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from stitchtui.experiment import Experiment, PairSpec

Control = Literal["", "self_stitch", "identity", "random_bottom"]

# Raised whenever a change to the code may change a number, so that an older cell isn't taken for a newer one.
NUMERICS = 1


@dataclass(frozen=True)
class Task:
    """A column: every cut of one pair with one stitch, objective and seed; `control` is empty for the pair itself."""

    bottom: str
    top: str
    control: Control
    family: str
    objective: str
    start: str
    seed: int

    @property
    def id(self) -> str:
        """A name that is unique within a run and stays the same when the run is resumed."""
        return f"{self.column} {self.family} {self.objective} seed {self.seed}"

    @property
    def column(self) -> str:
        """The heading of the column: `a > b`, `random(a) > b`."""
        bottom = f"random({self.bottom})" if self.control == "random_bottom" else self.bottom
        return f"{bottom} > {self.top}"

    def as_dict(self) -> dict[str, Any]:
        """The task as an event carries it."""
        return {"id": self.id, "column": self.column, **asdict(self)}


def plan(experiment: Experiment) -> list[Task]:
    """All tasks of `experiment`: closed-form ones first, since they fill the grid in seconds."""
    columns = list(_columns(experiment))
    return [t for t in columns if t.objective == "direct"] + [t for t in columns if t.objective != "direct"]


def _columns(experiment: Experiment) -> list[Task]:
    tasks: dict[Task, None] = {}  # a dict keeps order and drops what two pairs share, such as a self-stitch
    controls: tuple[Control, ...] = ("", *experiment.controls)
    for control in controls:
        for pair in experiment.pairs:
            for task in _pair_tasks(experiment, pair, control):
                tasks.setdefault(task)
    return list(tasks)


def _pair_tasks(experiment: Experiment, pair: PairSpec, control: Control) -> list[Task]:
    stitch = experiment.stitch
    bottom = pair.top if control == "self_stitch" else pair.bottom
    if control == "" and pair.bottom == pair.top:
        control = "self_stitch"
    if control == "identity" and stitch.family == "identity":
        return []  # the pair itself is this control
    if control == "identity" or stitch.family == "identity":
        return [Task(bottom, pair.top, control, "identity", "direct", "identity", 0)]
    start = stitch.start
    if control == "self_stitch" and stitch.family == "affine":
        start = "identity"  # so that the penalty before training is exactly 0: an invariant that every run checks
    direct = Task(bottom, pair.top, control, "affine", "direct", "least_squares", 0)
    if stitch.objective == "direct":
        return [direct]
    trained = [Task(bottom, pair.top, control, stitch.family, "task", start, s) for s in stitch.seeds]
    return [direct, *trained]


def cell_identity(facts: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything that determines a cell's numbers."""
    canonical = json.dumps({**facts, "numerics": NUMERICS}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
