"""Cells that are to be measured: their rows and cuts, and the chains that a group of them shares."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.material import Ends
from stitchtui.measuring.session import Session
from stitchtui.stitching import column_trainer
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cluster_noise import ClusterNoise
from stitchtui.stitching.cuts import Cut

Pairs = Sequence[tuple[Cut, Cut]]
"""Bottom cut and top cut of each cell."""


@dataclass(frozen=True)
class PlannedCell:
    """A cell that is to be measured: its row, its cuts and its identity."""

    row: str
    bottom: Cut
    top: Cut
    identity: str


@dataclass(frozen=True)
class Chains:
    """Bottom and top, each cut once wherever a cell of the group needs it."""

    bottom: Chain
    top: Chain
    ends: tuple[tuple[int, int], ...]  # of each cell: its boundaries in the bottom's chain and in the top's

    def seams(self, stitches: Sequence[nn.Module]) -> list[column_trainer.Seam]:
        """The cells' seams, with a stitch each."""
        return [column_trainer.Seam(low, high, stitch) for (low, high), stitch in zip(self.ends, stitches, strict=True)]


def cuts_of(cells: Sequence[PlannedCell]) -> list[tuple[Cut, Cut]]:
    """The cuts of each cell."""
    return [(cell.bottom, cell.top) for cell in cells]


def chains(session: Session, ends: Ends, pairs: Pairs, others: Sequence[Cut] = ()) -> Chains:
    """The chains of two networks, cut where `pairs` need it, the top also at `others`; one if both are the same."""
    bottoms, tops = (
        _in_order(ends.bottom, [b for b, _ in pairs]),
        _in_order(ends.top, [*others, *(t for _, t in pairs)]),
    )
    if ends.noise is not None:
        bottom: Chain = ClusterNoise(bottoms, ends.noise.seed)
        top = session.chain(ends.top, tops)
    elif ends.bottom is ends.top:
        bottom = top = session.chain(ends.top, _in_order(ends.top, [*bottoms, *tops]))
    else:
        bottom, top = session.chain(ends.bottom, bottoms), session.chain(ends.top, tops)
    return Chains(bottom, top, tuple((bottom.index(b.name), top.index(t.name)) for b, t in pairs))


def _in_order(loaded: Loaded, cuts: Sequence[Cut]) -> list[Cut]:
    wanted = {cut.name for cut in cuts}
    return [cut for cut in loaded.traced.cuts if cut.name in wanted]
