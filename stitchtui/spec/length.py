"""How long stitches are trained where nothing is said of it. No pydantic: a run's progress is reckoned from it, too."""

from stitchtui.spec.objectives import OBJECTIVES

CONVERGED_WITHIN = 30.0
FIXED = 4.0
USUAL_STEPS = 500
"""About what a column of stitches takes until it has converged, of few images and of many."""


def may_converge(objective: str, length: str, l1: float, held_out: int | None) -> bool:
    """Whether training ends once held-out loss falls no more, as long as there are held-out images.

    An objective of two phases has a fixed length all the same, since its second phase begins at a share of it; and
    so has a stitch that `l1` makes sparse: what counts would be an average, which has no zeros.
    """
    known = OBJECTIVES[objective]
    return known.trains and not known.phases and not l1 and length == "converged" and held_out != 0


def passes(epochs: float | None, converges: bool) -> float:
    """Passes over the training images: `epochs` if said, else a limit that few reach, or what is usually enough."""
    return epochs or (CONVERGED_WITHIN if converges else FIXED)
