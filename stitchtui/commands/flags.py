"""The flags of `stitchtui run` that change the experiment: what each says on the command line becomes a Setting."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.errors import BadInput
from stitchtui.text import plain

if TYPE_CHECKING:
    from stitchtui.settings import Setting

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
    typer.Option("--cuts", metavar="blocks|all|A,B", help="Where to cut: block by block, everywhere, or here."),
]
Pairing = Annotated[
    str | None,
    typer.Option(
        "--pairing", metavar="equal|all", help="Join the cuts in order, or every bottom cut with every top cut."
    ),
]
Family = Annotated[
    str | None, typer.Option("--family", metavar="NAME", help="What the stitch may be: affine, identity, bn_affine_bn.")
]
Objective = Annotated[
    str | None, typer.Option("--objective", metavar="task|direct", help="What the stitch is fitted to.")
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="NAME", help="Where training starts: least_squares, affine, random, identity..."),
]
Epochs = Annotated[
    float | None, typer.Option("--epochs", metavar="NUMBER", help="How many epochs each stitch is trained for.")
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
        help="The images: digits, mnist, fashion_mnist, cifar10, cifar100, svhn, folder:PATH or npz:PATH.",
    ),
]
Controls = Annotated[
    str | None,
    typer.Option("--controls", metavar="A,B|none", help="Which controls: self_stitch, identity, random_bottom."),
]
Architecture = Annotated[
    list[str] | None,
    typer.Option(
        "--architecture",
        metavar="NAME",
        help="What the checkpoints hold: a name, FILE.py:Class or package.module:factory; twice if they differ.",
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
SHARED = (
    *(("--normalisation", "normalisation"), ("--leaf", "leaves")),
    *(("--head", "head"), ("--part", "part"), ("--trust-code", "trust_code")),
)
"""The flags that say the same of both networks of a pair, and the keys that they set."""
Both = Annotated[bool, typer.Option("--both", help="With BOTTOM TOP: measure the other direction too.")]


def settings(
    *,
    cuts: str | None = None,
    pairing: str | None = None,
    family: str | None = None,
    objective: str | None = None,
    start: str | None = None,
    epochs: float | None = None,
    seeds: str | None = None,
    network_seeds: int | None = None,
    data: str | None = None,
    controls: str | None = None,
) -> "list[Setting]":
    """What the flags that were given lay over the experiment. Raises BadInput for one that can't be read."""
    from stitchtui.settings import Setting

    given: list[tuple[str, str, Any, Callable[[Any], Any]]] = [
        ("--cuts", "stitch.cuts", cuts, _cuts),
        ("--pairing", "stitch.pairing", pairing, str),
        ("--family", "stitch.family", family, str),
        ("--objective", "stitch.objective", objective, str),
        ("--start", "stitch.start", start, str),
        ("--epochs", "stitch.epochs", epochs, float),
        ("--seeds", "stitch.seeds", seeds, _seeds),
        ("--network-seeds", "network_seeds", network_seeds, int),
        ("--data", "data.name", data, str),
        ("--controls", "controls", controls, _controls),
    ]
    return [Setting(tuple(key.split(".")), read(value), flag) for flag, key, value, read in given if value is not None]


def options(pairs: list[str]) -> dict[str, bool | int | float | str]:
    """The KEY=VALUE of every --option. Raises BadInput for one that can't be read."""
    found: dict[str, bool | int | float | str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise BadInput.at("--option", "expected KEY=VALUE, such as patch=4", pair)
        found[key.strip()] = _value(value.strip())
    return found


def _value(text: str) -> bool | int | float | str:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _cuts(text: str) -> str | list[str]:
    if not _words(text):
        raise BadInput.at("--cuts", "expected blocks, all, or names of cuts with commas between them")
    return text if text in ("blocks", "all") else _words(text)


def _controls(text: str) -> list[str]:
    return [] if text == "none" else _words(text)


def _seeds(text: str) -> list[int]:
    refused = BadInput.at("--seeds", f"expected a number of seeds, or seeds such as 0,1,2, got '{plain(text)}'")
    try:
        numbers = [int(word) for word in _words(text)]
    except ValueError:
        raise refused from None
    if "," not in text and len(numbers) == 1 and 1 <= numbers[0] <= 1000:
        return list(range(numbers[0]))
    if "," not in text or not numbers:
        raise refused
    return numbers
