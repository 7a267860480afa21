"""A linear head on a frozen backbone: found in a network or put on its features, loaded from a file, or trained."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from stitchtui.base import paths
from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.data.batches import split
from stitchtui.data.dataset import Part
from stitchtui.networks import checkpoints, heads
from stitchtui.networks.network import normalise, weight_digest
from stitchtui.networks.reasons import reason
from stitchtui.networks.training import Reached, Training
from stitchtui.spec.experiment import Normalisation
from stitchtui.spec.identity import cell_identity
from stitchtui.stitching.probe import logistic_regression

TRAIN = "train"  # what a specification says for a head that is to be trained on the data
L2 = 1e-4
HEAD_VERSION = 1  # raised whenever a change here may change the head that the same features lead to
BATCH = 250


class WithHead(nn.Module):
    """A backbone whose features, averaged over their positions where they have any, go to a linear head."""

    def __init__(self, backbone: nn.Module, features: tuple[int, ...], classes: int) -> None:
        """`features` is the shape of what the backbone makes of one image: [d], [tokens, d] or [d, height, width]."""
        super().__init__()
        self.backbone = backbone
        self.axes = {1: (), 2: (1,), 3: (2, 3)}[len(features)]
        self.head = nn.Linear(features[-1] if len(features) < 3 else features[0], classes)

    def forward(self, x: Tensor) -> Tensor:
        """[n, channels, height, width] -> [n, classes]."""
        features = self.backbone(x)
        return self.head(features.mean(self.axes) if self.axes else features)


@dataclass(frozen=True)
class HeadData:
    """What a head is trained on, and what besides the features' weights tells them from others."""

    part: Part
    scale: Normalisation
    classes: int
    facts: Mapping[str, Any]


def own(module: nn.Module, images: Tensor, classes: int) -> str | None:
    """The path of the linear layer whose output is the network's: scores of `classes`; None if it has none."""
    try:
        name = heads.last_linear(module)
    except BadInput:
        return None
    layer, made = heads.linear(module, name), []
    hook = layer.register_forward_hook(lambda _, __, output: made.append(output))
    with torch.no_grad():
        output = module(images)
    hook.remove()
    scores = layer.out_features == classes and bool(made) and isinstance(output, Tensor)
    return name if scores and output.dim() == 2 and torch.equal(output, made[-1]) else None


def attach(module: nn.Module, images: Tensor, classes: int) -> tuple[nn.Module, str]:
    """The network with a head for `classes`, and the head's path: its own last layer, or one put on its output.

    `images` are a few normalised ones. Raises BadInput for an output that no head can be put on.
    """
    if name := own(module, images, classes):
        return module, name
    with torch.no_grad():
        features = module(images)
    if not isinstance(features, Tensor) or not 2 <= features.dim() <= 4:
        got = f"shape {list(features.shape)}" if isinstance(features, Tensor) else f"a {type(features).__name__}"
        raise BadInput.at("head", f"expected a backbone that gives one tensor of features, got {got}")
    return WithHead(module, tuple(features.shape[1:]), classes).to(features.device).eval(), "head"


def parameters(module: nn.Module, images: Tensor, classes: int) -> tuple[str, ...]:
    """The names of the weights that `attach` finds in the network itself, for somebody else to fill."""
    name = own(module, images, classes)
    return () if name is None else (f"{name}.weight", f"{name}.bias")


def load(path: Path, layer: nn.Linear) -> None:
    """Fill `layer` from a file that holds one linear layer. Raises BadInput if it isn't for these features."""
    tensors = checkpoints.read(path).tensors
    weights = {name: value for name, value in tensors.items() if name.endswith("weight") and value.dim() == 2}
    if len(weights) != 1:
        found = ", ".join(list(tensors)[:4])
        raise BadInput.at("head", f"expected the weight and bias of one linear layer, found: {plain(found)}", path)
    [(name, weight)] = weights.items()
    bias = tensors.get(name.removesuffix("weight") + "bias", torch.zeros(len(weight)))
    wanted = layer.weight.shape
    if weight.shape != wanted or bias.shape != wanted[:1]:
        got = f"{weight.shape[0]} classes of {weight.shape[1]} features"
        raise BadInput.at("head", f"is for {got}; expected {wanted[0]} classes of {wanted[1]} features", path)
    if not bool(weight.isfinite().all() and bias.isfinite().all()):
        raise BadInput.at("head", "holds numbers that are not finite", path)
    _fill(layer, weight, bias)


def train(network: nn.Module, name: str, data: HeadData) -> Training[None]:
    """Fill the linear layer called `name` by logistic regression on what it is fed, once: then it lies in the cache.

    The problem is convex and starts from zero, so no seed takes part.
    """
    layer = heads.linear(network, name)
    _fill(layer, torch.zeros_like(layer.weight), torch.zeros_like(layer.bias))  # of no account for the identity
    path = paths.cache_directory() / "heads" / f"{_identity(network, data)}.safetensors"
    try:
        load(path, layer)
    except BadInput:  # not there yet, or damaged
        features = yield from _features(network, layer, data)
        weight, bias = _fit(features, data)
        checkpoints.keep(path, safetensors.torch.save({"weight": weight.cpu(), "bias": bias.cpu()}))
        load(path, layer)


@torch.no_grad()
def _features(network: nn.Module, layer: nn.Linear, data: HeadData) -> Training[Tensor]:
    """What `layer` is fed for every training image, as they are, in order: float32 [images, features]."""
    fed: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].float()))
    batches = split(data.part.images, BATCH)
    # Before it is fitted a head of zeros answers with the first class, at the loss of not knowing.
    guess = 100.0 * float((data.part.labels == 0).float().mean())
    try:
        for step, images in enumerate(batches, 1):
            network(normalise(images, data.scale.mean, data.scale.std))
            yield Reached(step, len(batches), math.log(data.classes), guess)
    finally:
        hook.remove()
    return torch.cat(fed)


def _fit(features: Tensor, data: HeadData) -> tuple[Tensor, Tensor]:
    """Weight [classes, features] and bias [classes], fitted to standardised features and folded back."""
    mean, deviation = features.mean(0), features.std(0, correction=0)
    scale = torch.where(deviation > 1e-6 * (mean.abs() + 1e-30), 1 / deviation.clamp_min(1e-30), 0)
    with torch.enable_grad():
        weight, bias = logistic_regression((features - mean) * scale, data.part.labels, data.classes, L2)
    folded = weight * scale  # [classes, features]
    return folded, bias - folded @ mean


def _identity(network: nn.Module, data: HeadData) -> str:
    return cell_identity(
        {
            "head_version": HEAD_VERSION,
            "backbone": weight_digest(network),
            "mean": data.scale.mean,
            "std": data.scale.std,
            "classes": data.classes,
            "l2": L2,
            **data.facts,
        }
    )


@torch.no_grad()
def _fill(layer: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    if layer.bias is None:
        raise BadInput.at("head", "the network's last layer has no bias; expected one that has")
    try:
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    except RuntimeError as error:
        raise BadInput.at("head", f"doesn't fit: {reason(error)}") from None
