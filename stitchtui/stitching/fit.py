"""The column trainer: one pass of the bottom and one of the top serve every cell of a column at once."""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain


@dataclass(frozen=True)
class Cell:
    """Where a stitch sits: from boundary `bottom` of the bottom's chain to boundary `top` of the top's."""

    bottom: int
    top: int
    stitch: nn.Module


@dataclass(frozen=True)
class Recipe:
    """Adam with a cosine from `learning_rate` to 0 over `steps`."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class Progress:
    """Means since the last report: one loss and one accuracy (percent) per cell."""

    step: int
    losses: list[float]
    accuracies: list[float]


def column_outputs(top: Chain, cells: Sequence[Cell], features: Sequence[Tensor]) -> list[Tensor]:
    """Each stitched network's class scores [batch, classes], from the bottom's features at its boundaries 0, 1, ...

    The top runs once: at each boundary the newly stitched tensors join the batch that already travels. Below a
    cell's top boundary nothing of the top is run.
    """
    travelling: list[Tensor] = []
    order: list[int] = []  # the cells on board, in the order of the travelling batch
    for boundary in range(min(c.top for c in cells), top.output + 1):
        boarding = [k for k, c in enumerate(cells) if c.top == boundary]
        travelling += [cells[k].stitch(features[cells[k].bottom]) for k in boarding]
        order += boarding
        if boundary < top.output and travelling:
            joined = torch.cat(travelling) if len(travelling) > 1 else travelling[0]
            travelling = [top.segments[boundary](joined)]
    chunks = torch.cat(travelling).chunk(len(cells))
    outputs = dict(zip(order, chunks, strict=True))
    return [outputs[k] for k in range(len(cells))]


def train_column(
    bottom: Chain,
    top: Chain,
    cells: Sequence[Cell],
    batches: Iterable[tuple[Tensor, Tensor]],
    recipe: Recipe,
    *,
    report: Callable[[int, Callable[[], Progress]], None] = lambda *_: None,
) -> None:
    """Train every cell's stitch on (images in [0, 1], labels), one batch a step, until `recipe.steps`.

    The losses are summed and Adam works number by number, so each cell takes exactly the steps that it would take
    alone, as long as the networks are in eval mode. `report(step, progress)` is called at every step; only its
    second argument, when called, waits for the device. A cell whose loss is not finite harms no other; raises
    FloatingPointError when no cell is left.
    """
    parameters = [p for c in cells for p in c.stitch.parameters()]
    tally = _Tally(len(cells))
    if not parameters:
        return
    for c in cells:
        c.stitch.train()
    optimiser = torch.optim.Adam(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for step, (images, labels) in zip(range(1, recipe.steps + 1), batches, strict=False):
        with _autocast(images.device, recipe.dtype):
            with torch.no_grad():
                features = bottom.features(images, max(c.bottom for c in cells))
            outputs = column_outputs(top, cells, features)
        scores = torch.stack([o.float() for o in outputs])  # [cells, batch, classes]
        losses = F.cross_entropy(scores.flatten(0, 1), labels.repeat(len(cells)), reduction="none")
        per_cell = losses.view(len(cells), -1).mean(1)
        optimiser.zero_grad(set_to_none=True)
        per_cell.sum().backward()
        optimiser.step()
        schedule.step()
        tally.add(per_cell.detach(), (scores.detach().argmax(-1) == labels).float().mean(1))
        report(step, partial(tally.progress, step))
    for c in cells:
        c.stitch.eval()


def is_finite(stitch: nn.Module) -> bool:
    """Whether training left numbers in every parameter and statistic."""
    return all(bool(t.isfinite().all()) for t in stitch.state_dict().values() if t.is_floating_point())


class _Tally:
    """Loss and accuracy per cell, summed on the device, so that reading them is the only wait."""

    def __init__(self, cells: int) -> None:
        self.sums = torch.zeros(2, cells)
        self.count = 0

    def add(self, losses: Tensor, accuracies: Tensor) -> None:
        self.sums = self.sums.to(losses.device) + torch.stack([losses, accuracies])
        self.count += 1

    def progress(self, step: int) -> Progress:
        losses, accuracies = (self.sums / max(1, self.count)).tolist()
        self.sums, self.count = torch.zeros_like(self.sums), 0
        if not any(map(math.isfinite, losses)):
            raise FloatingPointError(f"every training loss is not finite at step {step}")
        return Progress(step, losses, [100 * a for a in accuracies])


def _autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


class BatchStatistics:
    """While open, frozen networks' BatchNorms normalise by the batch and keep accumulating, as the authors' loop did.

    On leaving, every statistic is as it was. Cells that share a batch would see each other: use it for one cell.
    """

    def __init__(self, *networks: nn.Module) -> None:
        found = {m for n in networks for m in n.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
        self.layers = list(found)

    def __enter__(self) -> Self:
        self.saved = [{k: v.clone() for k, v in layer.state_dict().items()} for layer in self.layers]
        for layer in self.layers:
            layer.train()
        return self

    def evaluate(self) -> None:
        """Go on in eval mode, with the statistics accumulated so far."""
        for layer in self.layers:
            layer.eval()

    def __exit__(self, *_: object) -> None:
        for layer, saved in zip(self.layers, self.saved, strict=True):
            layer.eval()
            layer.load_state_dict(saved)
