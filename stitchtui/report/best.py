"""The best stitch that a run has tried at a pair's cut, over its families, objectives and recipes."""

from dataclasses import dataclass

from stitchtui.run.state import Column, RunState
from stitchtui.spec.measures import HELD_OUT_ACCURACY, HELD_OUT_LOSS
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.penalty import Interval


@dataclass(frozen=True)
class Best:
    """The stitch that does best at a cut, and by what it was found."""

    column: Column
    penalty: Interval
    chosen: str

    @property
    def words(self) -> str:
        """Which it is and how it was chosen: `conv3, task; of lowest held-out loss`."""
        named = (self.column.family, self.column.objective, self.column.place, self.column.recipe)
        return f"{', '.join(word for word in named if word)}; {self.chosen}"


class Mates:
    """The columns of each bottom, top and control of a run, as it is now."""

    def __init__(self, state: RunState) -> None:
        self._state = state
        self._columns = [*state.columns(), *state.crosses()]
        self._columns += [column.matched() for column in self._columns if column.direct_tasks]

    def best(self, column: Column, cut: str) -> Best | None:
        """The best at a cut of what is stitched as `column` is but for how; None where nothing is known yet.

        It is the one of lowest held-out loss or, where they are trained for several things (`l1` is part of a loss), of
        highest held-out accuracy; where not all that was trained says it, the one of lowest penalty, on test images.
        """
        mates = [one for one in self._columns if _ends(one) == _ends(column)]
        rows = [(one, self._state.summary(one, cut)) for one in mates]
        known = [(one, row.penalty, row.measures) for one, row in rows if row.penalty]
        trained = [each for each in known if each[0].objective != DIRECT.name]
        alike = len({(one.objective, self._l1(one)) for one, _, _ in trained}) == 1
        measure, chosen = (
            (HELD_OUT_LOSS, "of lowest held-out loss") if alike else (HELD_OUT_ACCURACY, "of highest held-out accuracy")
        )
        if trained and all(measure.name in measures for _, _, measures in trained):
            one, penalty, _ = min(trained, key=lambda each: each[2][measure.name] * (1 if alike else -1))
            return Best(one, penalty, chosen)
        if not known:
            return None
        one, penalty, _ = min(known, key=lambda each: each[1].value)
        return Best(one, penalty, "of lowest penalty, so chosen on test images")

    def _l1(self, column: Column) -> str:
        return str(self._state.stitch(column.request).get("l1"))  # a log may hold anything


def _ends(column: Column) -> tuple[object, ...]:
    return column.control, column.bottom, column.top, column.cross
