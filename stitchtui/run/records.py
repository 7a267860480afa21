"""What a RunState is made of: cells, tasks, networks, and the grid's columns and summaries. Plain data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

from stitchtui.run.events import NetworkCut
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.measures import PENALTY, Measure
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.penalty import Interval, Verdict

Status = Literal["pending", "running", "finished", "failed"]
RunStatus = Literal["empty", "running", "done", "failed", "stopped"]
Kind = Literal["data", "network", "column"]

CURVE_POINTS = 500


@dataclass
class Cell:
    """One measurement: one cut of one task."""

    task: str
    cut: str
    status: Status = "pending"
    measures: dict[str, float | None] = field(default_factory=dict)
    reused_from: str | None = None
    reason: str | None = None
    misfit: bool = False  # it failed since no stitch of its family can join the cuts: no resumed run tries it again
    identity: str | None = None
    adapter: str = ""  # between the shapes of the two cuts, in words
    bottom_cut: str | None = None
    top_cut: str | None = None
    wrong: str = ""  # which test images it answers wrongly, as `stats.answer_bits` packs them

    def interval(self, measure: Measure = PENALTY) -> Interval | None:
        """The measure in percentage points; None unless it and both ends are there."""
        return _interval(self.measures, measure)


def _interval(measures: Mapping[str, float | None], measure: Measure) -> Interval | None:
    if not measure.ends:
        return None
    value, low, high = (measures.get(name) for name in (measure.name, *measure.ends))
    return None if value is None or low is None or high is None else Interval(value, low, high)


class CurvePoint(NamedTuple):
    """A step of training with its loss and accuracy in percent: means over a column's cells, and theirs."""

    step: int
    loss: float
    accuracy: float
    rows: tuple[str, ...] = ()  # the cells, where it is known which
    numbers: Sequence[float] = ()  # the loss of each of them, then the accuracy of each

    def of(self, row: str) -> tuple[int, float, float] | None:
        """The step with the loss and accuracy of one cell; None where they aren't known."""
        if row not in self.rows:
            return None
        place = self.rows.index(row)
        loss, accuracy = self.numbers[place], self.numbers[place + len(self.rows)]
        return (self.step, loss, accuracy) if math.isfinite(loss) and math.isfinite(accuracy) else None


@dataclass(frozen=True)
class HeldReading:
    """What a cell did on the held-out images after so many steps of its training; step 0 is its start."""

    step: int
    loss: float | None  # None where it is no number
    accuracy: float | None  # percent


@dataclass
class TaskState:
    """A task and how far it is; `data` and `network NAME` are tasks too, with no column."""

    id: str
    kind: Kind = "column"
    column: str = ""
    bottom: str = ""
    top: str = ""
    control: str = ""
    family: str = ""
    objective: str = ""
    start: str = ""
    seed: int = 0
    place: str = ""
    recipe: str = ""
    cross: bool = False
    request: int = 0  # its place among the experiment's requests
    status: Status = "pending"
    together: int = 1  # how many tasks take their steps at once, this one included
    cuts: list[str] = field(default_factory=list)
    step: int = 0
    steps: int = 0
    at_most: bool = False  # whether these are a limit
    first_step: int | None = None  # the first that was said: a resumed network doesn't begin at 0
    loss: float | None = None
    accuracy: float | None = None
    epoch: int = 0  # of a network's training: the pass over its images that it is in, from 1; 0 where it isn't told
    epochs: int = 0
    started: float | None = None
    updated: float | None = None  # when the last step was said
    finished: float | None = None
    curve: list[CurvePoint] = field(default_factory=list)
    curve_gap: int = 1  # steps that lie between two kept points, at least
    held_out: int = 0  # training images that nothing of it is fitted on
    readings: dict[str, list[HeldReading]] = field(default_factory=dict)  # on those images, by row

    @property
    def is_open(self) -> bool:
        """Whether it is at work and may end before its limit."""
        return self.at_most and self.status == "running" and self.step < self.steps

    def has_room_for(self, step: int) -> bool:
        """Forget the curve's points at or after `step`, and return whether one there is far enough from the last."""
        while self.curve and self.curve[-1].step >= step:
            self.curve.pop()
        if not self.curve:
            self.curve_gap = 1
            return True
        return step - self.curve[-1].step >= self.curve_gap

    def add_point(self, point: CurvePoint) -> None:
        """Add to the curve, and thin it out once it is too long."""
        self.curve.append(point)
        if len(self.curve) > CURVE_POINTS:
            self.curve = self.curve[::2]
            self.curve_gap = max(1, (self.curve[-1].step - self.curve[0].step) // (len(self.curve) - 1))

    def add_reading(self, row: str, reading: HeldReading) -> None:
        """Add what a cell did on the held-out images, forgetting what was said of that step or a later one."""
        earlier = [known for known in self.readings.get(row, ()) if known.step < reading.step]
        self.readings[row] = [*earlier, reading]


@dataclass
class NetworkState:
    """A network that is ready: what it is and where it can be cut."""

    name: str
    digest: str
    architecture: str
    error: float  # percent of the test part
    parameters: int
    source: str
    cuts: list[NetworkCut]  # from input to output
    mean: list[float] = field(default_factory=list)  # per channel, what the network's input is normalised by
    std: list[float] = field(default_factory=list)
    wrong: str = ""  # which test images it answers wrongly, as `stats.answer_bits` packs them


@dataclass(frozen=True)
class Summary:
    """One row of one column, over the seeds."""

    cut: str
    status: Status
    penalty: Interval | None = None  # the one number that counts here: every front says it first
    versus_bottom: Interval | None = None
    direct: Interval | None = None  # what direct matching costs beside it: of the same bottom, top, control and cut
    seeds: int = 0  # seeds that are in
    spread: float | None = None  # standard deviation of the penalty over seeds, with at least two of them
    spread_by_images: float | None = None  # the same if seeds were alike but for the test images that each errs on
    reused: bool = False
    reason: str | None = None
    measures: dict[str, float] = field(default_factory=dict)  # means over the seeds that are in

    def interval(self, measure: Measure) -> Interval | None:
        """One of its `measures` with its ends; None unless all are there."""
        return _interval(self.measures, measure)


@dataclass(frozen=True)
class InSeed:
    """A column in one network seed: a task for each stitch seed, and the direct matching beside them."""

    bottom: str
    top: str
    task_ids: tuple[str, ...]
    direct_task: str | None = None


@dataclass(frozen=True)
class Column:
    """A column of the grid: one bottom, top and control, with the family and objective of its main cells.

    With several network seeds, bottom and top are called as in the first.
    """

    key: str
    heading: str
    bottom: str
    top: str
    control: str
    family: str
    objective: str
    in_seeds: tuple[InSeed, ...]  # of every network seed
    direct_family: str | None = None  # what the direct matching beside it is fitted in: its own family, or affine
    place: str = ""  # how its cuts differ from the run's main request, in words
    recipe: str = ""  # how its training differs
    cross: bool = False  # every bottom cut with every top cut: a grid of its own
    request: int = 0  # of its first task: its place among the experiment's requests
    apart: tuple[str, ...] = ()  # what tells it from other columns of the same bottom, top and control

    @property
    def task_ids(self) -> tuple[str, ...]:
        """The tasks of all seeds."""
        return tuple(task for each in self.in_seeds for task in each.task_ids)

    @property
    def direct_tasks(self) -> tuple[str, ...]:
        """The direct matching beside them, of every network seed that has it."""
        return tuple(each.direct_task for each in self.in_seeds if each.direct_task is not None)

    def matched(self) -> "Column":
        """The direct matching beside it as a column of its own."""
        mine = tuple(
            replace(each, task_ids=(each.direct_task,), direct_task=None)
            for each in self.in_seeds
            if each.direct_task is not None
        )
        return replace(self, objective=DIRECT.name, family=self.direct_family or self.family, in_seeds=mine)

    @property
    def by_direct(self) -> bool:
        """Whether nothing is trained for it, so that what direct matching costs is its penalty."""
        family = FAMILIES.get(self.family)
        return self.objective == DIRECT.name and not (family and family.changes_nothing)

    @property
    def variant(self) -> str:
        """What sets this column apart from the run's main request; empty where nothing does."""
        return ", ".join(word for word in (self.place, self.recipe) if word)


@dataclass(frozen=True)
class Called:
    """A pair's verdict as its run's end called it, and the margin from which on it is connected."""

    verdict: Verdict
    connected_from: float | None
    rules: int  # their version, see `stats.rules`


def row_name(bottom_cut: str, top_cut: str) -> str:
    """What a cell's row is called: one name where both cuts have it."""
    return top_cut if bottom_cut == top_cut else f"{bottom_cut} > {top_cut}"
