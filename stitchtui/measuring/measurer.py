"""Unit -> events: where the science meets the record. Whoever drives the generator decides where it runs."""

from collections import Counter
from collections.abc import Collection, Sequence

from stitchtui.base.errors import BadInput
from stitchtui.base.registry import load
from stitchtui.measuring import ready_networks
from stitchtui.measuring.checks import check_ends
from stitchtui.measuring.history import History
from stitchtui.measuring.matching import Matching
from stitchtui.measuring.saying import Saying
from stitchtui.measuring.session import Session
from stitchtui.measuring.similarity_cache import SimilarityCache
from stitchtui.measuring.stitch_work import StitchWork
from stitchtui.measuring.task_work import TaskWork
from stitchtui.measuring.together import companions, train_together
from stitchtui.spec.controls import control_named
from stitchtui.spec.families import AFFINE
from stitchtui.spec.objectives import DIRECT
from stitchtui.spec.plan import NetworkUnit, Task, Unit


class Measurer:
    """Measures the units of a plan, one after the other, in this process; what one computes the later ones share."""

    def __init__(self, session: Session, history: History | None = None) -> None:
        self.session, self.history = session, history or History()
        self.similarity, self.matching = SimilarityCache(session), Matching(session)

    def measure(self, unit: Unit | NetworkUnit) -> Saying[None]:
        """Carry out a unit, and yield its events. Close the generator to stop.

        The networks of a unit of columns must have been made ready. Raises BadInput and RunFailed.
        """
        if isinstance(unit, NetworkUnit):
            yield from ready_networks.make_ready(self.session, unit.network)
            return
        left = list(unit.tasks)
        while left:
            done = yield from self._first_of(left)
            left = [task for task in left if task not in done]

    def work(self, task: Task) -> TaskWork:
        """The work of `task`, of the kind that its control names."""
        kind = load(control_named(task.control).work)
        shared = {"similarity": self.similarity, "matching": self.matching} if issubclass(kind, StitchWork) else {}
        work: TaskWork = kind(self.session, task, self.history, **shared)
        return work

    def _first_of(self, tasks: Sequence[Task]) -> Saying[list[Task]]:
        """Carry out the first of these tasks, and with it those that can be trained in one go; return them."""
        task = tasks[0]
        work = self.work(task)
        if task.control == "" and (task.family, task.objective) == (AFFINE.name, DIRECT.name) and not task.place:
            yield from check_ends(self.session, task)
        if work.is_finished():
            return [task]
        if group := companions(work, tasks[1:], self.work):
            yield from train_together(group)
            return [each.task for each in group]
        yield from work.run()
        return [task]

    def check_measurable(self, tasks: Collection[Task]) -> None:
        """Raise BadInput where cuts of these can't be paired, or no cell can have a number, whatever is trained."""
        for task in tasks:
            self.session.column_cuts(task)
        reasons = Counter[str]()
        for work in map(self.work, tasks):
            for cell in work.cells:
                if (reason := work.misfit(cell)) is None:
                    return
                reasons[reason] += 1
        if reasons:
            raise BadInput(f"nothing to measure: no cuts of a pair can be joined: {reasons.most_common(1)[0][0]}")
        bare = next((name for name, loaded in self.session.loaded.items() if not loaded.traced.cuts), None)
        if bare is None:
            raise BadInput.at("stitch.cuts", "nothing to measure: expected a cut or more, got none")
        raise BadInput(f"nothing to measure: network '{bare}' has no place where one tensor carries everything")
