"""`stitchtui bench`: how fast stitching is on this device, as ratios measured by turns."""

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.commands.common import Device, Threads, output, say
from stitchtui.errors import BadInput
from stitchtui.text import plain

if TYPE_CHECKING:
    from stitchtui.benchmark.clock import Spread
    from stitchtui.benchmark.growth import Memory, Size
    from stitchtui.benchmark.speed import Agreement, Speed
    from stitchtui.benchmark.subject import Subject


def bench(
    *,
    architecture: Annotated[
        str, typer.Option("--architecture", help="What both networks are; their weights are random.")
    ] = "resnet20",
    width: Annotated[float, typer.Option("--width", help="Multiplies the channels of every layer.")] = 1.0,
    shape: Annotated[str, typer.Option("--shape", help="One image's channels,height,width.")] = "3,32,32",
    cuts: Annotated[
        str, typer.Option("--cuts", metavar="blocks|all|A,B", help="Where to cut: block by block, everywhere, or here.")
    ] = "blocks",
    batch_size: Annotated[int, typer.Option("--batch-size", min=2, help="Images in a step, both ways.")] = 128,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="How often everything is timed, by turns.")] = 5,
    precision: Annotated[
        str, typer.Option("--precision", help="What a column is trained in: auto, float32 or bfloat16.")
    ] = "auto",
    device: Device = None,
    threads: Threads = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of tables.")] = False,
) -> None:
    """Measure how fast stitching is on this device.

    Compares a column (all cuts at once) with the published way: cell by cell, both networks run whole with a hook at
    the cut, float32, weights frozen. Both train on the same batch size; reading and augmenting images is left out.
    Every ratio is the median over the rounds, with the lowest and the highest.
    """
    from stitchtui.benchmark.subject import Options
    from stitchtui.commands.cuts import image_shape

    chosen = cuts if cuts in ("blocks", "all") else tuple(word.strip() for word in cuts.split(",") if word.strip())
    options = Options(architecture, width, image_shape(shape), chosen, batch_size, rounds)
    found = _measured(options, device or "auto", threads, precision)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=1))
    else:
        _print(found)


@dataclass(frozen=True)
class Found:
    """Everything that was measured, and where."""

    architecture: str
    device: str
    precision: str
    batch_size: int
    rounds: int
    speed: "Speed"
    growth: "list[Size]"
    memory: "Memory"
    agreement: "Agreement"


def _measured(options: Any, device_name: str, threads: int | None, precision: str) -> Found:
    import torch

    from stitchtui import device as devices
    from stitchtui.benchmark.growth import growth, memory
    from stitchtui.benchmark.speed import agreement, speed
    from stitchtui.benchmark.subject import Subject

    if precision not in ("auto", "float32", "bfloat16"):
        raise BadInput(f"--precision {plain(precision)}: expected auto, float32 or bfloat16")
    if threads is not None:
        torch.set_num_threads(threads)
    device = devices.pick(device_name)
    devices.compute_in_full_float32()
    dtype = devices.training_dtype(precision, device)
    subject = Subject(options, device, dtype)
    _tell(subject)
    return Found(
        architecture=options.architecture,
        device=devices.describe(device),
        precision=str(dtype).removeprefix("torch."),
        batch_size=options.batch_size,
        rounds=options.rounds,
        speed=speed(subject),
        growth=growth(subject),
        memory=memory(subject),
        agreement=agreement(subject),
    )


def _tell(subject: "Subject") -> None:
    rounds = subject.options.rounds
    if sys.stderr.isatty():
        say(f"{len(subject.cuts)} cuts, {rounds} rounds; keep the machine idle meanwhile")


def _print(found: Found) -> None:
    from rich.table import Table
    from rich.text import Text

    s, a, m = found.speed, found.agreement, found.memory
    out = output()
    name = plain(found.architecture)
    out.print(Text(f"{name}, {s.cells} cuts, batches of {found.batch_size}, {found.precision}, {plain(found.device)}"))
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("ratio")
    for heading in ("median", "lowest", "highest"):
        table.add_column(heading, justify="right")
    table.add_row("published way / column, per epoch", *_ratio(s.over_published))
    table.add_row("column step / its bare tails", *_ratio(s.over_tails))
    table.add_row(f"column step / floor at {s.rate / 1e9:,.0f} GFLOP/s", *_ratio(s.over_floor))
    table.add_row("seconds: published way", *_seconds(s.published))
    table.add_row("seconds: column", *_seconds(s.column))
    table.add_row("seconds: tails", *_seconds(s.tails))
    out.print(table)
    out.print(_growth(found.growth))
    out.print(
        f"memory of a step: {_mib(m.together)} held, {_mib(m.estimate)} expected; "
        f"under a budget of {_mib(m.budget)}: {_mib(m.in_turns)}"
    )
    out.print(
        f"after {a.steps} equal steps: losses differ by at most {a.loss_difference:.2g}, "
        f"at least {a.same_answers:.1f} % of the answers are the same"
    )


def _growth(sizes: "list[Size]") -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("growing")
    for heading in ("size", "seconds", "lowest", "highest", "milliseconds each", "bottom passes"):
        table.add_column(heading, justify="right")
    for size in sizes:
        each = f"{1000 * size.seconds.median / size.size:.2f}"
        table.add_row(size.what, str(size.size), *_seconds(size.seconds), each, str(size.bottom_passes))
    return table


def _ratio(spread: "Spread") -> list[str]:
    return [f"{value:.2f} x" for value in (spread.median, spread.low, spread.high)]


def _seconds(spread: "Spread") -> list[str]:
    return [f"{value:.4f}" for value in (spread.median, spread.low, spread.high)]


def _mib(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
