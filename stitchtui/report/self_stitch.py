"""Penalties against the top's own self-stitch at the same cut, image by image (Mai et al., 2026)."""

from dataclasses import replace

from stitchtui.report.alike import control_beside, row_beside
from stitchtui.report.derived import Find
from stitchtui.run.records import InSeed
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import SELF_STITCH, control_named
from stitchtui.stats.paired_difference import difference_of
from stitchtui.stats.penalty import Interval


def versus_self_stitch(state: RunState) -> Find:
    """What finds how much worse a column is than its top stitched to itself at the same cut, in points.

    The self-stitch is of the same family, objective and recipe, and of the same seeds. It begins at the identity, as a
    fit of activations to themselves does, so that what it gains or loses is training's doing where nothing is to be
    translated: what a stitch adds to this top on these images, whatever the bottom.
    """
    stitched: dict[str, Column | None] = {}

    def find(column: Column, row: str) -> Interval | None:
        if column.key not in stitched:
            stitched[column.key] = _self_stitch(state, column)
        whole = stitched[column.key]
        other = whole and _of_the_same_seeds(state, column, whole)
        if other is None:
            return None
        at = row_beside(state, column, row, SELF_STITCH.name)
        mine, its = state.summary(column, row), state.summary(other, at)
        if not (mine.status == its.status == "finished") or mine.penalty is None or its.penalty is None:
            return None
        return difference_of(its.penalty, mine.penalty)

    return find


def _self_stitch(state: RunState, column: Column) -> Column | None:
    """The self-stitch of the column's top; None for one itself, and where the top or what is fitted to is another."""
    control = control_named(column.control)
    if control.name == SELF_STITCH.name or control.in_top or control.in_data:
        return None
    return control_beside(state, column, SELF_STITCH)


def _of_the_same_seeds(state: RunState, column: Column, other: Column) -> Column | None:
    """Of a self-stitch the network and stitch seeds that the column has; None where it lacks one."""
    of_top = {each.top: {state.tasks[task].seed: task for task in each.task_ids} for each in other.in_seeds}
    found = []
    for each in column.in_seeds:
        tasks = of_top.get(each.top, {})
        seeds = [state.tasks[task].seed for task in each.task_ids]
        if not tasks.keys() >= set(seeds):
            return None
        found.append(InSeed(each.top, each.top, tuple(tasks[seed] for seed in seeds)))
    return replace(other, in_seeds=tuple(found))
