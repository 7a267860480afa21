"""`stitchtui export RUN --to TRACKER`: a run's curves and results in an experiment tracker."""

from typing import Annotated

import typer

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.cli.common import RunName, say
from stitchtui.report.exporters import EXPORTERS

_PLACES = "; ".join(f"{each.name}: {each.place}" for each in EXPORTERS.values())


def export(
    run: RunName,
    *,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help=f"The tracker: {', '.join(EXPORTERS)}.")],
    project: Annotated[
        str,
        typer.Option(
            "--project", metavar="NAME", help="The project that the run is put in; MLflow calls it an experiment."
        ),
    ] = "stitchtui",
    place: Annotated[
        str | None, typer.Option("--place", metavar="PLACE", help=f"Where it is. {_PLACES}.", show_default=False)
    ] = None,
) -> None:
    """Copy a run into an experiment tracker: curves by step, each cell's measures, the experiment, verdicts.

    It is read from the run's log, and keeps the times at which things were measured. Each tracker needs its own
    library; nothing of it is loaded while a run trains.
    """
    from stitchtui.report.replay import replay
    from stitchtui.run.directory import find
    from stitchtui.run.events import read_events

    if to not in EXPORTERS:
        raise BadInput.at("--to", not_known(plain(to), EXPORTERS))
    directory = find(run)
    if not (log := read_events(directory.events)):
        raise BadInput(f"{plain(directory.name)}: has measured nothing yet")
    where = EXPORTERS[to].export(replay(directory.name, log, directory.read_about()), project, place)
    say(f"exported {plain(directory.name)}: {plain(where)}")
