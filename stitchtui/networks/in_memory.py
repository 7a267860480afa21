"""Networks that a program has in memory already: run as they are, and left as they are."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.data.dataset import Dataset
from stitchtui.networks.from_hubs import Scores
from stitchtui.networks.network import freeze, logits, weight_digest
from stitchtui.networks.reasons import reason
from stitchtui.spec.experiment import Normalisation

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_WITH_HOOKS = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs")
_BACKWARD_HOOKS = ("_backward_hooks", "_backward_pre_hooks")


def borrowed(module: nn.Module, device: torch.device, example: Tensor) -> nn.Module:
    """The frozen layers of `module` over the same weights, which are copied only where another device needs them.

    `module` itself keeps its mode, its device, its flags, its buffers and its hooks. Hooks run along only where they
    change what it makes of `example`, images as it takes them. Raises BadInput for one whose layers can't be copied.
    """
    return _without_idle_hooks(_frozen(module).to(device), example)


def digest_of(module: nn.Module) -> str:
    """The weights' digest that a record has of the module. Raises BadInput as `borrowed` does."""
    return weight_digest(_frozen(module))


def _frozen(module: nn.Module) -> nn.Module:
    if isinstance(module, torch.jit.ScriptModule):
        raise BadInput("is compiled by torch.jit, which can't be cut; expected the module that it was made of")
    layers = freeze(as_it_is(module))
    if any(t.is_floating_point() and t.dtype != torch.float32 for t in layers.parameters()):
        layers = layers.float()  # every error that is reported is evaluated in float32
    return Scores(layers).eval() if "pixel_values" in inspect.signature(layers.forward).parameters else layers


def as_it_is(module: nn.Module) -> nn.Module:
    """The layers of `module` over the same weights, with all else that it is at the moment. Raises BadInput."""
    inner = unwrapped(module)
    if any(map(is_lazy, (*inner.parameters(), *inner.buffers()))):
        raise BadInput("has lazy layers that have no shape yet; run it once on a batch of its images", "architecture")
    try:
        return copy.deepcopy(inner, _shared(inner))
    except Exception as error:  # whatever it holds beside its layers
        raise BadInput(f"its layers can't be copied: {reason(error)}", "architecture") from None


def unwrapped(module: nn.Module) -> nn.Module:
    """The network inside what torch.compile, DataParallel and DistributedDataParallel put around it."""
    while True:
        name = "module" if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel) else "_orig_mod"
        inner = getattr(module, name, None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner


def own_scale(module: nn.Module, dataset: Dataset) -> Normalisation | None:
    """What the network says that it expects of its input, as timm's do; nothing where images are taken as they are."""
    if dataset.train.images.is_floating_point():
        channels = dataset.shape[0]
        return Normalisation(mean=(0.0,) * channels, std=(1.0,) * channels)
    said = getattr(unwrapped(module), "pretrained_cfg", None)
    if isinstance(said, Mapping) and "mean" in said and "std" in said:
        return Normalisation(mean=tuple(said["mean"]), std=tuple(said["std"]))
    return None


def _shared(module: nn.Module) -> dict[int, Any]:
    """What stands for what in a copy of `module`: its weights, and hooks that belong to other objects, themselves.

    Buffers, and tensors that are neither, are small, and a forward() may write to them.
    """
    kept: dict[int, Any] = {}
    for weights in module.parameters():
        kept[id(weights)] = nn.Parameter(_values(weights), requires_grad=False)
    for buffer in module.buffers():
        kept[id(buffer)] = buffer.detach().clone()
    for layer in module.modules():  # such as a weight that weight_norm has computed
        others = {id(value): value for value in vars(layer).values() if isinstance(value, Tensor)}
        kept |= {key: value.detach().clone() for key, value in others.items() if key not in kept}
    own = set(map(id, module.modules()))
    for hook in _hooks(module):
        if id(getattr(hook, "__self__", None)) not in own:  # one of the network's own goes along with it
            kept[id(hook)] = hook
    return kept


def _values(tensor: Tensor) -> Tensor:
    # What was made in inference mode can't take part in a gradient.
    return tensor.clone() if tensor.is_inference() else tensor.detach()


def _hooks(module: nn.Module) -> Iterator[Any]:
    for layer in module.modules():
        for name in (*_HOOKS, *_BACKWARD_HOOKS):
            yield from getattr(layer, name).values()


def _without_idle_hooks(module: nn.Module, example: Tensor) -> nn.Module:
    _drop(module, _BACKWARD_HOOKS)
    if not any(getattr(layer, name) for layer in module.modules() for name in _HOOKS):
        return module
    bare = copy.deepcopy(module, _shared(module))
    _drop(bare, (*_HOOKS, *_WITH_HOOKS))
    try:
        with torch.no_grad():
            same = torch.equal(logits(module(example)), logits(bare(example)))
    except Exception:  # whatever they do, it is a part of the network
        return module
    return bare if same else module


def _drop(module: nn.Module, names: tuple[str, ...]) -> None:
    for layer in module.modules():
        for name in names:
            getattr(layer, name, {}).clear()


def described(module: nn.Module) -> str:
    """What a record calls the network: the name of its class."""
    return plain(type(unwrapped(module)).__name__)
