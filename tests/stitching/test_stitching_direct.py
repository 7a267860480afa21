import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import nn

from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.direct import Moments, affine_map, least_squares, moments, rows_of

EXAMPLE = torch.rand(2, 3, 8, 8)


def moments_of(x: torch.Tensor, y: torch.Tensor) -> Moments:
    x, y = x.double(), y.double()
    dx, dy = x - x.mean(0), y - y.mean(0)
    return Moments(len(x), x.mean(0), y.mean(0), dx.T @ dx / len(x), dy.T @ dx / len(x))


def permuted(network: SmallConv, order: torch.Tensor) -> SmallConv:
    """The same function with the channels of the stem and of both blocks in another order."""
    other = SmallConv()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    for name, value in list(state.items()):
        if value.dim() and not name.startswith("head"):
            state[name] = value[order]
        if name.startswith("blocks") and "conv" in name:
            state[name] = state[name][:, order]
    state["head.weight"] = state["head.weight"][:, order]
    other.load_state_dict(state)
    return other.eval().requires_grad_(False)


def test_direct_matching_to_a_permuted_copy_recovers_the_permutation() -> None:
    network = frozen(SmallConv(), 0)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(3))
    copy = permuted(network, order)
    x = torch.rand(64, 3, 8, 8)
    torch.testing.assert_close(copy(x), network(x), rtol=1e-4, atol=1e-5)
    bottom, top = (Traced(n, EXAMPLE) for n in (network, copy))
    bottom, top = Chain(bottom, bottom.select("blocks")), Chain(top, top.select("blocks"))
    found = moments(bottom, top, [(k, k) for k in range(1, bottom.output)], x.split(16))
    for m in found[:3]:
        fitted = least_squares(m, 1e-9)
        weight, bias = fitted.weight, fitted.bias
        live = m.cov_xx.diagonal() > 0  # a channel that ReLU silenced can't be told from its own bias
        torch.testing.assert_close(weight[:, live], torch.eye(6)[order].double()[:, live], rtol=0, atol=2e-3)
        torch.testing.assert_close(bias, torch.zeros(6).double(), rtol=0, atol=2e-3)


def test_streamed_moments_equal_those_of_all_rows_at_once() -> None:
    a, b = (Traced(frozen(SmallConv(c), s), EXAMPLE) for c, s in ((6, 0), (5, 1)))
    bottom, top = Chain(a, a.select("blocks")), Chain(b, b.select("blocks"))
    x = torch.rand(50, 3, 8, 8)
    cells = [(1, 1), (2, 3), (4, 4)]
    found = moments(bottom, top, cells, x.split(7))
    for (i, j), m in zip(cells, found, strict=True):
        xs = rows_of(bottom.features(x)[i], bottom.cuts[i - 1].channel_axis)
        ys = rows_of(top.features(x)[j], top.cuts[j - 1].channel_axis)
        expected = moments_of(xs, ys)
        assert m.rows == len(xs)
        for name in ("mean_x", "mean_y", "cov_xx", "cov_yx"):
            torch.testing.assert_close(getattr(m, name), getattr(expected, name), rtol=1e-4, atol=1e-6)


def test_moments_keep_their_digits_far_from_zero() -> None:
    class Shifted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1000).relu().mean((2, 3))

    traced = Traced(Shifted(), EXAMPLE)
    chain = Chain(traced, traced.select("all"))
    x = torch.rand(64, 3, 8, 8)
    (m,) = moments(chain, chain, [(1, 1)], x.split(16))
    rows = rows_of(chain.features(x)[1], 1).double()
    torch.testing.assert_close(m.cov_xx, rows.T.cov(correction=0), rtol=1e-2, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))
def test_least_squares_equals_a_library_solver(inputs: int, outputs: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(80, inputs, generator=generator).double()
    y = torch.randn(80, outputs, generator=generator).double() + x @ torch.randn(inputs, outputs).double()
    fitted = least_squares(moments_of(x, y), 0.0)
    expected = torch.linalg.lstsq(torch.cat([x, torch.ones(80, 1)], 1), y).solution
    torch.testing.assert_close(fitted.weight, expected[:-1].T, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(fitted.bias, expected[-1], rtol=1e-6, atol=1e-8)


def test_dead_and_duplicate_channels_do_no_harm() -> None:
    x = torch.randn(100, 2).double()
    x = torch.cat([x, x[:, :1], torch.zeros(100, 1)], 1)
    y = x[:, :1] * 2 + 1
    fitted = least_squares(moments_of(x, y), 1e-9)
    torch.testing.assert_close(x @ fitted.weight.T + fitted.bias, y, rtol=1e-5, atol=1e-5)
    assert float(fitted.weight[0, 3]) == 0.0


def test_features_that_never_vary_are_answered_by_the_mean() -> None:
    x, y = torch.ones(10, 3), torch.randn(10, 2)
    fitted = least_squares(moments_of(x, y), 1e-6)
    assert not fitted.weight.any()
    torch.testing.assert_close(fitted.bias, y.double().mean(0))


@pytest.mark.parametrize("axis, shape", [(1, (4, 3, 3)), (-1, (5, 4)), (-1, (4,))])
@pytest.mark.parametrize("training", [False, True])
def test_the_papers_stitch_can_start_from_any_affine_map(axis: int, shape: tuple[int, ...], training: bool) -> None:
    torch.manual_seed(0)
    cut = Cut("c", shape, axis, True)
    plain, bn = stitches.build("affine", cut, cut), stitches.build("bn_affine_bn", cut, cut)
    x = torch.randn(512, *shape) * 3 + 1
    rows = rows_of(x, axis).double()
    weight, bias = torch.randn(4, 4).double(), torch.randn(4).double()
    for stitch in (plain, bn):
        stitches.start_from_map(stitch, affine_map(weight, bias, rows.mean(0), rows.T.cov(correction=0)))
        stitch.train(training)
    # In training mode the batch's own statistics stand in for the running ones: equal here, since the batch is all.
    torch.testing.assert_close(bn(x), plain(x), rtol=1e-3, atol=1e-3)
