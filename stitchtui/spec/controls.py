"""The controls: what each changes, how it is called, what it tells. No torch: plans, reports and the app read it."""

from dataclasses import dataclass, fields, replace

from stitchtui.base.errors import not_known
from stitchtui.base.registry import Registry
from stitchtui.spec.families import IDENTITY
from stitchtui.stats.objections import CutEvidence

_STITCHES, _BASELINES, _STAND_INS = (
    "stitchtui.measuring.stitch_work",
    "stitchtui.measuring.baselines",
    "stitchtui.measuring.stand_ins",
)


@dataclass(frozen=True)
class Control:
    """A column whose answer is known or bounded beforehand, or that a pair's penalty should be read against.

    What it puts in a place is named as `module:object`: `in_bottom` and `in_top` as a
    `stitchtui.measuring.stand_ins.StandIn`, `in_data` as a `stitchtui.measuring.stand_ins.OtherData`, `work` as a
    subclass of `stitchtui.measuring.task_work.TaskWork`.
    """

    name: str
    words: str  # as a sentence calls it
    lines: tuple[str, ...] = ()  # its heading where that has to be narrow: six characters a line
    short: str = ""  # in at most five
    tells: str = ""  # what its number says of a pair's, in one sentence
    brief: str = ""  # in at most four; empty: as `short`
    bottom: str = "{}"  # what its heading calls the bottom, and the top
    top: str = "{}"
    both: str = ""  # which of the pair's networks is both its bottom and its top; empty: each is what it is
    counts_as: str = ""  # the control that a column of it is, where it only says of which network
    family: str = ""  # the one stitch that it has; empty: the pair's
    climbs: bool = False  # whether it has every rung of a ladder, or only the affine one
    matched: bool = True  # whether its direct matching means something
    exact: bool = False  # whether its direct matching is the identity, so that only what training makes of it tells
    fits: str = "stitch"  # what is fitted: the stitch, or what takes its place
    work: str = f"{_STITCHES}:StitchWork"
    in_bottom: str = ""  # what stands in for the bottom, the top, and the images and labels that are fitted to
    in_top: str = ""
    in_data: str = ""
    worth_asking: bool = False  # whether the app offers it for a pair that has it not
    evidence: str = ""  # what the judgement on similarity knows its penalty as: a field of its `CutEvidence`
    beware: str = ""  # what a summary says of it beside its number

    def __post_init__(self) -> None:
        if self.evidence not in ("", *(each.name for each in fields(CutEvidence))):
            raise ValueError(f"evidence: {not_known(self.evidence, [each.name for each in fields(CutEvidence)])}")

    @property
    def needs_naming(self) -> bool:
        """Whether a task of it has the bottom, top, family and objective of the pair itself."""
        is_told_apart = self.fits == "stitch" and (self.both or self.family)
        return self.heading("", "") == " > " and bool(self.name) and not is_told_apart

    def heading(self, bottom: str, top: str) -> str:
        """The heading of its column: `random(a) > b`."""
        return f"{self.bottom.format(bottom)} > {self.top.format(top)}"

    def ends(self, bottom: str, top: str) -> tuple[str, str]:
        """The bottom and top of its column beside a pair of these."""
        return {"bottom": (bottom, bottom), "top": (top, top)}.get(self.both, (bottom, top))


_PAIR = Control("", "", tells="the pair itself", climbs=True)

SELF_STITCH = Control(
    "self_stitch", "self-stitch", ("self-", "stitch"), "self",
    "a network stitched to itself: what the stitch and its training cost where nothing else can",
    both="top", climbs=True, exact=True, evidence="self_stitch",
)  # fmt: skip
UNSTITCHED = Control(
    IDENTITY.name, "identity", ("iden-", "tity"), "ident",
    "no stitch at all: how far the two sets of channels are from being the same",
    brief="id", family=IDENTITY.name,
)  # fmt: skip
RANDOM_BOTTOM = Control(
    "random_bottom", "random bottom", ("random", "bottom"), "rand",
    "an untrained bottom: what stitch and top can do by themselves",
    bottom="random({})", in_bottom=f"{_STAND_INS}:untrained", worth_asking=True, evidence="random_bottom",
    beware="says nothing in the first fifth of the network, where untrained layers lose little;"
    " compare with it deeper in the network",
)  # fmt: skip

CONTROLS = Registry(
    "controls",
    Control,
    (
        _PAIR,
        SELF_STITCH,
        replace(
            SELF_STITCH, name="self_stitch_bottom", both="bottom", counts_as=SELF_STITCH.name, evidence="",
        ),
        UNSTITCHED,
        RANDOM_BOTTOM,
        Control(
            "random_top", "random top", ("random", "top"), "rtop",
            "an untrained top: what stitch and bottom can do by themselves",
            top="random({})", in_top=f"{_STAND_INS}:untrained", worth_asking=True, evidence="random_top",
        ),
        Control(
            "cluster_noise", "cluster noise", ("clust.", "noise"), "noise",
            "noise around a random tensor per class for a bottom: what the class alone is enough for",
            brief="nois", bottom="noise(as {})", in_bottom=f"{_STAND_INS}:class_noise", worth_asking=True,
            evidence="cluster_noise",
        ),
        Control(
            "shuffled_labels", "shuffled labels", ("shuff.", "labels"), "shuff",
            "a stitch trained on labels in random order: what its training adds that has nothing to do with the task",
            brief="shuf", matched=False, in_data=f"{_STAND_INS}:other_labels", worth_asking=True,
            evidence="shuffled_labels",
        ),
        Control(
            "less_data", "a tenth of the data", ("1/10", "data"), "1/10",
            "a stitch trained on a tenth of the images: whether the penalty hangs on how much data the stitch saw",
            in_data=f"{_STAND_INS}:a_tenth",
        ),
        Control(
            "linear_probe", "linear probe", ("linear", "probe"), "probe",
            "a linear classifier on the bottom's features at the cut: what can be read there without any top",
            brief="prob", matched=False, fits="probe", work=f"{_BASELINES}:ProbeWork", worth_asking=True,
        ),
        Control(
            "fine_tuned_top", "fine-tuned top", ("tuned", "top"), "tuned",
            "the top trained on from the cut: more than a stitch may do",
            brief="tune", matched=False, fits="tail", work=f"{_BASELINES}:TailWork", worth_asking=True,
        ),
        Control(
            "retrained_top", "retrained top", ("new", "top"), "new",
            "the top's layers trained anew from the cut: what the bottom's features are good for at all",
            matched=False, fits="new tail", work=f"{_BASELINES}:NewTailWork",
        ),
        Control(
            "freeze_training", "freeze training", ("freeze", "train."), "freez",
            "the bottom's own layers after the cut trained anew, those before it frozen",
            brief="frz", both="bottom", matched=False, fits="new tail", work=f"{_BASELINES}:NewTailWork",
        ),
    ),
)  # fmt: skip
"""Every control by name, in the order that grids show them; the pair itself, called by the empty name, comes first."""


def control_named(name: str) -> Control:
    """The control called `name`; one that this version doesn't know is called by its name."""
    known = CONTROLS.get(name)
    return known or Control(name, name, (name,), name[:5], "a control that this version doesn't know")


def column_of(control: str, bottom: str, top: str) -> tuple[str, tuple[str, str]]:
    """The control and ends of a column beside a pair as plans call them; a pair of one network is a self-stitch."""
    known = SELF_STITCH if not control and bottom == top else control_named(control)
    return known.counts_as or known.name, known.ends(bottom, top)


def control_names() -> tuple[str, ...]:
    """Every control that can be asked for."""
    return tuple(name for name in CONTROLS if name)
