"""Stitches between two cuts: one of any family, how each is started, and what it counts and spans."""

from collections.abc import Callable

import torch
from torch import nn

from stitchtui.spec.families import FAMILIES, MOST_PARAMETERS, Misfit
from stitchtui.stitching.adapters import adapter, shape_of
from stitchtui.stitching.closed_forms import AffineMap, check_channels
from stitchtui.stitching.constrained import LowRank, Orthogonal, Permutation, ScaledPermutation
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.direct import check_covariance
from stitchtui.stitching.families import Affine, BnAffineBn, Convolution, Identity, Mlp, Stitch

__all__ = [
    "MOST_PARAMETERS",
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


def build(family: str, bottom: Cut, top: Cut, *, rank: int | None = None, from_map: bool = False) -> Stitch:
    """An unstarted stitch of `family` from the bottom's cut to the top's, behind the adapter that they need.

    `rank` is that of `low_rank`; one above either side's channels is lowered to them. Raises Misfit where the family
    can't join the cuts; with `from_map`, also where its closed form would be too large.
    """
    if family == "identity" and (bottom.shape != top.shape or bottom.channel_axis != top.channel_axis):
        raise Misfit(f"identity needs equal shapes: bottom {shape_of(bottom)}, top {shape_of(top)}")
    adapt = adapter(bottom, top)
    kernel = FAMILIES[family].kernel
    check_channels(family, bottom.channels, top.channels)
    if kernel > 1 and len(top.positions) != 2:
        raise Misfit(f"{family} needs a top whose tensor is a map: bottom {shape_of(bottom)}, top {shape_of(top)}")
    count = bottom.channels * top.channels * kernel**2
    if count > MOST_PARAMETERS and family != "identity":
        raise Misfit(f"{family} from {bottom.channels} to {top.channels} channels would have {count:,} parameters")
    if from_map and family != "identity":
        check_covariance(bottom, kernel)
    return _of(family, bottom.channels, top.channels, top.channel_axis, rank).behind(adapt)


def _of(family: str, bottom: int, top: int, axis: int, rank: int | None) -> Stitch:
    if family == "identity":
        return Identity(bottom)
    if family in {"permutation", "scaled_permutation"}:
        return (Permutation if family == "permutation" else ScaledPermutation)(bottom, axis)
    if family == "low_rank":
        if rank is None or rank < 1:
            raise ValueError("low_rank needs a rank of 1 or more")
        return LowRank(bottom, top, axis, min(rank, bottom, top))
    if FAMILIES[family].kernel > 1:
        return Convolution(bottom, top, axis, FAMILIES[family].kernel)
    kinds: dict[str, Callable[[int, int, int], Stitch]] = {
        "orthogonal": Orthogonal,
        "affine": Affine,
        "mlp": Mlp,
        "bn_affine_bn": BnAffineBn,
    }
    return kinds[family](bottom, top, axis)


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
