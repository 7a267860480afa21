"""`stitchtui cuts`: where a network can be cut, with each cut's shape, depth and parameters."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.cli import flags
from stitchtui.cli.common import output, say
from stitchtui.spec import overrides

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
        str | None,
        typer.Option(
            "--shape",
            help="One image's channels,height,width, where the file doesn't say. [default: its own, or 3,32,32]",
        ),
    ] = None,
    classes: Annotated[int, typer.Option("--classes", min=2, help="Classes, where the file doesn't say.")] = 10,
    width: Annotated[float, typer.Option("--width", help="Multiplies the channels of every layer.")] = 1.0,
    option: flags.Option = None,
    leaf: flags.Leaf = None,
    head: flags.Head = None,
    part: flags.Part = None,
    trust_code: flags.TrustCode = False,
    every: Annotated[bool, typer.Option("--all", help="List every cut, not only those where a block ends.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list instead of a table.")] = False,
) -> None:
    """List the places where a network can be cut.

    For each: its name, the tensor's shape for one image, the share of the network's FLOPs before it, and the
    parameters before it. The names are what --cuts of `stitchtui run` takes.
    """
    given = {
        "width": width, "options": overrides.options(option or []), "head": head, "part": part, "trust_code": trust_code
    }  # fmt: skip
    from stitchtui.execute.network_facts import cut_rows
    from stitchtui.networks.trying import WrongImages

    said = None if shape is None else image_shape(shape)
    try:
        module, image, notes = _network(network, architecture, said, classes, given)
    except WrongImages as error:
        hint = "; say what it takes: --shape channels,height,width" if said is None else ""
        raise BadInput(f"{error}{hint}", "--shape") from None
    found, traced = cut_rows(module, image, tuple(leaf or ()))
    for note in (*notes, *traced):
        say(f"note: {plain(note)}")
    rows = [row for row in found if every or row["block"]]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        _print(rows)


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
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


def image_shape(text: str) -> tuple[int, int, int]:
    """What --shape says: one image's channels, height and width. Raises BadInput for anything else."""
    try:
        channels, height, width = (int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        raise BadInput.at("--shape", "expected channels,height,width, such as 3,32,32", text) from None
    if min(channels, height, width) < 1:
        raise BadInput.at("--shape", "expected whole numbers above 0", text)
    return channels, height, width


def _network(
    source: str, architecture: str | None, shape: tuple[int, int, int] | None, classes: int, given: dict[str, Any]
) -> tuple["nn.Module", tuple[int, int, int], tuple[str, ...]]:
    from pathlib import Path

    from stitchtui.networks.obtain import from_file, from_name
    from stitchtui.spec.experiment import NetworkSpec

    part = given.pop("part")
    if Path(source).exists() or source.endswith((".pt", ".pth", ".safetensors", ".bin", ".tar")):
        return from_file(NetworkSpec(checkpoint=source, architecture=architecture, part=part, **given), shape, classes)
    if part is not None:
        raise BadInput.at("--part", "is for a checkpoint; give the file of one")
    return from_name(NetworkSpec(architecture=source, **given), shape, classes)
