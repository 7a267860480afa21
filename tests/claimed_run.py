"""Runs with claims, made of hand-written events: every column's numbers at every cut are what a test says."""

from collections.abc import Mapping, Sequence
from typing import Any

from made_events import event, run_started

from stitchtui.report.claim_judging import judge
from stitchtui.run.events import NetworkCut, NetworkReady
from stitchtui.run.state import RunState
from stitchtui.spec.claims import ClaimSpec
from stitchtui.spec.experiment import Experiment
from stitchtui.spec.plan import resolve

CUTS = ("stem", "one", "two", "three", "four")
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)

Numbers = Mapping[str, Sequence[Any]]


def experiment(claims: Sequence[Mapping[str, Any]] = (), **more: Any) -> Experiment:
    """Three networks: a and b below c, with a random bottom and a self-stitch beside them."""
    return Experiment.model_validate(
        {
            "name": "claimed",
            "networks": {name: {"architecture": "digits_cnn"} for name in "abc"},
            "pairs": [{"bottom": "a", "top": "c"}, {"bottom": "b", "top": "c"}],
            "controls": ["self_stitch", "random_bottom"],
            "claims": list(claims),
            **more,
        }
    )


def network(name: str, error: float = 10.0) -> NetworkReady:
    cuts = [NetworkCut(name=cut, shape=[4], depth=d) for cut, d in zip(CUTS, DEPTHS, strict=True)]
    return NetworkReady(t=1000.0, network=name, digest="d" + name, error=error, cuts=cuts)


def measures(number: Any, **more: float) -> dict[str, Any]:
    """A penalty as (value, low, high), or a value with half a point to either side."""
    value, low, high = number if isinstance(number, tuple) else (number, number - 0.5, number + 0.5)
    return {"penalty": value, "penalty_low": low, "penalty_high": high, **more}


def run(numbers: Numbers, made: Experiment | None = None, errors: Mapping[str, float] | None = None) -> RunState:
    """A run whose task of each id that contains a key of `numbers` has these numbers, None for a failed cell."""
    made = made or experiment()
    state = RunState()
    state.apply(run_started(made))
    state.apply(event("data_ready", name="digits", train=1000, test=1000, classes=["0", "1"]))
    for name in made.networks:
        state.apply(network(name, (errors or {}).get(name, 10.0)))
    for task in resolve(made).tasks:
        for key, values in numbers.items():
            if key in task.id:
                _column(state, task.id, values)
    assert state.unknown_events == 0
    return state


def _column(state: RunState, task: str, values: Sequence[Any]) -> None:
    state.apply(event("task_started", task=task, steps=1, cuts=list(CUTS)))
    for cut, value in zip(CUTS, values, strict=False):
        place = {"task": task, "cut": cut, "bottom_cut": cut, "top_cut": cut}
        if value is None:
            state.apply(event("cell_failed", **place, reason="it broke"))
        else:
            said = dict(value) if isinstance(value, dict) else measures(value)
            wrong = said.pop("wrong", "")
            state.apply(event("cell_finished", **place, identity="i", measures=said, wrong=wrong))
    state.apply(event("task_finished", task=task))


def verdict(state: RunState, **claim: Any) -> str:
    """How a claim with these keys is judged."""
    return judge(ClaimSpec.model_validate(claim), state).verdict


def reason(state: RunState, **claim: Any) -> str:
    return judge(ClaimSpec.model_validate(claim), state).reason
