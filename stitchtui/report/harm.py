"""Warnings of a run: what its log says, and where its own numbers say that training did harm."""

from collections.abc import Iterator

from stitchtui.run.state import RunState
from stitchtui.spec.controls import control_named
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.objections import MARGIN, costs_something


def warnings(state: RunState) -> list[str]:
    """What the run warned of, and where training harmed an exact self-stitch: as there, it may harm any pair."""
    return [*state.warnings, *_harm(state)]


def _harm(state: RunState) -> Iterator[str]:
    for column in (*state.columns(), *state.crosses()):
        if not control_named(column.control).exact or column.objective == DIRECT.name:
            continue
        same = state.cross(column).top_cuts if column.cross else state.cuts()  # where it is cut at the same place twice
        rows = [state.summary(column, cut) for cut in same]
        if cuts := [row.cut for row in rows if row.status == "finished" and costs_something(row.penalty)]:
            yield (
                f"{column.heading}: training made an exact self-stitch worse by more than {MARGIN:g} points at"
                f" {', '.join(cuts)}: penalties there say something of the training, too; compare them with direct"
                " matching, or try a lower stitch.learning_rate, more images or data.augment = 'none'"
            )
