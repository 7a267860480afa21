"""The paper's Myrtle CNN: five convolutions with BatchNorm and ReLU, and a linear layer."""

from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.networks.blocks import Blocks, channels


def myrtle5(classes: int, shape: tuple[int, int, int], width: float) -> nn.Module:
    """Myrtle CNN with 64 * width channels in its first layer; cuts lie directly after each convolution."""
    if min(shape[1:]) < 16:
        why = f"needs images of at least 16 x 16, got {shape[1]} x {shape[2]}"
        raise BadInput(f"architecture myrtle5 {why}", "architecture")
    k = channels(64, width)
    modules: dict[str, nn.Module] = {}
    inputs = shape[0]
    for index, outputs in enumerate((k, 2 * k, 4 * k, 8 * k, 8 * k), start=1):
        modules[f"conv{index}"] = nn.Conv2d(inputs, outputs, 3, 1, 1)
        modules[f"bn{index}"] = nn.BatchNorm2d(outputs)
        modules[f"relu{index}"] = nn.ReLU()
        if index > 1:
            modules[f"pool{index}"] = nn.MaxPool2d(2)
        inputs = outputs
    modules["pool"] = nn.AdaptiveMaxPool2d(1)
    modules["flatten"] = nn.Flatten()
    modules["linear"] = nn.Linear(inputs, classes)
    return Blocks(modules, tuple(f"conv{index}" for index in range(1, 6)))
