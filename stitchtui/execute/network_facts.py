"""The facts of a network before a run uses it: its cuts, shapes and facts, from a file or by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.base.paths import cache_directory
from stitchtui.base.text import plain
from stitchtui.data.loading import class_count, load_dataset
from stitchtui.execute.meta_build import MetaBuild
from stitchtui.networks import by_name, checkpoints, fitting, from_torchvision, own_code
from stitchtui.networks.obtain import from_file, from_name
from stitchtui.networks.reasons import reason
from stitchtui.networks.sizes import USUAL, Shape, spelled
from stitchtui.networks.trying import WrongImages, look
from stitchtui.spec.datasets import BY_PATH, DATASETS, IN_MEMORY, dataset_not_known
from stitchtui.spec.experiment import DataSpec, NetworkSpec
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced, Untraceable
from stitchtui.stitching.modes import training_difference

Answer = dict[str, Any]


@dataclass(frozen=True)
class NetworkQuestion:
    """Which network is asked about, and the data it is meant for."""

    data: str
    checkpoint: str | None = None
    architecture: str | None = None
    weights: str | None = None
    width: float = 1.0
    options: dict[str, bool | int | float | str] | None = None
    leaves: tuple[str, ...] = ()
    head: str | None = None
    part: str | None = None
    trust_code: bool = False

    @property
    def spec(self) -> NetworkSpec:
        """The network as an experiment says it."""
        said = {field: getattr(self, field) for field in ("checkpoint", "architecture", "weights", "width", "head")}
        if self.checkpoint is not None:
            said["part"] = self.part  # said of both networks, of which one may be published
        return NetworkSpec(**said, options=self.options or {}, trust_code=self.trust_code)


def cuts(asked: NetworkQuestion) -> Answer:
    """Every cut with its shape, depth and parameters, and what is known of the network. Raises BadInput."""
    if asked.checkpoint is not None:
        return _of_checkpoint(asked, Path(asked.checkpoint).expanduser())
    if asked.architecture is None:
        raise BadInput("expected a checkpoint or an architecture", "architecture")
    shape, classes = data_shape(asked.data)
    name = by_name.canonical(asked.architecture, asked.weights)
    return {"architecture": name, **_in_its_size(asked, shape, lambda shape: _by_name(asked, shape, classes))}


def _in_its_size(asked: NetworkQuestion, shape: Shape, facts: Callable[[Shape | None], Answer]) -> Answer:
    """The facts for the data's images; where the network can't take them and has a size of its own, in that."""
    try:
        return facts(shape)
    except WrongImages as error:
        try:
            found = facts(None)
        except WrongImages:
            raise error from None
        if tuple(found["shape"]) in (shape, USUAL):
            raise
        theirs = f"{plain(asked.data)} has images of {spelled(shape)}"
        return {**found, "misfit": f"{theirs}, the network takes {spelled(tuple(found['shape']))}"}


def _by_name(asked: NetworkQuestion, shape: Shape | None, classes: int) -> Answer:
    facts = _without_numbers(asked, shape, classes) if asked.head is None else None
    return facts or _facts(*from_name(asked.spec, shape, classes), classes, asked.leaves)


def _without_numbers(asked: NetworkQuestion, shape: Shape | None, classes: int) -> Answer | None:
    """What the network's shapes tell, without its weights; None where that takes numbers. Raises BadInput.

    The largest of torchvision's would else take a minute and gigabytes, only to be looked at.
    """
    try:
        with MetaBuild():
            return _facts(*from_name(asked.spec, shape, classes), classes, asked.leaves)
    except BadInput:
        return None  # the whole network says it better
    except Exception:  # such as a comparison of tensors without numbers
        return None


def _of_checkpoint(asked: NetworkQuestion, path: Path) -> Answer:
    checkpoint = checkpoints.read(path)
    said = checkpoint.metadata
    architecture = asked.architecture or (said.architecture if said else None)
    if architecture is None:
        why = "doesn't say what network it is for; type its architecture: a name, or path/to/file.py:Class"
        raise checkpoints.bad(path, why, "architecture")
    if asked.architecture is None and own_code.is_reference(architecture):
        # A file may not choose which code runs.
        why = f"is for a class of your own; to run that code, type its architecture: {plain(architecture)}"
        raise checkpoints.bad(path, why, "architecture")
    shape, classes = (said.shape, said.classes) if said else data_shape(asked.data)
    facts = _in_its_size(
        asked, shape, lambda shape: _facts(*from_file(asked.spec, shape, classes), classes, asked.leaves)
    )
    answer = {"architecture": by_name.canonical(architecture), **facts}
    if said is not None:
        answer |= {"data": said.data, "test_error": said.error, "seed": said.seed}
        answer |= _misfit(asked, shape, classes)
    return answer


def _misfit(asked: NetworkQuestion, shape: Shape, classes: int) -> Answer:
    """Why a network for images of `shape` and `classes` can't be used on the data, and the field that mends it."""
    known, count = DATASETS.get(asked.data), class_count(asked.data)
    if known is not None and known.shape[0] != shape[0]:
        has = f"{asked.data} has {known.shape[0]} channels and {known.classes} classes"
        return {"misfit": f"{has}, the network was made for {shape[0]} and {classes}"}
    if asked.head is None and count is not None and count != classes:
        return {"misfit": f"it {fitting.other_classes(classes, count)}", "field": "head"}
    return {}


def _facts(module: nn.Module, shape: Shape, notes: tuple[str, ...], classes: int, leaves: tuple[str, ...]) -> Answer:
    look(module, shape)
    parameters = sum(p.numel() for p in module.parameters())
    rows, traced = cut_rows(module.eval(), shape, leaves)
    return {
        "cuts": rows,
        "shape": list(shape),
        "classes": classes,
        "parameters": parameters,
        "notes": [*notes, *traced],
    }


def cut_rows(
    module: nn.Module, shape: Shape, leaves: tuple[str, ...] = ()
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Every cut from input to output: name, aliases, shape for one image, channel_axis, depth, parameters, block.

    And notes on how the network was traced, and on what it computes in training only.
    """
    device = next((weights.device for weights in module.parameters()), None)
    example = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)).to(device)
    try:
        traced = Traced(module, example, leaves)
        difference = training_difference(module, example, leaves)
    except Untraceable as error:
        raise BadInput(str(error), "leaves") from None
    except Exception as error:  # a user's forward can raise anything
        size = "x".join(map(str, shape))
        raise BadInput(f"the network can't take images of {size}: {reason(error)}") from None
    blocks, others = {cut.name for cut in traced.select("blocks")}, traced.other_names
    facts = Chain(traced, traced.cuts).facts(example[:2])
    rows = [
        {
            "name": cut.name,
            "aliases": list(others.get(cut.name, ())),
            "shape": list(cut.shape),
            "channel_axis": cut.channel_axis,
            "depth": fact.depth,
            "parameters": fact.parameters,
            "block": cut.name in blocks,
        }
        for cut, fact in zip(traced.cuts, facts, strict=True)
    ]
    return rows, (*traced.notes, *([difference] if difference else []))


def data_shape(name: str) -> tuple[Shape, int]:
    """One image's [channels, height, width] and the number of classes of a dataset. Raises BadInput."""
    if name in DATASETS:
        return DATASETS[name].shape, DATASETS[name].classes
    if not name.startswith((*BY_PATH, IN_MEMORY)):
        raise BadInput.at("data.name", plain(dataset_not_known(name)))
    dataset = load_dataset(DataSpec(name=name))
    return dataset.shape, len(dataset.classes)


def names() -> Answer:
    """The architectures known by name, those of torchvision that have weights, and the devices of this machine."""
    devices = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    pretrained = list(from_torchvision.names())
    return {"architectures": by_name.names(), "torchvision": pretrained, "devices": ["cpu", *mps, *devices]}


def has_arrived(data: str) -> bool:
    """Whether a run on `data` needs no download first."""
    known = DATASETS.get(data)
    download = known.download if known else None
    return download is None or any((cache_directory() / "datasets" / name).exists() for name in download.there)
