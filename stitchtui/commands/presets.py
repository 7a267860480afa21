"""`stitchtui presets`: the experiments that come with the package."""

from typing import Annotated

import typer

from stitchtui.commands.common import output


def complete_preset(incomplete: str) -> list[str]:
    """The names of presets that begin with `incomplete`, for the shell."""
    from stitchtui.places import presets_directory

    return sorted(path.stem for path in presets_directory().glob("*.toml") if path.stem.startswith(incomplete))


def presets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[PRESET]", help="Print this preset's TOML instead.", autocompletion=complete_preset),
    ] = None,
) -> None:
    """List the presets, or print one to start your own from.

    `stitchtui presets quickstart > mine.toml`, edit it, `stitchtui run mine.toml`.
    """
    from stitchtui.presets import find_preset, list_presets

    if name is not None:
        typer.echo(find_preset(name)[0].read_text("utf-8"), nl=False)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("preset", "scales", "title"):
        table.add_column(heading)
    for info in list_presets():
        table.add_row(info.name, ", ".join(info.scales), info.title)
    output().print(table)
