"""`stitchtui add`: more columns for a run that exists: another stitch, more seeds, every cut with every cut."""

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.cli import flags
from stitchtui.cli.common import Detach, Device, Json, Memory, RunName, Threads, say
from stitchtui.spec import overrides

if TYPE_CHECKING:
    from stitchtui.spec.experiment import Experiment, Request
    from stitchtui.spec.settings import Setting

Pairs = Annotated[
    list[str] | None,
    typer.Option("--pair", metavar="BOTTOM>TOP", help="Only for this pair of the run; may be repeated."),
]


def add(
    run: RunName,
    *,
    set_: flags.Set = None,
    cuts: flags.Cuts = None,
    pairing: flags.Pairing = None,
    family: flags.Family = None,
    objective: flags.Objective = None,
    start: flags.Start = None,
    epochs: flags.Epochs = None,
    seeds: flags.Seeds = None,
    controls: flags.Controls = None,
    pair: Pairs = None,
    device: Device = None,
    threads: Threads = None,
    memory: Memory = None,
    detach: Detach = False,
    as_json: Json = False,
) -> None:
    """Ask a run for more columns; they join its grid.

    What isn't said is as the run's own: `stitchtui add last --epochs 16` trains the same stitches for longer, and
    `stitchtui add last --pairing all --objective direct` joins every cut with every cut. A worker that is at work
    comes to them after the column it is at; else one is started.
    """
    from stitchtui.cli import watching
    from stitchtui.run import asking, control
    from stitchtui.run.directory import find
    from stitchtui.run.state import quick_state
    from stitchtui.spec import checks

    checks.check_device(device)
    arguments = control.worker_arguments(device, threads, memory)
    directory = find(run)
    laid_over = overrides.settings(
        cuts=cuts, pairing=pairing, family=family, objective=objective, start=start, epochs=epochs, seeds=seeds,
        controls=controls,
    )  # fmt: skip
    experiment = directory.read_experiment()
    checks.check_files(experiment)
    request = _request(experiment, laid_over, set_ or [], pair or [])
    tasks = asking.ask(directory, request, quick_state(directory))
    if not control.is_alive(directory):
        with suppress(control.AlreadyRunning):  # by someone else who asked for more just now
            return watching.start(directory, arguments, detach, as_json)
    say(f"run {directory.name}: its worker comes to it after the column that it is at")
    if detach:
        return None
    asking.see_to(directory, tasks, lambda: control.launch(directory, arguments))
    return watching.attach(directory, as_json)


def _request(
    experiment: "Experiment", settings: "Sequence[Setting]", overrides: Sequence[str], pairs: Sequence[str]
) -> "Request":
    """What the flags ask for, over the run's own stitch; without controls unless they are named."""
    from stitchtui.spec.presets import from_document
    from stitchtui.spec.settings import Setting, read_override

    document = experiment.plain()
    also = document["also"]
    wanted = [*settings, *map(read_override, overrides)]
    if pairs:
        known = {f"{p.bottom}>{p.top}": p.plain() for p in experiment.pairs}
        wanted.append(Setting(("pairs",), [_pair(pair, known) for pair in pairs], "--pair"))
    for setting in wanted:
        if setting.path[0] not in ("stitch", "controls", "pairs"):
            raise setting.refused(setting.path, "belongs to the whole run; start another for it")
    document["also"] = [*also, {"stitch": document["stitch"]}]
    place = ("also", str(len(also)))
    return from_document(document, [Setting((*place, *s.path), s.value, s.origin, s.joint) for s in wanted]).also[-1]


def _pair(text: str, known: dict[str, dict[str, str]]) -> dict[str, str]:
    name = text if text in known else ">".join(part.strip() for part in text.split(">"))
    if name not in known:
        raise BadInput.at("--pair", not_known(plain(name), known))
    return known[name]
