"""`stitchtui schema`: what a TOML file may say, for editors."""

from pathlib import Path
from typing import Annotated

import typer

from stitchtui.cli.common import deliver


def schema(
    out: Annotated[Path | None, typer.Option("--out", help="Write it to this file.")] = None,
) -> None:
    """Print the JSON Schema of an experiment's TOML, by which editors complete and check it.

    A preset that `stitchtui presets` prints names it as stitchtui.schema.json, beside it.
    """
    import json

    from stitchtui.spec.schema import experiment_schema

    deliver(json.dumps(experiment_schema(), indent=1) + "\n", out)
