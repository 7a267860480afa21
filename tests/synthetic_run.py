"""Runs made of hand-written events: two networks, three cuts, both directions, the controls, seeds."""

from collections.abc import Iterable
from typing import Any

import logged

from stitchtui.run.state import RunState
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.identity import NUMERICS
from stitchtui.spec.plan import Task, resolve

Said = dict[str, Any]  # an event as a log holds it

CUTS = ("stem", "layer1.0", "layer2.0")
DEPTHS = (0.1, 0.5, 0.9)
LEVELS = {"": 1.0, "self_stitch": 0.1, "identity": 40.0, "random_bottom": 15.0}


def experiment(first: str = "a", second: str = "b", seeds: int = 2, **stitch: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": "tiny",
            "networks": {first: {"architecture": "digits_cnn"}, second: {"architecture": "digits_cnn", "seed": 1}},
            "pairs": [{"bottom": first, "top": second}, {"bottom": second, "top": first}],
            "stitch": {"seeds": list(range(seeds)), **stitch},
        }
    )


def started(spec: Experiment, cuts: Iterable[str] = CUTS) -> list[Said]:
    events: list[Said] = [
        {
            "type": "run_started",
            "run": "20260102-030405-tiny",
            "experiment": spec.plain(),
            "tasks": [task.as_dict() for task in resolve(spec).tasks],
            "device": "cpu (2 threads)",
            "versions": {"stitchtui": "0.1.0", "numerics": str(NUMERICS)},
            "resumed": False,
        },
        {"type": "data_ready", "name": "digits", "train": 1437, "test": 360, "classes": list("0123456789")},
    ]
    places = list(cuts)
    for index, name in enumerate(spec.networks):
        listed = [
            {"name": cut, "shape": [8, 4, 4], "depth": (2 * i + 1) / (2 * len(places)), "parameters": 10}
            for i, cut in enumerate(places)
        ]
        events.append(
            {
                "type": "network_ready",
                "network": name,
                "digest": f"{index}abc" * 16,
                "architecture": "digits_cnn",
                "error": 3.25 + index,
                "parameters": 12345,
                "source": "trained",
                "cuts": listed,
            }
        )
    return events


def measures(value: float, half: float = 0.5, **more: float | None) -> dict[str, float | None]:
    return {
        "error": 3.0 + value,
        "penalty": value,
        "penalty_low": value - half,
        "penalty_high": value + half,
        "versus_bottom": value - 1,
        "versus_bottom_low": value - 1 - half,
        "versus_bottom_high": value - 1 + half,
        "cka": 0.875,
        "direct_penalty": None,
        **more,
    }


def finished(task: Task, cut: str, value: float, reused_from: str | None = None, **more: float | None) -> Said:
    return {
        "type": "cell_finished",
        "task": task.id,
        "cut": cut,
        "bottom_cut": cut,
        "top_cut": cut,
        "identity": "f" * 64,
        "measures": measures(value, **more),
        "reused_from": reused_from,
    }


def column_events(task: Task, cuts: Iterable[str] = CUTS) -> list[Said]:
    places = list(cuts)
    rise = 1.0 if task.objective == "task" else 1.7
    level = LEVELS[task.control] * rise + 0.05 * task.seed + 0.3 * (task.bottom > task.top)
    cells = [finished(task, cut, level * (index + 1) / len(places) - 0.4) for index, cut in enumerate(places)]
    return [
        {"type": "task_started", "task": task.id, "steps": 10, "cuts": places},
        *cells,
        {"type": "task_finished", "task": task.id, "seconds": 1.0},
    ]


def finished_run_events(spec: Experiment, cuts: Iterable[str] = CUTS) -> list[Said]:
    places = list(cuts)
    events = started(spec, places)
    for task in resolve(spec).tasks:
        events += column_events(task, places)
    events.append({"type": "check", "name": "frozen", "passed": True, "detail": "the hashes are unchanged"})
    events.append({"type": "run_finished", "status": "done", "reason": None})
    return events


def timed(events: Iterable[Said]) -> list[Said]:
    return [{"t": 1_700_000_000.0 + index, **event} for index, event in enumerate(events)]


def fold(events: Iterable[Said]) -> RunState:
    state = RunState()
    state.apply_all(logged.events(timed(events)))
    assert state.unknown_events == 0, "the synthetic events are not what RunState expects"
    return state


def whole_run(spec: Experiment | None = None, cuts: Iterable[str] = CUTS) -> RunState:
    return fold(finished_run_events(spec or experiment(), cuts))


def direct_only_run() -> RunState:
    """As a run looks once direct matching is in and nothing is trained."""
    spec = experiment()
    done = [event for task in resolve(spec).tasks if task.objective == "direct" for event in column_events(task)]
    return fold([*started(spec), *done])
