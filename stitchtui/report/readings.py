"""Whether a pair's penalties can be read as similarity: what the run measured, handed to the judgement on it."""

from collections.abc import Iterable, Sequence

from stitchtui.report.alike import control_beside, is_alike, row_beside
from stitchtui.report.self_stitch import versus_self_stitch
from stitchtui.report.wording import bounds, column_name
from stitchtui.run.records import row_name
from stitchtui.run.state import Column, RunState
from stitchtui.spec.controls import CONTROLS
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.measures import OOD, STEPS, STITCH_RANK
from stitchtui.stats.objections import (
    CutEvidence,
    Judgement,
    OffDiagonal,
    TriangleVerdict,
    judgement,
    triangle,
)
from stitchtui.stats.penalty import Interval


def judged(state: RunState, column: Column) -> Judgement | None:
    """The judgement on a pair; None for a control, and until the pair and what stands beside it are measured.

    Of a pair that was measured only with every cut against every cut, the diagonal is judged.
    """
    if column.control or not _all_in(state, column):
        return None
    beside = {
        control.evidence: control_beside(state, column, control) for control in CONTROLS.values() if control.evidence
    }
    if not any(found and _all_in(state, found) for found in beside.values()):
        return None  # nothing to judge it by
    rows = {cut: row for cut, row in _rows(state, column).items() if state.summary(column, row).penalty is not None}
    evidence = [_at(state, column, (cut, row), beside) for cut, row in rows.items()]
    grid = column if column.cross else _cross(state, column)
    far = _off_diagonal(state, grid, list(rows)) if grid else []
    classes = len(state.data["classes"]) if state.data else None
    return judgement(evidence, far, classes=classes)


def reading_lines(state: RunState) -> Iterable[str]:
    """For every pair that can be judged whether its penalties can be read as similarity, and what speaks against it.

    What is said of several pairs alike is said once.
    """
    said: dict[str, list[str]] = {}
    found = _all_judged(state)
    for column, each in found:
        said.setdefault(each.sentence, []).append(column_name(column))
    for column, each in found:
        for remark in each.remarks:
            said.setdefault(remark.text, []).append(column_name(column))
        if each.gained:
            said.setdefault(_against_self_stitch(state, column, each.gained), []).append(column_name(column))
    yield from (f"{', '.join(names)}: {text}" for text, names in said.items())
    for column in state.crosses():
        if _triangle(state, column) == "found":
            ends = f"later layers of {column.bottom} stitch well into earlier ones of {column.top}"
            yield f"{column_name(column)}: {ends}, but not earlier into later (the triangle of Hernandez et al. 2023)"


def _against_self_stitch(state: RunState, column: Column, cuts: Sequence[str]) -> str:
    find, rows = versus_self_stitch(state), _rows(state, column)
    found = [f"{cut} {bounds(less)}" for cut in cuts if (less := find(column, rows[cut]))]
    return f"penalty against the self-stitch where that gains: {', '.join(found)}"


def unmeasured_lines(state: RunState) -> Iterable[str]:
    """What wasn't measured beside each pair that could be judged, though it might speak against it."""
    said: dict[str, list[str]] = {}
    for column, each in _all_judged(state):
        if each.missing:
            said.setdefault(", ".join(each.missing), []).append(column_name(column))
    yield from (f"{', '.join(names)}: not measured beside it: {missing}" for missing, names in said.items())


def _all_judged(state: RunState) -> list[tuple[Column, Judgement]]:
    plain = state.columns()
    have = {(c.bottom, c.top) for c in plain if not c.control}
    columns = [*plain, *(c for c in state.crosses() if (c.bottom, c.top) not in have)]
    return [(column, found) for column in columns if (found := judged(state, column)) is not None]


def _rows(state: RunState, column: Column) -> dict[str, str]:
    """The row of each cut to be judged: of a cross column, the diagonal's by its top cut."""
    if not column.cross:
        return {cut: cut for cut in state.cuts()}
    grid = state.cross(column)
    return {
        high: row_name(low, high) for high in grid.top_cuts for low in grid.bottom_cuts if (low, high) in grid.diagonal
    }


def _all_in(state: RunState, column: Column) -> bool:
    return all(state.tasks[task].status in ("finished", "failed") for task in column.task_ids if task in state.tasks)


def _cross(state: RunState, column: Column) -> Column | None:
    """The grid of every cut with every cut of this pair, if it is in and was stitched as the pair is."""
    found = [c for c in state.crosses() if not c.control and (c.bottom, c.top) == (column.bottom, column.top)]
    return next((c for c in found if is_alike(state, c, column) and _all_in(state, c)), None)


def _at(state: RunState, column: Column, place: tuple[str, str], beside: dict[str, Column | None]) -> CutEvidence:
    cut, row = place
    found = state.summary(column, row)
    assert found.penalty is not None
    controls = {
        name: state.summary(c, row_beside(state, column, row, c.control)).penalty if c else None
        for name, c in beside.items()
    }
    ranks = _low_rank(state, column, row)
    longer = _longer(state, column)
    more = state.summary(longer, row).penalty if longer else None
    return CutEvidence(
        cut,
        found.penalty,
        direct=found.direct,
        longer=more,
        low_rank=ranks,
        outlying=found.interval(OOD),
        **controls,
    )


def _longer(state: RunState, column: Column) -> Column | None:
    """The column of the same stitch whose cells took the most steps, if more than this one's."""
    columns = [c for c in (state.crosses() if column.cross else state.columns()) if not c.control]
    same = [c for c in columns if (c.bottom, c.top) == (column.bottom, column.top)]
    alike = [c for c in same if is_alike(state, c, column, but=("length", "epochs", "steps")) and _all_in(state, c)]
    longest = max(alike, key=lambda c: _steps(state, c), default=column)
    return longest if _steps(state, longest) > _steps(state, column) else None


def _steps(state: RunState, column: Column) -> float:
    cells = (cell for (task, _), cell in state.cells.items() if task in column.task_ids)
    return max((cell.measures.get(STEPS.name) or 0 for cell in cells), default=0)


def _low_rank(state: RunState, column: Column, row: str) -> dict[int, Interval]:
    wanted = ("", column.bottom, column.top, column.objective)
    found = {}
    for other in state.crosses() if column.cross else state.columns():
        family = FAMILIES.get(other.family)
        if (other.control, other.bottom, other.top, other.objective) == wanted and family and family.takes_rank:
            penalty, rank = state.summary(other, row).penalty, state.summary(other, row).measures.get(STITCH_RANK.name)
            if penalty is not None and rank is not None:
                found[int(rank)] = penalty
    return found


def _off_diagonal(state: RunState, grid: Column, cuts: list[str]) -> list[OffDiagonal]:
    """Cells whose cuts don't correspond; a bottom cut counts as being where its diagonal's top cut is."""
    cross = state.cross(grid)
    place = {low: cuts.index(high) for low, high in cross.diagonal if high in cuts}
    found = []
    for low in cross.bottom_cuts:
        for high in cross.top_cuts:
            penalty = state.summary(grid, row_name(low, high)).penalty
            if penalty is not None and low in place and high in cuts and (low, high) not in cross.diagonal:
                found.append(OffDiagonal(place[low], cuts.index(high), penalty))
    return found


def _triangle(state: RunState, column: Column) -> TriangleVerdict:
    if column.control or not _all_in(state, column):
        return "undecided"
    rows = {cut: row for cut, row in _rows(state, column).items() if state.summary(column, row).penalty is not None}
    evidence = [_at(state, column, place, {}) for place in rows.items()]
    return triangle(evidence, _off_diagonal(state, column, list(rows)))
