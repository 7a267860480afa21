"""The stitches whose weights obey a rule, also while they are trained: permutations, orthogonal and low-rank maps."""

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Self

import torch
from torch import Tensor, nn

from stitchtui.spec.families import Family
from stitchtui.spec.shapes import Misfit, Shaped
from stitchtui.stitching.closed_forms import AffineMap
from stitchtui.stitching.families import (
    TINY,
    TOGETHER,
    Stitch,
    check_one_place,
    check_square,
    draw_uniform,
    each,
    pointwise,
)
from stitchtui.stitching.rows import Rows

_CLOSE = 1e-4  # how far a map may be from obeying a family's rule, in float32


class Permutation(Stitch):
    """The bottom's channels in another order; it has nothing to train."""

    order: Tensor  # int64 [channels]: which of the bottom's channels each of the top's is

    def __init__(self, channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.register_buffer("order", torch.arange(channels))

    @classmethod
    def between(cls, _family: Family, bottom: Shaped, top: Shaped, _rank: int | None) -> Self:
        """A permutation of the channels that both have."""
        return cls(bottom.channels, top.channel_axis)

    def map(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x.index_select(self.channel_axis, self.order)

    def start_at_random(self, generator: torch.Generator) -> None:
        """An order drawn from all orders alike."""
        self.order.copy_(torch.randperm(len(self.order), generator=generator))

    def start_as_identity(self) -> None:
        """The order as it is."""
        self.order.copy_(torch.arange(len(self.order)))

    def start_from_map(self, m: AffineMap) -> None:
        """The map's order."""
        check_one_place(m)
        if not torch.equal(m.weight, m.weight.bool().to(m.weight)):
            raise Misfit("a map that scales channels can't start a permutation")
        self._take_order(m)

    def _take_order(self, m: AffineMap) -> None:
        places = m.weight != 0
        if bool((places.sum(0) != 1).any() or (places.sum(1) != 1).any() or m.bias.any()):
            raise Misfit("a map that mixes or shifts channels can't start a permutation")
        self.order.copy_(places.int().argmax(1))

    def matrix(self) -> Tensor | None:
        """The permutation matrix."""
        return torch.eye(len(self.order), dtype=torch.float64, device=self.order.device)[self.order]


class ScaledPermutation(Permutation):
    """A permutation, fixed once started, with a positive scale per channel: all that a ReLU lets pass unseen."""

    def __init__(self, channels: int, channel_axis: int) -> None:
        super().__init__(channels, channel_axis)
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def map(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        scale = self.log_scale.exp()
        around = x.dim() - 2 if self.channel_axis == 1 else 0
        return super().map(x) * scale[(..., *[None] * around)]

    def start_at_random(self, generator: torch.Generator) -> None:
        """An order drawn from all orders alike, and scales of 1."""
        super().start_at_random(generator)
        self.log_scale.zero_()

    def start_as_identity(self) -> None:
        """The order as it is, and scales of 1."""
        super().start_as_identity()
        self.log_scale.zero_()

    def start_from_map(self, m: AffineMap) -> None:
        """The map's order and scales."""
        check_one_place(m)
        if bool((m.weight < 0).any()):
            raise Misfit("a map that turns a channel's sign can't start a scaled permutation")
        self._take_order(m)
        self.log_scale.copy_(m.weight.sum(1).log())

    def units(self, _read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """A logarithm has no unit."""
        return {"log_scale": torch.ones((), device=y.device)}

    def matrix(self) -> Tensor | None:
        """The permutation matrix, its rows scaled."""
        order = super().matrix()
        return None if order is None else self.log_scale.double().exp()[:, None] * order


class Orthogonal(Stitch):
    """A map that keeps every distance, to as many channels or more, and a shift.

    The weight is Q C E: Q the full orthogonal matrix it started at, C the Cayley transform of a skew-symmetric matrix
    that starts at 0, E the first columns of the unit matrix. What is trained is that matrix's free entries, as many as
    such maps have degrees of freedom. A reflection stays one: training can't leave the component it started in.
    """

    start: Tensor  # [top channels, top channels]; its first columns are the weight's start

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis, self.bottom_channels = channel_axis, bottom_channels
        self.register_buffer("start", torch.eye(top_channels))
        below = torch.ones(top_channels, top_channels).tril(-1)[:, :bottom_channels]
        self.register_buffer("places", below.nonzero().T.contiguous(), persistent=False)
        self.skew = nn.Parameter(torch.zeros(int(below.sum())))
        self.bias = nn.Parameter(torch.zeros(top_channels))

    places: Tensor  # int64 [2, free entries]: row and column of each

    @property
    def weight(self) -> Tensor:
        """[top channels, bottom channels], its columns orthonormal."""
        # Without numbers there is no precision to keep.
        with nullcontext() if self.skew.is_meta else torch.autocast(self.skew.device.type, enabled=False):
            size = len(self.bias)
            lower = self.skew.new_zeros(size, size).index_put(tuple(self.places), self.skew)
            skew, unit = lower - lower.T, torch.eye(size, device=lower.device)
            # Never singular, so that the check, which would wait for the device, can be left out.
            turned = torch.linalg.solve_ex(unit + skew, (unit - skew)[:, : self.bottom_channels]).result
            return self.start @ turned

    def map(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        return pointwise(x, self.weight, self.bias, self.channel_axis)

    def _start_at(self, weight: Tensor) -> None:
        """`weight` [top channels, bottom channels] with orthonormal columns, in float64."""
        full = torch.linalg.qr(weight, mode="complete").Q
        full[:, : weight.shape[1]] = weight  # the same up to signs
        self.start.copy_(full)
        self.skew.zero_()
        self.bias.zero_()

    def start_at_random(self, generator: torch.Generator) -> None:
        """An orthogonal map drawn from all alike, and no shift."""
        normal = torch.randn(len(self.bias), self.bottom_channels, generator=generator, dtype=torch.float64)
        q, r = torch.linalg.qr(normal)
        self._start_at(q * r.diagonal().sign())

    def start_as_identity(self) -> None:
        """The unit matrix, and no shift."""
        check_square(self.bottom_channels, len(self.bias))
        self._start_at(torch.eye(len(self.bias), dtype=torch.float64))

    def start_from_map(self, m: AffineMap) -> None:
        """The map's own weight and shift."""
        check_one_place(m)
        unit = torch.eye(m.weight.shape[1]).to(m.weight)
        if not torch.allclose(m.weight.T @ m.weight, unit, atol=_CLOSE):
            raise Misfit("a map that changes distances can't start an orthogonal stitch")
        self._start_at(m.weight)
        self.bias.copy_(m.bias)

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """A turn has none, but the turns of one channel towards all others add up as weights do."""
        return {"skew": TOGETHER / read.coherence, "bias": y}

    def matrix(self) -> Tensor:
        """Its weight."""
        return self.weight.double()


class LowRank(Stitch):
    """An affine map through `rank` numbers at every position: two factors and a bias."""

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int, rank: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.down = nn.Parameter(torch.empty(rank, bottom_channels))
        self.up = nn.Parameter(torch.empty(top_channels, rank))
        self.bias = nn.Parameter(torch.empty(top_channels))

    @classmethod
    def between(cls, _family: Family, bottom: Shaped, top: Shaped, rank: int | None) -> Self:
        """A map of `rank`, or of as many as either side's channels where that is less."""
        if rank is None or rank < 1:
            raise ValueError("low_rank needs a rank of 1 or more")
        return cls(bottom.channels, top.channels, top.channel_axis, min(rank, bottom.channels, top.channels))

    def map(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        return pointwise(pointwise(x, self.down, None, self.channel_axis), self.up, self.bias, self.channel_axis)

    def start_at_random(self, generator: torch.Generator) -> None:
        """PyTorch's own start of two linear layers, the first without a bias."""
        draw_uniform((self.down,), self.down.shape[1] ** -0.5, generator)
        draw_uniform((self.up, self.bias), self.up.shape[1] ** -0.5, generator)

    def start_as_identity(self) -> None:
        """The unit matrix in both factors; Misfit where the rank is too low for it."""
        channels = self.up.shape[0]
        check_square(self.down.shape[1], channels)
        if len(self.down) < channels:
            raise Misfit(f"an identity start needs a rank of {channels}, not {len(self.down)}")
        for parameter in (self.down, self.up):
            nn.init.eye_(parameter)
        nn.init.zeros_(self.bias)

    def start_from_map(self, m: AffineMap) -> None:
        """The map, split into two factors of equal size; Misfit where its rank is higher."""
        check_one_place(m)
        left, values, right = torch.linalg.svd(m.weight, full_matrices=False)
        rank = len(self.down)
        if bool((values[rank:] > _CLOSE * values[0]).any()):
            raise Misfit(f"a map of higher rank can't start a low-rank stitch of rank {rank}")
        roots = values[:rank].sqrt()
        self.down.copy_(roots[:, None] * right[:rank])
        self.up.copy_(left[:, :rank] * roots)
        self.bias.copy_(m.bias)

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """What the numbers between the factors vary by at the start stands between the two."""
        between = Rows(read.numbers @ self.down.T)
        down = between.deviations.clamp_min(TINY)[:, None] * each(read)
        return {"down": down, "up": y[:, None] * each(between), "bias": y}

    def matrix(self) -> Tensor:
        """The product of its factors."""
        return self.up.double() @ self.down.double()
