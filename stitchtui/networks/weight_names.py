"""A checkpoint's names for its weights against a network's: where in the file the network lies, and under what names.

One rule for all files: every dotted prefix is a place where the network may lie, be it a nested dictionary
(`state_dict.`), a wrapper (`module.`) or a network beside others (`teacher.backbone.`). The network is where all of
its names are, with its shapes; what lies beside it is left out.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from stitchtui.base.text import plain

SHOWN = 3
# What wraps a module, or a part of one, and says nothing of it.
_WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
# The old and the new names of the same weights, both ways: of torch's weight_norm and spectral_norm, of torchvision's
# DenseNets, and of what TensorFlow called a LayerNorm's.
_RENAMED = (
    (r"parametrizations\.(\w+)\.original0$", r"\1_g"),
    (r"parametrizations\.(\w+)\.original1$", r"\1_v"),
    (r"(\w+)_g$", r"parametrizations.\1.original0"),
    (r"(\w+)_v$", r"parametrizations.\1.original1"),
    (r"parametrizations\.(\w+)\.original$", r"\1_orig"),
    (r"parametrizations\.(\w+)\.0\._([uv])$", r"\1_\2"),
    (r"(\w+)_orig$", r"parametrizations.\1.original"),
    (r"(\w+)_([uv])$", r"parametrizations.\1.0._\2"),
    (r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2"),
    (r"\bgamma$", "weight"),
    (r"\bbeta$", "bias"),
)
_AVERAGE = re.compile(r"(?:^|[._])(?:ema|swa|averaged?|momentum|encoder_k)(?:[._]|$)", re.IGNORECASE)

# What training puts beside a network's own layers, and the network does without: by a word of its name, or by its whole
# name where the word alone could be a layer's.
_OF_TRAINING = frozenset(
    {"loss", "criterion", "metric", "metrics", "discriminator", "teacher", "queue", "prototypes", "projector"}
    | {"contrastive", "auxlogits"}
)
_ONLY_IN_TRAINING = frozenset(
    {"projection", "projection_head", "proj_head", "predictor", "memory_bank", "decoder", "head", "heads", "fc"}
    | {"aux", "aux1", "aux2"}
)
_COUNTED = frozenset({"total", "count", "correct", "confmat", "tp", "fp", "tn", "fn", "value", "mean_value"})
"""What measures such as an accuracy keep beside a network, by the last part of the name."""


@dataclass(frozen=True)
class Wanted:
    """The weights that a network needs; `without` are those of its last layer that somebody else fills in.

    `twins` says of every name which tensor it is: a tensor under two names need be in the file under one.
    """

    tensors: Mapping[str, Tensor]
    without: frozenset[str]
    twins: Mapping[str, int]

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name by itself without wrappers, but for those that are the same without."""
        found: dict[str, list[str]] = {}
        for name in (*self.tensors, *self.without):
            found.setdefault(_unwrapped(name), []).append(name)
        return {short: names[0] for short, names in found.items() if len(names) == 1}

    @cached_property
    def fronts(self) -> list[str]:
        """What all of its names begin with, from nothing to the longest."""
        return list(_common([*self.tensors, *self.without]))

    def missing(self, given: Collection[str]) -> list[str]:
        """The names of the weights that are not among `given`, under no name at all."""
        there = {self.twins[name] for name in given if name in self.twins}
        # Counts of batches seen, which older versions of torch didn't save, change no output in eval mode.
        return [n for n in self.tensors if self.twins[n] not in there and not n.endswith("num_batches_tracked")]

    def among(self, names: Iterable[str], front: str) -> list[str]:
        """Those of names that the network doesn't have which, past `front`, lie in it or as one more of its layers."""
        own = {_sibling(name.removeprefix(front)) for name in self.tensors}
        return [name for name in names if _sibling(name.removeprefix(front)) in own]

    def name_of(self, name: str) -> str | None:
        """What the network calls the weight that a file calls `name`."""
        for other in (name, *_renamed(name)):
            if other in self.tensors or other in self.without:
                return other
            if (found := self.names.get(_unwrapped(other))) is not None:
                return found
        return None


@dataclass(frozen=True)
class Fit:
    """One place of a file taken for the network: what it has of its weights, lacks, and has beyond them."""

    place: str  # with a dot at its end, unless it is the whole file
    front: str  # what the network's names begin with and the file's don't
    weights: dict[str, Tensor]  # by the network's names
    own: dict[str, Tensor]  # those that somebody else fills in
    rest: dict[str, Tensor]  # those that the network has no name for
    missing: list[str]
    inside: list[str]  # names of the rest that lie among the network's own
    wrong: list[str]  # names of weights of another shape
    exact: int  # how many of the weights go by the network's own names

    @property
    def complete(self) -> bool:
        """Whether the network has all of its weights here, and nothing else lies among them."""
        return not (self.missing or self.inside or self.wrong)

    @property
    def beside(self) -> list[str]:
        """The names of the rest that lie beside the network's own, from the place on."""
        return [name.removeprefix(self.front) for name in self.rest if name not in self.inside]

    @property
    def called(self) -> str:
        """The place as a person says it; a dot is the whole file."""
        return self.place.removesuffix(".") or "."

    @property
    def is_average(self) -> bool:
        """Whether its place is called after a moving average of weights."""
        return _AVERAGE.search(self.called) is not None


def fits(given: Mapping[str, Tensor], wanted: Wanted) -> list[Fit]:
    """The places of a file that have something of the network, the likeliest first."""
    found: dict[str, dict[str, Tensor]] = {"": dict(given)}
    for name, value in given.items():
        for end in (match.end() for match in re.finditer(r"\.", name)):
            found.setdefault(name[:end], {})[name[end:]] = value
    outer = set(_common(list(given)))
    made = [
        _fit(place, front, state, wanted, always=place in outer and not front)
        for place, state in found.items()
        for front in wanted.fronts
    ]
    return sorted((fit for fit in made if fit is not None), key=_unlikely)


def of_part(found: list[Fit], part: str) -> list[Fit]:
    """Those of `found` whose place is called `part`, or lies in one that is, or has it for a word of its name."""
    exact = [fit for fit in found if fit.called == part and fit.complete]
    below = [fit for fit in found if f".{part}." in f".{fit.place}"]
    word = [fit for fit in found if part in re.split(r"[._]", fit.called)]
    return exact or below or word


def left_out(fit: Fit, given: Iterable[str]) -> list[str]:
    """What of the names in a file lies beside a place: for each the first part of it that isn't the place's."""
    beside, ours = set(fit.beside), fit.place.split(".")
    parts: dict[str, None] = {}
    for name in given:
        path = name.split(".")
        if not name.startswith(fit.place):
            parts[next((one for one, other in zip(path, ours, strict=False) if one != other), path[-1])] = None
        elif name.removeprefix(fit.place) in beside:
            parts[path[len(ours) - 1]] = None
    return list(parts)


def layers_beside(fit: Fit) -> list[str]:
    """What lies among a network's own layers, isn't one of them, and doesn't sound as if only training needed it."""
    layers = [
        name
        for name in fit.beside
        if fit.rest[fit.front + name].is_floating_point() and name.rpartition(".")[2] not in _COUNTED
    ]
    return [name for name in modules(layers) if not _is_of_training(name)]


def _is_of_training(module: str) -> bool:
    return bool(
        module.lower() in _ONLY_IN_TRAINING or _words(module) & _OF_TRAINING or _AVERAGE.search(module) is not None
    )


def modules(names: Iterable[str]) -> list[str]:
    """The first part of each name, once."""
    return list(dict.fromkeys(name.partition(".")[0] for name in names))


def some(names: Collection[str]) -> str:
    """The first few of `names`, and how many more there are."""
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return plain(", ".join(list(names)[:SHOWN])) + rest


def differences(missing: Collection[str], unexpected: Collection[str]) -> str:
    """Which names a network lacks in a checkpoint and which it has no place for, the first few of each."""
    parts = [("missing", missing), ("unexpected", unexpected)]
    return "; ".join(f"{what} {some(names)}" for what, names in parts if names)


def _fit(place: str, front: str, state: Mapping[str, Tensor], wanted: Wanted, *, always: bool) -> Fit | None:
    """The place as the network; None where it has nothing of it, unless it is `always` to be one."""
    known: dict[str, Tensor] = {}
    rest: dict[str, Tensor] = {}
    # Whatever has the network's own name comes before what could be called so.
    for name in sorted(state, key=lambda name: front + name not in wanted.tensors):
        called = wanted.name_of(front + name)
        if called is None or called in known:
            rest[front + name] = state[name]
        else:
            known[called] = state[name]
    if not known and not always:
        return None
    weights = {name: known[name] for name in wanted.tensors if name in known}
    return Fit(
        place=place,
        front=front,
        weights=weights,
        own={name: value for name, value in known.items() if name not in weights},
        rest=rest,
        missing=wanted.missing(weights),
        inside=wanted.among(rest, front),
        wrong=[name for name, value in weights.items() if value.shape != wanted.tensors[name].shape],
        exact=sum(name.removeprefix(front) in state for name in weights),
    )


def _unlikely(fit: Fit) -> tuple[int | bool, ...]:
    fitting, differing = len(fit.weights) - len(fit.wrong), len(fit.missing) + len(fit.inside)
    return (not fit.complete, -fitting, differing, -fit.exact, fit.place.count("."))


def _sibling(name: str) -> str:
    """The first part of a name without its number: `layer5` beside `layer4` is a layer that a network doesn't have."""
    return re.sub(r"\d+", "", _unwrapped(name).partition(".")[0])


def _common(names: list[str]) -> Iterator[str]:
    yield ""
    first = names[0] if names else ""
    for match in re.finditer(r"\.", first):
        front = first[: match.end()]
        if not all(name.startswith(front) for name in names):
            return
        yield front


def _words(name: str) -> set[str]:
    return set(re.split(r"[\W\d_]+", name.lower()))


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS)


def _renamed(name: str) -> Iterator[str]:
    for old, new in _RENAMED:
        other = re.sub(old, new, name)
        if other != name:
            yield other
