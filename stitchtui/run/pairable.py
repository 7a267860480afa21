"""A run's numbers with what they rest on: which test images their cells answer wrongly, where the log says it."""

from stitchtui.run.state import Column, RunState
from stitchtui.spec.measures import IMAGES, PAIRED, PENALTY
from stitchtui.stats.answer_bits import AnswerBits
from stitchtui.stats.contrast import PairableInterval, SeedAnswers
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
        of_top = measure == PENALTY.name
        less = _told(state, each.top) if of_top else f"{column.control} {_told(state, each.bottom)}"
        name = each.top if of_top else each.bottom if not column.control else ""
        found.append(SeedAnswers(less, tuple(known), _answers(state, name, known[0].images), _images(state)))
    return PairableInterval(interval.value, interval.low, interval.high, interval.degrees, tuple(found))


def _answers(state: RunState, name: str, images: int) -> tuple[AnswerBits, ...]:
    """What a network gets wrong by itself; empty where the log doesn't say it."""
    network = state.networks.get(name)
    known = network and AnswerBits.read(network.wrong, images)
    return (known,) if known else ()


def penalty_of(state: RunState, column: Column, cut: str) -> Interval | None:
    """A column's penalty at a cut over its seeds, with its cells' answers where the log says them."""
    penalty = state.summary(column, cut).penalty
    return penalty and pairable(penalty, state, column, cut)


def _told(state: RunState, name: str) -> str:
    """A network and the test images: by their digests, so that those of two runs may be the same; else of this run."""
    network = state.networks.get(name)
    known = network is not None and network.digest and (state.data or {}).get("digest")
    return f"{network.digest} on {_images(state)}" if network and known else f"{name} of {state.run}"


def _images(state: RunState) -> str:
    """The test images, by their digest or, where that isn't known, as this run's."""
    return str((state.data or {}).get("digest") or f"those of {state.run}")
