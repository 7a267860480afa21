"""The published way to train a stitch, as plainly as a paper's code: one cell, both networks whole, hooks at the cut.

Benchmarks compare the column trainer's time with it, and tests the numbers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def stitched_outputs(
    bottom: nn.Module, top: nn.Module, cut: tuple[str, str], stitch: nn.Module, images: Tensor
) -> Tensor:
    """Class scores [batch, classes] of `top` with its activation at `cut` replaced by the stitched one of `bottom`.

    `cut` is the path of a module of the bottom and of one of the top.
    """
    kept: list[Tensor] = []
    keep = bottom.get_submodule(cut[0]).register_forward_hook(lambda _module, _args, out: kept.append(out))
    try:
        with torch.no_grad():
            bottom(images)
    finally:
        keep.remove()
    replace = top.get_submodule(cut[1]).register_forward_hook(lambda _module, _args, _out: stitch(kept[0]))
    try:
        return top(images)
    finally:
        replace.remove()


class CellTrainer:
    """Trains one cell's stitch with Adam and a cosine from `learning_rate` to 0 over `steps`.

    The networks are frozen: in eval mode, and their weights take no gradients.
    """

    def __init__(
        self,
        bottom: nn.Module,
        top: nn.Module,
        cut: tuple[str, str],
        stitch: nn.Module,
        *,
        steps: int,
        learning_rate: float = 1e-3,
    ) -> None:
        self.bottom, self.top, self.cut, self.stitch = bottom, top, cut, stitch.train()
        self.optimiser = torch.optim.Adam(stitch.parameters(), learning_rate)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, steps)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """One step on images [batch, channels, height, width], as the networks take them, and labels [batch]."""
        outputs = stitched_outputs(self.bottom, self.top, self.cut, self.stitch, images)
        loss = F.cross_entropy(outputs, labels)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
