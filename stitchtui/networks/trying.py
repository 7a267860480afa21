"""Two images through a network, so that what can't work is one line now and not a traceback later."""

import torch
from torch import nn

from stitchtui.data.dataset import Dataset
from stitchtui.device import is_out_of_memory
from stitchtui.errors import BadInput
from stitchtui.experiment import Normalisation
from stitchtui.networks.network import logits, normalise
from stitchtui.networks.reasons import reason
from stitchtui.text import plain

IMAGES = 2


def try_out(module: nn.Module, dataset: Dataset, scale: Normalisation, architecture: str, *, head: bool) -> None:
    """Raises BadInput unless `module` takes the images and gives class scores; with `head`, any numbers will do."""
    name = f"architecture {plain(architecture)}"
    first = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    channels, classes = dataset.shape[0], len(dataset.classes)
    if first is not None and first.in_channels != channels:
        expected = f"expects images of {first.in_channels} channels"
        raise BadInput(f"{name}: {expected}, those of {dataset.name} have {channels}")
    images = dataset.test.images[:IMAGES]
    module.eval()
    try:
        with torch.no_grad():
            scores = logits(module(normalise(images, scale.mean, scale.std)))
    except Exception as error:  # a user's forward can raise anything
        if is_out_of_memory(error):
            raise
        size = "x".join(str(side) for side in dataset.shape)
        raise BadInput(f"{name}: fails on images of {size}: {reason(error)}") from None
    if not head and scores.shape != (len(images), classes):
        got = f"its output for {len(images)} images has shape {list(scores.shape)}; expected {classes} classes"
        raise BadInput(f"{name}: {got}; if these are features, add head = 'train' or a linear head's file (--head)")
    if not bool(scores.isfinite().all()):
        raise BadInput(f"{name}: its output is not finite on images of {dataset.name}")
