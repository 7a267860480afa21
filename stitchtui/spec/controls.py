"""The controls: what each changes, how it is called, what it tells. No torch: plans, reports and the app read it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Control:
    """A column whose answer is known or bounded beforehand, or that a pair's penalty should be read against."""

    name: str
    words: str  # as a sentence calls it
    lines: tuple[str, ...]  # its heading where that has to be narrow: six characters a line
    short: str  # in at most five
    tells: str  # what its number says of a pair's, in one sentence
    bottom: str = "{}"  # what its heading calls the bottom, and the top
    top: str = "{}"
    matched: bool = True  # whether its direct matching means something
    exact: bool = False  # whether its direct matching is the identity, so that only what training makes of it tells
    fits: str = "stitch"  # what is fitted: the stitch, or what takes its place

    @property
    def needs_naming(self) -> bool:
        """Whether a task of it has the bottom, top, family and objective of the pair itself."""
        return self.heading("", "") == " > " and self.name not in ("", "self_stitch", "identity")

    def heading(self, bottom: str, top: str) -> str:
        """The heading of its column: `random(a) > b`."""
        return f"{self.bottom.format(bottom)} > {self.top.format(top)}"


_PAIR = Control("", "", (), "", "the pair itself")

_ALL = (
    _PAIR,
    Control(
        "self_stitch", "self-stitch", ("self-", "stitch"), "self",
        "a network stitched to itself: what the stitch and its training cost where nothing else can",
        exact=True,
    ),
    Control(
        "identity", "identity", ("iden-", "tity"), "ident",
        "no stitch at all: how far the two sets of channels are from being the same",
    ),
    Control(
        "random_bottom", "random bottom", ("random", "bottom"), "rand",
        "an untrained bottom: what stitch and top can do by themselves",
        bottom="random({})",
    ),
    Control(
        "random_top", "random top", ("random", "top"), "rtop",
        "an untrained top: what stitch and bottom can do by themselves",
        top="random({})",
    ),
    Control(
        "cluster_noise", "cluster noise", ("clust.", "noise"), "noise",
        "noise around a random tensor per class for a bottom: what the class alone is enough for",
        bottom="noise(as {})",
    ),
    Control(
        "shuffled_labels", "shuffled labels", ("shuff.", "labels"), "shuff",
        "a stitch trained on labels in random order: what its training adds that has nothing to do with the task",
        matched=False,
    ),
    Control(
        "less_data", "a tenth of the data", ("1/10", "data"), "1/10",
        "a stitch trained on a tenth of the images: whether the penalty hangs on how much data the stitch saw",
    ),
    Control(
        "linear_probe", "linear probe", ("linear", "probe"), "probe",
        "a linear classifier on the bottom's features at the cut: what can be read there without any top",
        matched=False, fits="probe",
    ),
    Control(
        "fine_tuned_top", "fine-tuned top", ("tuned", "top"), "tuned",
        "the top trained on from the cut: more than a stitch may do",
        matched=False, fits="tail",
    ),
    Control(
        "retrained_top", "retrained top", ("new", "top"), "new",
        "the top's layers trained anew from the cut: what the bottom's features are good for at all",
        matched=False, fits="new tail",
    ),
    Control(
        "freeze_training", "freeze training", ("freeze", "train."), "freez",
        "the bottom's own layers after the cut trained anew, those before it frozen",
        matched=False, fits="new tail",
    ),
)  # fmt: skip

CONTROLS = {control.name: control for control in _ALL}
"""Every control by name, in the order that grids show them; the pair itself, called by the empty name, comes first."""


def control_named(name: str) -> Control:
    """The control called `name`; one that this version doesn't know is called by its name."""
    known = CONTROLS.get(name)
    return known or Control(name, name, (name,), name[:5], "a control that this version doesn't know")
