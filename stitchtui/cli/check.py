"""`stitchtui check`: whether two networks can be joined, told by the exit code."""

import json
from typing import Annotated

import typer

from stitchtui.base.errors import ExitCode
from stitchtui.cli import flags
from stitchtui.cli.common import Device, Memory, Threads, say

_CODES = {"connected": ExitCode.DONE, "not connected": ExitCode.NOT_CONNECTED, "undecided": ExitCode.UNDECIDED}


def check(
    bottom: Annotated[str, typer.Argument(metavar="BOTTOM", help="Whose lower layers are used; as `run` takes it.")],
    top: Annotated[str, typer.Argument(metavar="TOP", help="Whose upper layers are used.")],
    *,
    data: flags.Data = None,
    at: Annotated[
        str, typer.Option("--at", metavar="blocks|all|A,B", help="Where to join them: cuts, as --cuts of `run`.")
    ] = "blocks",
    margin: Annotated[
        float, typer.Option("--margin", min=0.0, help="What it may cost, in percentage points of test error.")
    ] = 2.0,
    set_: flags.Set = None,
    architecture: flags.Architecture = None,
    normalisation: flags.Normalisation = None,
    leaf: flags.Leaf = None,
    head: flags.Head = None,
    part: flags.Part = None,
    trust_code: flags.TrustCode = False,
    device: Device = None,
    threads: Threads = None,
    memory: Memory = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tell by the exit code whether two networks can be joined.

    For the tests of people who ship encoders. 0: stitching surely costs at most the margin at every cut; 3: it surely
    costs more at one; 4: undecided, which more test images can decide; 1 and 2 are errors. No run is kept.
    """
    from stitchtui.api.checking import compatible
    from stitchtui.spec.settings import dotted, read_override

    keys = {dotted(setting.path): setting.value for setting in map(read_override, set_ or [])}
    found = compatible(
        bottom, top, data, at=at, margin=margin, progress=True, device=device, threads=threads,
        memory=memory, normalisation=normalisation, leaves=leaf, head=head, part=part, trust_code=trust_code or None,
        architecture=[name for text in architecture or () for name in text.split(",")] or None, **keys,
    )  # fmt: skip
    for line in found.result.warnings:
        say(f"warning: {line}")
    if as_json:
        cells = [{"cut": cut, "penalty": i.value, "low": i.low, "high": i.high} for cut, i in found.penalties.items()]
        typer.echo(json.dumps({"verdict": found.verdict, "margin": margin, "cells": cells}, indent=1))
    else:
        typer.echo(str(found))
    if code := _CODES[found.verdict]:
        raise typer.Exit(code)
