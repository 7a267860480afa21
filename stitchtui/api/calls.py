"""`stitch` and `measure`: a run's own work in this process, with networks and images that may be in memory."""

import os
import shutil
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from stitchtui.api.asking import Asked, Source, asked
from stitchtui.api.result import Result
from stitchtui.api.showing import Showing
from stitchtui.base import device as devices
from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain, read_size
from stitchtui.data.loading import load_dataset
from stitchtui.execute.in_process import carried_out
from stitchtui.networks.in_memory import as_it_is, digest_of
from stitchtui.run.directory import RunDirectory, create, create_at
from stitchtui.run.events import Event
from stitchtui.run.state import RunState


def stitch(
    bottom: Source | None = None,
    top: Source | None = None,
    data: Any = None,
    *,
    cuts: str | Sequence[str] | Mapping[str, str] | None = None,
    pairing: str | None = None,
    family: str | None = None,
    objective: str | None = None,
    controls: Sequence[str] | None = None,
    epsilon: float | None = None,
    seeds: int | Sequence[int] | None = None,
    both: bool = False,
    names: Sequence[str] | None = None,
    normalisation: Any = None,
    architecture: str | Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    preset: str | os.PathLike[str] | None = None,
    scale: str | None = None,
    device: str | None = None,
    memory: int | str | None = None,
    threads: int | None = None,
    progress: bool = True,
    out: str | os.PathLike[str] | None = None,
    **keys: Any,
) -> Result:
    """Measure what it costs to run the top on the bottom's lower layers, cut by cut, as `stitchtui run` does.

    Args:
        bottom: The network whose lower layers are used: a `torch.nn.Module`, which takes images [n, channels, height,
            width] and gives class scores [n, classes]; a checkpoint's path; a name that the command line takes, such as
            `torchvision:resnet18`; or a mapping with the keys of a preset's network. A module keeps its mode, device,
            flags, hooks and weights.
        top: The network whose upper layers are used; the same module or path stitches a network to itself.
        data: `(x_train, y_train, x_test, y_test)` as arrays or tensors; a pair of training and test `Dataset`s or
            `DataLoader`s; or a name that the command line takes, such as `cifar10` or `folder:PATH`. Images are uint8,
            or floats, which modules get as they are. Stitches are trained on training images and scored on test
            images.
        cuts: `"blocks"` where a block ends, `"all"`, names of cuts, or a mapping from the bottom's to the top's.
        pairing: Which cuts are joined: `"auto"`, `"equal"` in order, or `"all"` with all.
        family: What a stitch may be: `"affine"`, `"conv3"`, `"low_rank"`, ...; `"ladder"` for all of them.
        objective: What it is fitted to: `"task"` (labels), `"soft"` (the top's scores), `"direct"` (its activations).
        controls: Cells whose answer is known or bounded beforehand; `()` for none.
        epsilon: The penalty in percentage points up to which the networks count as connected.
        seeds: How many seeds of the stitch, or which ones.
        both: Whether to stitch in both directions.
        names: What the two networks are called in tables.
        normalisation: What both networks expect of images in [0, 1]: `"auto"` (their own, else the training images'),
            `"none"`, `"data"`, `"imagenet"`, or `{"mean": ..., "std": ...}`. With `"auto"` float images are taken as
            they are.
        architecture: What a foreign checkpoint is for; one for both, or two.
        classes: Names of the classes of images in memory.
        preset: An experiment in place of two networks: a preset's name or a TOML file's path, with its `scale`.
        device: `"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`, `"mps"`.
        memory: What a step of training may take: bytes, or such as `"4G"`.
        threads: Threads on a CPU.
        progress: Whether a terminal or a notebook shows how far it is. Lines go to the logger `stitchtui` anyway.
        out: The run's directory, which the app, `stitchtui report` and `load` open. One that holds this very run goes
            on with what is missing. None: nothing is left behind but the result.
        **keys: Every other key of an experiment: those of the stitch, the experiment and the data by their names
            (`epochs=8`, `cka="exact"`, `test_size=500`), others with dots (`**{"networks.bottom.leaves": ["Block"]}`).

    Returns:
        The result: penalties with 95 % intervals, verdict, findings, every measure of every cell.

    Raises:
        BadInput: What was given can't be used; `field` names the argument or key.
        RunFailed: It went wrong for another reason that is known.

    What isn't said is as a preset, or else the experiment's own default, has it (`stitchtui schema`). Ctrl-C leaves
    everything as it was. Source: Bansal, Nakkiran and Barak, NeurIPS 2021.
    """
    wanted = asked(
        bottom, top, data, cuts=cuts, pairing=pairing, family=family, objective=objective, controls=controls,
        epsilon=epsilon, seeds=seeds, both=both, names=names, normalisation=normalisation, architecture=architecture,
        classes=classes, preset=preset, scale=scale, **keys,
    )  # fmt: skip
    said = _said(device, memory, threads)
    with _directory(wanted, out) as directory, Showing(progress) as showing:
        with closing(carried_out(directory, said, wanted.given)) as work:
            for event in work:
                showing.show(event)
        # What the program sets on its modules later is none of the result's.
        return Result.read(directory, {name: as_it_is(each) for name, each in wanted.given.networks.items()})


def measure(
    bottom: Source | None = None,
    top: Source | None = None,
    data: Any = None,
    *,
    device: str | None = None,
    memory: int | str | None = None,
    threads: int | None = None,
    progress: bool = False,  # noqa: ARG001 - so that it can be told the very same as stitch
    out: str | os.PathLike[str] | None = None,
    **asked_for: Any,
) -> Generator[Event, None, None]:
    """Yield every event of what `stitch`, told the same, measures, as soon as it is there.

    Events are those of a run's log (`stitchtui.run.events`): how far a task is, each cell with all its measures, each
    verdict. Closing the generator stops the run. Raises what `stitch` raises, bad input before the first event.
    """
    wanted, said = asked(bottom, top, data, **asked_for), _said(device, memory, threads)

    def events() -> Generator[Event, None, None]:
        with _directory(wanted, out) as directory, closing(carried_out(directory, said, wanted.given)) as work:
            yield from work

    return events()


def _said(device: str | None, memory: int | str | None, threads: int | None) -> dict[str, Any]:
    size = read_size(memory) if isinstance(memory, str) else memory
    if memory is not None and size is None:
        raise BadInput.at("memory", "expected bytes, or a size such as '4G' or '512M'", memory)
    if device is not None:
        try:
            devices.pick(device)
        except BadInput as error:
            raise BadInput.at("device", error.what) from None
    said = {"device": device, "memory": size, "threads": threads}
    return {key: value for key, value in said.items() if value is not None}


def _refuse_others(directory: RunDirectory, wanted: Asked) -> None:
    """Raise BadInput where the run there is of other modules, or of other images in memory, under the same names."""
    state = RunState.load(directory.events)
    for name, module in wanted.given.networks.items():
        known = state.networks.get(name)
        if known is not None and known.digest != digest_of(module):
            raise BadInput.at("out", f"holds a run of other weights of '{plain(name)}'; choose another", directory.path)
    known_data = (state.data or {}).get("digest") if wanted.given.data is not None else None
    if known_data and known_data != load_dataset(wanted.experiment.data, given=wanted.given.data).digest:
        raise BadInput.at("out", "holds a run on other images; choose another", directory.path)


@contextmanager
def _directory(wanted: Asked, out: str | os.PathLike[str] | None) -> Iterator[RunDirectory]:
    """Where the run's record is kept: at `out`, or for as long as it is needed."""
    if out is not None:
        path = Path(out)
        new = not path.exists()
        directory = create_at(wanted.experiment, path)
        _refuse_others(directory, wanted)
        try:
            yield directory
        except BadInput:
            if new and not RunState.load(directory.events).cells:
                shutil.rmtree(directory.path, ignore_errors=True)  # what was wrong isn't to stand in the way
            raise
        return
    with TemporaryDirectory(prefix="stitchtui-") as parent:
        yield create(wanted.experiment, Path(parent))
