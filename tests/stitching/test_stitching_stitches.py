import itertools

import pytest
import torch

from stitchtui.spec.families import FAMILIES, check_fit, ladder_families
from stitchtui.stitching import stitches
from stitchtui.stitching.cuts import Cut

MAP, WIDE, SMALL = Cut("a", (4, 8, 8), 1, True), Cut("b", (6, 8, 8), 1, True), Cut("c", (4, 4, 4), 1, True)
TOKENS, VECTOR = Cut("t", (16, 4), -1, True), Cut("v", (4,), -1, True)
CLASSED, TURNED = (
    Cut("cls", (17, 4), -1, True),
    Cut(
        "turned",
        (
            16,
            4,
        ),
        1,
        True,
    ),
)
LAST, HUGE = Cut("last", (8, 8, 4), -1, True), Cut("huge", (9000,), -1, True)
CHANNEL_FAMILIES = [name for name in ladder_families() if FAMILIES[name].kernel == 1]


@pytest.mark.parametrize(
    "family, cut",
    [
        *itertools.product(CHANNEL_FAMILIES, [MAP, TOKENS, VECTOR, LAST]),
        *itertools.product(["conv3", "conv9"], [MAP, LAST]),
    ],
)
def test_an_identity_start_changes_nothing(cut: Cut, family: str) -> None:
    stitch = stitches.build(family, cut, cut, rank=4)
    stitches.start_as_identity(stitch)
    x = torch.randn(3, *cut.shape)
    assert torch.equal(stitch(x), x)


@pytest.mark.parametrize("bottom, top", [(MAP, WIDE), (TOKENS, TOKENS), (VECTOR, VECTOR)])
def test_an_affine_stitch_maps_every_position_alike(bottom: Cut, top: Cut) -> None:
    stitch = stitches.build("affine", bottom, top)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    x = torch.randn(3, *bottom.shape)
    last = x.movedim(bottom.channel_axis, -1)
    expected = torch.einsum("...c,dc->...d", last, stitch.weight) + stitch.bias
    torch.testing.assert_close(stitch(x), expected.movedim(-1, top.channel_axis))


def test_the_papers_stitch_is_batchnorm_convolution_batchnorm() -> None:
    stitch = stitches.build("bn_affine_bn", MAP, WIDE)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    conv = torch.nn.Conv2d(4, 6, 1)
    with torch.no_grad():
        conv.weight.copy_(stitch.affine.weight[:, :, None, None])
        conv.bias.copy_(stitch.affine.bias)
    reference = torch.nn.Sequential(torch.nn.BatchNorm2d(4), conv, torch.nn.BatchNorm2d(6))
    x = torch.randn(5, 4, 8, 8)
    torch.testing.assert_close(stitch(x), reference(x), rtol=1e-4, atol=1e-5)
    assert stitches.parameter_count(stitch) == sum(p.numel() for p in reference.parameters())


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "identity"])
def test_a_random_start_depends_on_its_seed_alone(family: str) -> None:
    x, drawn = torch.randn(4, *WIDE.shape), []
    for seed in (0, 0, 1):
        torch.manual_seed(len(drawn))
        stitch = stitches.build(family, WIDE, WIDE, rank=2)
        stitches.start_at_random(stitch, torch.Generator().manual_seed(seed))
        drawn.append(stitch(x))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_random_affine_start_is_that_of_a_linear_layer() -> None:
    stitch = stitches.build("affine", MAP, WIDE)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    assert 0.3 < stitch.weight.abs().max().item() <= 0.5  # 1 / sqrt(4 channels)


def test_an_adapter_stands_in_front_of_a_stitch_whose_shapes_differ_and_of_no_other() -> None:
    stitch = stitches.build("affine", MAP, SMALL)
    stitches.start_as_identity(stitch)
    x = torch.randn(3, *MAP.shape)
    torch.testing.assert_close(stitch(x), torch.nn.functional.avg_pool2d(x, 2))
    assert stitch.adapt is not None
    assert stitch.adapt.name == "pool 8x8 to 4x4"
    assert stitches.build("affine", MAP, WIDE).adapt is None


@pytest.mark.parametrize(
    "bottom, top", list(itertools.product([MAP, WIDE, SMALL, TOKENS, CLASSED, VECTOR, LAST], repeat=2))
)
def test_an_affine_stitch_joins_any_two_shapes(bottom: Cut, top: Cut) -> None:
    stitch = stitches.build("affine", bottom, top)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    assert stitch(torch.randn(2, *bottom.shape)).shape == (2, *top.shape)
    assert stitches.parameter_count(stitch) == (bottom.channels + 1) * top.channels  # an adapter learns nothing


@pytest.mark.parametrize(
    "family, bottom, top, words",
    [
        ("identity", MAP, WIDE, "identity needs equal shapes: bottom 4x8x8, top 6x8x8"),
        ("identity", MAP, SMALL, "identity needs equal shapes: bottom 4x8x8, top 4x4x4"),
        ("identity", TURNED, TOKENS, "identity needs equal shapes: bottom 16x4, top 16x4"),
        ("permutation", MAP, WIDE, "permutation needs equal channels: bottom 4, top 6"),
        ("scaled_permutation", WIDE, MAP, "scaled_permutation needs equal channels: bottom 6, top 4"),
        (
            "orthogonal",
            WIDE,
            MAP,
            "orthogonal keeps every distance, so it can't lead to fewer channels: bottom 6, top 4",
        ),
        ("conv3", MAP, VECTOR, "conv3 needs a top whose tensor is a map: bottom 4x8x8, top 4"),
        ("conv5", MAP, TOKENS, "conv5 needs a top whose tensor is a map: bottom 4x8x8, top 16x4"),
        ("affine", MAP, Cut("odd", (198, 4), -1, True), "198 tokens can't be read as a grid"),
        ("affine", HUGE, HUGE, "affine from 9000 to 9000 channels would have 81,000,000 parameters"),
        ("conv9", Cut("h", (900, 4, 4), 1, True), Cut("g", (1000, 4, 4), 1, True), "would have 72,900,000 parameters"),
    ],
)
def test_cuts_that_do_not_fit_are_refused_with_both_shapes(family: str, bottom: Cut, top: Cut, words: str) -> None:
    with pytest.raises(stitches.Misfit, match=words):
        stitches.build(family, bottom, top)


def test_a_closed_form_too_large_to_compute_is_refused_where_one_is_wanted() -> None:
    deep = Cut("deep", (512, 4, 4), 1, True)
    assert stitches.build("conv5", deep, deep)(torch.zeros(1, 512, 4, 4)).shape == (1, 512, 4, 4)
    with pytest.raises(stitches.Misfit, match="12,800 x 12,800 numbers; start it at random or as the identity"):
        check_fit("conv5", "least_squares", deep, deep)
    check_fit("conv5", "affine", deep, deep)
    check_fit("conv3", "least_squares", deep, deep)
    check_fit("identity", "least_squares", HUGE, HUGE)  # it needs none


def test_an_identity_start_needs_equal_channels_and_enough_rank() -> None:
    with pytest.raises(stitches.Misfit, match="bottom 4, top 6"):
        stitches.start_as_identity(stitches.build("affine", MAP, WIDE))
    with pytest.raises(stitches.Misfit, match="needs a rank of 4, not 3"):
        stitches.start_as_identity(stitches.build("low_rank", MAP, MAP, rank=3))


def test_what_is_no_stitch_can_not_be_started() -> None:
    with pytest.raises(TypeError, match="Linear is no stitch"):
        stitches.start_as_identity(torch.nn.Linear(2, 2))
