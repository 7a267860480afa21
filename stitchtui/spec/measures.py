"""The measures of a cell: what each is, in which unit, how every front shows it, and where it is computed. No torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from stitchtui.base.registry import Registry
from stitchtui.base.text import significant


@dataclass(frozen=True)
class Line:
    """A measure in the inspector."""

    label: str
    text: str  # of the value, where the words need it of `images`, and of `bounds` as penalties have them
    brief: bool = False  # whether it stands there where only three lines have room
    place: int = 4  # lines of lower places come first; within one, in the order of the measures


@dataclass(frozen=True)
class Detail:
    """A measure in the table that a pair has in reports."""

    heading: str
    meaning: str
    text: Callable[[float], str] | None = None  # without one it is said as penalties are, with its interval
    place: int = 3  # columns of lower places come first; within one, in the order of the measures
    always: bool = False  # whether the column is there without a number in it


@dataclass(frozen=True)
class Shade:
    """A measure in the app's grid: how it is called there, and where a value lies on a scale that never moves.

    `titles` say the same at different lengths, the longest first; the last fits wherever a grid does.
    The scales are fixed, so that a colour means the same in every run and one new cell never recolours the others.
    """

    name: str
    titles: tuple[str, ...]
    share: Callable[[float], float]  # places a value on the ramp from 0 to 1
    marks: tuple[float, ...]  # values that the legend shows on the ramp
    decimals: int = 2
    signed: bool = False
    diverging: bool = False


@dataclass(frozen=True)
class Measure:
    """What is known of a measure; with `low` it has a 95 % interval, whose ends are called as it is, `_low`, `_high`.

    `computed` is a function that finds it of a `stitchtui.measuring.computed.Evaluated`, named as `module:object`;
    without one it is found where several are found together. `derived`, so named, finds one that sets columns of a run
    against each other: it takes a RunState and gives what finds the measure's interval in a column's row.
    """

    name: str
    holds: str  # what it is, and in which unit, as the list of the CSV's columns says it
    low: str = ""  # the same of the lower end of its interval
    count: bool = False  # whether it is a whole number
    computed: str = ""
    derived: str = ""
    claimed: str = ""  # what a claim's sentence calls it; empty: no claim is about it
    unit: str = ""  # what follows its number in a sentence
    line: Line | None = None
    detail: Detail | None = None
    shade: Shade | None = None

    @property
    def ends(self) -> tuple[str, ...]:
        """What the ends of its interval are called."""
        return (f"{self.name}_low", f"{self.name}_high") if self.low else ()


def rising(knee: float, top: float) -> Callable[[float], float]:
    """Return a scale that is linear up to about `knee`, logarithmic from there to `top`, where it ends."""
    return lambda value: min(1.0, math.log1p(max(0.0, value) / knee) / math.log1p(top / knee))


def around_zero(knee: float, top: float) -> Callable[[float], float]:
    """Return such a scale to both sides of zero, which is in its middle."""
    away = rising(knee, top)
    return lambda value: 0.5 + math.copysign(0.5 * away(abs(value)), value)


_COMPUTED = "stitchtui.measuring.computed"
_POINTS = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0)

ERROR = Measure(
    "error",
    "test error of the stitched network, percent",
    line=Line("error", "{:.2f} % of {images:.0f} test images", place=0),
    shade=Shade(
        "error",
        ("test error of the stitched network, percent", "error of the stitched, percent", "error, percent"),
        rising(10, 100),
        (0.0, 3.0, 10.0, 30.0, 100.0),
        1,
    ),
)
LOSS = Measure(
    "loss",
    "cross-entropy of the stitched network on the test images, nats",
    line=Line("loss", "{:.4f}", brief=True, place=2),
)
BOTTOM_ERROR = Measure("bottom_error", "test error of the bottom by itself, percent")
TOP_ERROR = Measure("top_error", "test error of the top by itself, percent")
IMAGES = Measure("images", "test images that the errors are over", count=True)
PENALTY = Measure(
    "penalty",
    "error - top_error, points; what the grid shows",
    "lower end of the penalty's paired 95 % interval, points",
    claimed="penalty",
    unit=" points",
    shade=Shade(
        "penalty",
        ("penalty: error(stitched) - error(top), points", "penalty, points"),
        rising(3, 100),
        _POINTS,
        signed=True,
    ),
)
VERSUS_BOTTOM = Measure(
    "versus_bottom",
    "error - bottom_error, points",
    "lower end of its paired 95 % interval, points",
    claimed="penalty against the bottom",
    unit=" points",
    shade=Shade(
        "against the bottom",
        (
            "against the bottom: error(stitched) - error(bottom), points",
            "against the bottom: stitched - bottom, points",
            "against the bottom",
        ),
        around_zero(3, 100),
        (-30.0, -3.0, 0.0, 3.0, 30.0),
        signed=True,
        diverging=True,
    ),
)
VERSUS_SELF_STITCH = Measure(
    "versus_self_stitch",
    "penalty - that of the top stitched to itself at the cut in the same way, of the same seed, points",
    "lower end of its paired 95 % interval, points",
    derived="stitchtui.report.self_stitch:versus_self_stitch",
    line=Line("vs self", "{bounds}", place=-1),
    detail=Detail(
        "vs self-stitch",
        "vs self-stitch: the penalty less that of the top stitched to itself at the cut",
        place=-1,
    ),
    shade=Shade(
        "against the self-stitch",
        (
            "against the self-stitch: error(stitched) - error(top stitched to itself), points",
            "against the self-stitch: stitched - self-stitch, points",
            "against the self-stitch",
        ),
        around_zero(3, 100),
        (-30.0, -3.0, 0.0, 3.0, 30.0),
        signed=True,
        diverging=True,
    ),
)
START_PENALTY = Measure(
    "start_penalty",
    "the penalty before the first step of training, points",
    line=Line("at start", "{:+.2f} points before training", place=1),
)
START_SCALED = Measure(
    "start_scaled",
    "1 where start best was least squares at the top's variance, 0 where it was least squares as it is",
    line=Line("scaled start", "{:.0%} of the starts are at the top's variance", place=3),
)
DIRECT_PENALTY = Measure(
    "direct_penalty",
    "the penalty of direct matching at the same bottom, top, control and cut, points",
    shade=Shade(
        "direct",
        ("direct-matching penalty, nothing trained, points", "direct matching, points"),
        rising(3, 100),
        _POINTS,
        signed=True,
    ),
)
AGREEMENT = Measure(
    "agreement",
    "test images on which the stitched network says what the top says, percent",
    line=Line("agreement", "{:.1f} % with the top", brief=True, place=0),
    detail=Detail(
        "agree %",
        "agree: images on which the stitched network says what the top says",
        "{:.1f}".format,
        place=0,
        always=True,
    ),
)
JS_DISTANCE = Measure(
    "js_distance",
    "Jensen-Shannon distance of the stitched network's and the top's class probabilities, 0 to 1",
    computed=f"{_COMPUTED}:js_distance",
    line=Line("JS distance", "{:.3f} to the top's class probabilities", place=0),
)
CKA = Measure(
    "cka",
    "linear CKA of bottom and top at the cut on test images, 0 to 1; from minibatches it may lie just below 0",
    claimed="CKA",
    line=Line("CKA", "{:.3f}", brief=True, place=0),
    detail=Detail("CKA", "CKA: linear, of bottom and top at the cut, 0 to 1", "{:.2f}".format, place=1, always=True),
    shade=Shade(
        "CKA",
        ("linear CKA of bottom and top at the cut, 0 to 1", "linear CKA, 0 to 1"),
        float,
        (0.0, 0.5, 1.0),
        3,
    ),
)
PROCRUSTES = Measure(
    "procrustes",
    "Procrustes distance of the two, 0 (equal but for rotation, shift and scale) to 1 (uncorrelated)",
    line=Line("Procrustes", "{:.3f} distance", place=0),
)
CCA = Measure(
    "cca",
    "mean canonical correlation of the two, 0 to 1 (either is an affine map of the other)",
    line=Line("CCA", "{:.3f} mean", place=0),
)
CCA_BY_CHANCE = Measure(
    "cca_by_chance",
    "at most what cca is for unrelated representations of these sizes and as many images",
    line=Line("CCA by chance", "up to {:.3f}", place=0),
)
ACTIVATION_GAP = Measure(
    "activation_gap",
    "squared distance of what the top is fed from its own activations, over their own; 0: none",
    computed=f"{_COMPUTED}:activation_gap",
    line=Line("gap", "{:.3f}", brief=True, place=0),
    detail=Detail(
        "gap",
        "gap: activation gap, how far what the top is fed is from its own activations (0: not at all)",
        significant,
        place=0,
        always=True,
    ),
    shade=Shade(
        "gap",
        (
            "activation gap: |stitched - own|^2 / |own|^2 of what the top is fed; 0: its own activations",
            "activation gap of what the top is fed; 0: none",
            "activation gap; 0: none",
        ),
        rising(0.2, 10),
        (0.0, 0.1, 0.3, 1.0, 3.0),
    ),
)
OOD = Measure(
    "ood",
    "chance that a stitched activation lies farther out than one of the top's own: 0.5 as they do, 1 outside",
    "lower end of its 95 % interval",
    computed=f"{_COMPUTED}:ood",
    line=Line("OOD", "{:.3f} (0.5: as the top's own activations)", brief=True, place=0),
    detail=Detail(
        "OOD",
        "OOD: how far outside its own activations the top is fed (0.5: as its own, 1: wholly outside)",
        "{:.2f}".format,
        place=0,
    ),
    shade=Shade(
        "OOD",
        (
            "out-of-distribution score of what the top is fed: 0.5 as its own activations, 1 wholly outside",
            "out-of-distribution score; 0.5: as its own, 1: outside",
            "out-of-distribution score",
        ),
        lambda value: min(1.0, max(0.0, 2 * value - 1)),
        (0.5, 0.6, 0.8, 1.0),
        3,
    ),
)
OOD_RATIO = Measure(
    "ood_ratio",
    "how far out stitched activations lie over how far the top's own do, by their medians",
    computed=f"{_COMPUTED}:ood_ratio",
)
STITCH_PARAMETERS = Measure(
    "stitch_parameters",
    "parameters of the stitch, or of what a control trains in its place",
    count=True,
    computed=f"{_COMPUTED}:stitch_parameters",
    line=Line("stitch", "{:,.0f} parameters", place=3),
    detail=Detail("parameters", "parameters: the stitch's", "{:,.0f}".format, place=2, always=True),
)
STITCH_RANK = Measure(
    "stitch_rank",
    "rank of the stitch's linear map",
    computed=f"{_COMPUTED}:stitch_rank",
    line=Line("rank", "{:.0f}", place=3),
)
STITCH_EFFECTIVE_RANK = Measure(
    "stitch_effective_rank",
    "its rank with small singular values counted for little (Roy and Vetterli, 2007)",
    computed=f"{_COMPUTED}:stitch_effective_rank",
    line=Line("eff. rank", "{:.1f}", place=3),
)
STITCH_SPARSITY = Measure(
    "stitch_sparsity",
    "share of the stitch's weights that are exactly 0",
    computed=f"{_COMPUTED}:stitch_sparsity",
    line=Line("zeros", "{:.1%} of the weights", place=3),
)
STEPS = Measure("steps", "steps of training", count=True, line=Line("trained", "{:.0f} steps", place=3))
CHOSEN_STEP = Measure(
    "chosen_step",
    "the step of training whose stitch counts, that of the lowest held-out loss; 0: its start",
    count=True,
    line=Line("chosen", "at step {:.0f}", place=3),
)
LATE_GAIN = Measure(
    "late_gain",
    "points of held-out error by which the second half of the steps lowered that of the stitch that counts",
    line=Line("its later half", "brought {:+.2f} points", place=3),
)
STILL_FALLING = Measure(
    "still_falling", "1 where held-out loss still fell when the limit ended the training, else 0", count=True
)
HELD_OUT_LOSS = Measure(
    "held_out_loss",
    "loss of the chosen step on held-out training images, of what the stitch is trained for",
    line=Line("held out", "loss {:.4f} on training images that were held out", place=3),
)
HELD_OUT_ACCURACY = Measure("held_out_accuracy", "accuracy of the chosen step on the same images, percent")
SECONDS = Measure(
    "seconds",
    "the time of the cell's share of its task, seconds",
    shade=Shade("seconds", ("seconds that the cell took", "seconds"), rising(1, 3600), (0.0, 1.0, 10.0, 100.0), 1),
)

MEASURES = Registry(
    "measures",
    Measure,
    (
        *(ERROR, LOSS, BOTTOM_ERROR, TOP_ERROR, IMAGES, PENALTY, VERSUS_BOTTOM),
        *(VERSUS_SELF_STITCH, START_PENALTY, DIRECT_PENALTY),
        *(AGREEMENT, JS_DISTANCE, CKA, PROCRUSTES, CCA, CCA_BY_CHANCE, ACTIVATION_GAP, OOD, OOD_RATIO),
        *(STITCH_PARAMETERS, STITCH_RANK, STITCH_EFFECTIVE_RANK, STITCH_SPARSITY, START_SCALED, STEPS, CHOSEN_STEP),
        *(LATE_GAIN, STILL_FALLING, HELD_OUT_LOSS, HELD_OUT_ACCURACY, SECONDS),
    ),
)
"""Every measure of a cell by name, in the order of the CSV's columns."""

PAIRED = (PENALTY.name, VERSUS_BOTTOM.name)
"""The measures that compare two networks image by image."""

BEST = Shade(
    "best",
    (
        "penalty of the best stitch tried at the cut, points",
        "penalty of the best stitch, points",
        "best stitch, points",
    ),
    rising(3, 100),
    _POINTS,
    signed=True,
)
"""The penalty of the best stitch that was tried at a pair's cut, which the app's grid also shows."""

WIDTH = Shade(
    "width",
    ("width of the 95 % interval, points", "interval width, points"),
    rising(1, 20),
    (0.0, 1.0, 3.0, 10.0),
)
"""What the app's grid also shows of a penalty."""

LATER_GAP = "gap at "
"""What the activation gap further on is called, with the name of a later cut of the top after it."""


def columns() -> dict[str, str]:
    """What each measure of a cell holds, and each end of its interval, by name."""
    found: dict[str, str] = {}
    for measure in MEASURES.values():
        ends = zip(measure.ends, (measure.low, "upper end of it"), strict=False)
        found |= {measure.name: measure.holds, **dict(ends)}
    return found


def counts() -> tuple[str, ...]:
    """The measures that are whole numbers."""
    return tuple(name for name, measure in MEASURES.items() if measure.count)


def claimed_measures() -> tuple[str, ...]:
    """The measures that a claim can be about."""
    return tuple(name for name, measure in MEASURES.items() if measure.claimed)
