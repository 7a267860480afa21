"""Steps of training in units of what a stitch reads and is to write, so that one learning rate fits every cut.

Adam moves each number by about the learning rate, whatever its gradient's size: too little for the weights between
channels of which the one hardly varies and the other varies much, too much the other way round; and a weight that reads
a channel far from zero moves the mean of what it writes with every step. With each step times the number's natural
unit, and biases that follow the weights, training is that of the same stitch between features of mean 0 and variance 1,
to Adam's epsilon. And the weights of a row, which Adam moves all at once, share out what they may move together: where
hundreds of channels say much the same, steps that each are small add up to many times what the stitch writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from stitchtui.stitching.families import Stitch
from stitchtui.stitching.rows import Rows


@dataclass(frozen=True)
class Follow:
    """A bias that keeps the mean of what is written where it is, whatever the weight beside it does."""

    weight: nn.Parameter  # [top channels, bottom channels, ...]
    bias: nn.Parameter  # [top channels]
    mean: Tensor  # [bottom channels]: of what the weight reads

    def written(self, weight: Tensor) -> Tensor:
        """What such a weight adds to the mean of each of the top's channels."""
        return weight.flatten(2).sum(2) @ self.mean if weight.dim() > 2 else weight @ self.mean

    def spread(self, gradient: Tensor) -> Tensor:
        """The weight's share of a bias' gradient: what reading features of mean 0 leaves out."""
        outer = gradient[:, None] * self.mean
        return outer[(..., *[None] * (self.weight.dim() - 2))]


@torch.no_grad()
def follows(stitch: nn.Module, x: Tensor) -> list[Follow]:
    """The biases of `stitch` that follow its weights; `x` is what it is given."""
    if not isinstance(stitch, Stitch):
        return []
    mean = Rows.of(_read(stitch, x), stitch.channel_axis).mean
    named = dict(stitch.named_parameters())
    return [Follow(named[weight], named[bias], mean) for weight, bias in stitch.readers]


@torch.no_grad()
def units(stitch: nn.Module, x: Tensor, y: Tensor, channel_axis: int) -> list[Tensor]:
    """The natural unit of every number that `stitch` trains, a tensor that broadcasts to each of its parameters.

    `x` is what the stitch is given, `y` what it is to give; the top's channels are on `channel_axis` of `y`. A module
    that is no stitch of ours has units of 1.
    """
    if not isinstance(stitch, Stitch):
        return [torch.ones((), device=p.device) for p in stitch.parameters()]
    found = stitch.units(Rows.of(_read(stitch, x), stitch.channel_axis), Rows.of(y, channel_axis).deviations)
    return [found[name] for name, _ in stitch.named_parameters()]


def _read(stitch: Stitch, x: Tensor) -> Tensor:
    """What the stitch's map is given of what the stitch is."""
    return x if stitch.adapt is None else stitch.adapt(x)


class ScaledSteps:
    """Multiplies the steps of an optimiser and has biases follow: `before` it steps and `after`."""

    def __init__(
        self, parameters: Sequence[nn.Parameter], factors: Sequence[Tensor], following: Sequence[Follow] = ()
    ) -> None:
        self.parameters, self.following = list(parameters), list(following)
        self.factors = [f.to(p).expand_as(p) for p, f in zip(parameters, factors, strict=True)]
        self.kept: list[Tensor] = []
        self.means: list[Tensor] = []

    @torch.no_grad()
    def before(self) -> None:
        """Remember where the parameters are, and turn their gradients to those of features of mean 0."""
        self.kept = [p.detach().clone() for p in self.parameters]
        self.means = [f.written(f.weight) for f in self.following]
        for f in self.following:
            if f.weight.grad is not None and f.bias.grad is not None:
                f.weight.grad.sub_(f.spread(f.bias.grad))

    @torch.no_grad()
    def after(self) -> None:
        """Go as far as the factors say in the direction that was taken."""
        for parameter, kept, factor in zip(self.parameters, self.kept, self.factors, strict=True):
            parameter.copy_(torch.addcmul(kept, parameter - kept, factor))
        for f, mean in zip(self.following, self.means, strict=True):
            f.bias.add_(mean - f.written(f.weight))
