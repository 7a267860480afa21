"""Every classification network of torchvision by its own name, with its published weights."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.errors import BadInput, not_known
from stitchtui.networks.reasons import reason

PREFIX = "torchvision:"
# Their auxiliary classifiers train a second output that nothing here reads.
_PLAIN = {name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")}


@functools.cache
def names() -> tuple[str, ...]:
    """The names of torchvision's classification networks."""
    import torchvision  # late: it takes about a second

    return tuple(torchvision.models.list_models(module=torchvision.models))


def build(name: str, classes: int, options: Mapping[str, Any], weights: str | None) -> nn.Module:
    """torchvision's `name` (one of `names()`) with `classes` outputs, and random or the published `weights`."""
    from torchvision.models import get_model

    if weights is not None:
        return _pretrained(name, classes, options, weights)
    try:
        return get_model(name, weights=None, **{"num_classes": classes, **_PLAIN.get(name, {}), **options})
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        given = ", ".join(options) or "none"
        raise BadInput(f"architecture {name}: can't be built with options {given}: {reason(error)}") from None


def _pretrained(name: str, classes: int, options: Mapping[str, Any], weights: str) -> nn.Module:
    from torchvision.models import get_model, get_model_weights

    known = get_model_weights(name)
    if weights not in known.__members__:
        raise BadInput(f"weights of {name}: {not_known(weights, known.__members__)}")
    chosen = known[weights]
    trained_for = len(chosen.meta["categories"])
    if trained_for != classes:
        raise BadInput(
            f"weights {weights} of {name} are for {trained_for} classes, the data has {classes};"
            " leave `weights` out to train it on this data"
        )
    try:
        return get_model(name, weights=chosen, progress=False, **options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"weights {weights} of {name} don't fit its options: {reason(error)}") from None
    except (OSError, RuntimeError) as error:
        target = Path(torch.hub.get_dir()) / "checkpoints" / chosen.url.rpartition("/")[2]
        raise BadInput(
            f"weights {weights} of {name} can't be loaded ({reason(error)}); put {chosen.url} at {target}"
        ) from None
