"""A run's numbers with what they rest on: which test images their cells answer wrongly, where the log says it."""

from stitchtui.run.state import Column, RunState
from stitchtui.spec.measures import IMAGES, PAIRED, PENALTY
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.paired_difference import PairableInterval, SeedAnswers
from stitchtui.stats.penalty import Interval


def pairable(
    interval: Interval, state: RunState, column: Column, cut: str, *, measure: str = PENALTY.name, direct: bool = False
) -> Interval:
    """`interval`, a column's number at a cut, with its cells' answers; as it is where the log doesn't say them.

    `measure` is `penalty` or `versus_bottom`, whatever else has no answers; `direct` where the number is that of the
    direct matching beside the column.
    """
    if measure not in PAIRED:
        return interval
    found = []
    for each in column.in_seeds:
        tasks = (each.direct_task,) if direct and each.direct_task else each.task_ids
        cells = [state.cells.get((task, cut)) for task in tasks]
        known = [
            wrong for cell in cells if cell and (wrong := AnswerBits.read(cell.wrong, cell.measures.get(IMAGES.name)))
        ]
        if not known or len(known) != len(cells):
            return interval
        # A control may put another network in the bottom's place, but its penalty is against the top as it is.
        less = _told(state, each.top) if measure == PENALTY.name else f"{column.control} {_told(state, each.bottom)}"
        found.append(SeedAnswers(less, tuple(known)))
    return PairableInterval(interval.value, interval.low, interval.high, tuple(found))


def penalty_of(state: RunState, column: Column, cut: str) -> Interval | None:
    """A column's penalty at a cut over its seeds, with its cells' answers where the log says them."""
    penalty = state.summary(column, cut).penalty
    return penalty and pairable(penalty, state, column, cut)


def _told(state: RunState, name: str) -> str:
    """A network and the test images: by their digests, so that those of two runs may be the same; else of this run."""
    images, network = (state.data or {}).get("digest"), state.networks.get(name)
    if not images or network is None or not network.digest:
        return f"{name} of {state.run}"
    return f"{network.digest} on {images}"
