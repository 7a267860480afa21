"""A run as experiment trackers take it: its curves as they were measured, what came out, and what was asked for."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from msgspec import UNSET

from stitchtui.report.claim_lines import claims
from stitchtui.report.columns import PLACES
from stitchtui.report.export import cells_table
from stitchtui.run import events
from stitchtui.run.about import About
from stitchtui.run.state import RunState
from stitchtui.spec.measures import STEPS
from stitchtui.spec.settings import dotted, leaves


class Point(NamedTuple):
    """Numbers by name, of one step, with the time that they were said at, in seconds since 1970."""

    time: float
    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class Replay:
    """Curves by step, in order of time, and results, as `train/loss/TASK/CUT` and `penalty/TASK/CUT`.

    `train` may be `held_out`; results are called as in the CSV, and their step is how many the cell took. Of a network
    `CUT` is left out.
    """

    name: str
    status: str
    began: float
    ended: float
    experiment: Mapping[str, Any]
    words: Mapping[str, str]  # verdicts, claims and what people say of the run
    curves: tuple[Point, ...]
    results: tuple[Point, ...]

    @property
    def settings(self) -> dict[str, bool | int | float | str]:
        """The experiment, a value a key: `stitch.family`; lists are JSON."""
        return {
            dotted(key): value if isinstance(value, bool | int | float | str) else json.dumps(value)
            for key, value in leaves(self.experiment)
        }

    @property
    def final(self) -> dict[str, float]:
        """Every result by its name."""
        return {name: value for point in self.results for name, value in point.values.items()}


def replay(name: str, log: Iterable[events.Event], about: About) -> Replay:
    """What the log of the run called `name` tells; a task that began anew has the curve of its last time."""
    state, curves = RunState(about=about), defaultdict[tuple[str, str], list[Point]](list)
    networks: dict[str, Point] = {}
    measured: dict[tuple[str, str], float] = {}
    for event in log:
        state.apply(event)
        match event:
            case events.Step():
                _add(curves[event.task, "train"], event.t, event.step, _of_step(state, event))
            case events.HeldOut():
                values = _named("held_out/loss", event.task, event.losses)
                values |= _named("held_out/accuracy", event.task, event.accuracies)
                _add(curves[event.task, "held_out"], event.t, event.step, values)
            case events.CellFinished():
                measured[event.task, event.cut] = event.t
            case events.NetworkReady():
                error = _named("error", f"network {event.network}", event.error)
                networks[event.network] = Point(event.t, 0, error)
    points = sorted((point for curve in curves.values() for point in curve), key=lambda point: point.time)
    ended = state.finished or state.updated or 0.0
    began = state.started or ended
    of = name, state.status, began, ended, state.experiment, _words(state)
    return Replay(*of, tuple(points), (*networks.values(), *_cells(state, measured)))


def _add(curve: list[Point], time: float, step: int, values: dict[str, float]) -> None:
    while curve and curve[-1].step >= step:
        curve.pop()
    if values:
        curve.append(Point(time, step, values))


def _of_step(state: RunState, event: events.Step) -> dict[str, float]:
    """Loss and accuracy of each cell; of all together where nothing says whose they are, as of a network."""
    task = state.tasks.get(event.task)
    rows = state.at_work(task) if task else []
    values: dict[str, float] = {}
    for name, mean, each in (("loss", event.loss, event.losses), ("accuracy", event.accuracy, event.accuracies)):
        numbers = [] if each is UNSET else each or []
        said = dict(zip(rows, numbers, strict=True)) if rows and len(rows) == len(numbers) else mean
        values |= _named(f"train/{name}", event.task, None if said is UNSET else said)
    return values


def _named(kind: str, task: str, said: Mapping[str, float | None] | float | None) -> dict[str, float]:
    """The numbers that are known and finite: one of the task, or one of each of its rows."""
    every = {f"/{row}": number for row, number in said.items()} if isinstance(said, Mapping) else {"": said}
    return {
        f"{kind}/{task}{row}": number for row, number in every.items() if number is not None and math.isfinite(number)
    }


def _cells(state: RunState, measured: Mapping[tuple[str, str], float]) -> Iterable[Point]:
    """Every measure of each cell that is finished."""
    table = cells_table(state)
    names = [heading.name for heading in table.columns]
    for row in table.entries:
        entries = dict(zip(names, row, strict=True))
        task, cut = entries["task"].text, entries["cut"].text
        if (time := measured.get((task, cut))) is None or entries["status"].text != "finished":
            continue
        numbers = {name: entry.number for name, entry in entries.items() if name not in PLACES}
        values = {f"{name}/{task}/{cut}": n for name, n in numbers.items() if n is not None and math.isfinite(n)}
        yield Point(time, int(numbers.get(STEPS.name) or 0), values)


def _words(state: RunState) -> dict[str, str]:
    """Verdicts and claims, and what else isn't a number."""
    said = {"label": state.about.label, "note": state.about.note, "device": state.device or "", "status": state.status}
    for column in (column for column in state.columns() if not column.control):
        if verdict := state.verdict(column):
            said[f"verdict {column.heading}"] = f"{verdict} at {state.epsilon:g} points"
    for claim in claims(state):
        said[f"claim {claim.index + 1}"] = f"{claim.verdict}: {claim.sentence}"
    return {key: words for key, words in said.items() if words}
