from collections.abc import Iterator

import pytest
import torch
from made_moments import map_rows, moments_of, patch_rows
from small_networks import SmallConv, SmallVit, frozen
from torch import nn

from stitchtui.base.work import finish
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching import direct, stitches
from stitchtui.stitching.adapters import adapter
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.direct import Moments, affine_map, fit_direct, moments, rows_of

EXAMPLE = torch.rand(2, 3, 8, 8)


def chains(*networks: nn.Module, cuts: str = "blocks") -> list[Chain]:
    traced = [Traced(network, EXAMPLE) for network in networks]
    return [Chain(t, t.select(cuts)) for t in traced]


def permuted(network: SmallConv, order: torch.Tensor, scale: torch.Tensor) -> SmallConv:
    """The same function with the channels of the stem and of both blocks in another order, and scaled."""
    other = SmallConv()
    state = {k: v.clone() for k, v in network.state_dict().items()}
    for name, value in list(state.items()):
        if value.dim() and not name.startswith("head"):
            state[name] = value[order]
        if name.startswith("blocks") and "conv" in name:
            state[name] = state[name][:, order] / scale[order][:, None, None]
        if name in {"stem.1.weight", "stem.1.bias"} or name.endswith(("bn.weight", "bn.bias")):
            state[name] = state[name] * scale[order]
    state["head.weight"] = state["head.weight"][:, order] / scale[order]
    other.load_state_dict(state)
    return other.eval().requires_grad_(False)


@pytest.mark.parametrize("scaled, family", [(False, "permutation"), (True, "scaled_permutation"), (False, "affine")])
def test_direct_matching_to_a_permuted_copy_recovers_the_permutation(scaled: bool, family: str) -> None:
    network = frozen(SmallConv(), 0)
    generator = torch.Generator().manual_seed(3)
    order = torch.randperm(6, generator=generator)
    scale = 0.5 + torch.rand(6, generator=generator) if scaled else torch.ones(6)
    copy = permuted(network, order, scale)
    x = torch.rand(64, 3, 8, 8)
    torch.testing.assert_close(copy(x), network(x), rtol=1e-4, atol=1e-5)
    bottom, top = chains(network, copy)
    found = finish(moments(bottom, top, [(k, k) for k in range(1, bottom.output)], x.split(16)))
    exact = {"permutation": 0.0, "scaled_permutation": 1e-4, "affine": 2e-3}[family]
    for m in found[:3]:
        fitted = fit_direct(family, m, ridge=1e-9)
        live = m.x.covariance.diagonal() > 0  # a channel that ReLU silenced can't be told from its own bias
        expected = torch.eye(6)[order].double() * scale[order][:, None]
        torch.testing.assert_close(fitted.weight[:, live], expected[:, live], rtol=0, atol=exact)
        torch.testing.assert_close(fitted.bias, torch.zeros(6).double(), rtol=0, atol=exact)


def every_cell(bottom: Chain, top: Chain) -> list[tuple[int, int]]:
    return [(i, j) for i in range(1, bottom.output) for j in range(1, top.output)]


def assert_same(found: Moments, expected: Moments) -> None:
    assert found.x.rows == expected.x.rows
    for name in ("mean", "covariance"):
        torch.testing.assert_close(getattr(found.x, name), getattr(expected.x, name), rtol=1e-4, atol=1e-5)
    for name in ("mean_y", "variance_y", "cov_yx"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "networks", [(SmallConv(6), SmallConv(5)), (SmallConv(), SmallVit()), (SmallVit(), SmallConv())]
)
def test_streamed_moments_of_every_cut_pair_equal_those_of_all_rows_at_once(networks: tuple[nn.Module, ...]) -> None:
    bottom, top = chains(*(frozen(n, s) for s, n in enumerate(networks)))
    x = torch.rand(50, 3, 8, 8)
    cells = every_cell(bottom, top)
    for (i, j), m in zip(cells, finish(moments(bottom, top, cells, x.split(7))), strict=True):
        adapted = adapter(bottom.cuts[i - 1], top.cuts[j - 1])(bottom.features(x)[i])
        axis = top.cuts[j - 1].channel_axis
        assert_same(m, moments_of(rows_of(adapted, axis), rows_of(top.features(x)[j], axis)))


def test_moments_of_a_column_equal_moments_cell_by_cell() -> None:
    bottom, top = chains(frozen(SmallConv(), 0), frozen(SmallVit(), 1), cuts="all")
    x = torch.rand(20, 3, 8, 8)
    cells = every_cell(bottom, top)
    for cell, m in zip(cells, finish(moments(bottom, top, cells, x.split(10))), strict=True):
        (alone,) = finish(moments(bottom, top, [cell], x.split(10)))
        assert_same(m, alone)


def test_cells_of_one_bottom_and_adapter_share_its_covariance_and_eigenvectors() -> None:
    bottom, top = chains(frozen(SmallConv(), 0), frozen(SmallConv(), 1))
    cells = every_cell(bottom, top)
    found = dict(zip(cells, finish(moments(bottom, top, cells, torch.rand(8, 3, 8, 8).split(8))), strict=True))
    sizes = [cut.positions for cut in top.cuts]
    for (i, j), m in found.items():
        for (k, below), other in found.items():
            assert (m.x is other.x) == (i == k and sizes[j - 1] == sizes[below - 1])


@pytest.mark.parametrize("kernel", [3, 5])
def test_patch_moments_equal_those_of_unfolded_maps(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "_MOST_UNFOLDED", 3 * 6 * kernel**2 * 64)  # three images at a time
    bottom, top = chains(frozen(SmallConv(6), 0), frozen(SmallConv(5), 1))
    x = torch.rand(17, 3, 8, 8)
    for m, (i, j) in zip(
        finish(moments(bottom, top, [(1, 2), (3, 3)], x.split(10), kernel)), [(1, 2), (3, 3)], strict=True
    ):
        assert_same(m, moments_of(patch_rows(bottom.features(x)[i], kernel), map_rows(top.features(x)[j]), kernel))


def test_what_can_not_be_joined_or_taken_apart_is_refused_before_any_pass() -> None:
    def never() -> Iterator[torch.Tensor]:
        raise AssertionError("a pass was begun")
        yield

    class Wide(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.repeat(1, 400, 1, 1).relu().mean((2, 3))

    (chain,) = chains(Wide(), cuts="all")
    with pytest.raises(Misfit, match=r"from 1200 channels with a 7x7 kernel .* 58,800 x 58,800 numbers"):
        finish(moments(chain, chain, [(1, 1)], never(), kernel=7))


def test_moments_keep_their_digits_far_from_zero() -> None:
    class Shifted(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1000).relu().mean((2, 3))

    traced = Traced(Shifted(), EXAMPLE)
    chain = Chain(traced, traced.select("all"))
    x = torch.rand(64, 3, 8, 8)
    (m,) = finish(moments(chain, chain, [(1, 1)], x.split(16)))
    rows = rows_of(chain.features(x)[1], 1).double()
    torch.testing.assert_close(m.x.covariance, rows.T.cov(correction=0), rtol=1e-2, atol=1e-5)


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
