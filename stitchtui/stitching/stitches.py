"""Stitches: the families, and how each is started (at random, as the identity, from a closed-form map)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.direct import AffineMap

MOST_PARAMETERS = 1 << 26  # a matrix of 8192 x 8192, whose covariance still can be taken apart


class Misfit(ValueError):
    """Two cuts that a family can't join; its text says why in one line."""


class Identity(nn.Module):
    """Nothing at all: the bottom's tensor goes straight into the top."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x


class Affine(nn.Module):
    """One affine map at every position: a 1x1 convolution on maps, token-wise on tokens, plain on vectors."""

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.weight = nn.Parameter(torch.empty(top_channels, bottom_channels))
        self.bias = nn.Parameter(torch.empty(top_channels))

    def forward(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        if self.channel_axis == 1 and x.dim() == 4:
            return F.conv2d(x, self.weight[:, :, None, None], self.bias)
        if self.channel_axis == 1:
            return F.linear(x.movedim(1, -1), self.weight, self.bias).movedim(-1, 1)
        return F.linear(x, self.weight, self.bias)


class BnAffineBn(nn.Module):
    """The paper's stitch: BatchNorm, 1x1 convolution with bias, BatchNorm (appendix A.4)."""

    def __init__(self, bottom_channels: int, top_channels: int, channel_axis: int) -> None:
        super().__init__()
        self.channel_axis = channel_axis
        self.before = nn.BatchNorm1d(bottom_channels)
        self.affine = nn.Linear(bottom_channels, top_channels)
        self.after = nn.BatchNorm1d(top_channels)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, bottom channels, ...] to [batch, top channels, ...], or the same with the channels last."""
        last = x.movedim(1, -1) if self.channel_axis == 1 else x
        rows = last.flatten(0, -2)  # [batch * positions, channels]
        out = self.after(self.affine(self.before(rows))).unflatten(0, last.shape[:-1])
        return out.movedim(-1, 1) if self.channel_axis == 1 else out


def build(family: str, bottom: Cut, top: Cut) -> nn.Module:
    """An unstarted stitch of `family` from the bottom's cut to the top's. Raises Misfit where shapes don't fit."""
    if family == "identity":
        if bottom.shape != top.shape or bottom.channel_axis != top.channel_axis:
            raise Misfit(f"identity needs equal shapes: bottom {_shape(bottom)}, top {_shape(top)}")
        return Identity()
    if bottom.positions != top.positions or bottom.channel_axis != top.channel_axis:
        raise Misfit(f"{family} needs equal height, width or tokens: bottom {_shape(bottom)}, top {_shape(top)}")
    count = bottom.channels * top.channels
    if count > MOST_PARAMETERS:
        raise Misfit(f"{family} from {bottom.channels} to {top.channels} channels would have {count:,} parameters")
    kind = {"affine": Affine, "bn_affine_bn": BnAffineBn}[family]
    return kind(bottom.channels, top.channels, top.channel_axis)


def _shape(cut: Cut) -> str:
    return "x".join(map(str, cut.shape))


def parameter_count(module: nn.Module) -> int:
    """How many numbers a stitch, or a network, learns."""
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def start_at_random(stitch: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's own start of a linear layer or 1x1 convolution: uniform in +-1/sqrt(bottom channels)."""
    layer = stitch.affine if isinstance(stitch, BnAffineBn) else stitch
    if isinstance(layer, Affine | nn.Linear):
        bound = layer.weight.shape[1] ** -0.5
        for parameter in (layer.weight, layer.bias):
            drawn = torch.rand(parameter.shape, generator=generator)  # on the CPU: the same on every device
            parameter.copy_(bound * (2 * drawn - 1))


@torch.no_grad()
def start_as_identity(stitch: nn.Module) -> None:
    """The map that changes nothing. Raises Misfit if the channels differ in number."""
    layer = stitch.affine if isinstance(stitch, BnAffineBn) else stitch
    if isinstance(layer, Affine | nn.Linear):
        if layer.weight.shape[0] != layer.weight.shape[1]:
            raise Misfit(
                f"an identity start needs equal channels: bottom {layer.weight.shape[1]}, top {layer.weight.shape[0]}"
            )
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)


@torch.no_grad()
def start_from_map(stitch: nn.Module, m: AffineMap) -> None:
    """The affine map `m`.

    Around a BatchNorm the map is kept exactly: its running statistics are set to those of what it will see, and its
    scale and shift undo or redo them, so that the stitch computes the map both in eval mode and on a typical batch.
    """
    if isinstance(stitch, Affine):
        stitch.weight.copy_(m.weight)
        stitch.bias.copy_(m.bias)
    if isinstance(stitch, BnAffineBn):
        _set_batchnorm(stitch.before, m.mean_in, m.variance_in)
        stitch.affine.weight.copy_(m.weight * (m.variance_in + stitch.before.eps).sqrt())
        stitch.affine.bias.copy_(m.mean_out)
        _set_batchnorm(stitch.after, m.mean_out, m.variance_out)
        stitch.after.weight.copy_((m.variance_out + stitch.after.eps).sqrt())
        stitch.after.bias.copy_(m.mean_out)


def _set_batchnorm(layer: nn.BatchNorm1d, mean: Tensor, variance: Tensor) -> None:
    assert layer.running_mean is not None and layer.running_var is not None
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)
