"""Every classification network of torchvision is a chain that computes what the network does."""

from collections.abc import Callable

import pytest
import torch
import torchvision
from chain_checks import assert_chains
from torch import nn

from stitchtui.networks import from_torchvision

CLASSES = 5
# The smallest images that all layers of a family can take.
SIZES = {"inception_v3": 80, "alexnet": 64, "maxvit_t": 224, "vit_b_16": 32, "vit_b_32": 32, "vit_l_16": 32}
SIZES |= {"vit_l_32": 32, "vit_h_14": 28, "swin_t": 32, "swin_v2_t": 32}
FAMILIES = [
    *("alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "squeezenet1_1", "densenet121", "inception_v3"),
    *("googlenet", "shufflenet_v2_x0_5", "mobilenet_v2", "mobilenet_v3_small", "mnasnet0_5", "efficientnet_b0"),
    *("efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny", "swin_t", "swin_v2_t"),
]


def built(name: str) -> tuple[nn.Module, int]:
    size = SIZES.get(name, 64)
    options = {"image_size": size} if name.startswith("vit") else {}
    options |= {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    return from_torchvision.build(name, CLASSES, options, None), size


# Others of their families stay in every build.
BY_HAND = {
    "resnext50_32x4d",
    "googlenet",
    "mobilenet_v2",
    "mnasnet0_5",
    "efficientnet_v2_s",
    "regnet_x_400mf",
    "swin_v2_t",
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in BY_HAND else name for name in FAMILIES]
)
def test_one_network_of_each_family_is_a_chain_with_blocks(name: str) -> None:
    torch.manual_seed(0)
    traced = assert_chains(*built(name))
    blocks = traced.select("blocks")
    assert 6 <= len(blocks) < len(traced.cuts)
    assert len({cut.name for cut in traced.cuts}) == len(traced.cuts)


@pytest.mark.parametrize(
    "build",
    [
        lambda: torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=CLASSES),
        lambda: torchvision.models.MaxVit((32, 32), 8, 2, [8, 16], [1, 2], 4, 0.2, num_classes=CLASSES),
    ],
    ids=["vit", "maxvit"],
)
def test_small_networks_of_the_large_families_are_chains_too(build: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    traced = assert_chains(build(), 32)
    assert len(traced.select("blocks")) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("name", from_torchvision.names())
def test_every_classification_network_is_a_chain(name: str) -> None:
    torch.manual_seed(0)
    assert_chains(*built(name))
