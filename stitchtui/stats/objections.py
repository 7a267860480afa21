"""Whether a pair's penalties can be read as similarity: a reviewer's objections, judged on intervals; no torch here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from stitchtui.stats.paired_difference import difference_of
from stitchtui.stats.penalty import Interval

Reading = Literal["yes", "in part", "no", "undecided"]
TriangleVerdict = Literal["found", "not found", "undecided"]

MARGIN = 2.0
"""Points of penalty below which two stitches count as equally good."""
OUTLYING = 0.9
"""The out-of-distribution score from which on a top is said to be fed something unlike its own."""


@dataclass(frozen=True)
class CutEvidence:
    """What was measured where bottom and top are cut at corresponding places; None for what was not.

    All but `outlying` are penalties against the same top, in points, of stitches trained for the task but for `direct`.
    Those that say which images they get wrong are compared image by image, the others as if they were independent.
    """

    name: str
    penalty: Interval
    direct: Interval | None = None
    cluster_noise: Interval | None = None
    random_bottom: Interval | None = None
    random_top: Interval | None = None  # error(stitched into the random top) - error(the trained top)
    shuffled_labels: Interval | None = None
    self_stitch: Interval | None = None
    longer: Interval | None = None  # the same stitch, trained for more steps
    low_rank: Mapping[int, Interval] = field(default_factory=dict)  # by rank
    outlying: Interval | None = None  # AUROC: 0.5 where the top is fed its own, 1 where wholly something else


@dataclass(frozen=True)
class OffDiagonal:
    """A cell whose cuts don't correspond, by their places from the input: 0, 1, ... as the pair's cuts are listed."""

    bottom: int
    top: int
    penalty: Interval


@dataclass(frozen=True)
class Remark:
    """One thing to know before reading the numbers, with the cuts that it holds at (none: the whole pair)."""

    text: str
    cuts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judgement:
    """Can this pair's penalties be read as similarity, where, and what speaks against it."""

    reading: Reading
    readable: tuple[str, ...]  # the cuts at which they can
    remarks: tuple[Remark, ...]
    missing: tuple[str, ...]  # what was measured at no cut
    gained: tuple[str, ...] = ()  # the cuts at which the penalty is to be read against the self-stitch, which gains

    @property
    def sentence(self) -> str:
        """The judgement in one line."""
        gained = [cut for cut in self.gained if cut in self.readable]
        against = f", at {', '.join(gained)} that against the self-stitch" if gained else ""
        return {
            "yes": f"The penalty can be read as similarity at every cut{against}.",
            "in part": f"The penalty can be read as similarity at {', '.join(self.readable)} only{against}.",
            "no": "The penalty can't be read as similarity.",
            "undecided": "Whether the penalty can be read as similarity is undecided.",
        }[self.reading]


def as_good(one: Interval, other: Interval, margin: float) -> bool | None:
    """Whether `one` costs at most `margin` points more than `other`; None if the intervals leave it open."""
    more = difference_of(other, one)
    if more.high <= margin:
        return True
    return False if more.low > margin else None


def costs_something(self_stitch: Interval | None, margin: float = MARGIN) -> bool:
    """Whether training left a stitch of a network to itself, which starts exact, worse for sure by what counts."""
    return self_stitch is not None and self_stitch.low > margin


def gains_something(self_stitch: Interval | None) -> bool:
    """Whether a stitch of a network to itself, where nothing is to be translated, does better for sure without any."""
    return self_stitch is not None and self_stitch.high < 0


CONTROLS: dict[str, Callable[[CutEvidence], Interval | None]] = {
    "class-cluster noise": lambda c: c.cluster_noise,
    "a random bottom": lambda c: c.random_bottom,
    "a random top": lambda c: c.random_top,
}
"""What must stitch worse than the pair does, if a low penalty is to mean anything."""
MEANING = {
    "class-cluster noise": "class-cluster noise stitches as well as this bottom at {}: this tells how separable the "
    "classes are, not shared features",
    "a random bottom": "a random bottom stitches as well as the trained one at {}: this doesn't discriminate",
    "a random top": "a random top does as well as the trained one at {}: the stitch does the work itself there",
}
OTHERS: dict[str, Callable[[CutEvidence], object]] = {
    "direct matching": lambda c: c.direct,
    "self-stitch": lambda c: c.self_stitch,
    "shuffled labels": lambda c: c.shuffled_labels,
    "the same stitch trained for longer": lambda c: c.longer,
    "low rank": lambda c: c.low_rank or None,
    "out-of-distribution score": lambda c: c.outlying,
}


def judgement(
    cuts: Sequence[CutEvidence],
    off_diagonal: Sequence[OffDiagonal] = (),
    *,
    classes: int | None = None,
    margin: float = MARGIN,
) -> Judgement:
    """The judgement on a pair, from its corresponding `cuts` in order and, where measured, the cells off the diagonal.

    A cut can be read if class-cluster noise, random bottom and random top all stitch clearly worse there (of those
    that were measured, one at least), a self-stitch is harmless and longer training, if tried, lowers the penalty no
    further. It can't if one of the three stitches as well. Where a self-stitch gains, it is the penalty against the
    self-stitch that can be read (Mai et al., 2026): so are the controls' of the same top then, which are as far from
    the pair's as before.
    Where the top is fed something unlike its own, cells off the diagonal must have been measured, since that is how
    distant layers come to stitch well (Balogh and Jelasity, 2025). The pair's reading is `no` if no cut can be read,
    or if most cells off the diagonal are as good as the diagonal; `yes` if every cut can, and `in part` if some can.
    What intervals leave open is undecided.
    """
    told = bool(_far(cuts, off_diagonal))
    read = [_cut_reading(c, margin, told) for c in cuts]
    flat = _is_flat(cuts, off_diagonal, margin)
    remarks = [*_control_remarks(cuts, margin), *_doubts(cuts, classes, margin)]
    remarks += _diagonal_remarks(cuts, off_diagonal, margin)
    readable = () if flat is not False else tuple(c.name for c, r in zip(cuts, read, strict=True) if r)
    missing = [name for name, of in {**CONTROLS, **OTHERS}.items() if all(of(c) is None for c in cuts)]
    missing += [] if off_diagonal else ["cells off the diagonal"]
    gained = tuple(c.name for c in cuts if gains_something(c.self_stitch))
    return Judgement(_reading(read, flat), readable, tuple(remarks), tuple(missing), gained)


def _reading(read: Sequence[bool | None], flat: bool | None) -> Reading:
    if flat or (read and all(r is False for r in read)):
        return "no"
    if flat is None or not any(read):
        return "undecided"
    return "yes" if all(read) else "in part"


def _cut_reading(cut: CutEvidence, margin: float, off_diagonal: bool) -> bool | None:
    controls = [of(cut) for of in CONTROLS.values()]
    found = [as_good(control, cut.penalty, margin) for control in controls if control is not None]
    if True in found:
        return False
    doubtful = (
        costs_something(cut.self_stitch, margin) or _is_short(cut, margin) or (_is_outlying(cut) and not off_diagonal)
    )
    return None if not found or None in found or doubtful else True


def _is_short(cut: CutEvidence, margin: float) -> bool:
    return cut.longer is not None and difference_of(cut.longer, cut.penalty).low > margin


def _is_outlying(cut: CutEvidence) -> bool:
    return cut.outlying is not None and cut.outlying.low > OUTLYING


def _remark(text: str, cuts: Sequence[str]) -> list[Remark]:
    return [Remark(text.format(", ".join(cuts)), tuple(cuts))] if cuts else []


def _control_remarks(cuts: Sequence[CutEvidence], margin: float) -> list[Remark]:
    remarks: list[Remark] = []
    for name, of in CONTROLS.items():
        measured = [(c, control) for c in cuts if (control := of(c)) is not None]
        answers = [(c.name, as_good(control, c.penalty, margin)) for c, control in measured]
        remarks += _remark(MEANING[name], [cut for cut, good in answers if good])
        still_open = [cut for cut, good in answers if good is None]
        remarks += _remark(f"whether {name} stitches as well is open at {{}}: the intervals are too wide", still_open)
    return remarks


def _doubts(cuts: Sequence[CutEvidence], classes: int | None, margin: float) -> list[Remark]:
    gained = [c.name for c in cuts if gains_something(c.self_stitch)]
    harmed = [c.name for c in cuts if costs_something(c.self_stitch, margin)]
    short = [c.name for c in cuts if _is_short(c, margin)]
    outlying = [c.name for c in cuts if _is_outlying(c)]
    beyond = [c.name for c in cuts if c.direct is not None and difference_of(c.penalty, c.direct).low > margin]
    shuffled = [c.name for c in cuts if c.shuffled_labels and as_good(c.shuffled_labels, c.penalty, margin)]
    few = [c.name for c in cuts if classes is not None and (_enough(c, margin) or classes) < classes]
    return [
        *_remark("a self-stitch costs something at {}: part of the penalty is the training's own", harmed),
        *_remark(
            "a self-stitch gains at {}: stitches make up for something else there, such as images unlike those that "
            "the networks were trained on, or a top trained too short",
            gained,
        ),
        *_remark("longer training lowers the penalty at {}: the stitch was trained too little there", short),
        *_remark("the top is fed activations unlike its own at {}: distant layers may stitch so, too", outlying),
        *_remark("only training for the task reaches this penalty at {}: direct matching does not", beyond),
        *_remark("a stitch trained on shuffled labels does as well at {}: its start does it, not training", shuffled),
        *_remark(f"a rank below the {classes} classes is enough at {{}}: as for telling classes apart", few),
    ]


def _enough(cut: CutEvidence, margin: float) -> int | None:
    """The smallest rank that was measured to do as well as the full stitch."""
    return min((rank for rank, found in cut.low_rank.items() if as_good(found, cut.penalty, margin)), default=None)


def _far(cuts: Sequence[CutEvidence], cells: Sequence[OffDiagonal]) -> list[OffDiagonal]:
    """The cells that should be worse than the diagonal: not its neighbours, unless there is nothing else."""
    inside = [c for c in cells if c.bottom != c.top and c.top < len(cuts)]
    return [c for c in inside if abs(c.bottom - c.top) > 1] or inside


def _against_diagonal(
    cuts: Sequence[CutEvidence], cells: Sequence[OffDiagonal], margin: float
) -> list[tuple[OffDiagonal, bool | None]]:
    """Whether each far cell is as good as the corresponding cut of the same top."""
    return [(c, as_good(c.penalty, cuts[c.top].penalty, margin)) for c in _far(cuts, cells)]


def _is_flat(cuts: Sequence[CutEvidence], cells: Sequence[OffDiagonal], margin: float) -> bool | None:
    """Whether most cells off the diagonal are as good as it; False also where none was measured."""
    found = [good for _, good in _against_diagonal(cuts, cells, margin)]
    if 2 * sum(good is True for good in found) > len(found):
        return True
    return None if 2 * sum(good is not False for good in found) > len(found) else False


def _diagonal_remarks(cuts: Sequence[CutEvidence], cells: Sequence[OffDiagonal], margin: float) -> list[Remark]:
    found = _against_diagonal(cuts, cells, margin)
    equal = [c for c, good in found if good]
    better = [c for c in equal if difference_of(cuts[c.top].penalty, c.penalty).high < 0]
    remarks: list[Remark] = []
    if 2 * len(equal) > len(found):
        text = (
            f"off-diagonal cells equal the diagonal: {len(equal)} of {len(found)} stitch as well as corresponding cuts"
        )
        remarks.append(Remark(text))
    elif equal:
        remarks.append(Remark(f"{len(equal)} of {len(found)} off-diagonal cells stitch as well as corresponding cuts"))
    if better:
        tops = [cuts[top].name for top in sorted({c.top for c in better})]
        text = "a cut that doesn't correspond stitches better than the one that does into the top at {}"
        remarks += _remark(text, tops)
    return remarks


def triangle(cuts: Sequence[CutEvidence], cells: Sequence[OffDiagonal], margin: float = MARGIN) -> TriangleVerdict:
    """Whether later layers of the bottom stitch well into earlier ones of the top, but not earlier into later.

    The triangle that Hernandez et al. (2023) saw. Found if the mean excess over the diagonal is at most `margin` on
    the later side and above it on the earlier; undecided without cells on both sides.
    """
    later = _mean_excess(cuts, [c for c in cells if c.bottom > c.top and c.top < len(cuts)])
    earlier = _mean_excess(cuts, [c for c in cells if c.bottom < c.top < len(cuts)])
    if later is None or earlier is None:
        return "undecided"
    if later.high <= margin < earlier.low:
        return "found"
    return "not found" if later.low > margin or earlier.high <= margin else "undecided"


def _mean_excess(cuts: Sequence[CutEvidence], cells: Sequence[OffDiagonal]) -> Interval | None:
    """The mean of cells' penalties over the diagonal's; its interval as if all erred together, on the same images."""
    excess = [difference_of(cuts[c.top].penalty, c.penalty) for c in cells]
    if not excess:
        return None
    n = len(excess)
    return Interval(sum(e.value for e in excess) / n, sum(e.low for e in excess) / n, sum(e.high for e in excess) / n)
