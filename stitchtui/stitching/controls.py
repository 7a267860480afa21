"""Controls: networks whose stitching result is known or bounded beforehand."""

import copy
from collections.abc import Iterable

import torch
from torch import Tensor, nn

CONSTANTS = {"weight": 1.0, "scale": 1.0, "gamma": 1.0, "bias": 0.0, "beta": 0.0}
"""What normalisations that bring no reset_parameters of their own start from."""


def reinitialised(network: nn.Module, seed: int) -> nn.Module:
    """A copy of `network` with every module started anew, recursively, and nothing learnt left in it.

    Each module's own `reset_parameters` is used; parameters of modules without one (class tokens, position
    embeddings) are drawn from a normal distribution of deviation 0.02, but for vectors called weight, scale or gamma,
    which become 1, and bias or beta, which become 0. All draws come from `seed`, on the CPU, so that a seed means the
    same network on every device.
    """
    device = next(network.parameters()).device
    fresh = copy.deepcopy(network).cpu()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in fresh.modules():
            _restart(module)
    return fresh.to(device)


def _restart(module: nn.Module) -> None:
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if callable(reset):
        reset()
        return
    for name, parameter in module.named_parameters(recurse=False):
        if parameter.dim() == 1 and name in CONSTANTS:
            parameter.fill_(CONSTANTS[name])
        else:
            parameter.copy_(0.02 * torch.randn(parameter.shape))


@torch.no_grad()
def recalibrate(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set every BatchNorm's running statistics to the averages over `batches` of what it sees; weights stay.

    A re-initialised network in eval mode would otherwise normalise by a mean of 0 and a variance of 1 that its
    activations do not have, and fade out with depth.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain average over the batches
        layer.train()
    for images in batches:
        network(images)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
        layer.eval()


def shuffled_labels(labels: Tensor, seed: int) -> Tensor:
    """The labels [images], each given to another image at random; how many there are of each class stays.

    A stitch trained on them has nothing to learn that holds for test images: what it still scores there comes from
    its start, and what it reaches in training from memorising.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))  # the same on every device
    return labels[order.to(labels.device)]
