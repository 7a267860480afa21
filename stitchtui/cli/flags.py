"""The flags of `stitchtui run` that change the experiment: what each is called and tells of itself.

What each lays over the experiment is in `spec.overrides`.
"""

from collections.abc import Iterable
from typing import Annotated

import typer

from stitchtui.spec.controls import control_names
from stitchtui.spec.datasets import DATASETS
from stitchtui.spec.families import ALL_RUNGS, FAMILIES, STARTS
from stitchtui.spec.length import CONVERGED_WITHIN
from stitchtui.spec.objectives import OBJECTIVES


def listed(names: Iterable[str]) -> str:
    """Return names as a help text lists them: what is installed beside this package is among them."""
    return ", ".join(names)


Scale = Annotated[
    str | None, typer.Option("--scale", metavar="NAME", help="Use this scale of the preset, such as mini.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Set any key of the experiment: --set stitch.ridge=1e-4. May be repeated."
    ),
]
Cuts = Annotated[
    str | None,
    typer.Option(
        "--cuts",
        metavar="blocks|all|A,B:C",
        help="Where to cut: block by block, everywhere, or here; B:C joins the bottom's cut B to the top's cut C.",
    ),
]
Pairing = Annotated[
    str | None,
    typer.Option(
        "--pairing",
        metavar="auto|equal|all",
        help="Join cuts of one name, or else each with the nearest in depth; in order; or every one with every one.",
    ),
]
Family = Annotated[
    str | None,
    typer.Option(
        "--family", metavar="NAME", help=f"What the stitch may be: {listed(FAMILIES)}, or {ALL_RUNGS} for many."
    ),
]
Objective = Annotated[
    str | None, typer.Option("--objective", metavar="NAME", help=f"What the stitch is fitted to: {listed(OBJECTIVES)}.")
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="NAME", help=f"Where training starts: {listed(STARTS)}."),
]
Epochs = Annotated[
    float | None,
    typer.Option(
        "--epochs",
        metavar="NUMBER",
        help=f"How many epochs each stitch is trained for at most: {CONVERGED_WITHIN:g} unless said.",
    ),
]
Seeds = Annotated[
    str | None,
    typer.Option("--seeds", metavar="N|A,B", help="How many stitch seeds, or which: 3 is the same as 0,1,2."),
]
NetworkSeeds = Annotated[
    int | None,
    typer.Option(
        "--network-seeds", metavar="N", help="Train each network N times, from N seeds, and give means over them."
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="DATASET",
        help=f"The images: {listed(DATASETS)}, folder:PATH or npz:PATH.",
    ),
]
Controls = Annotated[
    str | None,
    typer.Option("--controls", metavar="A,B|none", help=f"Which controls: {listed(control_names())}."),
]
Architecture = Annotated[
    list[str] | None,
    typer.Option(
        "--architecture",
        metavar="NAME",
        help="What the checkpoints hold: a name, FILE.py:Class or package.module:factory; two with a comma if"
        " they differ, the bottom's and the top's.",
    ),
]
Normalisation = Annotated[
    str | None,
    typer.Option("--normalisation", metavar="NAME", help="What both networks expect: auto, data, none or imagenet."),
]
Option = Annotated[
    list[str] | None,
    typer.Option("--option", metavar="KEY=VALUE", help="An option of the architecture; may be repeated."),
]
Leaf = Annotated[
    list[str] | None,
    typer.Option(
        "--leaf",
        metavar="MODULE",
        help="Take this module whole, by its path or class, without cuts inside. Repeatable.",
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        "--head", metavar="train|FILE", help="For backbones: train a linear head on this data, or load one from FILE."
    ),
]
Part = Annotated[
    str | None,
    typer.Option(
        "--part", metavar="NAME", help="Which of several networks in a checkpoint: ema, student, teacher, a prefix."
    ),
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Let hub:OWNER/REPO:ENTRY run that repository's code on this machine.")
]
Both = Annotated[bool, typer.Option("--both", help="With BOTTOM TOP: measure the other direction too.")]
