"""Experiment -> plan: the columns of cells that a run measures, in order, and the units that a device is sent."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.spec.controls import column_of, control_named
from stitchtui.spec.experiment import Experiment, NetworkSpec, PairSpec, Request, StitchSpec
from stitchtui.spec.families import (
    AFFINE,
    AFFINE_SCALED,
    ALL_RUNGS,
    FAMILIES,
    IDENTITY,
    LEAST_SQUARES,
    ladder_families,
    start_family,
)
from stitchtui.spec.network_seeds import in_every_seed
from stitchtui.spec.objectives import DIRECT, OBJECTIVES, TASK
from stitchtui.spec.pairing import cuts_text
from stitchtui.spec.training_order import training_order

# What of a stitch's spec decides which numbers its direct matching finds, and what only how it is trained; the rest
# (family, objective, seeds) a task says itself.
_PLACE_KEYS = ("cuts", "top_cuts", "pairing", "ridge", "rank", "train_size", "train_on", "held_out")
_RECIPE_KEYS = (
    *("start", "best_of", "l1", "length", "epochs", "steps", "batch_size", "learning_rate", "weight_decay"),
    "scaled_steps",
    *("frozen_bn", "precision"),
)


@dataclass(frozen=True)
class Task:
    """A column: every cut of one pair with one stitch, objective and seed; `control` is empty for the pair itself.

    `place` and `recipe` say in words how its cuts and its training differ from the run's main request, and are empty
    where they don't. With `cross` every bottom cut meets every top cut. `request` is its place in
    `Experiment.requests`.
    """

    bottom: str
    top: str
    control: str
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
        control = control_named(self.control)
        named = control.name if control.needs_naming else ""
        words = (self.column, named, self.family, self.objective, self.place, self.recipe, f"seed {self.seed}")
        return " ".join(word for word in words if word)

    @property
    def column(self) -> str:
        """The heading of the column: `a > b`, `random(a) > b`."""
        return control_named(self.control).heading(self.bottom, self.top)

    def as_dict(self) -> dict[str, Any]:
        """The task as an event carries it."""
        return {"id": self.id, "column": self.column, **asdict(self)}


@dataclass(frozen=True)
class Unit:
    """What is measured of one bottom at a time: columns that share its features, or may be trained in one go."""

    tasks: tuple[Task, ...]


@dataclass(frozen=True)
class NetworkUnit:
    """A network that is made ready: trained, or read."""

    network: str


@dataclass(frozen=True)
class Plan:
    """All that a run does: its experiment with every network seed written out, and the tasks that it comes to."""

    experiment: Experiment
    tasks: tuple[Task, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """The tasks by bottom: of each request the closed-form ones before those that train, pairs before controls."""
        found: dict[tuple[object, ...], list[Task]] = {}
        for task in self.tasks:
            key = (task.request, not OBJECTIVES[task.objective].trains, task.control != "", task.bottom)
            found.setdefault(key, []).append(task)
        return tuple(Unit(tuple(tasks)) for tasks in found.values())

    @property
    def networks(self) -> tuple[NetworkUnit, ...]:
        """The networks that the tasks join, and what they start from, each after what its training can go on from.

        Those that come with their weights are first: one that can't be used is refused before another is trained.
        """
        ends = (end for task in self.tasks for end in (task.bottom, task.top))
        networks = self.experiment.networks
        order = sorted(training_order(ends, networks), key=lambda name: networks[name].made_here)
        return tuple(map(NetworkUnit, order))


def resolve(experiment: Experiment) -> Plan:
    """The plan of an experiment. Raises BadInput for one that can't be carried out, whatever its data and networks."""
    whole = in_every_seed(experiment)
    plan = Plan(whole, _tasks(whole))
    for task in plan.tasks:
        if taught_other_classes(whole.networks[task.top]):
            raise BadInput.at(
                f"networks.{plain(task.top)}.labels.groups",
                "its classes aren't the data's, so it can be a bottom only; it would be the top of "
                f"'{plain(task.column)}'",
            )
    return plan


def taught_other_classes(network: NetworkSpec) -> bool:
    """Whether the network answers with groups of classes: it can lend its lower layers, and no more."""
    return network.labels is not None and network.labels.groups is not None


def _tasks(experiment: Experiment) -> tuple[Task, ...]:
    """All tasks of `experiment`: of each request the closed-form ones first, since they fill the grid in seconds.

    What a later request shares with an earlier one, such as a direct matching, is planned once.
    """
    tasks: dict[str, Task] = {}  # by id: an identity stitch that is asked for may be there as a control already
    for index, request in enumerate(experiment.requests):
        columns = list(_columns(request, index, experiment.stitch))
        for closed_form in (True, False):
            for task in columns:
                if (not OBJECTIVES[task.objective].trains) == closed_form:
                    tasks.setdefault(task.id, task)
    return tuple(tasks.values())


def _columns(request: Request, index: int, main: StitchSpec) -> Iterator[Task]:
    for control in ("", *request.controls):
        for pair in request.pairs or ():
            yield from _Pair(request.stitch, main, index).tasks(pair, control)


@dataclass(frozen=True)
class _Pair:
    stitch: StitchSpec
    main: StitchSpec
    request: int

    def tasks(self, pair: PairSpec, control: str) -> Iterator[Task]:
        control, ends = column_of(control, pair.bottom, pair.top)
        if control_named(control).fits != "stitch":
            yield self._fitted(ends, control)
            return
        for family in self._families(control):
            yield from self._of_family(ends, control, family)

    def _families(self, control: str) -> tuple[str, ...]:
        known = control_named(control)
        if known.family or self.stitch.family != ALL_RUNGS:
            return (known.family or self.stitch.family,)
        return ladder_families() if known.climbs else (AFFINE.name,)

    def _of_family(self, ends: tuple[str, str], control: str, family: str) -> Iterator[Task]:
        trains = OBJECTIVES[self.stitch.objective].trains and FAMILIES[family].trainable
        small = trains and self.stitch.start in (AFFINE.name, AFFINE_SCALED.name)
        matched = start_family(family, AFFINE.name if small else LEAST_SQUARES)
        direct = self._direct(ends, control, matched)
        if FAMILIES[family].changes_nothing:
            # Where the pair itself is stitched by nothing, it is the control that is.
            if not control_named(control).family or self.stitch.family != family:
                yield direct
            return
        if control_named(control).matched and (trains or matched == family):
            yield direct
        if not trains:
            return
        start = self.stitch.start
        if control_named(control).exact and family == AFFINE.name:
            start = IDENTITY.name  # so that the penalty before training is exactly 0, which every run checks
        recipe = self._differences(_RECIPE_KEYS)
        trained = replace(direct, family=family, objective=self.stitch.objective, start=start, recipe=recipe)
        yield from (replace(trained, seed=seed) for seed in self.stitch.seeds)

    def _direct(self, ends: tuple[str, str], control: str, family: str) -> Task:
        place, cross = self._differences(_PLACE_KEYS), self.stitch.pairing == "all"
        start = IDENTITY.name if FAMILIES[family].changes_nothing else LEAST_SQUARES
        return Task(*ends, control, family, DIRECT.name, start, 0, place, "", cross, self.request)

    def _fitted(self, ends: tuple[str, str], control: str) -> Task:
        """What is trained in a stitch's place, on the labels."""
        place, recipe = self._differences(_PLACE_KEYS), self._differences(("epochs", "steps", "batch_size"))
        cross = self.stitch.pairing == "all"
        seed = self.stitch.seeds[0]
        family = control_named(control).fits
        return Task(*ends, control, family, TASK.name, "", seed, place, recipe, cross, self.request)

    def _differences(self, keys: tuple[str, ...]) -> str:
        said = ((key, getattr(self.stitch, key)) for key in keys)
        different = {key: value for key, value in said if value != getattr(self.main, key)}
        if isinstance(different.get("cuts"), dict):
            different.pop("top_cuts", None)  # it says them
        return ", ".join(_said(key, value) for key, value in different.items())


def _said(key: str, value: Any) -> str:
    if key == "pairing":
        return {"auto": "nearest cuts", "equal": "equal cuts", "all": "every cut with every cut"}[value]
    if key in ("cuts", "top_cuts"):
        words = cuts_text(value, " ") or "as the bottom's"
        return f"{'cuts' if key == 'cuts' else 'top cuts'} {words}"
    if key == "length":
        return "fixed length" if value == "fixed" else "until converged"
    if key == "epochs":
        return "usual epochs" if value is None else f"{value:g} epochs"
    if key == "held_out":
        return f"{'usual number' if value is None else value} held out"
    words = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{key.replace('_', ' ')} {words}"
