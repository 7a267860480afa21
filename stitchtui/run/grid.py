"""The grid of a run: its columns, its rows by depth, what each cell says over the seeds, and the verdicts."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from statistics import fmean

from stitchtui.run.pairable import Measured
from stitchtui.run.records import Column, InSeed, NetworkState, Status, Summary, TaskState
from stitchtui.spec.controls import CONTROLS
from stitchtui.spec.families import AFFINE, FAMILIES
from stitchtui.spec.measures import PENALTY, VERSUS_BOTTOM
from stitchtui.spec.objectives import DIRECT
from stitchtui.stats.connectivity import connectivity, epsilon_star
from stitchtui.stats.paired_difference import answers_of, over, spread_by_images
from stitchtui.stats.penalty import Interval, Verdict, side, standard_deviation
from stitchtui.stats.simultaneous import simultaneous


def columns(tasks: Iterable[TaskState], firsts: Mapping[str, str], cross: bool = False) -> list[Column]:
    """Pairs in plan order, then the controls by kind; direct matching joins the trained tasks it starts.

    `firsts` says of networks of later network seeds what they are called in the first, whose columns they join.
    With `cross` those that join every bottom cut with every top cut, without it those that don't.
    """
    places: dict[tuple[str, str, str, str], list[TaskState]] = {}
    for task in tasks:
        if task.kind == "column" and task.cross == cross:
            bottom, top = (firsts.get(end, end) for end in (task.bottom, task.top))
            places.setdefault((task.control, bottom, top, task.place), []).append(task)
    found = [column for place in places.values() for column in _columns_of_place(place)]
    return sorted(_told_apart(found), key=lambda column: CONTROLS.place(column.control))


def _told_apart(columns: list[Column]) -> list[Column]:
    """The columns, each of several for one bottom, top and control with the words that set it apart."""
    mates: dict[tuple[str, str, str], list[Column]] = {}
    for column in columns:
        mates.setdefault((column.control, column.bottom, column.top), []).append(column)
    return [
        replace(column, apart=_apart(column, mates[column.control, column.bottom, column.top])) for column in columns
    ]


def _apart(column: Column, mates: list[Column]) -> tuple[str, ...]:
    words = [
        (column.family, {mate.family for mate in mates}),
        (column.objective, {mate.objective for mate in mates}),
        (column.place, {mate.place for mate in mates}),
        (column.recipe, {mate.recipe for mate in mates}),
    ]
    return tuple(word for word, all_words in words if len(all_words) > 1 and word)


def _columns_of_place(tasks: list[TaskState]) -> list[Column]:
    groups: dict[tuple[str, str, str], list[TaskState]] = {}
    for task in tasks:
        groups.setdefault((task.family, task.objective, task.recipe), []).append(task)
    matched = {family: group for (family, objective, _), group in groups.items() if objective == DIRECT.name}
    starts = {_start_of(family, matched) for family, objective, _ in groups if objective != DIRECT.name}
    own = [group for key, group in groups.items() if key[1] != DIRECT.name or key[0] not in starts]
    # As a ladder climbs: what isn't trained was planned first.
    own.sort(key=lambda group: (group[0].request, FAMILIES.place(group[0].family)))
    return [_column(group, _beside(group[0], matched)) for group in own]


def _beside(task: TaskState, matched: Mapping[str, list[TaskState]]) -> list[TaskState]:
    return [] if task.objective == DIRECT.name else matched.get(_start_of(task.family, matched) or "", [])


def _start_of(family: str, matched: Mapping[str, list[TaskState]]) -> str | None:
    """The family whose direct matching stands beside a stitch of `family`: its own, else the affine one."""
    return next((name for name in (family, AFFINE.name) if name in matched), None)


def _column(tasks: list[TaskState], direct: list[TaskState]) -> Column:
    one = tasks[0]
    words = (one.control or "pair", f"{one.bottom} > {one.top}", one.family, one.objective, one.place, one.recipe)
    return Column(
        " ".join(word for word in words if word),
        one.column,
        one.bottom,
        one.top,
        one.control,
        one.family,
        one.objective,
        tuple(_in_seeds(tasks, direct)),
        direct_family=direct[0].family if direct else None,
        place=one.place,
        recipe=one.recipe,
        cross=one.cross,
        request=one.request,
    )


def _in_seeds(tasks: list[TaskState], direct: list[TaskState]) -> Iterator[InSeed]:
    beside = {(task.bottom, task.top): task.id for task in direct}
    for ends in dict.fromkeys((task.bottom, task.top) for task in tasks):
        yield InSeed(*ends, tuple(task.id for task in tasks if (task.bottom, task.top) == ends), beside.get(ends))


def rows(tasks: Iterable[TaskState], networks: Mapping[str, NetworkState]) -> list[str]:
    """Every cut of every column once: each column's own order is kept, and between columns depth decides."""
    depths = {name: _depths(network) for name, network in networks.items()}
    found: dict[str, list[float]] = {}
    orders: dict[tuple[str, ...], None] = {}
    for task in tasks:
        if task.cross:
            continue
        orders.setdefault(tuple(task.cuts))
        known = {**depths.get(task.top, {}), **depths.get(task.bottom, {})}
        for index, cut in enumerate(task.cuts):
            found.setdefault(cut, []).append(known.get(cut, index / max(1, len(task.cuts) - 1)))
    return _merged(orders, {cut: fmean(values) for cut, values in found.items()})


def _depths(network: NetworkState) -> dict[str, float]:
    last = max(1, len(network.cuts) - 1)
    return {cut.name: index / last for index, cut in enumerate(network.cuts)}


def _merged(orders: Iterable[tuple[str, ...]], depth: Mapping[str, float]) -> list[str]:
    before: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(depth, ()))
    for order in orders:
        for earlier, later in pairwise(order):
            before.add(later, earlier)
    try:
        before.prepare()
    except CycleError:  # two columns disagree about the order, so no order suits both
        return sorted(depth, key=lambda cut: depth[cut])
    return _by_depth(before, depth)


def _by_depth(before: "TopologicalSorter[str]", depth: Mapping[str, float]) -> list[str]:
    first_seen = {cut: index for index, cut in enumerate(depth)}
    waiting: list[tuple[float, int, str]] = []
    merged: list[str] = []
    while before.is_active():
        for cut in before.get_ready():
            heapq.heappush(waiting, (depth[cut], first_seen[cut], cut))
        cut = heapq.heappop(waiting)[2]
        merged.append(cut)
        before.done(cut)
    return merged


def summary(column: Column, cut: str, measured: Measured) -> Summary:
    """One row of `column` over its seeds; where one failed there is no penalty: the rest would flatter it."""
    return pooled(summaries(column, cut, measured))


def summaries(column: Column, cut: str, measured: Measured) -> list[Summary]:
    """One row of `column` in each network seed, over its stitch seeds."""
    return [_summary(column, each, cut, measured) for each in column.in_seeds]


def _summary(column: Column, seed: InSeed, cut: str, measured: Measured) -> Summary:
    mine = [measured.cells.get((task, cut)) for task in seed.task_ids]
    done = [cell for cell in mine if cell is not None and cell.status == "finished"]
    failed = next((cell for cell in mine if cell is not None and cell.status == "failed"), None)
    beside = measured.cells.get((seed.direct_task, cut)) if seed.direct_task else None
    direct = [beside] if beside and beside.status == "finished" else []
    counted = [] if failed else done
    penalty = measured.number(counted, PENALTY, column, seed)
    return Summary(
        cut,
        _joint_status([cell.status if cell else "pending" for cell in mine]),
        penalty=penalty,
        versus_bottom=measured.number(counted, VERSUS_BOTTOM, column, seed),
        direct=measured.number(direct, PENALTY, column, seed),
        seeds=len(done),
        spread=_spread([interval for cell in counted if (interval := cell.interval())]),
        spread_by_images=spread_by_images(penalty) if penalty else None,
        reused=bool(done) and all(cell.reused_from is not None for cell in done),
        reason=failed.reason if failed else None,
        measures=_mean_values(cell.measures for cell in counted),
    )


def pooled(rows: Sequence[Summary]) -> Summary:
    """One row over network seeds, from what it says in each of them; where one failed there is no penalty."""
    if len(rows) == 1:
        return rows[0]
    status = _joint_status(row.status for row in rows)
    counted = [] if status == "failed" else [row for row in rows if row.penalty is not None]
    done = [row for row in rows if row.seeds]
    penalty = _over(row.penalty for row in counted)
    return Summary(
        rows[0].cut,
        status,
        penalty=penalty,
        versus_bottom=_over(row.versus_bottom for row in counted),
        direct=_over(row.direct for row in rows),
        seeds=sum(row.seeds for row in rows),
        spread=_spread([row.penalty for row in counted if row.penalty]),
        spread_by_images=spread_by_images(penalty) if penalty else None,
        reused=bool(done) and all(row.reused for row in done),
        reason=next((row.reason for row in rows if row.reason), None),
        measures=_mean_values(row.measures for row in counted),
    )


def _over(intervals: Iterable[Interval | None]) -> Interval | None:
    """Over the network seeds that are in; None where one of them has no such number."""
    found = list(intervals)
    known = [interval for interval in found if interval is not None]
    return over(known, answers_of(known)) if known and len(known) == len(found) else None


def _spread(intervals: Sequence[Interval]) -> float | None:
    return standard_deviation([interval.value for interval in intervals]) if len(intervals) > 1 else None


def _joint_status(found: Iterable[Status]) -> Status:
    statuses = set(found)
    if "failed" in statuses:
        return "failed"
    if statuses == {"finished"}:
        return "finished"
    return "running" if "running" in statuses else "pending"


def _mean_values(measures: Iterable[Mapping[str, float | None]]) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for each in measures:
        for name, value in each.items():
            if value is not None:
                values.setdefault(name, []).append(value)
    return {name: fmean(many) for name, many in values.items()}


Judged = dict[str, Interval | None]
"""What a pair's verdict is about: its penalty at each cut, None where a cell is missing."""


def judged(column: Column, tasks: Mapping[str, TaskState], measured: Measured) -> Judged | None:
    """What a pair's verdict is about; None for a control, for every cut with every cut, and until all is in."""
    mine = [tasks[task] for task in column.task_ids if task in tasks]
    if column.control or column.cross or any(task.status not in ("finished", "failed") for task in mine):
        return None
    rows_of = [summary(column, cut, measured) for cut in dict.fromkeys(cut for task in mine for cut in task.cuts)]
    return {row.cut: row.penalty if row.status == "finished" else None for row in rows_of}


def verdict(found: Judged | None, epsilon: float) -> Verdict | None:
    """The connectivity of a pair; None where there is nothing to judge. Undecided when a cell is missing."""
    if found is None:
        return None
    known = [penalty for penalty in found.values() if penalty]
    return connectivity(known, epsilon) if len(known) == len(found) else "undecided"


def above_alone(found: Judged | None, epsilon: float) -> list[str]:
    """The cuts whose own intervals lie above epsilon though the pair is undecided: one of many may do so by chance."""
    if verdict(found, epsilon) != "undecided" or found is None:
        return []
    return [cut for cut, penalty in found.items() if penalty and side(penalty, epsilon) == "above"]


def connected_from(found: Judged | None) -> float | None:
    """The margin from which on a pair is connected; None where there is nothing to judge, or a cell is missing."""
    known = [penalty for penalty in (found or {}).values() if penalty]
    return epsilon_star(known) if len(known) == len(found or {}) else None


def band(column: Column, tasks: Mapping[str, TaskState], measured: Measured) -> dict[str, Interval]:
    """The penalty at each cut of `column` that is in, with limits that hold at all of them together with 95 %.

    A band over depth, to be drawn beside the single intervals; of controls, too, and while other cells are measured.
    """
    cuts = dict.fromkeys(cut for task in column.task_ids if task in tasks for cut in tasks[task].cuts)
    known = {cut: penalty for cut in cuts if (penalty := summary(column, cut, measured).penalty)}
    return dict(zip(known, simultaneous(list(known.values()), tails=2), strict=True))
