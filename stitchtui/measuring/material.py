"""What a column is made of: the two ends that are joined, and the images and labels that it is fitted on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.data.subsets import generator, random_subset, stratified_split
from stitchtui.measuring.feed import in_order, training_batches
from stitchtui.measuring.loaded import Loaded
from stitchtui.stitching.cluster_noise import ClusterNoise
from stitchtui.stitching.reinitialise import shuffled_labels


@dataclass(frozen=True)
class Noise:
    """Class-cluster noise of this seed at the bottom's cuts, in the bottom's place."""

    seed: int


@dataclass(frozen=True)
class Ends:
    """The networks that a column joins; with `noise` only the shapes of the bottom's cuts are used."""

    bottom: Loaded
    top: Loaded
    noise: Noise | None = None

    @property
    def names(self) -> tuple[str, str]:
        """What identifies both in this run."""
        bottom = self.bottom.network.name
        return (bottom if self.noise is None else f"noise({bottom})", self.top.network.name)


@dataclass(frozen=True)
class Material:
    """The training images and labels of a column, in batches: those that it is fitted on, and those held out of it."""

    dataset: Dataset
    digest: str
    fitted: Tensor  # the numbers of the training images that are fitted on; int64, ascending
    held_out: Tensor  # of those by which the steps and starts of stitches are chosen
    images: int  # that the pair itself is fitted on: a control with other data takes as many steps

    def training(self, batch_size: int, seed: int, bottom: object) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield augmented batches without end; noise in the bottom's place gets the labels of each."""
        return through(bottom, training_batches(self.dataset, batch_size, seed, self.fitted))

    def once(self, batch_size: int, bottom: object) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image that is fitted on once, as it is."""
        return through(bottom, in_order(self.dataset.train, batch_size, self.fitted))

    def unseen(self, batch_size: int, bottom: object, most: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Every held-out image once, as it is; of more than `most` so many at random, always the same."""
        chosen = self.held_out
        if most is not None and most < len(chosen):
            chosen = chosen[random_subset(len(chosen), most, generator("read", 0)).to(chosen.device)]
        return through(bottom, in_order(self.dataset.train, batch_size, chosen))


def through(bottom: object, batches: Iterator[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches, seen first by a bottom that is made of noise."""
    return bottom.fed(batches) if isinstance(bottom, ClusterNoise) else batches


def parted(labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The numbers of training images to fit on, and of about `count` to hold out: of each class its share, at random.

    The same for all that is fitted on these images. Raises BadInput where not every class would keep an image.
    """
    if count > (most := most_held_out(labels)):
        found = f"{count} asked for, but there are {len(labels)} training images; expected at most {most}"
        raise BadInput.at("stitch.held_out", found)
    if count == 0:
        return torch.arange(len(labels), device=labels.device), torch.arange(0, device=labels.device)
    fitted, held_out = stratified_split(labels.cpu(), count, generator("held out", 0))
    return fitted.to(labels.device), held_out.to(labels.device)


def most_held_out(labels: Tensor) -> int:
    """How many training images with these labels can be held out at most, so that each class keeps one."""
    return len(labels) - len(labels.unique())


def limited(dataset: Dataset, size: int, seed: int) -> Dataset:
    """`dataset` with `size` of its training images; of one seed, fewer are a part of more. Raises BadInput."""
    if size > len(dataset.train):
        raise BadInput.at("stitch.train_size", f"{size} asked for, but there are {len(dataset.train)} training images")
    chosen = random_subset(len(dataset.train), size, generator("stitch data", seed)).to(dataset.train.labels.device)
    part = replace(dataset.train, images=dataset.train.images[chosen], labels=dataset.train.labels[chosen])
    return replace(dataset, train=part)


def shuffled(dataset: Dataset, seed: int) -> Dataset:
    """`dataset` with its training labels given to other images."""
    return replace(dataset, train=replace(dataset.train, labels=shuffled_labels(dataset.train.labels, seed)))
