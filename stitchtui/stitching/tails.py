"""The top's layers after a cut trained on the bottom's frozen features: fine-tuned, or started anew and retrained.

Far more permissive than a stitch (the paper's appendix B.3): what even a retrained tail can't do with a bottom's
features, these features don't hold; what it can do says little of the top.
"""

import copy
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.reinitialise import reinitialised


@dataclass(frozen=True)
class Tail:
    """A trainable copy of a top's layers, fed by the bottom's tensor at boundary `bottom`."""

    bottom: int
    layers: nn.Module


@dataclass(frozen=True)
class TailRecipe:
    """SGD with momentum and a cosine from `learning_rate` to 0 over `steps`."""

    steps: int
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-4
    dtype: torch.dtype = torch.float32


def tail_of(bottom: int, layers: nn.Module, restart: int | None = None) -> Tail:
    """A trainable copy of `layers` (such as `top.after(j)`, or a stitch and that); the original stays as it is.

    With `restart`, a seed, nothing learnt is left in the copy.
    """
    own = copy.deepcopy(layers)
    if restart is not None and next(own.parameters(), None) is not None:
        own = reinitialised(own, restart)
    return Tail(bottom, own.requires_grad_(True).eval())


def train_tails(
    bottom: Chain, tails: Sequence[Tail], batches: Iterable[tuple[Tensor, Tensor]], recipe: TailRecipe
) -> Iterator[tuple[int, Tensor]]:
    """Train every tail on (images, labels), one batch a step, until `recipe.steps`; BatchNorm in train mode.

    The bottom runs once a step, without gradient, for all tails, which share nothing else. Yields each step's number
    and losses [tails]. Tails without parameters stay as they are; one whose loss is not finite harms no other.
    """
    learning = [t for t in tails if next(t.layers.parameters(), None) is not None]
    if not learning:
        return
    parameters = [p for t in learning for p in t.layers.parameters()]
    optimiser = torch.optim.SGD(
        parameters, recipe.learning_rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.steps)
    for tail in learning:
        tail.layers.train()
    for step, (images, labels) in zip(range(1, recipe.steps + 1), batches, strict=False):
        optimiser.zero_grad(set_to_none=True)
        with torch.no_grad(), _autocast(images.device, recipe.dtype):
            features = bottom.features(images, max(t.bottom for t in learning))
        losses = torch.stack([_backward(tail, features, labels, recipe.dtype) for tail in learning])
        optimiser.step()
        schedule.step()
        yield step, losses
    for tail in learning:
        tail.layers.eval()


def _backward(tail: Tail, features: Sequence[Tensor], labels: Tensor, dtype: torch.dtype) -> Tensor:
    with _autocast(labels.device, dtype):
        outputs = tail.layers(features[tail.bottom])
    loss = F.cross_entropy(outputs.float(), labels)
    loss.backward()  # at once: no more than one tail's activations are held
    return loss.detach()


def _autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)
