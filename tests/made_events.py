"""Events of a small made-up run, for the tests of everything that reads a log."""

import logged

from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve

CUTS = ["input", "conv1", "layer1.0", "layer2.0", "pool"]


def experiment(**stitch):
    return Experiment.model_validate(
        {
            "name": "two seeds",
            "title": "Two seeds",
            "networks": {"a": {"architecture": "digits_cnn"}, "b": {"architecture": "digits_cnn", "seed": 1}},
            "pairs": [{"bottom": "a", "top": "b"}, {"bottom": "b", "top": "a"}],
            "stitch": {"seeds": [0, 1], "epochs": 1, **stitch},
        }
    )


def event(type, t=1000.0, **fields):
    return logged.event({"t": t, "type": type, **fields})


def run_started(made=None, t=1000.0, resumed=False, tasks=None, **fields):
    made = made or experiment()
    planned = [task.as_dict() for task in resolve(made).tasks] if tasks is None else tasks
    return event(
        "run_started",
        t,
        run="20240101-000000-two-seeds",
        experiment=made.plain(),
        tasks=planned,
        device="cpu",
        versions={"stitchtui": "0.1.0"},
        resumed=resumed,
        **fields,
    )


def data_ready(t=1000.5):
    """Images for 100 steps an epoch."""
    return event("data_ready", t, name="digits", train=12_800, test=1000, classes=["0", "1"])


def network_ready(name, t=1001.0, cuts=CUTS):
    described = [{"name": cut, "shape": [4], "depth": i, "parameters": i} for i, cut in enumerate(cuts)]
    return event("network_ready", t, network=name, digest="d" + name, error=10.0, cuts=described)


def measures(penalty, half=0.5):
    return {
        "penalty": penalty,
        "penalty_low": penalty - half,
        "penalty_high": penalty + half,
        "cka": None,
        "seconds": 2.0,
    }


def cell(task, cut, penalty=1.0, half=0.5, t=1010.0, **fields):
    made = measures(penalty, half)
    return event("cell_finished", t, task=task, cut=cut, identity="i" * 64, measures=made, **fields)


def column(task, penalty=1.0, half=0.5, cuts=CUTS, t=1005.0):
    """A whole task: started, its cells, finished."""
    return [
        event("task_started", t, task=task, steps=100, cuts=cuts),
        *(cell(task, cut, penalty, half, t + 4) for cut in cuts),
        event("task_finished", t + 5, task=task),
    ]


def whole_run(made=None):
    """Every event of an undisturbed run."""
    made = made or experiment()
    events = [run_started(made), data_ready(), network_ready("a"), network_ready("b")]
    for number, task in enumerate(resolve(made).tasks):
        events += column(task.id, penalty=float(task.seed + 1), t=1010.0 + 10 * number)
    return [*events, event("run_finished", 2000.0, status="done", reason=None)]
