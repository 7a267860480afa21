"""How far two numbers of a run lie apart: image by image where both are of one top, else as if independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stitchtui.run.state import Column, RunState
from stitchtui.stitching.penalty import Interval, difference, over_seeds
from stitchtui.stitching.wrong import Wrong


@dataclass(frozen=True)
class Answers:
    """In one network seed: what a number's cells get wrong, one for each stitch seed, and whose error is subtracted."""

    less: str
    cells: tuple[Wrong, ...]


def answers_of(state: RunState, column: Column, cut: str, measure: str, direct: bool) -> tuple[Answers, ...]:
    """What a column's number at a cut rests on, a network seed after the other; none where the log doesn't say it."""
    if measure not in ("penalty", "versus_bottom"):
        return ()
    found = []
    for each in column.in_seeds:
        tasks = (each.direct_task,) if direct and each.direct_task else each.task_ids
        cells = [state.cells.get((task, cut)) for task in tasks]
        known = [wrong for cell in cells if cell and (wrong := Wrong.read(cell.wrong, cell.measures.get("images")))]
        if not known or len(known) != len(cells):
            return ()
        # A control may put another network in the bottom's place, but its penalty is against the top as it is.
        less = each.top if measure == "penalty" else f"{column.control} {each.bottom}"
        found.append(Answers(less, tuple(known)))
    return tuple(found)


def apart_of(
    one: Interval, other: Interval, answers: Sequence[Answers] = (), of_other: Sequence[Answers] = ()
) -> Interval:
    """`other` less `one`, image by image where their cells' answers allow it.

    Where both are errors less that of the same networks, on the same images, those networks' errors cancel out, and
    only images count that one gets wrong and the other doesn't.
    """
    paired = _paired(answers, of_other)
    # A number that isn't what its answers say, as in a log that was edited, is none to be paired.
    same = paired is not None and math.isclose(paired.value, other.value - one.value, abs_tol=1e-6)
    return paired if paired is not None and same else difference(one, other)


def _paired(first: Sequence[Answers], second: Sequence[Answers]) -> Interval | None:
    if not first or [a.less for a in first] != [a.less for a in second]:
        return None
    found = []
    for mine, others in zip(first, second, strict=True):
        if len({cell.images for cell in (*mine.cells, *others.cells)}) != 1:
            return None
        counts = len(mine.cells), len(others.cells)
        if counts[0] != counts[1] and 1 not in counts:
            return None
        seeds = range(max(counts))
        found.append(over_seeds([others.cells[k % counts[1]].less(mine.cells[k % counts[0]]) for k in seeds]))
    return over_seeds(found)
