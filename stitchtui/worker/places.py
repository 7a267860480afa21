"""Where a column's cells sit: their cuts and rows, and the chains that a group of them shares."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from stitchtui.stitching import fit
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut
from stitchtui.worker.session import Loaded, Session


@dataclass(frozen=True)
class Place:
    """A cell of the column being measured: its row, its cuts and its identity."""

    row: str
    bottom: Cut
    top: Cut
    identity: str


@dataclass(frozen=True)
class Chains:
    """Bottom and top, each cut at every place of a group once."""

    bottom: Chain
    top: Chain
    ends: tuple[tuple[int, int], ...]  # of each place: its boundaries in the bottom's chain and in the top's

    def cells(self, stitches: Sequence[nn.Module]) -> list[fit.Cell]:
        """The places' cells, with a stitch each."""
        return [fit.Cell(low, high, stitch) for (low, high), stitch in zip(self.ends, stitches, strict=True)]


def chains(session: Session, ends: tuple[Loaded, Loaded], pairs: Sequence[tuple[Cut, Cut]]) -> Chains:
    """The chains of two networks, cut where `pairs` (bottom cut, top cut) need it; one chain if both are the same."""
    cuts = [_in_order(loaded, [pair[end] for pair in pairs]) for end, loaded in enumerate(ends)]
    if ends[0] is ends[1]:
        cuts = [_in_order(ends[0], [*cuts[0], *cuts[1]])] * 2
    bottom = session.chain(ends[0], cuts[0])
    top = bottom if ends[0] is ends[1] else session.chain(ends[1], cuts[1])
    return Chains(bottom, top, tuple((bottom.index(b.name), top.index(t.name)) for b, t in pairs))


def _in_order(loaded: Loaded, cuts: Sequence[Cut]) -> list[Cut]:
    wanted = {cut.name for cut in cuts}
    return [cut for cut in loaded.traced.cuts if cut.name in wanted]
