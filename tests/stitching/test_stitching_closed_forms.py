import itertools
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from made_moments import correlated, map_rows, moments_of, patch_rows
from torch import Tensor

from stitchtui.spec.families import FAMILIES, includes, ladder_families
from stitchtui.spec.shapes import Misfit
from stitchtui.stitching.closed_forms import (
    MOST_GAIN,
    AffineMap,
    Moments,
    affine_map,
    fit_direct,
    least_squares,
    residual,
)

CHANNELS, SEEDS = st.integers(1, 5), st.integers(0, 10_000)


def error(x: Tensor, y: Tensor, m: AffineMap) -> float:
    return float((x @ m.weight.T + m.bias - y).square().sum(1).mean())


def minimised(start: list[Tensor], loss: Callable[[list[Tensor]], Tensor]) -> float:
    """The least loss that L-BFGS finds from `start`, in float64."""
    tensors = [t.double().requires_grad_() for t in start]
    optimiser = torch.optim.LBFGS(
        tensors, max_iter=500, tolerance_grad=1e-11, tolerance_change=1e-15, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss(tensors)
        value.backward()
        return value

    optimiser.step(closure)
    return float(loss([t.detach() for t in tensors]))


@given(CHANNELS, CHANNELS, SEEDS)
@settings(max_examples=30)
def test_least_squares_equals_a_library_solver(inputs: int, outputs: int, seed: int) -> None:
    x, y = correlated(80, inputs, outputs, seed)
    fitted = least_squares(moments_of(x, y), 0.0)
    expected = torch.linalg.lstsq(torch.cat([x, torch.ones(80, 1)], 1), y).solution
    torch.testing.assert_close(fitted.weight, expected[:-1].T, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(fitted.bias, expected[-1], rtol=1e-4, atol=1e-6)


@given(CHANNELS, SEEDS)
@settings(max_examples=30)
def test_permutations_equal_the_best_of_all_orders(channels: int, seed: int) -> None:
    x, y = correlated(40, channels, channels, seed)
    m = moments_of(x, y)
    orders = [list(order) for order in itertools.permutations(range(channels))]
    plain = min(float((x[:, order] - y).square().sum(1).mean()) for order in orders)
    scaled = min(_best_scales(x[:, order], y) for order in orders)
    assert error(x, y, fit_direct("permutation", m, ridge=0)) == pytest.approx(plain)
    assert error(x, y, fit_direct("scaled_permutation", m, ridge=0)) == pytest.approx(scaled, rel=1e-4)


def _best_scales(x: Tensor, y: Tensor) -> float:
    scales = ((x * y).sum(0) / x.square().sum(0)).clamp_min(0)
    return float((x * scales - y).square().sum(1).mean())


@pytest.mark.parametrize("bottom, top", [(2, 2), (4, 4), (2, 5), (1, 3)])
def test_procrustes_equals_a_brute_force_search_over_both_components(bottom: int, top: int) -> None:
    x, y = correlated(60, bottom, top, seed=bottom + top)

    def loss(reflection: Tensor) -> Callable[[list[Tensor]], Tensor]:
        def of(tensors: list[Tensor]) -> Tensor:
            rotation = torch.matrix_exp(tensors[0] - tensors[0].T) @ reflection
            return (x @ rotation[:, :bottom].T + tensors[1] - y).square().sum(1).mean()

        return of

    turned = torch.eye(top).double()
    turned[0, 0] = -1
    start = torch.randn(top, top, generator=torch.Generator().manual_seed(0))
    found = [minimised([start, torch.zeros(top)], loss(r)) for r in (torch.eye(top).double(), turned)]
    fitted = fit_direct("orthogonal", moments_of(x, y), ridge=0)
    assert error(x, y, fitted) == pytest.approx(min(found), rel=1e-5)
    torch.testing.assert_close(fitted.weight.T @ fitted.weight, torch.eye(bottom).double())


@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_low_rank_equals_a_brute_force_search_over_two_factors(rank: int, ridge: float) -> None:
    x, y = correlated(60, 4, 5, seed=rank)
    penalty = ridge * float(x.T.cov(correction=0).diagonal().mean())

    def loss(tensors: list[Tensor]) -> Tensor:
        weight = tensors[0] @ tensors[1]
        return (x @ weight.T + tensors[2] - y).square().sum(1).mean() + penalty * weight.square().sum()

    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(5, rank, generator=generator), torch.randn(rank, 4, generator=generator), torch.zeros(5)]
    fitted = fit_direct("low_rank", moments_of(x, y), ridge=ridge, rank=rank)
    total = error(x, y, fitted) + penalty * float(fitted.weight.square().sum())
    assert total == pytest.approx(minimised(start, loss), rel=1e-5)
    assert int(torch.linalg.matrix_rank(fitted.weight)) == rank


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_a_convolution_equals_a_brute_force_search_over_its_weights(ridge: float) -> None:
    x, y = _maps(3, 2, seed=0)
    m = moments_of(patch_rows(x, 3), map_rows(y), kernel=3)
    penalty = ridge * float(m.x.covariance.diagonal().mean())

    def loss(tensors: list[Tensor]) -> Tensor:
        difference = torch.nn.functional.conv2d(x, tensors[0], tensors[1], padding=1) - y
        return difference.square().sum(1).mean() + penalty * tensors[0].square().sum()

    fitted = fit_direct("conv3", m, ridge=ridge)
    assert fitted.weight.shape == (2, 3, 3, 3)
    least = minimised([torch.zeros(2, 3, 3, 3), torch.zeros(2)], loss)
    assert float(loss([fitted.weight, fitted.bias])) == pytest.approx(least, rel=1e-6)


def _maps(bottom: int, top: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, bottom, 7, 6, generator=generator).double() + 0.5
    y = torch.randn(6, top, 7, 6, generator=generator).double() + x.roll(1, 2).mean(1, keepdim=True)
    return x, y


def fits(x: Tensor, y: Tensor, rank: int = 2) -> dict[str, float]:
    """The residual of each family's closed form between maps of equal channels."""
    found: dict[str, float] = {}
    moments: dict[int, Moments] = {}
    for name in ladder_families():
        kernel = FAMILIES[name].kernel
        if FAMILIES[name].closed_form:
            if kernel not in moments:
                moments[kernel] = moments_of(patch_rows(x, kernel), map_rows(y), kernel)
            found[name] = residual(moments[kernel], fit_direct(name, moments[kernel], ridge=0, rank=rank))
    return found


@given(st.integers(2, 3), SEEDS)
@settings(max_examples=15)
def test_a_family_that_includes_another_never_fits_worse(channels: int, seed: int) -> None:
    x, y = _maps(channels, channels, seed)
    found = fits(x, y)
    for larger, smaller in itertools.permutations(found, 2):
        if includes(larger, smaller):
            assert found[larger] <= found[smaller] * (1 + 1e-9) + 1e-9, (larger, smaller)


def test_families_that_do_not_include_each_other_can_fit_either_way_round() -> None:
    """Why the order of the ladder is not taken for nesting."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 3, generator=generator).double()
    turned = x @ torch.linalg.qr(torch.randn(3, 3, generator=generator).double())[0]
    for y, better, worse in ((x * 5, "scaled_permutation", "orthogonal"), (turned, "orthogonal", "scaled_permutation")):
        m = moments_of(x, y)
        errors = {name: residual(m, fit_direct(name, m, ridge=0)) for name in (better, worse)}
        assert errors[better] < 1e-9
        assert errors[worse] > 0.01
        assert not includes(better, worse)


@given(st.integers(2, 5), st.integers(2, 5), SEEDS)
@settings(max_examples=20)
def test_a_higher_rank_never_fits_worse_and_full_rank_is_affine(bottom: int, top: int, seed: int) -> None:
    m = moments_of(*correlated(60, bottom, top, seed))
    full = min(bottom, top)
    errors = [residual(m, fit_direct("low_rank", m, ridge=1e-6, rank=r)) for r in range(1, full + 2)]
    assert all(higher <= lower + 1e-9 for lower, higher in itertools.pairwise(errors))
    affine, found = fit_direct("affine", m, ridge=1e-6), fit_direct("low_rank", m, ridge=1e-6, rank=full)
    torch.testing.assert_close(found.weight, affine.weight, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(found.bias, affine.bias, rtol=1e-7, atol=1e-9)


@given(CHANNELS, CHANNELS, SEEDS)
@settings(max_examples=20)
def test_the_residual_from_moments_is_that_of_the_rows(bottom: int, top: int, seed: int) -> None:
    x, y = correlated(30, bottom, top, seed)
    m = moments_of(x, y)
    for other in (m, moments_of(x.flip(0), y)):  # of a good map and of one that fits nothing
        found = least_squares(other, 0.01)
        assert residual(m, found) == pytest.approx(error(x, y, found), rel=1e-6, abs=1e-9)


@given(st.integers(1, 6), SEEDS)
@settings(max_examples=20)
def test_each_family_recovers_a_map_of_its_own(channels: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(100, channels, generator=generator).double().abs() + torch.rand(channels, generator=generator)
    order = torch.randperm(channels, generator=generator)
    scale = 0.1 + torch.rand(channels, generator=generator).double()
    rotation = torch.linalg.qr(torch.randn(channels + 1, channels, generator=generator).double())[0]
    shift = torch.randn(channels + 1, generator=generator).double()
    unit = torch.eye(channels).double()
    for family, weight, bias in (
        ("identity", unit, torch.zeros(channels)),
        ("permutation", unit[order], torch.zeros(channels)),
        ("scaled_permutation", unit[order] * scale[:, None], torch.zeros(channels)),
        ("orthogonal", rotation, shift),
    ):
        found = fit_direct(family, moments_of(x, x @ weight.T + bias), ridge=0)
        torch.testing.assert_close(found.weight, weight, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(found.bias, bias.double(), rtol=1e-6, atol=1e-8)


def test_a_scaled_permutations_scales_stay_positive_where_channels_are_opposed() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    x = torch.cat([x, torch.zeros(50, 1)], 1)
    found = fit_direct("scaled_permutation", moments_of(x, -x.abs() - 1), ridge=0)
    used = found.weight[found.weight != 0]
    assert len(used) == 4
    assert bool((used > 0).all())


def test_dead_and_duplicate_channels_do_no_harm() -> None:
    x = torch.randn(100, 2).double()
    x = torch.cat([x, x[:, :1], torch.zeros(100, 1)], 1)
    y = x[:, :1] * 2 + 1
    for family in ("affine", "low_rank"):
        fitted = fit_direct(family, moments_of(x, y), ridge=1e-9, rank=2)
        torch.testing.assert_close(x @ fitted.weight.T + fitted.bias, y, rtol=1e-5, atol=1e-5)
        assert float(fitted.weight[0, 3]) == 0.0


@pytest.mark.parametrize("side", [2, 16])
def test_the_spectrum_is_the_covariances_also_where_a_kernel_sees_mostly_beyond_the_map(side: int) -> None:
    maps = torch.randn(20, 2, side, side, generator=torch.Generator().manual_seed(0))
    inputs = moments_of(patch_rows(maps, 9), map_rows(maps), 9).x
    assert bool((inputs.covariance.diagonal() == 0).any()) == (side == 2)
    values, vectors = inputs.spectrum
    assert torch.equal(values, values.sort().values)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(len(values)).double())
    torch.testing.assert_close(vectors * values @ vectors.T, inputs.covariance, rtol=1e-6, atol=1e-6)


def test_features_that_never_vary_are_answered_by_the_mean() -> None:
    x, y = torch.ones(10, 3), torch.randn(10, 2)
    fitted = least_squares(moments_of(x, y), 1e-6)
    assert not fitted.weight.any()
    torch.testing.assert_close(fitted.bias, y.double().mean(0))


def test_a_family_without_a_closed_form_starts_from_the_affine_one() -> None:
    m = moments_of(*correlated(50, 3, 4, seed=0))
    affine = fit_direct("affine", m, ridge=1e-6)
    for family in ("mlp", "bn_affine_bn"):
        assert torch.equal(fit_direct(family, m, ridge=1e-6).weight, affine.weight)


def test_what_a_family_can_not_join_is_refused() -> None:
    fewer, m = moments_of(*correlated(50, 4, 3, seed=0)), moments_of(*correlated(50, 4, 4, seed=0))
    for family in ("identity", "permutation", "scaled_permutation"):
        with pytest.raises(Misfit, match=f"{family} needs equal channels: bottom 4, top 3"):
            fit_direct(family, fewer, ridge=0)
    with pytest.raises(Misfit, match="keeps every distance, so it can't lead to fewer channels: bottom 4, top 3"):
        fit_direct("orthogonal", fewer, ridge=0)
    with pytest.raises(ValueError, match="moments of kernel 3, not 1"):
        fit_direct("conv3", m, ridge=0)
    with pytest.raises(ValueError, match="rank of 1 or more"):
        fit_direct("low_rank", m, ridge=0)


@pytest.mark.parametrize("family", [name for name in ladder_families() if FAMILIES[name].kernel == 1])
def test_features_that_are_not_finite_are_refused(family: str) -> None:
    x, y = correlated(50, 3, 3, seed=0)
    y[3, 1] = torch.nan
    with pytest.raises(FloatingPointError, match="not finite"):
        fit_direct(family, moments_of(x, y), ridge=1e-6, rank=1)


def test_a_maps_statistics_are_those_of_what_it_computes() -> None:
    x, _ = correlated(50, 3, 2, seed=0)
    weight, bias = torch.randn(2, 3).double(), torch.randn(2).double()
    found = affine_map(weight, bias, x.mean(0), x.T.cov(correction=0))
    y = x @ weight.T + bias
    torch.testing.assert_close(found.mean_out, y.mean(0))
    torch.testing.assert_close(found.variance_out, y.var(0, correction=0))
    torch.testing.assert_close(found.variance_in, x.var(0, correction=0))


@given(st.integers(2, 4), st.integers(2, 4), SEEDS)
@settings(max_examples=20)
def test_scaled_least_squares_is_the_nearest_map_that_writes_with_the_tops_variance(
    bottom: int, top: int, seed: int
) -> None:
    x, y = correlated(60, bottom, top, seed)
    m = moments_of(x, y)
    found = fit_direct("affine_scaled", m, ridge=0)
    written = x @ found.weight.T + found.bias
    assert torch.allclose(written.mean(0), y.mean(0))
    capped = fit_direct("affine", m, ridge=0).variance_out < m.variance_y / MOST_GAIN**2
    assert torch.allclose(written.var(0, correction=0)[~capped], y.var(0, correction=0)[~capped])
    mixed = moments_of(x, x @ torch.randn(bottom, top, generator=torch.Generator().manual_seed(seed)).double() + 1)
    same, plain = (fit_direct(family, mixed, ridge=0) for family in ("affine_scaled", "affine"))
    assert torch.allclose(same.weight, plain.weight, atol=1e-6)
    larger = fit_direct("affine_scaled", moments_of(x, 7 * y), ridge=0)
    assert torch.allclose(larger.weight, 7 * found.weight)
    others = torch.randn(200, top, bottom, generator=torch.Generator().manual_seed(seed)).double()
    others = torch.cat([others, found.weight + 0.01 * others])
    written = (x - x.mean(0)) @ others.mT  # [maps, rows, top channels]
    written = written * (m.variance_y / written.var(1, correction=0))[:, None].sqrt() + y.mean(0)
    errors, least = (written - y).square().mean(1), (x @ found.weight.T + found.bias - y).square().mean(0)
    assert bool((errors >= least - 1e-9)[:, ~capped].all())


def test_scaled_least_squares_amplifies_no_noise_and_writes_what_does_not_vary_as_it_is() -> None:
    generator = torch.Generator().manual_seed(0)
    x, noise = (torch.randn(4000, 3, generator=generator).double() for _ in range(2))
    y = torch.stack([noise[:, 0], torch.full((4000,), 2.0), x[:, 0] * 5 + 1], 1)
    m = moments_of(x, y)
    found = fit_direct("affine_scaled", m, ridge=0)
    assert float(found.variance_out[0]) <= MOST_GAIN**2 * float(fit_direct("affine", m, ridge=0).variance_out[0]) + 1e-9
    assert float(found.variance_out[0]) < 0.5 * float(m.variance_y[0])
    assert torch.allclose(found.mean_out, m.mean_y)
    assert float(found.variance_out[1]) == pytest.approx(0, abs=1e-9)
    assert torch.allclose(found.weight[2], torch.tensor([5.0, 0, 0]).double(), atol=1e-6)
