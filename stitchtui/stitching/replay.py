"""The bottom's features kept and gone through again, so that a deep bottom doesn't run in every epoch."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column import Features, numbers


@dataclass(frozen=True)
class Replay:
    """Keep `views` epochs of `steps` batches each, as they are augmented; later epochs go through them in turn."""

    views: int
    steps: int
    seed: int  # decides the order in which a view's images come again

    def __post_init__(self) -> None:
        if self.views < 1 or self.steps < 1:
            raise ValueError(f"expected views and steps of 1 or more, got {self.views} and {self.steps}")


class ViewsTooLarge(MemoryError):
    """What the views keep and what a step takes don't fit into the memory that training may have."""


def view_bytes(bottom: Chain, boundaries: Iterable[int], images: int, dtype: torch.dtype) -> int:
    """What the features of one view of so many images take, at the boundaries that cells read."""
    each = sum(numbers(bottom, boundary) * dtype.itemsize for boundary in set(boundaries))
    return images * (each + torch.int64.itemsize)  # and a label


def replayed(
    fresh: Iterable[tuple[Features, Tensor, Tensor]],
    replay: Replay,
    boundaries: set[int],
    reserve: Callable[[int], object] = lambda _: None,
) -> Iterator[tuple[Features, Tensor, Tensor]]:
    """(features, images, labels) from `fresh` while they are kept; then again without end, every view shuffled anew.

    A batch that comes again has no images left; its labels stand in their place. `reserve` is told how many bytes all
    views will take; nothing is kept before the first batch has been made use of.
    """
    views = [_View(replay.steps) for _ in range(replay.views)]
    batches = iter(fresh)
    for view in views:
        for step, (features, images, labels) in enumerate(islice(batches, replay.steps)):
            wanted = {k: features[k] for k in boundaries}
            if view is views[0] and step == 0:
                batch = labels.nbytes + sum(f.nbytes for f in wanted.values())
                reserve(replay.views * replay.steps * batch)
            yield features, images, labels
            view.keep(wanted, labels)
    generator = torch.Generator().manual_seed(replay.seed)
    while views[0].count:
        for view in views:
            yield from view.again(generator)


class _View:
    """The features of one epoch's images, one tensor for each boundary."""

    def __init__(self, steps: int) -> None:
        self.steps, self.count, self.batch = steps, 0, 0
        self.features: dict[int, Tensor] = {}
        self.labels = torch.empty(0)

    def keep(self, features: dict[int, Tensor], labels: Tensor) -> None:
        if not self.count:
            self.batch = len(labels)
            self.features = {k: _room(f, self.steps) for k, f in features.items()}
            self.labels = _room(labels, self.steps)
        rows = slice(self.count, self.count + len(labels))
        for k, kept in self.features.items():
            kept[rows] = features[k]
        self.labels[rows] = labels
        self.count += len(labels)

    def again(self, generator: torch.Generator) -> Iterator[tuple[Features, Tensor, Tensor]]:
        order = torch.randperm(self.count, generator=generator).to(self.labels.device)
        for rows in order.split(self.batch)[: math.floor(self.count / max(1, self.batch))]:
            labels = self.labels[rows]
            yield {k: kept[rows] for k, kept in self.features.items()}, labels, labels


def _room(like: Tensor, steps: int) -> Tensor:
    """Space for `steps` batches like this one, in the same order of memory."""
    last = like.dim() == 4 and like.is_contiguous(memory_format=torch.channels_last)
    order = torch.channels_last if last else torch.contiguous_format
    return torch.empty((steps * len(like), *like.shape[1:]), dtype=like.dtype, device=like.device, memory_format=order)
