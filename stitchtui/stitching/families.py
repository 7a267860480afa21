"""The stitches that any weights will do for: identity, affine, K x K convolution, MLP, and the paper's."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchtui.spec.families import Family
from stitchtui.spec.shapes import Misfit, Shaped
from stitchtui.stitching.adapters import Adapter
from stitchtui.stitching.closed_forms import AffineMap
from stitchtui.stitching.rows import Rows

TINY = 1e-6
"""The least size of a unit that is computed from weights."""


TOGETHER = 20.0
"""How many times what its bias moves all weights of a row may move together."""


def each(read: Rows) -> Tensor:
    """The unit of each weight of a row that writes numbers of deviation 1: [channels that are read]."""
    return TOGETHER / (read.coherence * read.deviations)


class Stitch(nn.Module, ABC):
    """What every family has: an adapter in front if the shapes differ, a map, and three ways to start it."""

    channel_axis = -1
    readers: ClassVar[tuple[tuple[str, str], ...]] = ()
    """The weights that read what the stitch is given, by name, each with the bias beside it."""
    adapt: Adapter | None = None

    @classmethod
    def between(cls, _family: Family, bottom: Shaped, top: Shaped, _rank: int | None) -> Self:
        """An unstarted stitch of `family` for these ends; of `rank` where the family takes one."""
        return cls(bottom.channels, top.channels, top.channel_axis)

    def behind(self, adapt: Adapter) -> Self:
        """The same stitch, with `adapt` in front of it if that does anything."""
        self.adapt = adapt if adapt.name else None
        return self

    def forward(self, x: Tensor) -> Tensor:
        """The bottom's tensor [batch, channels, ...], or with the channels last, to the top's."""
        return self.map(x if self.adapt is None else self.adapt(x))

    @abstractmethod
    def map(self, x: Tensor) -> Tensor:
        """Apply the stitch to a tensor that has the top's positions already."""

    @abstractmethod
    def start_at_random(self, generator: torch.Generator) -> None:
        """Start at random, by PyTorch's own rule where there is one."""

    @abstractmethod
    def start_as_identity(self) -> None:
        """Start as the map that changes nothing; Misfit where there is none."""

    @abstractmethod
    def start_from_map(self, m: AffineMap) -> None:
        """Start exactly as `m`; Misfit for a map that is none of the family's."""

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:  # noqa: ARG002
        """The natural size of a change of each parameter, by name, to be broadcast to it; none if nothing is trained.

        `read` is what it is given, `y` [top channels] how much the channels vary that it is to write.
        """
        return {}

    @abstractmethod
    def matrix(self) -> Tensor | None:
        """The map's weight [top channels, features] in float64, in eval mode; None if the stitch is not linear."""


class Identity(Stitch):
    """Nothing at all: the bottom's tensor goes straight into the top."""

    def __init__(self, channels: int = 0) -> None:
        super().__init__()
        self.channels = channels

    @classmethod
    def between(cls, _family: Family, bottom: Shaped, _top: Shaped, _rank: int | None) -> Self:
        """Nothing, between so many channels."""
        return cls(bottom.channels)

    def map(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x

    def start_at_random(self, generator: torch.Generator) -> None:
        """There is nothing to draw."""

    def start_as_identity(self) -> None:
        """It is one."""

    def start_from_map(self, m: AffineMap) -> None:
        """There is nothing to set."""
        if not torch.equal(m.weight, torch.eye(len(m.weight)).to(m.weight)) or bool(m.bias.any()):
            raise Misfit("a map that changes anything can't be an identity stitch")

    def matrix(self) -> Tensor:
        """The unit matrix."""
        return torch.eye(self.channels, dtype=torch.float64)


class Affine(Stitch):
    """One affine map at every position: a 1x1 convolution on maps, token-wise on tokens, plain on vectors."""

    readers: ClassVar[tuple[tuple[str, str], ...]] = (("weight", "bias"),)

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.weight = nn.Parameter(torch.empty(top_channels, bottom_channels))
        self.bias = nn.Parameter(torch.empty(top_channels))

    def map(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        return pointwise(x, self.weight, self.bias, self.channel_axis)

    def start_at_random(self, generator: torch.Generator) -> None:
        """PyTorch's own start of a linear layer: uniform in +-1/sqrt(bottom channels)."""
        draw_uniform((self.weight, self.bias), self.weight.shape[1] ** -0.5, generator)

    def start_as_identity(self) -> None:
        """The unit matrix."""
        check_square(self.weight.shape[1], self.weight.shape[0])
        nn.init.eye_(self.weight)
        nn.init.zeros_(self.bias)

    def start_from_map(self, m: AffineMap) -> None:
        """The map's own weight and bias."""
        check_one_place(m)
        self.weight.copy_(m.weight)
        self.bias.copy_(m.bias)

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """What is written over what is read, shared out among the channels that are read."""
        return {"weight": y[:, None] * each(read), "bias": y}

    def matrix(self) -> Tensor | None:
        """Its weight."""
        return self.weight.double()


class Convolution(Stitch):
    """A K x K convolution with bias on maps, K odd, with zeros around the map."""

    readers: ClassVar[tuple[tuple[str, str], ...]] = (("weight", "bias"),)

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int, kernel: int) -> None:
        super().__init__()
        self.channel_axis, self.kernel = channel_axis, kernel
        self.weight = nn.Parameter(torch.empty(top_channels, bottom_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(top_channels))

    @classmethod
    def between(cls, family: Family, bottom: Shaped, top: Shaped, _rank: int | None) -> Self:
        """A convolution of the family's kernel."""
        return cls(bottom.channels, top.channels, top.channel_axis, family.kernel)

    def map(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, height, width] to the same of the top, or both with the channels last."""
        x = x.movedim(self.channel_axis, 1)
        return F.conv2d(x, self.weight, self.bias, padding=self.kernel // 2).movedim(1, self.channel_axis)

    def start_at_random(self, generator: torch.Generator) -> None:
        """PyTorch's own start of a convolution: uniform in +-1/sqrt(bottom channels * K * K)."""
        draw_uniform((self.weight, self.bias), self.weight[0].numel() ** -0.5, generator)

    def start_as_identity(self) -> None:
        """The unit matrix in the middle, zeros around it."""
        check_square(self.weight.shape[1], self.weight.shape[0])
        nn.init.dirac_(self.weight)
        nn.init.zeros_(self.bias)

    def start_from_map(self, m: AffineMap) -> None:
        """A convolution's weight, or a smaller one's or an affine map's in the middle of zeros."""
        weight = m.weight if m.weight.dim() == 4 else m.weight[:, :, None, None]
        around = self.kernel - weight.shape[-1]
        if around < 0:
            raise Misfit(f"a {weight.shape[-1]}x{weight.shape[-1]} map can't start a {self.kernel}x{self.kernel} one")
        self.weight.copy_(F.pad(weight, [around // 2] * 4))
        self.bias.copy_(m.bias)

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """What is written over what is read, shared out among the channels and the places of the kernel.

        Neighbours on a map are much alike, so that steps at all places add up: on a constant map to that of a 1x1.
        """
        return {"weight": (y[:, None] * each(read))[:, :, None, None] / self.kernel**2, "bias": y}

    def matrix(self) -> Tensor:
        """From all K * K places around a position to the top's channels."""
        return self.weight.double().flatten(1)


class Mlp(Affine):
    """An affine map plus a hidden layer of ReLU as wide as the top, whose output starts at 0."""

    readers = (*Affine.readers, ("hidden_weight", "hidden_bias"))

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int) -> None:
        super().__init__(bottom_channels, top_channels, channel_axis)
        self.hidden_weight = nn.Parameter(torch.empty(top_channels, bottom_channels))
        self.hidden_bias = nn.Parameter(torch.empty(top_channels))
        self.out_weight = nn.Parameter(torch.zeros(top_channels, top_channels))
        with torch.no_grad():  # a draw of its own, so that it is the same however the affine part starts
            self._draw_hidden(torch.Generator().manual_seed(0))

    def _draw_hidden(self, generator: torch.Generator) -> None:
        draw_uniform((self.hidden_weight, self.hidden_bias), self.hidden_weight.shape[1] ** -0.5, generator)

    def map(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        hidden = F.relu(pointwise(x, self.hidden_weight, self.hidden_bias, self.channel_axis))
        return super().map(x) + pointwise(hidden, self.out_weight, None, self.channel_axis)

    def start_at_random(self, generator: torch.Generator) -> None:
        """PyTorch's own start of both lower layers."""
        super().start_at_random(generator)
        self._draw_hidden(generator)

    def start_from_map(self, m: AffineMap) -> None:
        """The affine map; the hidden layer is set to read features of mean 0 and variance 1."""
        super().start_from_map(m)
        self._draw_hidden(torch.Generator().manual_seed(0))
        mean, deviation = (t.to(self.hidden_weight) for t in (m.mean_in, (m.variance_in + 1e-5).sqrt()))
        self.hidden_weight.div_(deviation)
        self.hidden_bias.sub_(self.hidden_weight @ mean)

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """Of the hidden layer, what its units vary by at the start stands between the two."""
        before = Rows(F.linear(read.numbers, self.hidden_weight, self.hidden_bias))
        hidden = before.deviations.clamp_min(TINY)
        own = {"hidden_weight": hidden[:, None] * each(read), "hidden_bias": hidden}
        return {**super().units(read, y), **own, "out_weight": y[:, None] * each(Rows(before.numbers.relu()))}

    def matrix(self) -> None:
        """It has none."""


class BnAffineBn(Stitch):
    """The paper's stitch: BatchNorm, 1x1 convolution with bias, BatchNorm (appendix A.4)."""

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.before = nn.BatchNorm1d(bottom_channels)
        self.affine = nn.Linear(bottom_channels, top_channels)
        self.after = nn.BatchNorm1d(top_channels)

    def map(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        last = x.movedim(1, -1) if self.channel_axis == 1 else x
        rows = last.flatten(0, -2)  # [batch * positions, channels]
        out = self.after(self.affine(self.before(rows))).unflatten(0, last.shape[:-1])
        return out.movedim(-1, 1) if self.channel_axis == 1 else out

    def start_at_random(self, generator: torch.Generator) -> None:
        """PyTorch's own start of the convolution."""
        draw_uniform((self.affine.weight, self.affine.bias), self.affine.in_features**-0.5, generator)

    def start_as_identity(self) -> None:
        """The unit matrix between the two BatchNorms, which still normalise."""
        check_square(self.affine.in_features, self.affine.out_features)
        nn.init.eye_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def start_from_map(self, m: AffineMap) -> None:
        """Exactly the map, both in eval mode and on a typical batch.

        The running statistics are set to those of what each BatchNorm will see, and its scale and shift undo or redo
        them.
        """
        check_one_place(m)
        _set_batchnorm(self.before, m.mean_in, m.variance_in)
        self.affine.weight.copy_(m.weight * (m.variance_in + self.before.eps).sqrt())
        self.affine.bias.copy_(m.mean_out)
        _set_batchnorm(self.after, m.mean_out, m.variance_out)
        self.after.weight.copy_((m.variance_out + self.after.eps).sqrt())
        self.after.bias.copy_(m.mean_out)

    def units(self, read: Rows, y: Tensor, /) -> Mapping[str, Tensor]:
        """Each row of the weight is measured by its own size: the BatchNorm after it takes any other out again."""
        rows = self.affine.weight.norm(dim=1).clamp_min(TINY)
        one = torch.ones((), device=y.device)
        weight = rows[:, None] * TOGETHER / read.coherence
        inner = {"before.weight": one, "before.bias": one, "affine.weight": weight, "affine.bias": rows}
        return {**inner, "after.weight": y, "after.bias": y}

    def matrix(self) -> Tensor:
        """The product of its three scales."""
        scales = [_scale(layer).double() for layer in (self.before, self.after)]
        return scales[1][:, None] * self.affine.weight.double() * scales[0]


def _set_batchnorm(layer: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)


def _scale(layer: nn.BatchNorm1d) -> Tensor:
    assert layer.running_var is not None
    return layer.weight * (layer.running_var + layer.eps).rsqrt()


def pointwise(x: Tensor, weight: Tensor, bias: Tensor | None, channel_axis: int) -> Tensor:
    """weight x + bias at every position of `x`, whose channels are on `channel_axis`."""
    if channel_axis == 1 and x.dim() == 4:
        return F.conv2d(x, weight[:, :, None, None], bias)
    if channel_axis == 1:
        return F.linear(x.movedim(1, -1), weight, bias).movedim(-1, 1)
    return F.linear(x, weight, bias)


def draw_uniform(parameters: Iterable[Tensor], bound: float, generator: torch.Generator) -> None:
    """Fill with numbers uniform in +-`bound`, drawn on the CPU so that they are the same on every device."""
    for parameter in parameters:
        drawn = torch.rand(parameter.shape, generator=generator)
        parameter.copy_(bound * (2 * drawn - 1))


def check_square(bottom: int, top: int) -> None:
    """Raise Misfit where no map between so many channels changes nothing."""
    if bottom != top:
        raise Misfit(f"an identity start needs equal channels: bottom {bottom}, top {top}")


def check_one_place(m: AffineMap) -> None:
    """Raise Misfit for a convolution's map."""
    if m.weight.dim() != 2:
        raise Misfit("a convolution's map reads several positions; this family reads one")
