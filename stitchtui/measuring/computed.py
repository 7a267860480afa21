"""The measures that are found of one evaluated cell, each by a function that its declaration names."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from stitchtui.base.registry import load
from stitchtui.spec.measures import MEASURES
from stitchtui.stats.penalty import Interval
from stitchtui.stitching import objectives, rank, stitches
from stitchtui.stitching.evaluate import Measured, Scores


@dataclass(frozen=True)
class Evaluated:
    """A cell on the test images: its stitch, and what the stitched network and the top by itself answer."""

    stitch: nn.Module
    measured: Measured
    top: Scores


Found = float | Interval | None
"""A number, one with an interval, or that there is none; NotMeasured says that a cell can't have any."""
Computed = Callable[[Evaluated], Found]


class NotMeasured(Exception):
    """Raised where a measure means nothing for a cell, which then has none."""


def computed(cell: Evaluated) -> dict[str, float | None]:
    """Every measure that is found of a cell by itself, with the ends of its interval."""
    found: dict[str, float | None] = {}
    for name, measure in MEASURES.items():
        if not measure.computed:
            continue
        try:
            value = load(measure.computed)(cell)
        except NotMeasured:
            continue
        if isinstance(value, Interval):
            found |= dict(zip((name, *measure.ends), (value.value, value.low, value.high), strict=True))
        else:
            found[name] = value
    return found


def js_distance(cell: Evaluated) -> Found:
    """Return how far the class probabilities are from the top's."""
    return cell.measured.js_distance


def activation_gap(cell: Evaluated) -> Found:
    """Return how far what the top is fed is from its own activations."""
    return cell.measured.gap


def ood(cell: Evaluated) -> Found:
    """Return how often what the top is fed lies farther out than its own activations do."""
    if (out := cell.measured.outlying) is None:
        raise NotMeasured
    return Interval(out.auroc, out.low, out.high)


def ood_ratio(cell: Evaluated) -> Found:
    """Return how far out what the top is fed lies, over how far its own activations do."""
    if (out := cell.measured.outlying) is None:
        raise NotMeasured
    return out.ratio


def stitch_parameters(cell: Evaluated) -> Found:
    """Return how many numbers the stitch learns."""
    return stitches.parameter_count(cell.stitch)


def stitch_rank(cell: Evaluated) -> Found:
    """Return the rank of the stitch's map; None where it is not linear."""
    return stitches.rank_of(cell.stitch)


def stitch_effective_rank(cell: Evaluated) -> Found:
    """Return the same with small singular values counted for little."""
    matrix = cell.stitch.matrix() if isinstance(cell.stitch, stitches.Stitch) else None
    if matrix is None or isinstance(cell.stitch, stitches.Identity):
        raise NotMeasured
    return rank.effective_rank(matrix)


def stitch_sparsity(cell: Evaluated) -> Found:
    """Return the share of the stitch's weights that are exactly 0, where there are any."""
    if (share := objectives.sparsity(cell.stitch)) == 0:
        raise NotMeasured
    return share
