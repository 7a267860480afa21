"""A network by its specification: from a checkpoint, from published weights, or trained here and kept."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.base.device import seeded
from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.base.work import finish
from stitchtui.data import facts
from stitchtui.data.dataset import Dataset
from stitchtui.networks import (
    by_name,
    checkpoints,
    fitting,
    in_memory,
    linear_heads,
    normalisation,
    own,
    own_code,
    sizes,
)
from stitchtui.networks.checkpoints import Metadata, bad
from stitchtui.networks.heads import linear
from stitchtui.networks.making import Making, architecture_of, naming, own_data
from stitchtui.networks.network import Network, freeze
from stitchtui.networks.own import cache_path
from stitchtui.networks.sizes import USUAL, Shape
from stitchtui.networks.training import Training
from stitchtui.networks.trying import look
from stitchtui.spec.datasets import IN_MEMORY
from stitchtui.spec.experiment import NetworkSpec, Normalisation

__all__ = ["at_hand", "cache_path", "check_classes", "from_file", "from_name", "obtain"]


def obtain(
    name: str,
    spec: NetworkSpec,
    dataset: Dataset,
    device: torch.device,
    networks: Mapping[str, NetworkSpec] | None = None,
    *,
    given: Mapping[str, nn.Module] | None = None,
) -> Training[Network]:
    """The network that `spec` describes, frozen, on `device`, with its error on the test part of its own data.

    `dataset` is on `device`. `networks` are all of the experiment: one that `spec` starts from is obtained first.
    `given` are the modules of those that lie in memory, by their names; they are left as they are.
    Raises BadInput and RunFailed.
    """
    with naming(name):
        _check(spec)
    start = yield from _start(name, spec, dataset, device, networks or {}, given=given)
    with naming(name):
        wanted = _Given(name, spec, own_data(spec, dataset), device)
        if spec.in_memory:
            return wanted.from_memory((given or {}).get(name))
        if spec.checkpoint is not None:
            return (yield from wanted.from_checkpoint(Path(spec.checkpoint).expanduser()))
        if _is_published(spec):
            return (yield from wanted.pretrained())
        if spec.untrained:
            return own.untrained(wanted)
        return (yield from own.trained(wanted, start))


def at_hand(name: str, networks: Mapping[str, NetworkSpec], dataset: Dataset, device: torch.device) -> bool:
    """Whether the network called `name` needs no training any more. Raises BadInput as `obtain` does."""
    spec = networks[name]
    with naming(name):
        _check(spec)
    if spec.untrained or not spec.made_here:
        return True
    if spec.start_from is None:
        return _is_kept(name, spec, dataset)
    if not at_hand(spec.start_from, networks, dataset, device):
        return False
    start = finish(obtain(spec.start_from, networks[spec.start_from], dataset, device, networks))
    return _is_kept(name, spec, dataset, start)


def check_classes(networks: Mapping[str, NetworkSpec], classes: int) -> None:
    """Raise BadInput for a checkpoint that says that it is for another number of classes; no weights are read."""
    for name, spec in networks.items():
        if spec.checkpoint is not None and spec.head is None:
            path = Path(spec.checkpoint).expanduser()
            said = checkpoints.said_in(path)
            if said is not None and said.classes != classes:
                with naming(name):
                    raise _other_classes(path, said.classes, classes)


def _is_kept(name: str, spec: NetworkSpec, dataset: Dataset, start: Network | None = None) -> bool:
    with naming(name):
        return cache_path(spec, dataset, start).is_file()


Looked = tuple[nn.Module, Shape, tuple[str, ...]]
"""A network in eval mode that no data are known for, one image's shape, and notes of how it came to be."""


def from_file(spec: NetworkSpec, shape: Shape | None, classes: int) -> Looked:
    """The network in `spec`'s checkpoint.

    Shape, classes and width are what the file says, where it says; where nobody says a shape, the network's own. A
    head that `spec` asks for is there, with random weights. Raises BadInput as `obtain` does, and WrongImages.
    """
    path = Path(spec.checkpoint or "").expanduser()
    checkpoint = checkpoints.read(path)
    metadata = checkpoint.metadata
    name, width, options = _what_to_build(path, spec, metadata)
    if metadata is not None:
        if spec.head is None and metadata.classes != classes:
            raise _other_classes(path, metadata.classes, classes)
        classes, shape = metadata.classes, metadata.shape
    said = spec.model_copy(update={"architecture": name, "width": width, "options": options})
    module, shape, notes = _looked_at(said, shape, classes)
    if spec.head is None:
        return module, shape, (*notes, *fitting.load_into(module, checkpoint, classes, part=spec.part))
    without = linear_heads.parameters(module, torch.zeros(2, *shape), classes)
    notes += fitting.load_into(module, checkpoint, classes, without, spec.part)
    return linear_heads.attach(module, torch.zeros(2, *shape), classes)[0], shape, notes


def from_name(spec: NetworkSpec, shape: Shape | None, classes: int) -> Looked:
    """The network of `spec`'s architecture, without published weights that would have to be fetched.

    Where nobody says a shape, it is the network's own. A head that `spec` asks for is there, with random weights.
    Raises BadInput as `obtain` does, and WrongImages.
    """
    headed = spec.head is not None
    architecture = by_name.canonical(architecture_of(spec), spec.weights)
    if spec.weights is not None:
        by_name.check_weights(architecture, spec.weights, classes, new_head=headed)
    module, shape, notes = _looked_at(spec.model_copy(update={"architecture": architecture}), shape, classes)
    if not headed:
        return module, shape, notes
    return linear_heads.attach(module, torch.zeros(2, *shape), classes)[0], shape, notes


def _looked_at(spec: NetworkSpec, given: Shape | None, classes: int) -> Looked:
    """The network that `spec` names, for images of the shape that is given, or else of its own or the usual one."""
    name = architecture_of(spec)
    said = given or by_name.published_shape(name, spec.weights)
    module = by_name.build(
        *(name, classes, said, spec.width, spec.options),
        new_head=spec.head is not None,
        trust_code=spec.trust_code,
    ).eval()
    if given is None:
        said = sizes.own(module) or said
    if given is None or spec.head is not None:
        look(module, said or USUAL)
    if given is not None or said is None:
        return module, said or USUAL, ()
    return module, said, (f"looked at with {sizes.spelled(said)} images, its own size",)


class _Given(Making):
    """A network whose weights are there already, all but a head perhaps."""

    def from_checkpoint(self, path: Path) -> Training[Network]:
        checkpoint = checkpoints.read(path)
        metadata = checkpoint.metadata
        architecture, width, options = _what_to_build(path, self.spec, metadata)
        if self.spec.head is None and metadata is not None:
            self._check_classes(path, metadata)
        scale = normalisation.chosen(
            self.spec, self.data, None if metadata is None else normalisation.stored(path, metadata)
        )
        module = self.build(architecture, width, options, scale)
        without = linear_heads.parameters(module, self.example(scale), self.classes) if self.spec.head else ()
        notes = fitting.load_into(module, checkpoint, self.classes, without, self.spec.part)
        module = yield from self._with_head(module, architecture, scale)
        network = self.finished(module, by_name.canonical(architecture), "checkpoint", scale, notes=notes)
        said = self.spec.normalisation != "auto" or facts.normalised(self.data.train.images)
        if metadata is not None or said:
            return network
        return _guessed(network, "--normalisation")  # a checkpoint of ours brings its own

    def _check_classes(self, path: Path, metadata: Metadata) -> None:
        if metadata.classes != self.classes:
            raise _other_classes(path, metadata.classes, self.classes)
        if _reordered(metadata.class_names, self.data.classes):
            raise bad(path, "was trained with these classes in another order; reorder them")

    def from_memory(self, module: nn.Module | None) -> Network:
        """The network that a program gave as a module, which stays as it is; its images are taken as they are."""
        if module is None:
            raise BadInput(
                "was a module of a Python program, which is in no file: have that program stitch it again, with "
                "out= this run's directory to go on with what is missing",
                "architecture",
            )
        own = in_memory.own_scale(module, self.data)
        scale = normalisation.chosen(self.spec, self.data, own)
        copy = in_memory.borrowed(module, self.device, self.example(scale))
        kind = architecture_of(self.spec).removeprefix(IN_MEMORY)
        network = self.finished(copy, kind, "memory", scale)
        return network if own is not None or self.spec.normalisation != "auto" else _guessed(network, "normalisation=")

    def pretrained(self) -> Training[Network]:
        weights = self.spec.weights or "pretrained"
        architecture = by_name.canonical(architecture_of(self.spec), weights)
        said = self.spec.normalisation == "auto"
        published = by_name.published_scale(architecture, weights) if said else None
        scale = normalisation.chosen(self.spec, self.data, published)
        module = self.build(architecture, self.spec.width, self.spec.options, scale)
        module = yield from self._with_head(module, architecture, scale)
        return self.finished(module, architecture, "pretrained", scale)

    def _with_head(self, module: nn.Module, architecture: str, scale: Normalisation) -> Training[nn.Module]:
        if self.spec.head is None:
            return module
        with seeded(self.spec.seed, self.device):
            network, name = linear_heads.attach(freeze(module), self.example(scale), self.classes)
        if self.spec.head != linear_heads.TRAIN:
            linear_heads.load(Path(self.spec.head).expanduser(), linear(network, name))
            return network
        digest = own.part_digest(self.data.train)
        facts = {**own.source_facts(architecture), "options": self.spec.options, "training_data": digest}
        data = linear_heads.HeadData(self.data.train, scale, self.classes, facts)
        yield from linear_heads.train(network, name, data)
        return network


def _start(
    name: str,
    spec: NetworkSpec,
    dataset: Dataset,
    device: torch.device,
    networks: Mapping[str, NetworkSpec],
    *,
    given: Mapping[str, nn.Module] | None,
) -> Training[Network | None]:
    if spec.start_from is None:
        return None
    if spec.start_from not in networks:
        with naming(name):
            raise BadInput.at("start_from", not_known(plain(spec.start_from), networks))
    return (yield from obtain(spec.start_from, networks[spec.start_from], dataset, device, networks, given=given))


def _check(spec: NetworkSpec) -> None:
    """Raise BadInput for keys that can't be said of the same network."""
    trained = {
        "task": spec.task != "classify",
        "start_from": spec.start_from is not None,
        "train.stop_epoch": spec.train.stop_epoch is not None,
    }
    if spec.in_memory and spec.head is not None:
        raise BadInput.at("head", "is for a checkpoint or published weights; put a linear layer on the module itself")
    if not spec.made_here:
        for key, said in (*trained.items(), ("untrained", spec.untrained)):
            if said:
                raise BadInput.at(key, "is for a network that is trained here; this one comes with its weights")
    elif spec.head is not None:
        raise BadInput.at(
            "head", "is for a checkpoint or published weights; a network that is trained here has its own"
        )
    for key, said in trained.items():
        if spec.untrained and said:
            raise BadInput.at("untrained", f"leaves the network as its seed made it; expected it without {key}")


def _is_published(spec: NetworkSpec) -> bool:
    return spec.checkpoint is None and not spec.made_here and not spec.in_memory


def _other_classes(path: Path, own: int, classes: int) -> BadInput:
    return bad(path, fitting.other_classes(own, classes), "head")


def _guessed(network: Network, key: str) -> Network:
    """The network with a note that its images are normalised by the data: nobody but its maker knows how it was."""
    note = (
        "is given images normalised by the training images' mean and deviation; if an error of "
        f"{network.error:.2f} % isn't what you know of it, say what it was trained with: {key}"
    )
    return replace(network, notes=(*network.notes, note))


def _reordered(first: Sequence[str], second: Sequence[str]) -> bool:
    return sorted(first) == sorted(second) and list(first) != list(second)


def _what_to_build(path: Path, spec: NetworkSpec, metadata: Metadata | None) -> tuple[str, float, Mapping[str, Any]]:
    """Architecture, width and options for a checkpoint: what the specification says, else what the file says."""
    if metadata is None:
        if spec.architecture is None:
            why = "doesn't say what network it is for; add --architecture NAME or path/to/file.py:Class"
            raise bad(path, why, "architecture")
        return spec.architecture, spec.width, spec.options
    said = metadata.architecture
    if spec.architecture is None and own_code.is_reference(said):
        # A file may not choose which code runs.
        why = f"is for a class of your own; to run that code, add --architecture {plain(said)}"
        raise bad(path, why, "architecture")
    architecture = spec.architecture or said
    both_own = own_code.is_reference(architecture) and own_code.is_reference(said)
    if architecture != said and not both_own:
        return architecture, spec.width, spec.options
    return architecture, spec.width if spec.width != 1.0 else metadata.width, spec.options or metadata.options
