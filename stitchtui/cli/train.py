"""`stitchtui train`: trains a base network, shows how far it is, and writes it as a checkpoint."""

import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stitchtui.base.errors import BadInput, ExitCode
from stitchtui.base.signals import ending_signals
from stitchtui.base.text import duration, plain
from stitchtui.cli import flags
from stitchtui.cli.common import Device, Threads, say
from stitchtui.spec import overrides
from stitchtui.spec.architectures import ARCHITECTURES
from stitchtui.spec.datasets import CIFAR10

if TYPE_CHECKING:
    from stitchtui.data.dataset import Dataset
    from stitchtui.networks.network import Network
    from stitchtui.networks.training import Reached, Training
    from stitchtui.spec.experiment import DataSpec, NetworkSpec

LINE_SECONDS = 5.0  # between two lines of progress where there is no terminal
Show = Callable[["Reached"], None]


def train(
    *,
    architecture: Annotated[
        str,
        typer.Option(
            "--architecture",
            help=f"{flags.listed(ARCHITECTURES)}, a torchvision name, path/to/file.py:Class or package.module:factory.",
        ),
    ],
    data: Annotated[str, typer.Option("--data", help="A dataset's name, folder:PATH or npz:PATH.")] = CIFAR10.name,
    width: Annotated[float, typer.Option("--width", help="Multiplies the channels of every layer.")] = 1.0,
    option: flags.Option = None,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Passes over the training images.")] = 30,
    seed: Annotated[int, typer.Option("--seed", help="Decides initial weights, order, augmentation.")] = 0,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Images in a step.")] = 128,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="At the end of warm-up.")] = 0.1,
    train_size: Annotated[
        int | None, typer.Option("--train-size", min=1, help="Train on this many images. [default: all]")
    ] = None,
    augment: Annotated[
        str,
        typer.Option("--augment", help="none, crop or crop_flip. [default: the dataset's usual; none for own images]"),
    ] = "auto",
    device: Device = None,
    threads: Threads = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write. [default: ARCHITECTURE-DATA-seedSEED.safetensors]"),
    ] = None,
) -> None:
    """Train a network and save it as a checkpoint.

    Ctrl-C saves what was reached; the same command goes on from there, with the same result as if it had never
    stopped. A network that was trained before in the same way is taken from the cache. Prints the file written
    and the error on the test images.
    """
    recipe = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    said = {"architecture": architecture, "width": width, "options": overrides.options(option or []), "seed": seed}
    spec, data_spec = _specs({**said, "train": recipe}, {"name": data, "train_size": train_size, "augment": augment})
    target = out or Path(f"{_slug(architecture)}-{_slug(data)}-seed{seed}.safetensors")
    path, error = _trained(spec, data_spec, target, device or "auto", threads)
    print(plain(path))
    print(f"test error {error:.2f} %")


def _specs(network: dict[str, Any], data: dict[str, Any]) -> tuple["NetworkSpec", "DataSpec"]:
    from pydantic import BaseModel, ValidationError

    from stitchtui.spec.experiment import DataSpec, NetworkSpec
    from stitchtui.spec.validation import first_problem

    def checked(model: type[BaseModel], values: dict[str, Any], flags: Mapping[str, str]) -> Any:
        try:
            return model.model_validate(values)
        except ValidationError as error:
            path, text, _ = first_problem(error, values, model)
            flag = flags.get(path[-1], path[-1]) if path else "architecture"
            raise BadInput.at(f"--{flag.replace('_', '-')}", text) from None

    return checked(NetworkSpec, network, {"options": "option"}), checked(DataSpec, data, {"name": "data"})


def _slug(text: str) -> str:
    """What a file's name can hold: of a class in a file its own name, of a folder the last part of its path."""
    last = re.split(r"[/\\:]", text.rstrip("/\\"))[-1]
    return re.sub(r"[^A-Za-z0-9_.]+", "-", last).strip("-.") or "network"


def _trained(
    spec: "NetworkSpec", data_spec: "DataSpec", target: Path, device_name: str, threads: int | None
) -> tuple[Path, float]:
    import torch

    from stitchtui.base import device as devices
    from stitchtui.networks import checkpoints
    from stitchtui.networks.obtain import cache_path, obtain

    if threads is not None:
        torch.set_num_threads(threads)
    device = devices.pick(device_name)
    dataset = _load(data_spec).to(device)
    kept = cache_path(spec, dataset)
    _check_target(target, kept.stem)
    name = f"{_slug(spec.architecture or '')} on {_slug(data_spec.name)}"
    with _interruptible() as stop, _progress(name) as show:
        network = _gone_through(obtain(name, spec, dataset, device), show, stop)
    if network is None:
        say("Stopped; what was reached is saved. The same command goes on from there.")
        raise typer.Exit(ExitCode.INTERRUPTED)
    if network.source == "cached":
        say("It was trained before in the same way; taken from the cache.")
    checkpoints.keep(target, kept.read_bytes())
    return target, network.error


def _gone_through(work: "Training[Network]", show: Show, stop: Callable[[], bool]) -> "Network | None":
    """The network, or None once `stop()` is true: then the training keeps what it has reached."""
    while not stop():
        try:
            show(next(work))
        except StopIteration as ended:
            network: Network = ended.value
            return network
    work.close()
    return None


def _load(spec: "DataSpec") -> "Dataset":
    from stitchtui.data.loading import load_dataset

    last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            say(f"reading images: {done} of {total}")

    dataset = load_dataset(spec, progress)
    for note in dataset.notes:
        say(f"warning: data: {note}")
    return dataset


def _check_target(target: Path, identity: str) -> None:
    """Before training, not after it: that the file can be written and replaces no other network."""
    from stitchtui.networks import checkpoints

    if target.is_dir():
        raise BadInput.at("--out", "is a directory; expected a file", target)
    if not target.is_file():
        return  # nothing is there, or a device or a pipe, which is written to
    try:
        metadata = checkpoints.read(target).metadata
    except BadInput:
        metadata = None
    if metadata is None or metadata.identity != identity:
        raise BadInput.at("--out", "exists and holds something else; move it, or choose another name", target)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """A question whether Ctrl-C, a SIGTERM or a SIGHUP came; a second one interrupts at once."""
    asked = False

    def ask(number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, *ending_signals())}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress(name: str) -> Iterator[Show]:
    """Where steps are shown, always on stderr: a bar on a terminal, now and then a line elsewhere."""
    if not sys.stderr.isatty():
        yield _lines(name)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    figures = "loss {task.fields[loss]:.3f}  accuracy {task.fields[accuracy]:.1f} %"
    columns = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        TextColumn(figures, markup=False),
        TimeRemainingColumn(),
    ]
    console = Console(stderr=True, highlight=False)
    with Progress(*columns, console=console, auto_refresh=False, transient=True) as progress:
        task = progress.add_task(plain(name), total=None, visible=False, loss=0.0, accuracy=0.0)

        def show(reached: "Reached") -> None:
            progress.update(task, completed=reached.step, total=reached.steps, visible=True)
            progress.update(task, loss=reached.loss, accuracy=reached.accuracy)
            progress.refresh()

        yield show


def _lines(name: str) -> Show:
    first = last = time.monotonic()
    begun: int | None = None

    def show(reached: "Reached") -> None:
        nonlocal last, begun
        begun = reached.step if begun is None else begun
        now, done = time.monotonic(), reached.step == reached.steps
        if now - last < LINE_SECONDS and not done:
            return
        last = now
        pace = (now - first) / max(1, reached.step - begun)
        left = "" if done else f", about {duration(pace * (reached.steps - reached.step))} left"
        figures = f"loss {reached.loss:.3f}, accuracy {reached.accuracy:.1f} %"
        say(f"{name}: step {reached.step} of {reached.steps}, {figures}{left}")

    return show
