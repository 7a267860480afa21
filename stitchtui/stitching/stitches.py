"""Stitches between two cuts: one of any family, how each is started, and what it counts and spans."""

import torch
from torch import nn

from stitchtui.base.registry import load
from stitchtui.spec.families import FAMILIES
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.adapters import adapter
from stitchtui.stitching.closed_forms import AffineMap
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.families import Affine, BnAffineBn, Identity, Stitch

__all__ = [
    "Affine",
    "AffineMap",
    "BnAffineBn",
    "Identity",
    "Misfit",
    "Stitch",
    "build",
    "parameter_count",
    "rank_of",
    "start_as_identity",
    "start_at_random",
    "start_from_map",
]


def build(family: str, bottom: Cut, top: Cut, *, rank: int | None = None) -> Stitch:
    """An unstarted stitch of `family` from the bottom's cut to the top's, behind the adapter that they need.

    `rank` is that of `low_rank`; one above either side's channels is lowered to them. Raises Misfit where the family
    can't join the cuts.
    """
    known = FAMILIES[family]
    known.check(bottom, top)
    kind: type[Stitch] = load(known.stitch)
    return kind.between(known, bottom, top, rank).behind(adapter(bottom, top))


def parameter_count(module: nn.Module) -> int:
    """How many numbers a stitch, or a network, learns."""
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def rank_of(stitch: nn.Module) -> int | None:
    """The numerical rank, in float32, of the linear map that the stitch applies; None if it is not linear.

    A convolution's map leads from all places that its kernel reads to the top's channels.
    """
    matrix = _known(stitch).matrix()
    if matrix is None or not bool(matrix.isfinite().all()):
        return None
    noise = max(matrix.shape) * torch.finfo(torch.float32).eps
    return int(torch.linalg.matrix_rank(matrix.cpu(), rtol=noise))


@torch.no_grad()
def start_at_random(stitch: nn.Module, generator: torch.Generator) -> None:
    """Start a stitch at random: uniform numbers as PyTorch starts its layers, or a random member of a group."""
    _known(stitch).start_at_random(generator)


@torch.no_grad()
def start_as_identity(stitch: nn.Module) -> None:
    """The map that changes nothing. Raises Misfit if the channels differ in number, or the rank is too low."""
    _known(stitch).start_as_identity()


@torch.no_grad()
def start_from_map(stitch: nn.Module, m: AffineMap) -> None:
    """Start a stitch exactly as the map `m`. Raises Misfit if `m` is none of the family's."""
    _known(stitch).start_from_map(m)


def _known(stitch: nn.Module) -> Stitch:
    if not isinstance(stitch, Stitch):
        raise TypeError(f"{type(stitch).__name__} is no stitch")
    return stitch
