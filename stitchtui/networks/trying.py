"""Two images through a network, so that what can't work is one line now and not a traceback later."""

import contextlib

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.parameter import is_lazy

from stitchtui.base.device import is_out_of_memory
from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.data.dataset import Dataset
from stitchtui.networks.network import logits, normalise
from stitchtui.networks.reasons import reason
from stitchtui.networks.sizes import Shape, spelled
from stitchtui.spec.datasets import IN_MEMORY
from stitchtui.spec.experiment import Normalisation

IMAGES = 2


class WrongImages(BadInput):
    """A network can't take images of a size: whoever chose the size may know what to do."""


def try_out(module: nn.Module, dataset: Dataset, scale: Normalisation, architecture: str, *, head: bool) -> None:
    """Raise BadInput unless `module` takes the images and gives class scores; with `head`, any numbers will do."""
    channels, classes = dataset.shape[0], len(dataset.classes)
    images = normalise(dataset.test.images[:IMAGES], scale.mean, scale.std)
    module.eval()
    try:
        with torch.no_grad():
            scores = logits(module(images))
    except Exception as error:  # a user's forward can raise anything
        if is_out_of_memory(error):
            raise
        expected = _expected_channels(module, images)
        if expected is not None:
            channelled = f"expects images of {expected} channels"
            channelled += f", those of {dataset.name} have {channels}"
            raise BadInput.at("architecture", channelled, architecture) from None
        why = f"fails on images of {spelled(dataset.shape)}: {reason(error)}"
        raise BadInput.at("architecture", why, architecture) from None
    if not head and scores.shape != (len(images), classes):
        got = f"its output for {len(images)} images has shape {list(scores.shape)}; expected {classes} classes"
        if scores.dim() != 2 or scores.shape[1] < 2:
            raise BadInput.at("architecture", f"{got}, one score for each, as [{len(images)}, {classes}]", architecture)
        hint = "if these are features, add head = 'train' or a linear head's file (--head)"
        if dataset.name.startswith(IN_MEMORY):
            hint += "; if the images lack some of its classes, name all of them by classes="
        raise BadInput(f"architecture {plain(architecture)}: {got}; {hint}", "head")
    if not bool(scores.isfinite().all()):
        raise BadInput.at("architecture", f"its output is not finite on images of {dataset.name}", architecture)


def look(module: nn.Module, shape: Shape) -> None:
    """Two images of noughts through `module`, in eval mode. Raises WrongImages where it can't take them."""
    was_training = module.training
    device = next((weights.device for weights in module.parameters()), None)
    images = torch.zeros(IMAGES, *shape, device=device)
    try:
        with torch.no_grad():
            module.eval()(images)
    except Exception as error:  # a user's forward can raise anything
        if is_out_of_memory(error):
            raise
        expected = _expected_channels(module, images)
        why = reason(error) if expected is None else f"it expects {expected} channels"
        raise WrongImages(f"the network can't take images of {spelled(shape)}: {why}") from None
    finally:
        module.train(was_training)


def shaped(module: nn.Module, shape: Shape | None) -> nn.Module:
    """The same module, whose lazy layers have taken their shapes from images of `shape`. Raises WrongImages."""
    if any(is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        if shape is None:
            raise WrongImages("the network has lazy layers, which take their shapes from its images")
        look(module, shape)
    return module


def _expected_channels(module: nn.Module, images: Tensor) -> int | None:
    """How many channels the first convolution that runs expects, where it gets the images' own and those don't fit."""
    ran: list[tuple[int, int]] = []

    def note(layer: nn.Module, inputs: tuple[object, ...]) -> None:
        if isinstance(layer, _ConvNd) and inputs and isinstance(inputs[0], Tensor) and inputs[0].dim() == images.dim():
            ran.append((layer.in_channels, inputs[0].shape[1]))

    hooks = [layer.register_forward_pre_hook(note) for layer in module.modules() if isinstance(layer, _ConvNd)]
    with contextlib.suppress(Exception), torch.no_grad():
        module(images)
    for hook in hooks:
        hook.remove()
    expected, got = ran[0] if ran else (0, 0)
    return expected if got == images.shape[1] != expected else None
