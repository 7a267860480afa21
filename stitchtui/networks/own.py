"""Networks of one's own: trained here by a recipe, once, then kept under what identifies the training; or untrained."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.base import paths
from stitchtui.base.device import seeded_work
from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.subsets import generator, random_subset
from stitchtui.networks import by_name, checkpoints, fitting, from_timm, normalisation, own_code
from stitchtui.networks.checkpoints import Metadata
from stitchtui.networks.frozen import start_from
from stitchtui.networks.making import EVALUATION_BATCH, Making, architecture_of, own_data
from stitchtui.networks.network import Network, Source, error_percent, normalise, tensor_bytes
from stitchtui.networks.self_supervised import train_self_supervised
from stitchtui.networks.training import Job, Training, train
from stitchtui.spec.experiment import NetworkSpec, Normalisation, TrainSpec
from stitchtui.spec.training_order import whole
from stitchtui.stitching.reinitialise import recalibrate

# Raised whenever a change to architectures or training may change the weights that a specification leads to.
TRAINING_VERSION = 1
CALIBRATION_IMAGES, CALIBRATION_BATCH = 2_000, 250


def trained(making: Making, start: Network | None) -> Training[Network]:
    """The network that the recipe leads to, from the cache or trained now; `start` is the one it begins with."""
    spec, data = making.spec, making.data
    architecture = by_name.canonical(architecture_of(spec))
    scale = scale_of(spec, data, start)
    path = _kept(spec, data, start)
    module = making.build(architecture, spec.width, spec.options, scale)
    source: Source = "cached"
    metadata = _cached_metadata(path)
    if metadata is None:
        source = "trained"
        metadata = yield from _train(making, module, path, start)
    # Read back even when just trained, so that a fresh network is the same to the bit as a cached one.
    fitting.load_into(module, checkpoints.read(path), making.classes)
    error = metadata.error if metadata.data_digest == data.digest else None
    return making.finished(module, architecture, source, scale, error=error)


def untrained(making: Making) -> Network:
    """The network as its seed made it, its BatchNorms set to what they see of training images.

    Otherwise they would normalise by a mean of 0 and a variance of 1 that the activations of a deep network don't have.
    """
    spec, data = making.spec, making.data
    architecture = by_name.canonical(architecture_of(spec))
    scale = normalisation.chosen(spec, data, None)
    module = making.build(architecture, spec.width, spec.options, scale)
    images = data.train.images[_some(len(data.train)).to(making.device)]
    size = min(CALIBRATION_BATCH, len(images))  # all batches of one size, since each counts as much as the next
    batches = images[: len(images) // size * size].split(size) if size > 1 else ()
    recalibrate(module, (normalise(batch, scale.mean, scale.std) for batch in batches))
    return making.finished(module, architecture, "random", scale)


def cache_path(spec: NetworkSpec, dataset: Dataset, start: Network | None = None) -> Path:
    """Where the network that `spec` leads to is kept once trained; its stem is the training's identity.

    `dataset` is the whole run's; `start` is the network that the training begins with, if it begins with one.
    """
    return _kept(spec, own_data(spec, dataset), start)


def scale_of(spec: NetworkSpec, data: Dataset, start: Network | None) -> Normalisation:
    """What the network is fed with: what it begins with says so, unless the specification does."""
    return normalisation.chosen(spec, data, None if start is None else Normalisation(mean=start.mean, std=start.std))


def source_facts(architecture: str) -> dict[str, str]:
    """What is built, and from which code where that isn't this package's or torchvision's."""
    if own_code.is_reference(architecture):
        return {"architecture": architecture.rpartition(":")[2], "source": own_code.source_digest(architecture)}
    timm = f"timm {from_timm.version()}" if architecture.startswith(from_timm.PREFIX) else ""
    return {"architecture": architecture, "source": timm}


def part_digest(part: Part) -> str:
    """SHA-256 over images and labels."""
    sha = hashlib.sha256(str(tuple(part.images.shape)).encode())
    sha.update(tensor_bytes(part.images))
    sha.update(tensor_bytes(part.labels))
    return sha.hexdigest()


def _train(making: Making, module: nn.Module, path: Path, start: Network | None) -> Training[Metadata]:
    spec, data = making.spec, making.data
    scale = scale_of(spec, data, start)
    partial = path.with_suffix(".partial")
    states = _kept(whole(spec), data, start).with_suffix(".states")
    job = Job(
        *(spec.train, data.train, scale, data.augment, spec.seed),
        frozen=spec.frozen,
        last_epoch=spec.train.stop_epoch,
        states=states,
    )
    if start is not None:
        start_from(module, start.module, start.name)
    if spec.task == "classify":
        work = train(module, job, partial)
    else:
        work = train_self_supervised(
            *(module, job, partial), task=spec.task, head=spec.probe, temperature=spec.temperature
        )
    yield from seeded_work(work, spec.seed, making.device)
    error = error_percent(module, scale.mean, scale.std, data.test, EVALUATION_BATCH)
    metadata = _metadata(spec, data, scale, error, path.stem)
    checkpoints.save(path, module, metadata)
    partial.unlink(missing_ok=True)
    return metadata


def _metadata(spec: NetworkSpec, data: Dataset, scale: Normalisation, error: float, identity: str) -> Metadata:
    return Metadata(
        architecture=by_name.canonical(architecture_of(spec)),
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
        augment=data.augment,
        seed=spec.seed,
        recipe=spec.training,
        identity=identity,
    )


def _cached_metadata(path: Path) -> Metadata | None:
    try:
        return checkpoints.read(path).metadata
    except BadInput:  # not there yet, or damaged: train it again
        return None


def _kept(spec: NetworkSpec, data: Dataset, start: Network | None) -> Path:
    return paths.cache_directory() / "networks" / f"{_identity(spec, data, start)}.safetensors"


def _identity(spec: NetworkSpec, data: Dataset, start: Network | None) -> str:
    scale = scale_of(spec, data, start)
    facts: dict[str, Any] = {
        "training_version": TRAINING_VERSION,
        **source_facts(by_name.canonical(architecture_of(spec))),
        "width": spec.width,
        "options": spec.options,
        "seed": spec.seed,
        "classes": len(data.classes),
        "shape": data.shape,
        "mean": scale.mean,
        "std": scale.std,
        "training_data": part_digest(data.train),
        "augment": data.augment,
        "recipe": _recipe(spec.train),
    }
    return _hashed(facts | _unusual(spec, start))


def _unusual(spec: NetworkSpec, start: Network | None) -> dict[str, Any]:
    """What only some trainings have: left out of the others, so that they are found where they have always been."""
    facts: dict[str, Any] = {}
    if spec.task != "classify":
        facts |= {"task": spec.task, "probe": _recipe(spec.probe)}
    if spec.task == "simclr":
        facts["temperature"] = spec.temperature
    if start is not None:
        facts |= {"start_from": start.digest, "frozen": sorted(spec.frozen)}
    return facts


def _recipe(recipe: TrainSpec) -> dict[str, Any]:
    return recipe.model_dump(mode="json", exclude_none=True)


def _hashed(facts: Mapping[str, Any]) -> str:
    # A number of its own: what is raised where cells are measured otherwise changes nothing of what was trained.
    canonical = json.dumps({**facts, "numerics": 1}, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _some(images: int) -> torch.Tensor:
    """Indices of a random few: training parts may lie class by class."""
    return random_subset(images, min(images, CALIBRATION_IMAGES), generator("calibration", 0))
