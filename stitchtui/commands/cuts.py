"""`stitchtui cuts`: where a network can be cut, with each cut's shape, depth and parameters."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from stitchtui.commands.common import output
from stitchtui.errors import BadInput
from stitchtui.text import plain

if TYPE_CHECKING:
    from torch import nn


def cuts(
    network: Annotated[
        str, typer.Argument(metavar="CHECKPOINT|ARCHITECTURE", help="A checkpoint's file, or an architecture's name.")
    ],
    *,
    architecture: Annotated[
        str | None,
        typer.Option("--architecture", help="What a foreign checkpoint is for: a name, or path/to/file.py:Class."),
    ] = None,
    shape: Annotated[
        str, typer.Option("--shape", help="One image's channels,height,width, where the file doesn't say.")
    ] = "3,32,32",
    classes: Annotated[int, typer.Option("--classes", min=2, help="Classes, where the file doesn't say.")] = 10,
    width: Annotated[float, typer.Option("--width", help="Multiplies the channels of every layer.")] = 1.0,
    every: Annotated[bool, typer.Option("--all", help="List every cut, not only those where a block ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the places where a network can be cut.

    For each: its name, the tensor's shape for one image, the share of the network's FLOPs before it, and the
    parameters before it. The names are what --cuts of `stitchtui run` takes.
    """
    module, image = _network(network, architecture, _sizes(shape), classes, width)
    from stitchtui.worker.answers import cut_rows

    rows = [row for row in cut_rows(module, image) if every or row["block"]]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("cut")
    for heading in ("shape", "FLOPs before", "parameters before"):
        table.add_column(heading, justify="right")
    for row in rows:
        sizes = "x".join(map(str, row["shape"]))
        table.add_row(Text(plain(row["name"])), sizes, f"{100 * row['depth']:.1f} %", f"{row['parameters']:,}")
    output().print(table)


def _sizes(text: str) -> tuple[int, int, int]:
    try:
        channels, height, width = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise BadInput(f"--shape {plain(text)}: expected channels,height,width, such as 3,32,32") from None
    if min(channels, height, width) < 1:
        raise BadInput(f"--shape {plain(text)}: expected whole numbers above 0")
    return channels, height, width


def _network(
    source: str, architecture: str | None, shape: tuple[int, int, int], classes: int, width: float
) -> tuple["nn.Module", tuple[int, int, int]]:
    from pathlib import Path

    from stitchtui.networks import architectures
    from stitchtui.networks.obtain import from_file

    if Path(source).exists() or source.endswith((".pt", ".pth", ".safetensors", ".bin")):
        return from_file(Path(source), architecture, shape, classes, width)
    return architectures.build(source, classes, shape, width).eval(), shape
