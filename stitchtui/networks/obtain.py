"""A network by its specification: from a checkpoint, from torchvision's weights, or trained here and kept."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from stitchtui import places
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.loading import subset
from stitchtui.errors import BadInput, RunFailed
from stitchtui.experiment import NetworkSpec, Normalisation
from stitchtui.networks import architectures, checkpoints, own_code
from stitchtui.networks.checkpoints import Metadata
from stitchtui.networks.network import (
    Network,
    Source,
    error_percent,
    freeze,
    logits,
    normalise,
    tensor_bytes,
    weight_digest,
)
from stitchtui.networks.reasons import reason
from stitchtui.networks.training import Job, OnStep, train
from stitchtui.run.plan import cell_identity
from stitchtui.text import plain

IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# Raised whenever a change to architectures or training may change the weights that a specification leads to.
TRAINING_VERSION = 1
EVALUATION_BATCH = 500


def obtain(  # noqa: PLR0917
    name: str,
    spec: NetworkSpec,
    dataset: Dataset,
    device: torch.device,
    on_step: OnStep,
    stop: Callable[[], bool],
) -> Network:
    """The network that `spec` describes, frozen, on `device`, with its error on the test part of `dataset`.

    `dataset` is on `device`. Training says {"step", "steps", "loss", "accuracy"} to `on_step` at most four times a
    second. Raises BadInput, RunFailed, or training.Stopped once `stop()` is true, after saving what it had reached.
    """
    task = _Task(name, spec, dataset, device)
    try:
        if spec.checkpoint is not None:
            return task.from_checkpoint(Path(spec.checkpoint).expanduser())
        if spec.weights is not None:
            return task.pretrained()
        return task.trained(on_step, stop)
    except BadInput as error:
        raise BadInput(f"network {plain(name)}: {error}") from None
    except RunFailed as error:
        raise RunFailed(f"network {plain(name)}: {error}") from None


def from_file(
    path: Path, architecture: str | None, shape: tuple[int, int, int], classes: int, width: float
) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network in a checkpoint, in eval mode, and its images' [channels, height, width], without any data.

    Shape, classes and width are what the file says, where it says. Raises BadInput as `obtain` does.
    """
    checkpoint = checkpoints.read(path)
    metadata = checkpoint.metadata
    spec = NetworkSpec(checkpoint=str(path), architecture=architecture, width=width)
    name, width, options = _what_to_build(path, spec, metadata)
    if metadata is not None:
        classes, shape = metadata.classes, metadata.shape
    module = architectures.build(name, classes, shape, width, options)
    checkpoints.load_into(module, checkpoint, classes)
    return module.eval(), shape


def cache_path(spec: NetworkSpec, dataset: Dataset) -> Path:
    """Where the network that `spec` leads to is kept once trained; its stem is the training's identity."""
    folder = places.cache_directory() / "networks"
    return folder / f"{_identity(spec, dataset, _training_part(spec, dataset))}.safetensors"


@dataclass(frozen=True)
class _Task:
    name: str
    spec: NetworkSpec
    dataset: Dataset
    device: torch.device

    def from_checkpoint(self, path: Path) -> Network:
        checkpoint = checkpoints.read(path)
        metadata = checkpoint.metadata
        architecture, width, options = _what_to_build(path, self.spec, metadata)
        if metadata is not None and metadata.classes != self._classes:
            counts = f"was trained for {metadata.classes} classes, the data has {self._classes}"
            raise BadInput(f"checkpoint {plain(path)}: {counts}")
        if metadata is not None and _reordered(metadata.class_names, self.dataset.classes):
            raise BadInput(f"checkpoint {plain(path)}: was trained with these classes in another order; reorder them")
        scale = _normalisation(self.spec, self.dataset, None if metadata is None else _stored(path, metadata))
        module = self._build(architecture, width, options, scale)
        checkpoints.load_into(module, checkpoint, self._classes)
        return self._network(module, architectures.canonical(architecture), "checkpoint", scale)

    def pretrained(self) -> Network:
        scale = _normalisation(self.spec, self.dataset, IMAGENET)
        architecture = architectures.canonical(_architecture(self.spec), self.spec.weights)
        module = self._build(architecture, self.spec.width, self.spec.options, scale)
        return self._network(module, architecture, "pretrained", scale)

    def trained(self, on_step: OnStep, stop: Callable[[], bool]) -> Network:
        architecture = architectures.canonical(_architecture(self.spec))
        scale = _normalisation(self.spec, self.dataset, None)
        path = cache_path(self.spec, self.dataset)
        module = self._build(architecture, self.spec.width, self.spec.options, scale)
        source: Source = "cached"
        metadata = _cached_metadata(path)
        if metadata is None:
            source = "trained"
            metadata = self._train(module, path, scale, on_step, stop)
        # Read back even when just trained, so that a fresh network is the same to the bit as a cached one.
        checkpoints.load_into(module, checkpoints.read(path), self._classes)
        error = metadata.error if metadata.data_digest == self.dataset.digest else None
        return self._network(module, architecture, source, scale, error)

    def _train(
        self, module: nn.Module, path: Path, scale: Normalisation, on_step: OnStep, stop: Callable[[], bool]
    ) -> Metadata:
        spec, data = self.spec, self.dataset
        job = Job(spec.train, _training_part(spec, data), scale, data.augment, spec.seed)
        partial = path.with_suffix(".partial")
        with _seeded(spec.seed, self.device):
            train(module, job, partial, on_step, stop)
        error = error_percent(module, scale.mean, scale.std, data.test, EVALUATION_BATCH)
        metadata = _metadata(spec, data, scale, error, path.stem)
        checkpoints.save(path, module, metadata)
        partial.unlink(missing_ok=True)
        return metadata

    def _build(self, architecture: str, width: float, options: Mapping[str, Any], scale: Normalisation) -> nn.Module:
        shape, weights = self.dataset.shape, self.spec.weights
        with _seeded(self.spec.seed, self.device):
            module = architectures.build(architecture, self._classes, shape, width, options, weights=weights)
            module.to(self.device)
            _try_out(module, self.dataset, scale, architecture)
        return module

    def _network(
        self,
        module: nn.Module,
        architecture: str,
        source: Source,
        scale: Normalisation,
        error: float | None = None,  # None: measure it
    ) -> Network:
        freeze(module)
        _try_out(module, self.dataset, scale, architecture)
        if error is None:
            error = error_percent(module, scale.mean, scale.std, self.dataset.test, EVALUATION_BATCH)
        return Network(
            name=self.name,
            module=module,
            mean=scale.mean,
            std=scale.std,
            digest=weight_digest(module),
            architecture=architecture,
            error=error,
            source=source,
            classes=self._classes,
        )

    @property
    def _classes(self) -> int:
        return len(self.dataset.classes)


def _metadata(spec: NetworkSpec, data: Dataset, scale: Normalisation, error: float, identity: str) -> Metadata:
    return Metadata(
        architecture=architectures.canonical(_architecture(spec)),
        width=spec.width,
        options=spec.options,
        classes=len(data.classes),
        class_names=data.classes,
        shape=data.shape,
        mean=scale.mean,
        std=scale.std,
        error=error,
        data=data.name,
        data_digest=data.digest,
        seed=spec.seed,
        recipe=spec.train.model_dump(mode="json"),
        identity=identity,
    )


def _reordered(first: Sequence[str], second: Sequence[str]) -> bool:
    return sorted(first) == sorted(second) and list(first) != list(second)


def _architecture(spec: NetworkSpec) -> str:
    if spec.architecture is None:
        raise BadInput("expected an `architecture`")
    return spec.architecture


def _what_to_build(path: Path, spec: NetworkSpec, metadata: Metadata | None) -> tuple[str, float, Mapping[str, Any]]:
    """Architecture, width and options for a checkpoint: what the specification says, else what the file says."""
    if metadata is None:
        if spec.architecture is None:
            raise BadInput(
                f"checkpoint {plain(path)}: doesn't say what network it is for;"
                " add --architecture NAME or path/to/file.py:Class"
            )
        return spec.architecture, spec.width, spec.options
    said = metadata.architecture
    if spec.architecture is None and own_code.is_reference(said):
        # A file may not choose which code runs.
        raise BadInput(
            f"checkpoint {plain(path)}: is for a class of your own; to run that code, add --architecture {plain(said)}"
        )
    architecture = spec.architecture or said
    both_own = own_code.is_reference(architecture) and own_code.is_reference(said)
    if architecture != said and not both_own:
        return architecture, spec.width, spec.options
    return architecture, spec.width if spec.width != 1.0 else metadata.width, spec.options or metadata.options


def _stored(path: Path, metadata: Metadata) -> Normalisation:
    try:
        return Normalisation(mean=metadata.mean, std=metadata.std)
    except ValidationError:
        raise BadInput(f"checkpoint {plain(path)}: has damaged metadata: mean and std") from None


def _normalisation(spec: NetworkSpec, dataset: Dataset, stored: Normalisation | None) -> Normalisation:
    """What the network is fed with; `stored` is the normalisation that comes with the weights, if one does."""
    channels, chosen = dataset.shape[0], spec.normalisation
    if chosen == "auto":
        chosen = "data" if stored is None else stored
    if chosen == "data":
        return Normalisation(mean=dataset.mean, std=dataset.std)
    if chosen == "none":
        return Normalisation(mean=(0.0,) * channels, std=(1.0,) * channels)
    if not isinstance(chosen, Normalisation):
        chosen = IMAGENET
    if len(chosen.mean) != channels:
        counts = f"is for {len(chosen.mean)} channels, the images of {plain(dataset.name)} have {channels}"
        raise BadInput(f"normalisation {counts}")
    return chosen


def _cached_metadata(path: Path) -> Metadata | None:
    try:
        return checkpoints.read(path).metadata
    except BadInput:  # not there yet, or damaged: train it again
        return None


def _training_part(spec: NetworkSpec, dataset: Dataset) -> Part:
    return dataset.train if spec.subset is None else subset(dataset, spec.subset, "subset").train


def _identity(spec: NetworkSpec, dataset: Dataset, part: Part) -> str:
    architecture = architectures.canonical(_architecture(spec))
    own = own_code.is_reference(architecture)
    scale = _normalisation(spec, dataset, None)
    return cell_identity(
        {
            "training_version": TRAINING_VERSION,
            "architecture": architecture.rpartition(":")[2] if own else architecture,
            "source": own_code.source_digest(architecture) if own else "",
            "width": spec.width,
            "options": spec.options,
            "seed": spec.seed,
            "classes": len(dataset.classes),
            "shape": dataset.shape,
            "mean": scale.mean,
            "std": scale.std,
            "training_data": _part_digest(part),
            "augment": dataset.augment,
            "recipe": spec.train.model_dump(mode="json"),
        }
    )


def _part_digest(part: Part) -> str:
    sha = hashlib.sha256(str(tuple(part.images.shape)).encode())
    sha.update(tensor_bytes(part.images))
    sha.update(tensor_bytes(part.labels))
    return sha.hexdigest()


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """torch's global generators seeded inside, and as they were outside."""
    devices: list[int] = []
    if device.type == "cuda":
        devices = [torch.cuda.current_device() if device.index is None else device.index]
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed % 2**63)
        yield


def _try_out(module: nn.Module, dataset: Dataset, scale: Normalisation, architecture: str) -> None:
    """Runs two images through `module`, so that what can't work is one line now and not a traceback later."""
    name = f"architecture {plain(architecture)}"
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    channels, classes = dataset.shape[0], len(dataset.classes)
    if first is not None and first.in_channels != channels:
        expected = f"expects images of {first.in_channels} channels"
        raise BadInput(f"{name}: {expected}, those of {dataset.name} have {channels}")
    images = dataset.test.images[:2]
    module.eval()
    try:
        with torch.no_grad():
            scores = logits(module(normalise(images, scale.mean, scale.std)))
    except Exception as error:  # a user's forward can raise anything
        size = "x".join(str(side) for side in dataset.shape)
        raise BadInput(f"{name}: fails on images of {size}: {reason(error)}") from None
    if scores.shape != (len(images), classes):
        got = list(scores.shape)
        raise BadInput(f"{name}: its output for {len(images)} images has shape {got}; expected {classes} classes")
    if not bool(scores.isfinite().all()):
        raise BadInput(f"{name}: its output is not finite on images of {dataset.name}")
