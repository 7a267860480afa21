"""`stitchtui run`: from a preset, a TOML file or two networks to a run, watched until it ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.base.errors import BadInput
from stitchtui.base.text import duration, plain, size
from stitchtui.cli import flags
from stitchtui.cli.common import Detach, Device, Json, Memory, Threads, complete_run, output, say
from stitchtui.cli.presets import complete_preset
from stitchtui.spec import overrides

if TYPE_CHECKING:
    from stitchtui.run.directory import RunDirectory
    from stitchtui.spec.experiment import Experiment
    from stitchtui.spec.settings import Setting

What = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PRESET | FILE.toml | BOTTOM TOP",
        help="A preset's name, an experiment of your own, or two networks: checkpoints, torchvision:NAME[@WEIGHTS],"
        " timm:NAME[@TAG], hf:OWNER/REPO[@REVISION] or hub:OWNER/REPO:ENTRY.",
        autocompletion=complete_preset,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Make the run's directory in DIR. [default: runs, or STITCHTUI_RUNS]"),
]
Resume = Annotated[
    str | None,
    typer.Option("--resume", metavar="RUN", help="Go on with this run instead.", autocompletion=complete_run),
]
Label = Annotated[str | None, typer.Option("--label", metavar="TEXT", help="A short name for the run.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the plan with its time and memory; start nothing.")]


def run(
    what: What = None,
    *,
    scale: flags.Scale = None,
    set_: flags.Set = None,
    cuts: flags.Cuts = None,
    pairing: flags.Pairing = None,
    family: flags.Family = None,
    objective: flags.Objective = None,
    start: flags.Start = None,
    epochs: flags.Epochs = None,
    seeds: flags.Seeds = None,
    network_seeds: flags.NetworkSeeds = None,
    data: flags.Data = None,
    controls: flags.Controls = None,
    both: flags.Both = False,
    architecture: flags.Architecture = None,
    normalisation: flags.Normalisation = None,
    leaf: flags.Leaf = None,
    head: flags.Head = None,
    part: flags.Part = None,
    trust_code: flags.TrustCode = False,
    device: Device = None,
    threads: Threads = None,
    memory: Memory = None,
    out: Out = None,
    label: Label = None,
    resume: Resume = None,
    detach: Detach = False,
    as_json: Json = False,
    dry_run: DryRun = False,
) -> None:
    """Measure the stitching penalties of a preset, a TOML file, or two networks.

    The work is done by a process of its own, which closing the terminal doesn't end; Ctrl-C does.
    """
    from stitchtui.cli import watching
    from stitchtui.run import control, directory
    from stitchtui.spec import checks

    checks.check_device(device)
    arguments = control.worker_arguments(device, threads, memory)
    if resume is not None:
        _refuse_both(what)
        return _resume(resume, label, device, threads, memory, detach=detach, as_json=as_json)
    laid_over = overrides.settings(
        cuts=cuts, pairing=pairing, family=family, objective=objective, start=start, epochs=epochs, seeds=seeds,
        network_seeds=network_seeds, data=data, controls=controls,
    )  # fmt: skip
    pair = {
        "both": both, "architectures": architecture or [], "normalisation": normalisation, "leaves": leaf or [],
        "head": head, "part": part, "trust_code": trust_code,
    }  # fmt: skip
    experiment = _experiment(what or [], scale, pair, overrides=set_ or [], settings=laid_over)
    checks.check_files(experiment)
    _warn_of_claims(experiment)
    directory.refuse_label(label or "", out)  # before there is a run
    if dry_run:
        return _print_plan(experiment, device or "auto", as_json)
    return watching.start(_made(experiment, out, label), arguments, detach, as_json, new=True)


def _made(experiment: "Experiment", out: Path | None, label: str | None) -> "RunDirectory":
    from stitchtui.run.directory import create
    from stitchtui.run.remembered import remember

    directory = create(experiment, out)
    remember(experiment)
    if label is not None:
        directory.write_about(label=label)
    return directory


def _refuse_both(what: Sequence[str] | None) -> None:
    if what:
        raise BadInput.at("--resume", f"goes on with a run as it was planned; leave out '{plain(' '.join(what))}'")


def _resume(
    run: str,
    label: str | None,
    device: str | None,
    threads: int | None,
    memory: str | None,
    *,
    detach: bool,
    as_json: bool,
) -> None:
    from stitchtui.cli.runs import resume
    from stitchtui.run.directory import find

    if label is not None:
        find(run).write_about(label=label)
    resume(run, device=device, threads=threads, memory=memory, detach=detach, as_json=as_json)


def _experiment(what: Sequence[str], scale: str | None, pair: dict[str, Any], **laid_over: Any) -> "Experiment":
    from stitchtui.spec.presets import from_pair, load_preset

    match what:
        case [bottom, top]:
            if scale is not None:
                raise BadInput.at("--scale", "only a preset has scales; leave it out for BOTTOM TOP")
            _require_data(**laid_over)
            return from_pair(bottom, top, **pair, **laid_over)
        case [preset]:
            _refuse_pair_flags(preset, pair)
            return load_preset(preset, scale, **laid_over)
        case []:
            raise BadInput("run: expected a PRESET, a FILE.toml, or BOTTOM TOP; `stitchtui presets` lists the presets")
    raise BadInput(f"run: expected a preset, a file or two networks, got {len(what)} of them")


def _require_data(settings: Sequence["Setting"], overrides: Sequence[str]) -> None:
    """Raises BadInput unless the images were named: two networks alone don't say what they are for."""
    from stitchtui.spec.settings import read_override

    given = [*settings, *map(read_override, overrides)]
    tables = [setting.value for setting in given if setting.path == ("data",) and isinstance(setting.value, dict)]
    if all(setting.path != ("data", "name") for setting in given) and not any("name" in table for table in tables):
        raise BadInput.at("--data", "expected the images that both networks are for, such as cifar10 or folder:PATH")


def _refuse_pair_flags(preset: str, pair: dict[str, Any]) -> None:
    from stitchtui.spec.presets import PUBLISHED

    if preset.endswith((".pt", ".pth", ".safetensors")) or preset.startswith(PUBLISHED):
        raise BadInput(f"{plain(preset)}: is one network; expected BOTTOM TOP, the two to stitch together")
    for flag, value in (
        ("--both", pair["both"]),
        ("--architecture", pair["architectures"]),
        *((flag, pair[key]) for flag, key in overrides.SHARED),
    ):
        if value:
            raise BadInput.at(flag, "is for BOTTOM TOP; in a preset, use --set networks.NAME.KEY=VALUE and pairs")


def _print_plan(experiment: "Experiment", device: str, as_json: bool) -> None:
    from stitchtui.execute.estimate import estimate
    from stitchtui.networks.augmentation import of_stitches
    from stitchtui.spec.network_seeds import in_every_seed

    experiment = in_every_seed(experiment)
    rows, augment = estimate(experiment, device), of_stitches(experiment)
    if as_json:
        import json

        typer.echo(json.dumps({"experiment": experiment.plain(), "augment": augment, "tasks": rows}, indent=2))
        return
    from rich.table import Table

    from stitchtui.report.wording import counted

    cells = sum(row["cells"] for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    most = max((row["bytes"] for row in rows), default=0)
    table = Table(box=None, pad_edge=False, header_style="dim", show_footer=True, footer_style="bold")
    table.add_column("task", footer=counted(len(rows), "task"))
    for heading, footer in (
        ("cells", str(cells)),
        ("time", f"about {duration(seconds)}"),
        ("memory", f"at most {size(most)}"),
    ):
        table.add_column(heading, footer=footer, justify="right")
    for row in rows:
        table.add_row(plain(row["task"]), str(row["cells"]), duration(row["seconds"]), size(row["bytes"]))
    output().print(table)
    output().print(plain(f"data: {experiment.data.name}, augmentation {augment}"), markup=False)


def _warn_of_claims(experiment: "Experiment") -> None:
    """Say which claims are about columns that the run doesn't have: to be added later perhaps, or mistyped."""
    from stitchtui.report.claim_judging import unplanned

    for line in unplanned(experiment):
        say(f"warning: {line}; `stitchtui add` can measure it later")
