import pytest
import torch

from stitchtui.stitching import stitches
from stitchtui.stitching.cuts import Cut

MAP, WIDE, SMALL = Cut("a", (4, 8, 8), 1, True), Cut("b", (6, 8, 8), 1, True), Cut("c", (4, 4, 4), 1, True)
TOKENS, VECTOR = Cut("t", (16, 4), -1, True), Cut("v", (4,), -1, True)


@pytest.mark.parametrize("cut", [MAP, TOKENS, VECTOR, Cut("last", (8, 8, 4), -1, True)])
@pytest.mark.parametrize("family", ["affine", "identity"])
def test_an_identity_start_changes_nothing(cut: Cut, family: str) -> None:
    stitch = stitches.build(family, cut, cut)
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


def test_a_random_start_depends_on_its_seed_alone() -> None:
    drawn = []
    for seed in (0, 0, 1):
        stitch = stitches.build("affine", MAP, WIDE)
        stitches.start_at_random(stitch, torch.Generator().manual_seed(seed))
        drawn.append(stitch.weight.detach())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert drawn[0].abs().max() <= 0.5  # 1 / sqrt(4 channels)


@pytest.mark.parametrize(
    "family, bottom, top, words",
    [
        ("identity", MAP, WIDE, "identity needs equal shapes: bottom 4x8x8, top 6x8x8"),
        ("affine", MAP, SMALL, "affine needs equal height, width or tokens: bottom 4x8x8, top 4x4x4"),
        ("affine", MAP, VECTOR, "affine needs equal height, width or tokens"),
        ("bn_affine_bn", TOKENS, VECTOR, "bn_affine_bn needs equal height, width or tokens"),
    ],
)
def test_cuts_that_do_not_fit_are_refused_with_both_shapes(family: str, bottom: Cut, top: Cut, words: str) -> None:
    with pytest.raises(stitches.Misfit, match=words):
        stitches.build(family, bottom, top)


def test_an_identity_start_needs_equal_channels() -> None:
    with pytest.raises(stitches.Misfit, match="bottom 4, top 6"):
        stitches.start_as_identity(stitches.build("affine", MAP, WIDE))
