"""Architectures by name: those of this package, of torchvision, timm and the hubs, and a user's own class."""

from collections.abc import Callable, Mapping

from torch import nn

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.registry import load
from stitchtui.base.text import plain
from stitchtui.networks import from_hubs, from_timm, from_torchvision, own_code
from stitchtui.networks.reasons import reason
from stitchtui.networks.sizes import USUAL, Shape
from stitchtui.networks.trying import shaped
from stitchtui.spec.architectures import ARCHITECTURES, Option
from stitchtui.spec.experiment import Normalisation
from stitchtui.spec.settings import dotted


def names() -> list[str]:
    """Every architecture known by name, this package's own first."""
    return [*ARCHITECTURES, *(name for name in from_torchvision.names() if name not in ARCHITECTURES)]


def canonical(architecture: str, weights: str | None = None) -> str:
    """The one name of an architecture: `torchvision:NAME` for torchvision's.

    `resnet18` is in both: with `weights` it is torchvision's, without them this package's.
    Raises BadInput if the name is not known.
    """
    if architecture.startswith(from_timm.PREFIX):
        from_timm.check(architecture.removeprefix(from_timm.PREFIX))
        return architecture
    if has_weights(architecture):
        from_hubs.check(architecture)
        return architecture
    if own_code.is_reference(architecture) or (architecture in ARCHITECTURES and weights is None):
        return architecture
    name = architecture.removeprefix(from_torchvision.PREFIX)
    if name in from_torchvision.names():
        return from_torchvision.PREFIX + name
    if architecture in ARCHITECTURES:
        why = "it has no published weights; leave `weights` out to train it"
        raise BadInput(f"architecture {architecture}: {why}", "weights")
    hint = "; timm's are timm:NAME, a class of your own is path/to/file.py:Class"
    raise BadInput.at("architecture", f"{plain(not_known(name, names()))}{hint}")


def has_weights(architecture: str) -> bool:
    """Whether what `architecture` names comes with weights of its own, as what lies on a hub does."""
    return architecture.startswith((from_hubs.HF, from_hubs.HUB))


def published_scale(architecture: str, weights: str) -> Normalisation:
    """The normalisation that the published weights of `architecture` expect. Raises BadInput if there are none."""
    name = canonical(architecture, weights)
    if has_weights(name):
        return from_hubs.published_scale(name)
    if name.startswith(from_timm.PREFIX):
        return from_timm.published_scale(from_timm.tagged(name.removeprefix(from_timm.PREFIX), weights))
    return from_torchvision.published_scale(name.removeprefix(from_torchvision.PREFIX), weights)


def published_shape(architecture: str, weights: str | None = None) -> Shape | None:
    """One image's shape as the publisher of `architecture` says it; None where nobody does. Raises BadInput."""
    name = canonical(architecture, weights)
    if name.startswith(from_timm.PREFIX):
        return from_timm.image_shape(name.removeprefix(from_timm.PREFIX), weights)
    if name.startswith(from_hubs.HF):
        return from_hubs.image_shape(name)
    if name.startswith(from_torchvision.PREFIX):
        return from_torchvision.image_shape(name.removeprefix(from_torchvision.PREFIX), weights)
    return None


def check_weights(architecture: str, weights: str, classes: int, *, new_head: bool) -> None:
    """Raise BadInput for published weights that don't exist, or whose classes aren't the data's. Fetches nothing."""
    name = canonical(architecture, weights)
    if name.startswith(from_timm.PREFIX):
        from_timm.check_weights(name.removeprefix(from_timm.PREFIX), weights, classes, new_head=new_head)
    elif name.startswith(from_torchvision.PREFIX):
        from_torchvision.check_weights(name.removeprefix(from_torchvision.PREFIX), weights, classes, new_head=new_head)


def weights_have_arrived(architecture: str, weights: str) -> bool:
    """Whether the published weights of `architecture` lie on this machine; only a known name can tell."""
    name = canonical(architecture, weights)
    if name.startswith(from_timm.PREFIX):
        return from_timm.have_arrived(name.removeprefix(from_timm.PREFIX), weights)
    if name.startswith(from_torchvision.PREFIX):
        return from_torchvision.have_arrived(name.removeprefix(from_torchvision.PREFIX), weights)
    return False


def build(
    architecture: str,
    classes: int,
    shape: Shape | None,
    width: float = 1.0,
    options: Mapping[str, Option] | None = None,
    *,
    weights: str | None = None,
    new_head: bool = False,
    trust_code: bool = False,
) -> nn.Module:
    """A network with `classes` outputs for images of `shape` [channels, height, width], from torch's global seed.

    Where no shape is known, it is the usual one for those that take any, and lazy layers, which don't, are refused.
    `weights` are published ones by name; where they are for other classes, `new_head` replaces their last layer.
    Raises BadInput for a name, width, option or weights that can't be used, and for code that isn't trusted; and
    WrongImages where lazy layers can't take their shapes from such images.
    """
    name = canonical(architecture, weights)
    made = _built(name, classes, shape or USUAL, width, options, weights, new_head=new_head, trust_code=trust_code)
    return shaped(made, shape)


def _built(  # noqa: PLR0917
    name: str,
    classes: int,
    shape: Shape,
    width: float,
    options: Mapping[str, Option] | None,
    weights: str | None,
    *,
    new_head: bool,
    trust_code: bool,
) -> nn.Module:
    chosen = options or {}
    try:
        if name in ARCHITECTURES:
            return _own(name, classes, shape, width, chosen)
        if width != 1.0:
            why = f"width {width:g} can't be used, it has no width to scale"
            raise BadInput(f"architecture {plain(name)}: {why}", "width")
        if name.startswith(from_hubs.HUB):
            return from_hubs.from_torch_hub(name, chosen, trust_code)
        if name.startswith(from_hubs.HF):
            return from_hubs.from_hugging_face(name, classes, shape, chosen, new_head)
        if name.startswith(from_timm.PREFIX):
            return from_timm.build(
                name.removeprefix(from_timm.PREFIX), classes, shape, chosen, weights, new_head=new_head
            )
        if not own_code.is_reference(name):
            return from_torchvision.build(
                name.removeprefix(from_torchvision.PREFIX), classes, chosen, weights, new_head=new_head
            )
        if weights is not None:
            why = "weights are torchvision's and timm's; give a `checkpoint` instead"
            raise BadInput(f"architecture {plain(name)}: {why}", "weights")
        return own_code.build(name, classes, chosen)
    except (RuntimeError, MemoryError) as error:
        raise BadInput.at("architecture", f"can't be built: {reason(error)}", name) from None


def _own(
    name: str, classes: int, shape: tuple[int, int, int], width: float, options: Mapping[str, Option]
) -> nn.Module:
    architecture = ARCHITECTURES[name]
    checked = {key: _checked(name, key, value) for key, value in options.items()}
    build: Callable[..., nn.Module] = load(architecture.build)
    return build(classes, shape, width, **architecture.fixed, **{**architecture.options, **checked})


def _checked(name: str, key: str, value: Option) -> Option:
    known = ARCHITECTURES[name].options
    if not known:
        raise BadInput(f"architecture {name}: option '{plain(key)}' is not known; it takes no options", "options")
    if key not in known:
        raise BadInput(f"architecture {name}: option {plain(not_known(key, known))}", "options")
    kind = type(known[key])
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind or (not isinstance(value, str) and value <= 0):
        expected = {int: "a positive integer", float: "a positive number"}.get(kind, "a word")
        why = f"expected {expected}, got {plain(repr(value))}"
        raise BadInput(f"architecture {name}, option {key}: {why}", dotted(("options", key)))
    return value
