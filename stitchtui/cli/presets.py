"""`stitchtui presets`: the experiments that come with the package."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.cli.common import output


def complete_preset(incomplete: str) -> list[str]:
    """The names of presets that begin with `incomplete`, for the shell."""
    from stitchtui.base.paths import presets_directory

    return sorted(path.stem for path in presets_directory().glob("*.toml") if path.stem.startswith(incomplete))


def presets(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[PRESET]", help="Print this preset's TOML instead.", autocompletion=complete_preset),
    ] = None,
    curves: Annotated[
        bool, typer.Option("--curves", help="List the paper's curves that a preset's `reference` can name instead.")
    ] = False,
) -> None:
    """List the presets, or print one to start your own from.

    `stitchtui presets quickstart > mine.toml`, edit it, `stitchtui run mine.toml`.
    """
    from stitchtui.spec.presets import find_preset, list_presets

    if curves:
        if name is not None:
            raise BadInput(f"presets: --curves lists what any preset can name; leave out '{plain(name)}'")
        return _table(("reference", "figure", "of", "what"), _curves())
    if name is not None:
        return typer.echo(for_editors(find_preset(name)[0].read_text("utf-8")), nl=False)
    rows = ((info.name, ", ".join(info.scales), info.title) for info in list_presets())
    return _table(("preset", "scales", "title"), rows)


def for_editors(preset: str) -> str:
    """Return a preset's TOML with the line that editors find its schema by; its own, where it has one."""
    from stitchtui.spec.schema import FILE

    if preset.startswith("#:schema "):
        return preset
    return f"#:schema ./{FILE}\n# which `stitchtui schema --out {FILE}` writes, for editors\n\n{preset}"


def _curves() -> Iterator[tuple[str, ...]]:
    """Those over cuts: what a run can be compared with."""
    from stitchtui.spec.controls import control_named
    from stitchtui.spec.curves import curves
    from stitchtui.spec.measures import CKA, ERROR

    for curve in curves().values():
        if curve.quantity != ERROR.name:
            of = "CKA" if curve.quantity == CKA.name else control_named(curve.control).words or "a pair"
            yield curve.id, curve.figure, of, curve.title


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.table import Table

    table = Table(*headings, box=None, pad_edge=False, header_style="dim")
    for row in rows:
        table.add_row(*row)
    output().print(table)
