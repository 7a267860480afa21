"""A network as everything else here uses it: frozen, in eval mode, with its normalisation, digest and test error."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from stitchtui.data.batches import split
from stitchtui.data.dataset import Part, white

Source = Literal["trained", "cached", "checkpoint", "pretrained", "memory", "random"]


@dataclass(frozen=True)
class Network:
    """A frozen network on its device, and the facts that a record needs."""

    name: str
    module: nn.Module  # takes normalised input
    mean: tuple[float, ...]
    std: tuple[float, ...]
    digest: str
    architecture: str
    error: float  # percent of the test part, in float32
    source: Source
    classes: int
    notes: tuple[str, ...] = ()  # what a person should know of how it was loaded


def freeze(module: nn.Module) -> nn.Module:
    """The same module in eval mode with no parameter that takes a gradient."""
    return module.eval().requires_grad_(False)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """(pixel / white - mean) / std per channel: uint8 or float32 [b, c, h, w] -> contiguous float32 [b, c, h, w]."""
    scale = torch.tensor([1 / (white(images) * s) for s in std], device=images.device).view(1, -1, 1, 1)
    shift = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)], device=images.device).view(1, -1, 1, 1)
    return (images.float() * scale + shift).contiguous()


def weight_digest(module: nn.Module) -> str:
    """SHA-256 over the names, dtypes, shapes and bytes of all parameters and buffers, in the order of their names."""
    sha = hashlib.sha256()
    for name, tensor in sorted(_tensors(module), key=lambda pair: pair[0]):
        sha.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        sha.update(tensor_bytes(tensor))
    return sha.hexdigest()


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The tensor's values as bytes in the order of its indices, whatever its device and memory format."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy().data)


def error_percent(module: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], part: Part, batch: int) -> float:
    """Percent of `part` that `module` classifies wrongly, evaluated in float32 and eval mode."""
    was_training = module.training
    module.eval()
    wrong = torch.zeros((), dtype=torch.int64, device=part.labels.device)
    with torch.no_grad(), torch.autocast(part.labels.device.type, enabled=False):
        for images, labels in zip(split(part.images, batch), split(part.labels, batch), strict=True):
            wrong += (logits(module(normalise(images, mean, std))).argmax(1) != labels).sum()
    module.train(was_training)
    return 100.0 * wrong.item() / len(part)


def logits(output: object) -> Tensor:
    """The first output of a network that returns several in training, such as one with auxiliary classifiers."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise TypeError(f"expected a tensor of class scores, the network returned a {type(output).__name__}")
    return output


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
