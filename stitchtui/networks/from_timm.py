"""timm's networks by their own names, `timm:NAME[.TAG]`, with random or published weights; timm itself is an extra."""

import importlib
from collections.abc import Mapping
from typing import Any

from torch import nn

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.networks.reasons import reason
from stitchtui.networks.sizes import Shape, from_size
from stitchtui.spec.experiment import Normalisation

PREFIX = "timm:"
OFFLINE = "where this machine is offline, fetch it once elsewhere and set HF_HOME to that cache"


def check(name: str) -> None:
    """Raise BadInput unless timm is installed and knows `name`, and its weights' tag where it has one."""
    stem, _, tag = name.partition(".")
    if not _timm(name).is_model(stem):
        raise BadInput(f"architecture {PREFIX}{plain(not_known(stem, _timm(name).list_models()))}", "architecture")
    if tag and name not in (known := _published(stem)):
        why = plain(not_known(name, known) if known else f"{stem}: has no weights")
        raise BadInput(f"architecture {PREFIX}{why}", "architecture")


def _published(stem: str) -> list[str]:
    """The full names of a network's published weights."""
    return list(_timm(stem).list_models(f"{stem}.*", pretrained=True))


def build(  # noqa: PLR0917
    name: str,
    classes: int,
    shape: tuple[int, int, int],
    options: Mapping[str, Any],
    weights: str | None = None,
    new_head: bool = False,
) -> nn.Module:
    """timm's `name` with `classes` outputs for images of `shape`; options go to timm.create_model.

    `weights` is "pretrained" or a tag. Where those are for other classes, `new_head` puts a last layer of random
    weights in place of theirs. Raises BadInput.
    """
    if weights is None:
        check(name)
        return create(name, f"architecture {PREFIX}{name}", config(name), classes, shape, options)
    check_weights(name, weights, classes, new_head=new_head)
    full, about = tagged(name, weights), f"weights {weights} of {PREFIX}{name}"
    return create(full, about, config(full), classes, shape, {"pretrained": True, **options})


def tagged(name: str, weights: str) -> str:
    """What timm calls `name` with `weights`, which are "pretrained" or a tag. Raises BadInput if there are none."""
    check(name)
    stem = name.partition(".")[0]
    known = [full.partition(".")[2] for full in _published(stem)]
    about = f"weights {weights} of {PREFIX}{name}"
    if not known:
        raise BadInput(f"{plain(about)}: none are published; leave `weights` out to train it", "weights")
    if weights != "pretrained" and weights not in known:
        raise BadInput(f"{plain(about)}: {plain(not_known(weights, ['pretrained', *known]))}", "weights")
    return name if weights == "pretrained" else f"{stem}.{weights}"


def check_weights(name: str, weights: str, classes: int, *, new_head: bool) -> None:
    """Raise BadInput for weights that `name` doesn't have, or that are for other classes and stay so."""
    trained_for = config(tagged(name, weights)).num_classes
    check_classes(f"weights {weights} of {PREFIX}{name}", trained_for, classes, new_head)


def have_arrived(name: str, weights: str) -> bool:
    """Whether the published weights of `name` lie on this machine."""
    found = importlib.import_module("huggingface_hub").try_to_load_from_cache  # timm brings it
    settings = config(tagged(name, weights))
    files = ("model.safetensors", "pytorch_model.bin")
    return any(isinstance(found(settings.hf_hub_id or "", file), str) for file in files)


def create(  # noqa: PLR0917
    name: str, about: str, settings: Any, classes: int, shape: tuple[int, int, int], options: Mapping[str, Any]
) -> nn.Module:
    """What timm.create_model makes of `name`, sized for images of `shape`; errors begin with `about`."""
    arguments: dict[str, Any] = {"num_classes": classes}
    if shape[0] != 3:
        arguments["in_chans"] = shape[0]
    sized = {"img_size": shape[1:]} if settings.fixed_input_size else {}
    # Some networks of a fixed size have no argument for it.
    for more in (sized, {}) if sized else ({},):
        try:
            return _timm(name).create_model(name, **{**arguments, **more, **options})
        except TypeError as error:
            problem: Exception = error
        except Exception as error:  # also whatever a download that fails raises
            problem = error
            break
    given = ", ".join(f"{key}={value}" for key, value in {**arguments, **sized, **options}.items())
    hint = f"; {OFFLINE}" if isinstance(problem, OSError) else ""
    why = f"can't be built with {plain(given)}: {reason(problem)}{hint}"
    raise BadInput(f"{plain(about)}: {why}", "architecture") from None


def check_classes(about: str, trained_for: int, classes: int, new_head: bool) -> None:
    """Raise BadInput where published weights give other class scores than the data's, and nothing replaces them."""
    if trained_for == classes or new_head:
        return
    what = f"are for {trained_for} classes, the data has {classes}" if trained_for else "give features, no class scores"
    hint = "add head = 'train' (--head train), which trains a last layer on this data"
    raise BadInput(f"{plain(about)} {what}; {hint}", "head")


def config(name: str) -> Any:
    """What timm says of `name`: num_classes, mean, std, fixed_input_size and more."""
    return _timm(name).get_pretrained_cfg(name)


def published_scale(name: str) -> Normalisation:
    """The normalisation that the published weights of `name` expect."""
    settings = config(name)
    return Normalisation(mean=tuple(settings.mean), std=tuple(settings.std))


def image_shape(name: str, weights: str | None) -> Shape | None:
    """One image's shape that the published weights of `name` were trained with. Raises BadInput."""
    settings = config(name if weights is None else tagged(name, weights))
    return from_size(getattr(settings, "input_size", None))


def version() -> str:
    """Of timm: another one may build another network."""
    return str(_timm("").__version__)


def _timm(name: str) -> Any:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        missing = f"needs timm ({reason(error)}); install it with: pip install timm"
        raise BadInput.at("architecture", missing, f"{PREFIX}{name}") from None
