"""The grid of one pair: bottom cuts x top cuts, and its diagonal."""

from collections.abc import Mapping
from dataclasses import dataclass

from stitchtui.run.records import Cell, Column, NetworkState, TaskState


@dataclass(frozen=True)
class Cross:
    """Bottom cuts and top cuts from input to output, and the pairs of them that lie equally deep."""

    bottom_cuts: tuple[str, ...]
    top_cuts: tuple[str, ...]
    diagonal: frozenset[tuple[str, str]]


def cross_of(
    column: Column,
    tasks: Mapping[str, TaskState],
    cells: Mapping[tuple[str, str], Cell],
    networks: Mapping[str, NetworkState],
) -> Cross:
    """The grid of `column`, whose tasks join every bottom cut with every top cut.

    On the diagonal is, where both networks have the same cuts, each with itself; elsewhere each top cut with the
    bottom cut that comes nearest to its depth.
    """
    ids = [*column.task_ids, *column.direct_tasks]
    found = [cells[key] for task in ids if task in tasks for cut in tasks[task].cuts if (key := (task, cut)) in cells]
    bottoms = _ordered({c.bottom_cut for c in found if c.bottom_cut}, networks.get(column.bottom))
    tops = _ordered({c.top_cut for c in found if c.top_cut}, networks.get(column.top))
    return Cross(bottoms, tops, _diagonal(bottoms, tops, networks.get(column.bottom), networks.get(column.top)))


def _ordered(cuts: set[str], network: NetworkState | None) -> tuple[str, ...]:
    order = [cut.name for cut in network.cuts] if network else []
    return (*(cut for cut in order if cut in cuts), *sorted(cuts.difference(order)))


def _diagonal(
    bottoms: tuple[str, ...], tops: tuple[str, ...], bottom: NetworkState | None, top: NetworkState | None
) -> frozenset[tuple[str, str]]:
    if bottoms == tops:
        return frozenset(zip(bottoms, tops, strict=True))
    low, high = _depths(bottoms, bottom), _depths(tops, top)
    if not low:
        return frozenset()
    return frozenset((min(low, key=lambda cut: abs(low[cut] - high[at])), at) for at in tops)


def _depths(cuts: tuple[str, ...], network: NetworkState | None) -> dict[str, float]:
    """The share of FLOPs before each cut, or of the cuts where the network doesn't say."""
    said = {cut.name: cut.depth for cut in network.cuts if cut.depth is not None} if network else {}
    if said.keys() >= set(cuts):
        return {cut: said[cut] for cut in cuts}
    return {cut: (index + 1) / (len(cuts) + 1) for index, cut in enumerate(cuts)}
