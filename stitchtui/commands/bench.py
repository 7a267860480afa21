"""`stitchtui bench`: how fast stitching is on this device, as ratios measured by turns."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.commands import flags
from stitchtui.commands.common import Device, Threads, say
from stitchtui.errors import BadInput
from stitchtui.text import plain

if TYPE_CHECKING:
    from stitchtui.benchmark.findings import Found
    from stitchtui.benchmark.subject import Options
    from stitchtui.experiment import Experiment

Networks = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="BOTTOM TOP",
        help="Two trained networks, as `stitchtui run` takes them. [default: random weights]",
    ),
]
Architecture = Annotated[
    list[str] | None,
    typer.Option(
        "--architecture",
        metavar="NAME",
        help="What both networks are; for checkpoints that don't say it, once or twice. [default: resnet20]",
    ),
]
Width = Annotated[float | None, typer.Option("--width", help="Multiplies the channels of every layer. [default: 1]")]
Shape = Annotated[
    str | None,
    typer.Option("--shape", help="One image's channels,height,width. [default: the network's own, or 3,32,32]"),
]
Cuts = Annotated[
    str, typer.Option("--cuts", metavar="blocks|all|A,B", help="Where to cut: block by block, everywhere, or here.")
]
BatchSize = Annotated[int, typer.Option("--batch-size", min=2, help="Images in a step, both ways.")]
Rounds = Annotated[int, typer.Option("--rounds", min=1, help="How often everything is timed, by turns.")]
Precision = Annotated[str, typer.Option("--precision", help="What a column is trained in: auto, float32 or bfloat16.")]
TrainSize = Annotated[
    int | None, typer.Option("--train-size", min=1, help="With BOTTOM TOP: so many training images. [default: all]")
]
TestSize = Annotated[
    int | None, typer.Option("--test-size", min=1, help="With BOTTOM TOP: so many test images. [default: all]")
]
Lengths = Annotated[
    str,
    typer.Option(
        "--lengths",
        metavar="A,B,...",
        help="With BOTTOM TOP: for how many epochs every way is trained; each length is a training of its own.",
    ),
]
TrainPublished = Annotated[
    bool,
    typer.Option(
        "--train-published",
        help="With BOTTOM TOP: train the published way cell by cell, with the clock running. Takes hours.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print a JSON object instead of tables.")]


def bench(
    networks: Networks = None,
    *,
    architecture: Architecture = None,
    width: Width = None,
    shape: Shape = None,
    cuts: Cuts = "blocks",
    batch_size: BatchSize = 128,
    rounds: Rounds = 5,
    precision: Precision = "auto",
    data: flags.Data = None,
    train_size: TrainSize = None,
    test_size: TestSize = None,
    lengths: Lengths = "1,2,4",
    train_published: TrainPublished = False,
    normalisation: flags.Normalisation = None,
    leaf: flags.Leaf = None,
    head: flags.Head = None,
    part: flags.Part = None,
    trust_code: flags.TrustCode = False,
    device: Device = None,
    threads: Threads = None,
    as_json: AsJson = False,
) -> None:
    """Measure how fast stitching is on this device.

    Compares a column (all cuts at once) with the published way: cell by cell, both networks run whole with a hook at
    the cut, float32, weights frozen. Both train on the same batch size; of single steps, reading and augmenting images
    is left out. Every ratio is the median over the rounds, with the lowest and the highest. Cuts at which no module
    ends can't be hooked and are left out.

    With BOTTOM TOP also how long each way takes to penalties within 0.3 points of the best that any of them reaches
    at any of --lengths, each with a cosine of its own. The published way starts at random (BN-conv-BN) and from least
    squares on 100 images. A column takes the very steps that each cell takes alone, so the published way's penalties
    come from a float32 column of unchanged networks; its time is its measured seconds per step times steps, cell by
    cell, with its evaluation but without its augmentation. Ours is timed as it runs, from least squares to
    evaluation. Loading images and networks is left out of both.
    """
    pair = {
        "normalisation": normalisation, "leaves": leaf or [], "head": head, "part": part, "trust_code": trust_code
    }  # fmt: skip
    laid_over = {"--data": data, "--train-size": train_size, "--test-size": test_size}
    if networks:
        _refuse({"--width": width, "--shape": shape}, "is for random weights; BOTTOM and TOP come with theirs")
        experiment = _experiment(networks, {"architectures": architecture or [], **pair}, laid_over)
    else:
        theirs = {f"--{flag.replace('leaves', 'leaf').replace('_', '-')}": value for flag, value in pair.items()}
        _refuse({**laid_over, "--train-published": train_published, **theirs}, "is for two networks, BOTTOM TOP")
        experiment = None
    chosen = cuts if cuts in ("blocks", "all") else tuple(word.strip() for word in cuts.split(",") if word.strip())
    made = {"architecture": (architecture or ["resnet20"])[-1], "width": 1.0 if width is None else width}
    options = _options({**made, "cuts": chosen, "batch_size": batch_size, "rounds": rounds}, shape)
    found = _measured(options, experiment, _lengths(lengths), train_published, (device or "auto", threads, precision))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        from stitchtui.commands.bench_tables import show

        show(found)


def _refuse(given: Mapping[str, object], why: str) -> None:
    for flag, value in given.items():
        if value not in (None, False, []):
            raise BadInput(f"{flag}: {why}")


def _options(made: dict[str, Any], shape: str | None) -> "Options":
    from stitchtui.benchmark.subject import Options
    from stitchtui.commands.cuts import image_shape
    from stitchtui.networks import architectures
    from stitchtui.networks.sizes import USUAL

    if shape is not None:
        return Options(**made, shape=image_shape(shape))
    return Options(**made, shape=architectures.published_shape(made["architecture"]) or USUAL)


def _experiment(networks: Sequence[str], pair: dict[str, Any], data: Mapping[str, object]) -> "Experiment":
    from stitchtui.commands import checks
    from stitchtui.presets import from_pair
    from stitchtui.settings import Setting

    if len(networks) != 2:
        raise BadInput(f"bench: expected two networks, BOTTOM TOP, or none, got {len(networks)}")
    if data["--data"] is None:
        raise BadInput("--data: expected the images that both networks are for, such as cifar10 or folder:PATH")
    keys = {"--data": "name", "--train-size": "train_size", "--test-size": "test_size"}
    settings = [Setting(("data", keys[flag]), value, flag) for flag, value in data.items() if value is not None]
    experiment = from_pair(networks[0], networks[1], **pair, settings=settings)
    checks.check_files(experiment)
    return experiment


def _lengths(text: str) -> list[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or not all(word.isascii() and word.isdigit() and int(word) for word in words):
        raise BadInput(f"--lengths {plain(text)}: expected whole epochs, 1 or more each, such as 1,2,4")
    return sorted({int(word) for word in words})


def _measured(
    options: "Options",
    experiment: "Experiment | None",
    lengths: list[int],
    train_published: bool,
    where: tuple[str, int | None, str],
) -> "Found":
    import torch

    from stitchtui import device as devices
    from stitchtui.benchmark.findings import Plan, findings

    device_name, threads, precision = where
    if precision not in ("auto", "float32", "bfloat16"):
        raise BadInput(f"--precision {plain(precision)}: expected auto, float32 or bfloat16")
    if threads is not None:
        torch.set_num_threads(threads)
    device = devices.pick(device_name)
    dtype = devices.training_dtype(precision, device)
    tell = say if experiment is not None or sys.stderr.isatty() else lambda _: None
    plan = Plan(lengths, train_published)
    return findings(options, experiment, plan, device=device, dtype=dtype, tell=tell)
