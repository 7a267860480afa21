"""The questions that a finished cell leads to: each a request for more columns of the run that the cell is in."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stitchtui.report.wording import printable
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import CONTROLS, control_named
from stitchtui.spec.families import ALL_RUNGS, AT_RANDOM, BEST, FAMILIES, start_family
from stitchtui.spec.measures import STEPS
from stitchtui.spec.objectives import DIRECT, OBJECTIVES, TASK

if TYPE_CHECKING:
    from stitchtui.spec.experiment import Experiment

_LONGER = 4
_MORE_SEEDS = 3


@dataclass(frozen=True)
class Question:
    """What could be asked next, and the request (as `Request.plain()` gives it) that answers it."""

    words: str
    request: dict[str, Any]


def questions(state: RunState, column: Column, cut: str) -> list[Question]:
    """What could be asked after a cell; none for an experiment that this version doesn't understand."""
    from pydantic import ValidationError

    from stitchtui.spec.experiment import Experiment

    try:
        experiment = Experiment.model_validate(state.experiment)
        stitch = experiment.requests[column.request].stitch
    except (ValidationError, IndexError):
        return []
    asker = _Asker(column, stitch.plain(), stitch.passes(stitch.converges), _taken(state, column), list(stitch.seeds))
    have = {(c.control, c.bottom, c.top) for c in state.columns()}
    asked = [*asker.of_training(), *asker.of_stitch(), *asker.of_cuts(state, cut), *asker.of_controls(have)]
    return [question for question in asked if _adds(question, experiment)]


def _adds(question: Question, experiment: "Experiment") -> bool:
    """Whether the run has not all of it already: a ladder holds most of the other questions' answers."""
    from stitchtui.spec.experiment import Request
    from stitchtui.spec.plan import resolve

    request = Request.model_validate(question.request)
    wanted = experiment.model_copy(update={"also": (*experiment.also, request)})
    return len(resolve(wanted).tasks) > len(resolve(experiment).tasks)


def _taken(state: RunState, column: Column) -> int:
    """The most steps that one of the column's cells has taken; 0 before any has."""
    cells = (cell for (task, _), cell in state.cells.items() if task in column.task_ids)
    return max((int(cell.measures.get(STEPS.name) or 0) for cell in cells), default=0)


@dataclass(frozen=True)
class _Asker:
    column: Column
    stitch: dict[str, Any]
    epochs: float
    taken: int
    seeds: list[int]

    def of_training(self) -> list[Question]:
        if self.column.objective == DIRECT.name:
            trains = FAMILIES.get(self.column.family)
            return [self._ask(TASK.question, objective=TASK.name)] if trains and trains.trainable else []
        later = max(self.seeds) + 1
        words, length = self._longer()
        return [
            self._ask(f"train longer: {words}", **length),
            self._ask(f"{_MORE_SEEDS} more seeds, for their spread", seeds=list(range(later, later + _MORE_SEEDS))),
            *(
                self._ask(objective.question, objective=name)
                for name, objective in OBJECTIVES.items()
                if objective.question and name != self.column.objective
            ),
        ]

    def _longer(self) -> tuple[str, dict[str, Any]]:
        """More steps whatever held-out loss says: a higher limit alone would change nothing where none was met."""
        if not self.taken:
            epochs = self.epochs * _LONGER
            return f"{epochs:g} epochs", {"length": "fixed", "epochs": epochs, "steps": None}
        steps = self.taken * _LONGER
        return f"{steps:,} steps in place of {self.taken:,}", {"length": "fixed", "steps": steps}

    def of_stitch(self) -> list[Question]:
        found = [
            self._ask(
                "the capacity ladder: every family of stitch, from the identity to an MLP",
                family=ALL_RUNGS, start=BEST, l1=0.0, best_of=1,
            )
        ]  # fmt: skip
        mine = AT_RANDOM if self.stitch.get("start") == AT_RANDOM else BEST
        for name, family in FAMILIES.items():
            if name != self.column.family:
                change = {"family": name, "l1": 0.0, "best_of": 1, "start": family.usual_start or mine}
                if not family.trainable:
                    change["objective"] = DIRECT.name
                elif not family.closed_form and self.stitch.get("objective") == DIRECT.name:
                    change["objective"] = TASK.name
                found.append(self._ask(f"another stitch: {name}, {family.maps}", **change))
        return found

    def of_cuts(self, state: RunState, cut: str) -> list[Question]:
        crossed = {(c.bottom, c.top, c.control) for c in state.crosses()}
        found = []
        if (self.column.bottom, self.column.top, self.column.control) not in crossed:
            found = [
                self._ask(
                    "every cut with every cut, matched directly",
                    pairing="all", objective=DIRECT.name, family=start_family(self.column.family), l1=0.0,
                ),
                self._ask("every cut with every cut, trained", pairing="all"),
            ]  # fmt: skip
        if self.stitch.get("cuts") != "all":
            found.append(self._ask("at every cut, not only between blocks", cuts="all", top_cuts=None))
        cells = (state.cells.get((task, cut)) for task in self.column.task_ids)
        low, high = next(((c.bottom_cut, c.top_cut) for c in cells if c and c.bottom_cut and c.top_cut), (cut, cut))
        here = {"cuts": [cut] if low == high else {low: high}, "top_cuts": None}
        found.append(self._ask(f"train longer at this cut alone ({printable(cut)})", **here, **self._longer()[1]))
        return found

    def of_controls(self, have: set[tuple[str, str, str]]) -> list[Question]:
        if self.column.control:
            return []
        ends = self.column.bottom, self.column.top
        return [
            Question(f"a control: {control.words}: {control.tells}", self._request({}, [name]))
            for name, control in CONTROLS.items()
            if control.worth_asking and (name, *ends) not in have
        ]

    def _ask(self, words: str, **changes: Any) -> Question:
        control = control_named(self.column.control)
        again = [control.name] if control.name and control.fits == "stitch" and not control.both else []
        return Question(words, self._request(changes, again))

    def _request(self, changes: dict[str, Any], controls: list[str]) -> dict[str, Any]:
        stitch = {key: value for key, value in {**self.stitch, **changes}.items() if value is not None}
        pair = {"bottom": self.column.bottom, "top": self.column.top}
        return {"pairs": [pair], "stitch": stitch, "controls": controls}
