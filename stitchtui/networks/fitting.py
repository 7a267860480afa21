"""A checkpoint's weights into a network: all of them or none, and what of the file was left out is said."""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import replace

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from stitchtui.base.errors import BadInput, not_known
from stitchtui.base.text import plain
from stitchtui.networks import weight_names
from stitchtui.networks.checkpoints import Checkpoint, bad, state_of
from stitchtui.networks.reasons import reason
from stitchtui.networks.weight_names import Fit, Wanted

_TRIED = 3  # so many of the places that don't fit by name are offered to what the network itself makes of names


def load_into(
    module: nn.Module, checkpoint: Checkpoint, classes: int, without: Collection[str] = (), part: str | None = None
) -> tuple[str, ...]:
    """Copies the weights into `module`, all but those called `without`; says what of the file was left out.

    `part` chooses one of several networks in the file. Raises BadInput if they don't fit, or several do.
    """
    wanted = _wanted(checkpoint, module, frozenset(without))
    found = weight_names.fits(checkpoint.tensors, wanted)
    if not any(fit.complete for fit in found):
        found = [_translated(module, checkpoint, fit, wanted) for fit in found[:_TRIED]] + found[_TRIED:]
    if part is not None:
        found = _of_part(checkpoint, found, part)
    whole = [fit for fit in found if fit.complete]
    if not whole:
        raise _misfit(module, checkpoint, found[0], wanted, classes)
    fit, averages = _chosen(checkpoint, whole)
    if part is None and (layers := weight_names.layers_beside(fit)):
        what = f"has layers that the architecture doesn't: {weight_names.some(layers)}"
        called = plain(fit.called)
        hint = f"if the network does without them, say so: part = '{called}' (--part {called})"
        raise bad(checkpoint.path, f"{what}; {hint}", "part")
    _check_kinds(checkpoint, fit, wanted)
    missing, unexpected = _load(module, checkpoint, fit, wanted)
    if missing or wanted.among(unexpected, fit.front):
        what = weight_names.differences(missing, unexpected)
        raise bad(checkpoint.path, f"doesn't fit the architecture: {what}")
    _check_finite(checkpoint, module)
    return _notes(checkpoint, fit, averages)


def _wanted(checkpoint: Checkpoint, module: nn.Module, without: frozenset[str]) -> Wanted:
    state = state_of(module)
    if shapeless := [name for name, value in state.items() if is_lazy(value)]:
        what = f"{plain(shapeless[0])} gets its shape in a first pass, which hasn't come to it"
        raise bad(checkpoint.path, f"doesn't fit the architecture: {what}")
    tensors = {name: value for name, value in state.items() if name not in without}
    return Wanted(tensors, without, {name: id(value) for name, value in state.items()})


def _translated(module: nn.Module, checkpoint: Checkpoint, fit: Fit, wanted: Wanted) -> Fit:
    """The place as what is complete, if the network's own hooks find all of its weights under the names there."""
    everything = replace(fit, weights=fit.weights | fit.rest)
    try:
        missing, unexpected = _load(module, checkpoint, everything, wanted)
    except BadInput:
        return fit
    if missing or wanted.among(unexpected, fit.front):
        return fit
    rest = {name: fit.rest[name] for name in unexpected if name in fit.rest}
    return replace(everything, rest=rest, missing=[], inside=[], wrong=[])


def _load(module: nn.Module, checkpoint: Checkpoint, fit: Fit, wanted: Wanted) -> tuple[list[str], list[str]]:
    """Copies a place's weights into `module`; the names of what it then lacks, and of what it has no place for."""
    state = OrderedDict(fit.weights)
    versions = {
        (fit.front + place.removeprefix(fit.place)).removesuffix("."): version
        for place, version in checkpoint.versions.items()
        if place.startswith(fit.place)
    }
    state._metadata = versions  # type: ignore[attr-defined]
    try:
        result = module.load_state_dict(state, strict=False)
    except Exception as error:  # shapes, and whatever a class of one's own makes of its weights
        raise bad(checkpoint.path, f"can't be loaded into the architecture: {reason(error)}") from None
    return wanted.missing(wanted.tensors.keys() - set(result.missing_keys)), list(result.unexpected_keys)


def _of_part(checkpoint: Checkpoint, found: list[Fit], part: str) -> list[Fit]:
    if chosen := weight_names.of_part(found, part):
        return chosen
    places = list(dict.fromkeys(fit.called for fit in found if fit.complete))
    if places == ["."]:
        what = f"'{plain(part)}' is not known; the file holds one network, leave `part` out"
    else:
        what = plain(not_known(part, places or weight_names.modules(checkpoint.tensors)))
    raise bad(checkpoint.path, f"part: {what}", "part")


def _chosen(checkpoint: Checkpoint, whole: list[Fit]) -> tuple[Fit, list[Fit]]:
    """The one place to take, and those of moving averages of it. Raises BadInput where there are several."""
    distinct: list[Fit] = []
    for fit in whole:
        if not any(_same(fit, other) for other in distinct):
            distinct.append(fit)
    found = [fit for fit in distinct if not fit.is_average] or distinct
    if len(found) > 1:
        places = ", ".join(plain(fit.called) for fit in found)
        choose = "choose one by its name: part = 'NAME' (--part NAME)"
        raise bad(checkpoint.path, f"holds {len(found)} networks that fit, at {places}; {choose}", "part")
    return found[0], [fit for fit in distinct if fit is not found[0]]


def _same(first: Fit, second: Fit) -> bool:
    ours, theirs = first.weights, second.weights
    return ours.keys() == theirs.keys() and all(
        value is theirs[name] or (value.dtype == theirs[name].dtype and torch.equal(value, theirs[name]))
        for name, value in ours.items()
    )


def _misfit(module: nn.Module, checkpoint: Checkpoint, fit: Fit, wanted: Wanted, classes: int) -> BadInput:
    """The error that says how the likeliest place of a file differs from the network."""
    last = [name for name, layer in module.named_modules() if isinstance(layer, nn.Linear)][-1:]
    of_last = tuple(f"{name}." for name in last)
    if fit.missing and all(name.startswith(of_last) for name in (*fit.missing, *fit.inside)):
        features = f"holds a backbone without class scores (missing {', '.join(fit.missing)})"
        head = f"add head = 'train' (--head train), or head = a linear head's file{_alike(checkpoint, fit, wanted)}"
        return bad(checkpoint.path, f"{features}; {head}", "head")
    count = _trained_for(fit, wanted, classes)
    if count is not None:
        return bad(checkpoint.path, other_classes(count, classes), "head")
    return bad(checkpoint.path, _difference(fit, wanted))


def _trained_for(fit: Fit, wanted: Wanted, classes: int) -> int | None:
    """For how many classes the file is, where that is all in which it differs."""
    shapes = [(tuple(fit.weights[name].shape), tuple(wanted.tensors[name].shape)) for name in fit.wrong]
    others = {got[:1] for got, want in shapes}
    last = all(want[:1] == (classes,) and got[:1] and got[1:] == want[1:] for got, want in shapes)
    return others.pop()[0] if last and len(others) == 1 and not fit.missing and not fit.inside else None


def _difference(fit: Fit, wanted: Wanted) -> str:
    if fit.missing or fit.inside:
        # What would be left out of a file that fits may be what is missing, under another name.
        unexpected = [*fit.inside, *(fit.beside if fit.missing else ())]
        where = f", most of all at {plain(fit.called)}" if fit.place else ""
        return f"doesn't fit the architecture{where}: {weight_names.differences(fit.missing, unexpected)}"
    got, want = (tuple(tensors[fit.wrong[0]].shape) for tensors in (fit.weights, wanted.tensors))
    more = f" ({len(fit.wrong) - 1} more differ)" if len(fit.wrong) > 1 else ""
    return f"{plain(fit.wrong[0])} has shape {list(got)}, the architecture expects {list(want)}{more}"


def other_classes(own: int, classes: int) -> str:
    """Why a network for `own` classes can't be used on data with `classes`, and what to do."""
    return (
        f"was trained for {own} classes, the data has {classes}: choose data with {own}, or have its last layer "
        "replaced: head = 'train' (--head train)"
    )


def _alike(checkpoint: Checkpoint, fit: Fit, wanted: Wanted) -> str:
    """What lies elsewhere in the file and may be the last layer under another name."""
    shape = wanted.tensors[fit.missing[0]].shape
    taken = {id(value) for value in fit.weights.values()}
    found = [name for name, value in checkpoint.tensors.items() if value.shape == shape and id(value) not in taken]
    if len(found) != 1:
        return ""
    return f"; if {plain(found[0])} is its {fit.missing[0]}, save it under that name"


def _check_kinds(checkpoint: Checkpoint, fit: Fit, wanted: Wanted) -> None:
    first: dict[int, str] = {}
    for name, value in fit.weights.items():
        if name not in wanted.tensors:
            continue  # of another name in the file, which the network itself translates
        if wanted.tensors[name].is_floating_point() and not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise bad(checkpoint.path, f"{plain(name)} holds numbers of type {kind}; expected floating-point weights")
        twin = first.setdefault(wanted.twins[name], name)
        if twin != name and not torch.equal(fit.weights[twin], value):
            both = f"{plain(twin)} and {plain(name)}"
            raise bad(checkpoint.path, f"{both} are one tensor of the network, and differ in the file")


def _check_finite(checkpoint: Checkpoint, module: nn.Module) -> None:
    parameters = {name for name, _ in module.named_parameters(remove_duplicate=False)}
    for name, tensor in state_of(module).items():
        if not tensor.is_floating_point():
            continue
        # A buffer may hold infinities on purpose, such as a mask of attention.
        if bool(tensor.isnan().any()) or (name in parameters and bool(tensor.isinf().any())):
            what = f"{plain(name)} holds numbers that are not finite; its training diverged"
            raise bad(checkpoint.path, what)


def _notes(checkpoint: Checkpoint, fit: Fit, averages: list[Fit]) -> tuple[str, ...]:
    notes = [
        f"left out {plain(other.called)}, a moving average of the weights: part = '{plain(other.called)}'"
        f" (--part {plain(other.called)}) takes it"
        for other in averages
    ]
    if fit.own:
        notes.append(f"left out its own last layer: {weight_names.some(weight_names.modules(fit.own))}")
    weights = [name for name, value in checkpoint.tensors.items() if value.is_floating_point()]
    said = {
        name
        for other in averages
        for name in weight_names.left_out(fit, [key for key in weights if key.startswith(other.place)])
    }
    left = [name for name in weight_names.left_out(fit, weights) if name not in said]
    took = f"took {plain(fit.called)}" + (", a moving average of the weights" if fit.is_average else "")
    parts = [took] if fit.place and (left or fit.is_average) else []
    parts += [f"left out {weight_names.some(left)}"] if left else []
    return (*notes, *([", ".join(parts)] if parts else []))
