"""The copies of frozen networks that training runs, compared with the networks themselves on a few real images.

Folding knows what it may rewrite. What it doesn't know of is found here, before the first step, and so is a network
whose numbers bfloat16 is too coarse for: both are then trained through as they are.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.base.text import plain
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.fold import folded
from stitchtui.stitching.streamed import double

IMAGES = 4
TOLERANCES = {torch.float32: (1e-3, 0.05), torch.bfloat16: (0.1, 1.0)}
"""How far a segment's outputs, and the gradients in its input, may be off relative to their norm.

In thirteen untrained networks (ResNets, VGG, DenseNet, MobileNet, ViTs, ...) with one segment to eighty, folding moved
outputs by 1e-6 and gradients by 1e-3, bfloat16 by 0.01 and 0.6: over many ReLUs and maxima, which let through
something else where two numbers have become one. That their gradients are the right ones is for float32 to show.
"""
NOISE = 0.01
"""Of each number that goes into a segment: what is equal by chance would have rounding decide what a ReLU or a maximum
lets through."""


@dataclass(frozen=True)
class Part:
    """What training runs of a network: its segments `first` up to `last`, forward alone or back as well."""

    name: str  # what it is in the stitched network, for a note
    chain: Chain
    first: int
    last: int
    backward: bool

    def folded(self, dtype: torch.dtype) -> Chain:
        """The chain with these segments replaced by copies for training in `dtype`."""
        return folded(self.chain, dtype, self.first, self.last)


@dataclass(frozen=True)
class Copies:
    """What training runs in place of its parts, in order, and in which precision; notes say of which part they are."""

    chains: list[Chain]
    dtype: torch.dtype
    notes: list[tuple[int, str]]


def copies(parts: Sequence[Part], dtype: torch.dtype, fold: bool) -> Copies:
    """What training in `dtype` is to run, not compared with anything yet."""
    return Copies([part.folded(dtype) if fold else part.chain for part in parts], dtype, [])


def faithful(parts: Sequence[Part], made: Copies, images: Tensor) -> Copies:
    """What to run of `made`, going by what it and the networks do on a few of the `images` [batch, ...].

    A network whose copy differs in float32 is run as it is; where one differs too much in bfloat16, all are run in
    float32.
    """
    if made.dtype == torch.float32 and all(c is p.chain for c, p in zip(made.chains, parts, strict=True)):
        return made
    with evaluated(*(part.chain.segments for part in parts)):
        seen = [_seen(part, images[:IMAGES]) for part in parts]
        chains, notes = list(made.chains), []
        for k, part in enumerate(parts):
            known = chains[k] if made.dtype == torch.float32 else None
            if chains[k] is not part.chain and (where := _difference(part, seen[k], torch.float32, known)):
                notes.append((k, f"the {part.name}'s copy for training {where}; its own layers are run instead"))
                chains[k] = part.chain
        if made.dtype == torch.float32:
            return Copies(chains, made.dtype, notes)
        found = [_difference(p, s, made.dtype, chain) for p, s, chain in zip(parts, seen, chains, strict=True)]
    coarse = [(k, where) for k, where in enumerate(found) if where]
    if coarse:
        notes += [(k, f"in bfloat16 the {parts[k].name} {where}; training is in float32") for k, where in coarse]
        copied = [chain is not part.chain for part, chain in zip(parts, chains, strict=True)]
        exact = [p.folded(torch.float32) if also else p.chain for p, also in zip(parts, copied, strict=True)]
        return Copies(exact, torch.float32, notes)
    return Copies(chains, made.dtype, notes)


@contextmanager
def evaluated(*modules: nn.Module) -> Iterator[None]:
    """Put the modules in eval mode while open, and each layer as it was afterwards."""
    training = [m for module in modules for m in module.modules() if m.training]
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """Computing in `dtype` what may be, for the thread that asks."""
    return nullcontext() if dtype == torch.float32 else torch.autocast(device.type, dtype)


@dataclass(frozen=True)
class _Seen:
    """What one of a network's own segments does."""

    given: Tensor
    upward: Tensor | None  # the gradient in what it makes; None where it isn't gone back through
    made: Tensor
    gradient: Tensor | None  # in what it is given


def _seen(part: Part, images: Tensor) -> list[_Seen]:
    if not part.chain.segments:  # noise in a network's place
        return []
    with torch.no_grad():
        tensors = part.chain.features(images, part.last)
    generator = torch.Generator().manual_seed(0)
    found = []
    for k in range(part.first, part.last):
        given = tensors[k] * (1 + NOISE * _drawn(tensors[k], generator))
        upward = _drawn(tensors[k + 1], generator) if part.backward else None
        found.append(_Seen(given, upward, *_run(part.chain.segments[k], given, upward)))
    return found


def _drawn(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator).to(like)  # the same on every device


def _run(segment: nn.Module, given: Tensor, upward: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """What a segment makes and, where `upward` is the gradient in that, the gradient in what it is given."""
    if upward is None:
        with torch.no_grad():
            return segment(given), None
    given = given.detach().requires_grad_()
    with torch.enable_grad():
        made: Tensor = segment(given)
        if not made.requires_grad:
            return made, torch.zeros_like(given)
        (gradient,) = torch.autograd.grad(made, given, upward.to(made.dtype), allow_unused=True)
    return made.detach(), torch.zeros_like(given) if gradient is None else gradient


def _difference(part: Part, seen: Sequence[_Seen], dtype: torch.dtype, made: Chain | None = None) -> str:
    """Where, and by how much, `made` does something else in `dtype` than the part by itself; "" if nowhere.

    Without `made`, that is said of copies in `dtype`, of which there is one at a time.
    """
    names = ["the input", *(cut.name for cut in part.chain.cuts), "the output"]
    for k, own in enumerate(seen, part.first):
        between = plain(f"between {names[k]} and {names[k + 1]}")
        try:
            with autocast(own.given.device, dtype):
                chain = made or folded(part.chain, dtype, k, k + 1)
                found = _run(chain.segments[k], own.given, own.upward)
        except Exception as error:  # whatever a layer says of what it can't be given
            return plain(f"fails {between} ({type(error).__name__})")
        expected = own.made, own.gradient
        for word, ours, theirs, most in zip(("outputs", "gradients"), found, expected, TOLERANCES[dtype], strict=True):
            if theirs is not None and (off := _off(ours, theirs)) > most:
                return f"differs from it in its {word} {between}, by {100 * off:.3g} %"
    return ""


def _off(found: Tensor | None, expected: Tensor) -> float:
    """The norm of the difference relative to the norm of what is expected; nothing where that isn't finite."""
    if found is None or found.shape != expected.shape:
        return math.inf
    size = float(double(expected).norm())
    if not math.isfinite(size):
        return 0.0
    off = float((double(found) - double(expected)).norm())
    if math.isnan(off) or (off and not size):
        return math.inf
    return off / size if size else 0.0
