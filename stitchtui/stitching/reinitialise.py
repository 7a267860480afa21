"""Controls: networks whose stitching result is known or bounded beforehand."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

CONSTANTS = {"weight": 1.0, "scale": 1.0, "gamma": 1.0, "bias": 0.0, "beta": 0.0}
"""What normalisations that bring no reset_parameters of their own start from."""
NAMES_ITSELF = "a forward() or a hook set on one of its layers goes on using the layer's own weights in a copy"
"""What is to be said where a copy still reads the original."""
_TURNS = 30  # of a spectral norm's power iteration, which in eval mode takes its vectors as they are


def reinitialised(network: nn.Module, seed: int) -> nn.Module:
    """A copy of `network` with every module started anew, recursively, and nothing learnt left in it.

    Each module's own `reset_parameters` is used; parameters of modules without one (class tokens, position
    embeddings) are drawn from a normal distribution of deviation 0.02, but for vectors called weight, scale or gamma,
    which become 1, and bias or beta, which become 0. Where a weight is computed from others (weight norm, spectral
    norm, parametrisations), those are set so that they make the weight drawn. All draws come from `seed`, on the CPU,
    so that a seed means the same network on every device.
    """
    device = next(network.parameters()).device
    fresh = copy.deepcopy(network).cpu()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for module in fresh.modules():
            _restart(module)
    return fresh.to(device)


def still_reads(fresh: nn.Module, network: nn.Module, x: Tensor) -> bool:
    """Whether a copy of `network` computes with the weights of `network` itself, given `x`.

    So does one with a forward() or a hook that was set on a layer and names that layer: no copy can change whom it
    means.
    """
    weights = [p for p in network.parameters() if p.is_floating_point()]
    before = [p.requires_grad for p in weights]
    try:
        for p in weights:
            p.requires_grad_(True)
        with torch.enable_grad():
            made = fresh(x)
            if not made.requires_grad:
                return False
            return any(g is not None for g in torch.autograd.grad(made.sum(), weights, allow_unused=True))
    finally:
        for p, was in zip(weights, before, strict=True):
            p.requires_grad_(was)


def _restart(module: nn.Module) -> None:
    if isinstance(module, parametrize.ParametrizationList):  # restarted with the layer whose weights it makes
        return
    own = dict(module.named_parameters(recurse=False))
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if callable(reset):
        for parameter in own.values():
            parameter.fill_(torch.nan)  # what a reset doesn't know of shows
        with parametrize.cached():  # so that a reset changes what is then read, not a tensor of its own
            reset()
            made = {name: getattr(module, name).clone() for name in _parametrised(module)}
        for name, weight in made.items():
            _make(module, name, weight)
        _renorm(module)
        own = {name: parameter for name, parameter in own.items() if bool(parameter.isnan().any())}
    for name, parameter in own.items():
        if parameter.dim() == 1 and name in CONSTANTS:
            parameter.fill_(CONSTANTS[name])
        else:
            parameter.copy_(0.02 * torch.randn(parameter.shape))


def _parametrised(module: nn.Module) -> list[str]:
    return [str(name) for name in module.parametrizations] if parametrize.is_parametrized(module) else []  # type: ignore[union-attr]


def _make(module: Any, name: str, weight: Tensor) -> None:
    """Have a parametrisation make `weight`, or start from it where what makes it can't be told."""
    parts = module.parametrizations[name]
    try:
        setattr(module, name, weight)
    except (RuntimeError, NotImplementedError, ValueError):  # it has no inverse, or none for such a weight
        for original in parts.parameters(recurse=False):
            fits = original.shape == weight.shape
            original.copy_(weight if fits else 0.02 * torch.randn(original.shape))
    parts.train()
    for _ in range(_TURNS):
        getattr(module, name)
    parts.eval()


def _renorm(module: Any) -> None:
    """Have the older norms of weights, which are hooks, make the weight that a reset left on the layer."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm):
            weight = getattr(module, hook.name)
            getattr(module, f"{hook.name}_v").copy_(weight)
            getattr(module, f"{hook.name}_g").copy_(torch.norm_except_dim(weight, 2, hook.dim))
        elif isinstance(hook, SpectralNorm):
            getattr(module, f"{hook.name}_orig").copy_(getattr(module, hook.name))
            for _ in range(_TURNS):
                hook.compute_weight(module, do_power_iteration=True)


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
