"""The verdict on a pair: connected, not connected or undecided, from its penalty at every cut."""

from collections.abc import Iterable, Sequence

from stitchtui.stats.penalty import Interval, Verdict, side
from stitchtui.stats.simultaneous import bonferroni, simultaneous


def connectivity(penalties: Sequence[Interval], epsilon: float) -> Verdict:
    """Whether the penalty at every cut is at most `epsilon` points.

    Connected is non-inferiority at every cut, an intersection-union test (Berger, Technometrics 24, 1982; Berger and
    Hsu, Statistical Science 11, 1996): every cut's own upper limit, of 97.5 %, is at most epsilon. None is widened for
    their number, since the pair is called connected wrongly only where the worst of its cuts is.

    Not connected is said of some cut, whichever it is, so that lower limits must hold at all of them together: one of
    those lies above epsilon. A cut's own interval may lie above it where the pair is undecided. Undecided, too,
    without any cut.
    """
    sides = {side(penalty, epsilon) for penalty in penalties}
    if "above" in sides and _some_above(penalties, epsilon):
        return "not connected"
    return "connected" if sides == {"below"} else "undecided"


def _some_above(penalties: Sequence[Interval], epsilon: float) -> bool:
    """Whether a simultaneous lower limit lies above epsilon; Bonferroni's, never a higher one, costs no draws."""
    if any(limit.low > epsilon for limit in bonferroni(penalties)):
        return True
    return any(limit.low > epsilon for limit in simultaneous(penalties, tails=1))


def epsilon_star(penalties: Iterable[Interval]) -> float | None:
    """The smallest margin at which a pair is connected, the largest upper limit over its cuts; None without any."""
    return max((penalty.high for penalty in penalties), default=None)
