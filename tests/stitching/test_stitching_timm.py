"""One of each usual family of timm is a chain that computes what the network does."""

import pytest
import timm
import torch
from chain_checks import assert_chains

SMALL = {"embed_dim": 24, "depth": 2, "num_heads": 2}
VIT = {**SMALL, "img_size": 32}
FAMILIES = {
    "test_resnet": (32, {}),
    "test_convnext": (32, {}),
    "test_vit": (32, {"img_size": 32}),
    "vit_tiny_patch16_224": (32, VIT),
    "deit_tiny_patch16_224": (32, VIT),
    "deit_tiny_distilled_patch16_224": (32, VIT),
    "vit_small_patch16_224.dino": (32, VIT),
    "vit_small_patch14_dinov2": (28, {**SMALL, "img_size": 28}),
    "vit_small_patch14_reg4_dinov2": (28, {**SMALL, "img_size": 28}),
    "vit_small_patch16_dinov3": (32, VIT),
    "vit_base_patch32_clip_224": (32, VIT),
    "vit_base_patch16_siglip_224": (32, VIT),
    "resnet50_clip": (64, {}),
    "swin_tiny_patch4_window7_224": (56, {"img_size": 56, "embed_dim": 12, "depths": (2, 1), "num_heads": (2, 2)}),
    "mobilenetv3_small_050": (32, {}),
    "mobilenetv4_conv_small_035": (32, {}),
    "test_efficientnet": (32, {}),
    "tf_efficientnetv2_b0": (32, {}),
    "regnetx_002": (32, {}),
    "regnety_002": (32, {}),
    "maxvit_rmlp_pico_rw_256": (64, {"img_size": 64}),
    "maxvit_tiny_tf_224": (64, {"img_size": 64}),
    "coatnet_pico_rw_224": (32, {"img_size": 32}),
    "mixer_s32_224": (64, {"img_size": 64}),
    "resmlp_12_224": (32, {"img_size": 32}),
}


# Others of their families stay in every build.
BY_HAND = {
    *("vit_tiny_patch16_224", "deit_tiny_patch16_224", "vit_small_patch16_224.dino", "vit_small_patch14_dinov2"),
    *("vit_base_patch32_clip_224", "vit_base_patch16_siglip_224", "mobilenetv4_conv_small_035"),
    *("tf_efficientnetv2_b0", "regnety_002", "maxvit_rmlp_pico_rw_256", "resmlp_12_224"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in BY_HAND else name for name in FAMILIES]
)
def test_one_network_of_each_family_is_a_chain(name: str) -> None:
    torch.manual_seed(0)
    size, options = FAMILIES[name]
    blocks = assert_chains(timm.create_model(name, num_classes=5, **options), size).select("blocks")
    assert len(blocks) >= 3
