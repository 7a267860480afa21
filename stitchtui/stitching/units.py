"""Steps of training in units of what a stitch reads and is to write, so that one learning rate fits every cut.

Adam moves each number by about the learning rate, whatever its gradient's size: too little for the weights between
channels of which the one hardly varies and the other varies much, too much the other way round. With each step times
the number's natural unit, training is that of the same stitch between features of variance 1, to Adam's epsilon.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stitchtui.stitching.families import Stitch

LEAST = 0.1
"""A channel is taken to vary at least so much, beside the root mean square of all: dead ones have no unit."""


def deviations(tensor: Tensor, channel_axis: int) -> Tensor:
    """Standard deviation of each channel over images and positions: float32 [channels], none of them near 0."""
    rows = tensor.detach().movedim(channel_axis, -1).flatten(0, -2).float()
    found = rows.std(0, correction=0)
    typical = found.square().mean().sqrt()
    typical = torch.where(typical > 0, typical, torch.ones_like(typical))
    return found.clamp_min(LEAST * typical)


@torch.no_grad()
def units(stitch: nn.Module, x: Tensor, y: Tensor, channel_axis: int) -> list[Tensor]:
    """The natural unit of every number that `stitch` trains, a tensor that broadcasts to each of its parameters.

    `x` is what the stitch is given, `y` what it is to give; the top's channels are on `channel_axis` of `y`. A module
    that is no stitch of ours has units of 1.
    """
    if not isinstance(stitch, Stitch):
        return [torch.ones((), device=p.device) for p in stitch.parameters()]
    read = x if stitch.adapt is None else stitch.adapt(x)
    found = stitch.units(deviations(read, stitch.channel_axis), deviations(y, channel_axis))
    return [found[name] for name, _ in stitch.named_parameters()]


class ScaledSteps:
    """Multiplies the steps of an optimiser: `before` it steps and `after`."""

    def __init__(self, parameters: Sequence[nn.Parameter], factors: Sequence[Tensor]) -> None:
        self.parameters = list(parameters)
        self.factors = [f.to(p).expand_as(p) for p, f in zip(parameters, factors, strict=True)]
        self.kept: list[Tensor] = []

    @torch.no_grad()
    def before(self) -> None:
        """Remember where the parameters are."""
        self.kept = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def after(self) -> None:
        """Go as far as the factors say in the direction that was taken."""
        for parameter, kept, factor in zip(self.parameters, self.kept, self.factors, strict=True):
            parameter.copy_(torch.addcmul(kept, parameter - kept, factor))
