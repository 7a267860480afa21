"""A small CNN for 8x8 images, so that a whole comparison fits into minutes on two cores."""

from torch import nn

from stitchtui.networks.blocks import Blocks, channels, conv_bn_relu


def digits_cnn(classes: int, shape: tuple[int, int, int], width: float) -> nn.Module:
    """A stem and four conv-BN-ReLU blocks of 16, 32, 32 and 64 channels times `width`, pooling, a linear layer."""
    k, k2, k4 = (channels(base, width) for base in (16, 32, 64))
    modules: dict[str, nn.Module] = {
        "stem": conv_bn_relu(shape[0], k),
        "block1": conv_bn_relu(k, k),
        "block2": conv_bn_relu(k, k2, stride=2),
        "block3": conv_bn_relu(k2, k2),
        "block4": conv_bn_relu(k2, k4, stride=2),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
        "linear": nn.Linear(k4, classes),
    }
    return Blocks(modules, ("stem", "block1", "block2", "block3", "block4", "flatten"))
