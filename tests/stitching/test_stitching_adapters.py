import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.adapters import adapter
from stitchtui.stitching.cuts import Cut

SIDES = st.integers(1, 9)


def grid(height: int, width: int, axis: int = 1, channels: int = 3) -> Cut:
    return Cut("g", (channels, height, width) if axis == 1 else (height, width, channels), axis, True)


def tokens(count: int, axis: int = -1, channels: int = 3) -> Cut:
    return Cut("t", (count, channels) if axis == -1 else (channels, count), axis, True)


def vector(axis: int = -1, channels: int = 3) -> Cut:
    return Cut("v", (channels,), axis, True)


def volume(depth: int, height: int, width: int, axis: int = 1, channels: int = 3) -> Cut:
    positions = (depth, height, width)
    return Cut("x", (channels, *positions) if axis == 1 else (*positions, channels), axis, True)


AXES = st.sampled_from([1, -1])
CUTS = st.one_of(
    st.builds(grid, SIDES, SIDES, AXES),
    st.builds(lambda side, class_token, axis: tokens(side**2 + class_token, axis), SIDES, st.booleans(), AXES),
    st.builds(vector, AXES),
)


def features(cut: Cut, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, *cut.shape, generator=torch.Generator().manual_seed(seed))


@given(CUTS, CUTS)
def test_an_adapter_gives_the_tops_positions_and_axis_and_keeps_the_channels(bottom: Cut, top: Cut) -> None:
    assert adapter(bottom, top)(features(bottom)).shape == (2, *top.shape)  # equal channels: the shape is the top's


@given(CUTS, CUTS, st.floats(-3, 3))
def test_an_adapter_is_linear(bottom: Cut, top: Cut, factor: float) -> None:
    adapt, x, y = adapter(bottom, top), features(bottom, 0), features(bottom, 1)
    torch.testing.assert_close(adapt(x + factor * y), adapt(x) + factor * adapt(y), rtol=1e-4, atol=1e-5)


@given(CUTS, CUTS)
def test_features_that_are_equal_everywhere_stay_what_they_are(bottom: Cut, top: Cut) -> None:
    level = torch.tensor([1.0, -2.0, 3.0])
    constant = {cut: level.expand(2, *cut.positions, 3).movedim(-1, cut.channel_axis) for cut in (bottom, top)}
    torch.testing.assert_close(adapter(bottom, top)(constant[bottom]), constant[top])


@given(CUTS, CUTS)
def test_channels_are_never_mixed_and_all_treated_alike(bottom: Cut, top: Cut) -> None:
    adapt, x = adapter(bottom, top), features(bottom)
    flipped = adapt(x.flip(bottom.channel_axis)).flip(top.channel_axis)
    torch.testing.assert_close(flipped, adapt(x))


@given(CUTS)
def test_equal_shapes_need_no_adapter(cut: Cut) -> None:
    adapt, x = adapter(cut, cut), features(cut)
    assert adapt.name == ""
    assert adapt(x) is x


@given(CUTS, CUTS)
def test_only_an_adapter_that_does_nothing_has_no_name(bottom: Cut, top: Cut) -> None:
    axes_differ = bool(bottom.positions) and bottom.channel_axis != top.channel_axis
    assert bool(adapter(bottom, top).name) == (bottom.positions != top.positions or axes_differ)


@given(SIDES, SIDES, st.booleans(), AXES, AXES)
def test_from_a_grid_to_as_many_tokens_and_back_changes_nothing(
    height: int, width: int, class_token: bool, axis: int, other: int
) -> None:
    assume(class_token + height * width != 1 or (height, width) == (1, 1))
    there, back = grid(height, width, axis), tokens(height * width + class_token, other)
    x = features(there)
    assert torch.equal(adapter(back, there)(adapter(there, back)(x)), x)


@given(SIDES, SIDES)
def test_tokens_are_a_grids_rows_after_the_class_token_which_is_their_mean(height: int, width: int) -> None:
    x = features(grid(height, width))
    found = adapter(grid(height, width), tokens(1 + height * width))(x)
    torch.testing.assert_close(found[:, 0], x.mean((2, 3)))
    assert torch.equal(found[:, 1:], x.flatten(2).movedim(1, -1))


def test_a_class_token_is_kept_dropped_or_all_that_is_read() -> None:
    x = features(tokens(50))
    kept = adapter(tokens(50), tokens(17))(x)
    assert torch.equal(kept[:, 0], x[:, 0])
    others = x.clone()
    others[:, 0] = 99
    for top in (grid(7, 7), grid(4, 4), tokens(49), tokens(16)):
        assert torch.equal(adapter(tokens(50), top)(others), adapter(tokens(50), top)(x))
    assert torch.equal(adapter(tokens(50), vector())(x), x[:, 0])
    torch.testing.assert_close(adapter(tokens(49), vector())(x[:, 1:]), x[:, 1:].mean(1))


def test_pooling_down_is_a_mean_and_a_vector_is_sent_everywhere() -> None:
    x = features(grid(8, 8))
    expected = x.unflatten(2, (4, 2)).unflatten(4, (2, 4)).mean((3, 5))
    torch.testing.assert_close(adapter(grid(8, 8), grid(4, 2))(x), expected)
    v = features(vector())
    assert torch.equal(adapter(vector(), grid(2, 5))(v), v[:, :, None, None].expand(2, 3, 2, 5))


def test_bilinear_interpolation_keeps_a_slope_away_from_the_edges() -> None:
    slope = torch.arange(4.0).expand(1, 3, 4, 4)
    found = adapter(grid(4, 4), grid(4, 8))(slope)
    torch.testing.assert_close(found[0, 0, 0, 1:-1], torch.linspace(0.25, 2.75, 6))


@pytest.mark.parametrize(
    "bottom, top, name",
    [
        (grid(32, 32), grid(16, 16), "pool 32x32 to 16x16"),
        (grid(8, 8), grid(16, 16), "bilinear 8x8 to 16x16"),
        (grid(8, 16), grid(16, 8), "pool and bilinear 8x16 to 16x8"),
        (grid(8, 8), tokens(65), "grid to tokens + class token"),
        (grid(32, 32), tokens(64), "pool 32x32 to 8x8, grid to tokens"),
        (tokens(65), grid(8, 8), "drop class token, tokens to grid"),
        (tokens(65), tokens(17), "pool 8x8 to 4x4"),
        (tokens(64), tokens(65), "add class token"),
        (grid(8, 8), grid(8, 8, -1), "channels first to last"),
        (grid(7, 7, -1), grid(14, 14), "bilinear 7x7 to 14x14, channels last to first"),
        (grid(8, 8), vector(), "mean of 8x8 positions"),
        (tokens(64), vector(), "mean of 64 tokens"),
        (tokens(65), vector(), "class token of 65 tokens"),
        (vector(), grid(8, 8), "vector to all 8x8 positions"),
        (grid(2, 3), tokens(6), "grid to tokens"),
        (volume(5, 2, 3), volume(5, 2, 3), ""),
        (volume(5, 2, 3), volume(5, 2, 3, -1), "channels first to last"),
        (volume(5, 2, 3), vector(), "mean of 5x2x3 positions"),
        (vector(), volume(5, 2, 3), "vector to all 5x2x3 positions"),
    ],
)
def test_an_adapter_says_what_it_does(bottom: Cut, top: Cut, name: str) -> None:
    assert adapter(bottom, top).name == name


@pytest.mark.parametrize("bottom, top", [(tokens(198), grid(14, 14)), (grid(8, 8), tokens(61)), (tokens(7), tokens(9))])
def test_tokens_that_are_no_grid_are_refused_in_one_line(bottom: Cut, top: Cut) -> None:
    with pytest.raises(Misfit, match=r"^\d+ tokens can't be read as a grid .*: bottom \S+, top \S+$"):
        adapter(bottom, top)


@pytest.mark.parametrize(
    "bottom, top", [(volume(4, 8, 8), volume(2, 8, 8)), (volume(1, 8, 8), grid(8, 8)), (tokens(256), volume(4, 8, 8))]
)
def test_volumes_of_different_sizes_are_refused_in_one_line(bottom: Cut, top: Cut) -> None:
    with pytest.raises(Misfit, match=r"^a volume can only be joined with one of its size.*: bottom \S+, top \S+$"):
        adapter(bottom, top)


@given(st.builds(volume, SIDES, SIDES, SIDES, AXES), AXES)
def test_volumes_of_one_size_and_vectors_meet(cut: Cut, axis: int) -> None:
    x = features(cut)
    turned = adapter(cut, volume(*cut.positions, axis))(x)
    assert torch.equal(turned.movedim(axis, 1), x.movedim(cut.channel_axis, 1))
    mean = adapter(cut, vector())(x)
    torch.testing.assert_close(mean, x.movedim(cut.channel_axis, 1).flatten(2).mean(2))
    spread = adapter(vector(), cut)(mean).movedim(cut.channel_axis, 1)
    assert torch.equal(spread, mean[..., None, None, None].expand(2, 3, *cut.positions))


def test_tokens_that_are_no_grid_still_meet_as_many_tokens_and_vectors() -> None:
    x = features(tokens(198))
    assert torch.equal(adapter(tokens(198), tokens(198, 1))(x), x.movedim(-1, 1))
    torch.testing.assert_close(adapter(tokens(198), vector())(x), x.mean(1))
    assert adapter(vector(), tokens(198))(x[:, 0]).shape == x.shape


@given(CUTS, CUTS)
def test_adapters_between_the_same_layouts_are_equal_so_that_cells_can_share_them(bottom: Cut, top: Cut) -> None:
    channel = 0 if top.channel_axis == 1 or not top.positions else -1
    shape = list(top.shape)
    shape[channel] = 7
    wider = Cut("other", tuple(shape), top.channel_axis, True)
    assert adapter(bottom, wider) == adapter(bottom, top)
    assert hash(adapter(bottom, wider)) == hash(adapter(bottom, top))
