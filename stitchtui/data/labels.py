"""Other labels for the same images: some of them wrong, or classes that stand for several."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.data import facts
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.subsets import generator

NoiseKind = Literal["different", "uniform"]

# The paper's list of animals leaves the bird out, which is one all the same.
_ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
_OBJECTS = ("airplane", "automobile", "ship", "truck")
GROUPS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "object_animal": {"object": _OBJECTS, "animal": _ANIMALS},
    "even_odd": {"even": tuple("02468"), "odd": tuple("13579")},
}


def relabelled(
    dataset: Dataset, groups: str | None = None, noise: float = 0.0, kind: NoiseKind = "different", seed: int = 0
) -> Dataset:
    """`dataset` with `coarse` labels if `groups` are given, and then, if there is `noise`, with `with_noise`."""
    if groups is not None:
        dataset = coarse(dataset, groups)
    return with_noise(dataset, noise, kind, seed) if noise > 0 else dataset


def noisy(labels: Tensor, classes: int, share: float, kind: NoiseKind, seed: int) -> Tensor:
    """`labels` [n] of which round(share * n) are drawn anew; of one seed, less noise is a part of more.

    `different` moves each of them to another class, as the authors' code does; `uniform` draws from all classes,
    as their text says, so that one in `classes` of them stays what it was.
    """
    draws = generator(f"label noise {kind}", seed)
    chosen = torch.randperm(len(labels), generator=draws)[: round(share * len(labels))]
    if kind == "different":
        steps = 1 + torch.randint(classes - 1, (len(labels),), generator=draws)
        drawn = (labels.cpu() + steps) % classes
    else:
        drawn = torch.randint(classes, (len(labels),), generator=draws)
    chosen, changed = chosen.to(labels.device), labels.clone()
    changed[chosen] = drawn.to(labels.device)[chosen]
    return changed


def with_noise(dataset: Dataset, share: float, kind: NoiseKind, seed: int) -> Dataset:
    """`dataset` with `noisy` training labels, the test part as it was, and a new digest.

    Raises BadInput for a single class, which has no other.
    """
    classes = len(dataset.classes)
    if classes < 2:
        raise BadInput.at("labels.noise", f"{plain(dataset.name)} has a single class; expected 2 or more")
    labels = noisy(dataset.train.labels, classes, share, kind, seed)
    return _with_labels(dataset, Part(dataset.train.images, labels), dataset.test, dataset.classes)


def coarse(dataset: Dataset, groups: str) -> Dataset:
    """`dataset` with the classes of GROUPS[groups] in place of its own, in both parts, and a new digest.

    Raises BadInput for groups that aren't known, and for a class of the dataset that is in none of them.
    """
    if groups not in GROUPS:
        raise BadInput.at("labels.groups", not_known(plain(groups), GROUPS))
    named = GROUPS[groups]
    of_class = {name: index for index, members in enumerate(named.values()) for name in members}
    homeless = [name for name in dataset.classes if name not in of_class]
    if homeless:
        why = f"{groups} has no place for class '{plain(homeless[0])}' of {plain(dataset.name)}"
        raise BadInput.at("labels.groups", why)
    table = torch.tensor([of_class[name] for name in dataset.classes], device=dataset.train.labels.device)
    train, test = (Part(part.images, table[part.labels]) for part in (dataset.train, dataset.test))
    return _with_labels(dataset, train, test, tuple(named))


def _with_labels(dataset: Dataset, train: Part, test: Part, classes: tuple[str, ...]) -> Dataset:
    return replace(dataset, train=train, test=test, classes=classes, digest=facts.digest(train, test))
