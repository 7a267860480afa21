"""Every classification network of torchvision by its own name, with its published weights."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stitchtui.base.errors import BadInput, not_known
from stitchtui.networks import heads
from stitchtui.networks.reasons import reason
from stitchtui.networks.sizes import Shape, from_size
from stitchtui.spec.experiment import Normalisation

PREFIX = "torchvision:"
# Their auxiliary classifiers train a second output that nothing here reads.
_PLAIN = {name: {"aux_logits": False, "init_weights": True} for name in ("googlenet", "inception_v3")}


@functools.cache
def names() -> tuple[str, ...]:
    """The names of torchvision's classification networks."""
    import torchvision  # late: it takes about a second

    return tuple(torchvision.models.list_models(module=torchvision.models))


def build(
    name: str, classes: int, options: Mapping[str, Any], weights: str | None, new_head: bool = False
) -> nn.Module:
    """torchvision's `name` (one of `names()`) with `classes` outputs, and random or the published `weights`.

    Where those are for other classes, `new_head` puts a last layer of random weights in place of theirs.
    """
    from torchvision.models import get_model

    if weights is not None:
        network = _pretrained(name, None if new_head else classes, options, _member(weights))
        return with_outputs(network, classes) if new_head else network
    try:
        return get_model(name, weights=None, **{"num_classes": classes, **_PLAIN.get(name, {}), **options})
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        given = ", ".join(options) or "none"
        raise BadInput.at("architecture", f"can't be built with options {given}: {reason(error)}", name) from None


def check_weights(name: str, weights: str, classes: int, *, new_head: bool) -> None:
    """Raise BadInput for weights that `name` doesn't have, or that are for other classes and stay so."""
    trained_for = len(_known(name, _member(weights)).meta["categories"])
    if trained_for != classes and not new_head:
        raise BadInput(
            f"weights {weights} of {name} are for {trained_for} classes, the data has {classes};"
            " add head = 'train' (--head train) to train a last layer on this data, or leave `weights` out",
            "head",
        )


def have_arrived(name: str, weights: str) -> bool:
    """Whether the published weights of `name` lie on this machine."""
    file = _known(name, _member(weights)).url.rpartition("/")[2]
    return (Path(torch.hub.get_dir()) / "checkpoints" / file).is_file()


def published_scale(name: str, weights: str) -> Normalisation:
    """The normalisation that the published weights of `name` expect. Raises BadInput for weights it doesn't have."""
    preset = _known(name, _member(weights)).transforms()
    return Normalisation(mean=tuple(preset.mean), std=tuple(preset.std))


def image_shape(name: str, weights: str | None) -> Shape | None:
    """One image's shape that the published `weights` of `name` are scored with; torchvision's usual ones for None."""
    return from_size(_known(name, _member(weights or "pretrained")).transforms().crop_size)


def with_outputs(network: nn.Module, classes: int) -> nn.Module:
    """The network with a last linear layer of random weights and `classes` outputs in place of its own."""
    last = heads.last_linear(network)
    heads.put(network, last, nn.Linear(heads.linear(network, last).in_features, classes))
    return network


def _member(weights: str) -> str:
    return "DEFAULT" if weights == "pretrained" else weights


def _known(name: str, weights: str) -> Any:
    from torchvision.models import get_model_weights

    known = get_model_weights(name)
    if weights not in known.__members__:
        raise BadInput(f"weights of {name}: {not_known(weights, known.__members__)}", "weights")
    return known[weights]


def _pretrained(name: str, classes: int | None, options: Mapping[str, Any], weights: str) -> nn.Module:
    from torchvision.models import get_model

    check_weights(name, weights, classes or 0, new_head=classes is None)
    chosen = _known(name, weights)
    try:
        return get_model(name, weights=chosen, progress=False, **options)
    except (TypeError, ValueError) as error:
        raise BadInput(f"weights {weights} of {name} don't fit its options: {reason(error)}", "options") from None
    except (OSError, RuntimeError) as error:
        target = Path(torch.hub.get_dir()) / "checkpoints" / chosen.url.rpartition("/")[2]
        why = f"can't be loaded ({reason(error)}); put {chosen.url} at {target}"
        raise BadInput(f"weights {weights} of {name} {why}", "weights") from None
