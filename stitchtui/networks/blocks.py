"""What the architectures here are made of: a sequence of named blocks that says where its block-level cuts lie."""

from collections import OrderedDict
from collections.abc import Mapping

from torch import nn


class Blocks(nn.Sequential):
    """Modules run one after another; `block_cuts` names those after which a block-level cut lies."""

    def __init__(self, modules: Mapping[str, nn.Module], block_cuts: tuple[str, ...] = ()) -> None:
        super().__init__(OrderedDict(modules))
        self.block_cuts = block_cuts


def channels(base: int, width: float) -> int:
    """`base` channels scaled by `width`, at least one."""
    return max(1, round(base * width))


def conv_bn_relu(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution, BatchNorm and ReLU."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def init_kaiming(network: nn.Module) -> None:
    """He initialisation of every convolution, as the CIFAR ResNets of He et al. use."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
