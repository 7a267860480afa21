"""The questions that a finished cell leads to, each as an experiment that differs from the cell's in one thing."""

from dataclasses import dataclass
from typing import Any, get_args

from stitchtui.experiment import Family
from stitchtui.report.wording import printable
from stitchtui.run.state import Column, RunState

_LONGER = 4
_MORE_SEEDS = 3


@dataclass(frozen=True)
class Question:
    """What could be asked next, and the experiment (as `Experiment.plain()` gives it) that answers it."""

    words: str
    experiment: dict[str, Any]


def questions(state: RunState, column: Column, cut: str) -> list[Question]:
    """What could be asked after a cell; none for an experiment that this version doesn't understand."""
    try:
        stitch = dict(state.experiment["stitch"])
        epochs, seeds = float(stitch["epochs"]), [int(seed) for seed in stitch["seeds"]]
    except (KeyError, TypeError, ValueError):
        return []
    found = [
        _question(state, column, f"train longer: {epochs * _LONGER:g} epochs in place of {epochs:g}",
                  epochs=epochs * _LONGER, steps=None),
        _question(state, column, f"more seeds: {len(seeds) + _MORE_SEEDS} in place of {len(seeds)}, for their spread",
                  seeds=[*seeds, *range(max(seeds) + 1, max(seeds) + 1 + _MORE_SEEDS)]),
    ]  # fmt: skip
    found += [
        _question(state, column, f"another stitch: {family} in place of {column.family}", **_family(family, stitch))
        for family in get_args(Family)
        if family != column.family
    ]
    if column.objective == "task":
        found.append(_question(state, column, "without training: direct matching only", objective="direct"))
    else:
        found.append(_question(state, column, "train it on the labels", objective="task"))
    if stitch.get("cuts") != "all":
        found.append(_question(state, column, "at every cut, not only between blocks", cuts="all"))
    found.append(_question(state, column, f"only this cut: {printable(cut)}", cuts=[cut]))
    return found


def _family(family: str, stitch: dict[str, Any]) -> dict[str, Any]:
    change: dict[str, Any] = {"family": family}
    if family == "bn_affine_bn":  # has no closed form, so it can neither be matched directly nor start from it
        change |= {"objective": "task", "start": "random"}
    elif family == "identity":
        change["start"] = "identity"
    elif stitch.get("start") != "least_squares":
        change["start"] = "least_squares"
    return change


def _question(state: RunState, column: Column, words: str, **changes: Any) -> Question:
    experiment = dict(state.experiment)
    stitch = {**experiment["stitch"], **changes}
    experiment["stitch"] = {key: value for key, value in stitch.items() if value is not None}
    if not column.control:
        experiment["pairs"] = [{"bottom": column.bottom, "top": column.top}]
        used = {column.bottom, column.top}
        experiment["networks"] = {name: spec for name, spec in experiment["networks"].items() if name in used}
    return Question(words, experiment)
