"""ResNets for small images: the paper's pre-activation ResNet-18, and the CIFAR ResNets of He et al."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stitchtui.networks.blocks import Blocks, channels, conv_bn_relu, init_kaiming

Shape = tuple[int, int, int]
Modules = Mapping[str, nn.Module]


class PreActivation(nn.Module):
    """BN-ReLU-conv twice beside a shortcut; a shortcut that changes shape starts after the first BN-ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] -> [b, outputs, h / stride, w / stride]."""
        y = torch.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return self.conv2(torch.relu(self.bn2(self.conv1(y)))) + shortcut


class PreActivationBottleneck(nn.Module):
    """BN-ReLU-conv three times, 1x1, 3x3, 1x1, the middle ones a quarter as wide as the output."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        middle = max(1, outputs // 4)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, middle, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, outputs, 1, bias=False)
        self.shortcut = _projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] -> [b, outputs, h / stride, w / stride]."""
        y = torch.relu(self.bn1(x))
        shortcut = x if self.shortcut is None else self.shortcut(y)
        y = self.conv2(torch.relu(self.bn2(self.conv1(y))))
        return self.conv3(torch.relu(self.bn3(y))) + shortcut


class Basic(nn.Module):
    """conv-BN-ReLU-conv-BN beside a shortcut without parameters, then ReLU (He et al., option A)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else Subsample(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] -> [b, outputs, h / stride, w / stride]."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + shortcut)


class Subsample(nn.Module):
    """A shortcut that takes every `stride`-th pixel and fills the new channels with zeros on both sides."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        before = (outputs - inputs) // 2
        self.padding = (0, 0, 0, 0, before, outputs - inputs - before)

    def forward(self, x: Tensor) -> Tensor:
        """[b, inputs, h, w] -> [b, outputs, h / stride, w / stride]."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], self.padding)


def resnet18(classes: int, shape: Shape, width: float) -> nn.Module:
    """Pre-activation ResNet-18 for CIFAR, k = 64 * width, with no BatchNorm after the last block."""
    k = channels(64, width)
    stem = {"conv1": nn.Conv2d(shape[0], k, 3, 1, 1, bias=False)}
    return _assemble(stem, _stages(PreActivation, k, [k, 2 * k, 4 * k, 8 * k], 2), {}, nn.Linear(8 * k, classes))


def basic_resnet(classes: int, shape: Shape, width: float, blocks: int) -> nn.Module:
    """The CIFAR ResNet of He et al. with `blocks` blocks in each of three stages of 16, 32 and 64 channels."""
    planes = [channels(base, width) for base in (16, 32, 64)]
    stem = {"stem": conv_bn_relu(shape[0], planes[0])}
    stages = _stages(Basic, planes[0], planes, blocks)
    network = _assemble(stem, stages, {}, nn.Linear(planes[-1], classes))
    init_kaiming(network)
    return network


def bottleneck_resnet(classes: int, shape: Shape, width: float, blocks: int) -> nn.Module:
    """The pre-activation bottleneck ResNet of He et al. for CIFAR; ResNet-164 has 18 blocks in each stage."""
    first = channels(16, width)
    planes = [4 * channels(base, width) for base in (16, 32, 64)]
    stem = {"stem": nn.Conv2d(shape[0], first, 3, 1, 1, bias=False)}
    norm = {"norm": nn.Sequential(nn.BatchNorm2d(planes[-1]), nn.ReLU())}
    stages = _stages(PreActivationBottleneck, first, planes, blocks)
    network = _assemble(stem, stages, norm, nn.Linear(planes[-1], classes))
    init_kaiming(network)
    return network


def _stages(block: Callable[..., nn.Module], inputs: int, planes: list[int], blocks: int) -> Modules:
    """Stages named layer1, layer2, ..., each of `blocks` blocks; all but the first begin with stride 2."""
    stages: dict[str, nn.Module] = {}
    for number, outputs in enumerate(planes, start=1):
        first = block(inputs, outputs, 1 if number == 1 else 2)
        stages[f"layer{number}"] = nn.Sequential(first, *(block(outputs, outputs, 1) for _ in range(blocks - 1)))
        inputs = outputs
    return stages


def _assemble(stem: Modules, stages: Modules, norm: Modules, linear: nn.Linear) -> Blocks:
    head = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "linear": linear}
    cuts = [f"{name}.{index}" for name, stage in stages.items() for index, _ in enumerate(stage.children())]
    return Blocks({**stem, **stages, **norm, **head}, (*stem, *cuts, "flatten"))


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))
