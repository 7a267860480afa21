import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import Tensor

from stitchtui.base.work import finish
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.similarity import MinibatchCka, linear_cka


def summed(batches: Iterable[Sequence[Tensor]], pairs: list[tuple[int, int]]) -> list[float]:
    cka = MinibatchCka(pairs)
    for batch in batches:
        cka.add(batch)
    return cka.values()


def whole(x: Tensor, y: Tensor) -> float:
    return summed([[x, y]], [(0, 1)])[0]


def in_batches(x: Tensor, y: Tensor, size: int) -> float:
    return summed(zip(x.split(size), y.split(size), strict=True), [(0, 1)])[0]


def exact(x: Tensor, y: Tensor) -> float:
    return finish(linear_cka(lambda a, b: [x[a:b], y[a:b]], len(x), [(0, 1)], len(x)))[0]


def hsic_over_quadruples(x: Tensor, y: Tensor) -> float:
    """HSIC_1 as the U-statistic that it is: a mean over all ordered quadruples of different images."""
    a, b = ((t.flatten(1).double() @ t.flatten(1).double().T).numpy() for t in (x, y))
    found = [a[i, j] * (b[i, j] + b[q, r] - 2 * b[i, q]) for i, j, q, r in itertools.permutations(range(len(a)), 4)]
    return float(np.mean(found))


def ratio(cross: float, first: float, second: float) -> float:
    return cross / math.sqrt(first * second) if first > 0 and second > 0 else math.nan


def related(n: int, seed: int, p: int = 4, q: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator)
    return x, torch.randn(n, q, generator=generator) + x @ torch.randn(p, q, generator=generator)


@settings(max_examples=15)
@given(st.integers(5, 8), st.integers(0, 10_000))
def test_one_batch_gives_the_mean_over_all_quadruples(n: int, seed: int) -> None:
    x, y = related(n, seed)
    cross, first, second = (hsic_over_quadruples(a, b) for a, b in ((x, y), (x, x), (y, y)))
    assert whole(x, y) == pytest.approx(ratio(cross, first, second), rel=1e-3, abs=1e-4, nan_ok=True)


@settings(max_examples=15)
@given(st.integers(10, 60), st.integers(0, 10_000))
def test_several_batches_give_the_ratio_of_mean_hsics(n: int, seed: int) -> None:
    x, y = related(n, seed)
    parts = [p for p in zip(x.split(6), y.split(6), strict=True) if len(p[0]) >= 4]
    cross, first, second = (sum(hsic_over_quadruples(p[a], p[b]) for p in parts) for a, b in ((0, 1), (0, 0), (1, 1)))
    assert in_batches(x, y, 6) == pytest.approx(ratio(cross, first, second), rel=1e-3, nan_ok=True)


@settings(max_examples=20)
@given(st.integers(24, 60), st.integers(0, 10_000))
def test_minibatch_cka_is_symmetric_and_one_with_a_rotated_scaled_and_shifted_self(n: int, seed: int) -> None:
    x, y = related(n, seed)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(seed)))[0]
    assert in_batches(x, y, 6) == pytest.approx(in_batches(y, x, 6), nan_ok=True)
    assert whole(x, x) == pytest.approx(1)
    assert whole(x, 3 * x @ rotation + 100) == pytest.approx(1, abs=1e-3)
    assert whole(x @ rotation * 0.1, y - 7) == pytest.approx(whole(x, y), abs=1e-3, nan_ok=True)


def test_minibatch_and_exact_cka_agree_where_images_are_many() -> None:
    x, y = related(3000, 0)
    for size in (50, 500, 3000):
        assert in_batches(x, y, size) == pytest.approx(exact(x, y), abs=0.02)


def test_of_unrelated_wide_features_exact_cka_is_pulled_up_and_the_unbiased_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(200, 400, generator=generator) for _ in range(2))
    assert exact(x, y) > 0.5
    assert in_batches(x, y, 50) == pytest.approx(0, abs=0.04)


def test_batches_too_small_for_the_estimate_are_left_out() -> None:
    x, y = related(23, 1)
    assert in_batches(x, y, 10) == in_batches(x[:20], y[:20], 10)
    assert math.isnan(in_batches(x[:3], y[:3], 3))


def test_features_that_never_vary_or_are_not_finite_have_no_minibatch_cka() -> None:
    x, y = related(20, 2)
    assert math.isnan(whole(torch.ones(20, 3), y))
    assert math.isnan(whole(x, y / 0))


def test_the_grid_holds_every_bottom_cut_with_every_top_cut_from_one_pass() -> None:
    chains = []
    for seed, channels in ((0, 6), (1, 5)):
        traced = Traced(frozen(SmallConv(channels), seed), torch.rand(2, 3, 8, 8))
        chains.append(Chain(traced, traced.select("blocks")[seed:]))
    images = torch.rand(64, 3, 8, 8)
    passes = []

    def batches() -> Iterator[list[Tensor]]:
        for batch in images.split(16):
            passes.append(len(batch))
            yield [t for chain in chains for t in chain.features(batch, chain.output - 1)[1:]]

    low, high = (len(chain.cuts) for chain in chains)
    pairs = [(i, low + j) for i in range(low) for j in range(high)]
    grid = summed(batches(), pairs)
    assert passes == [16] * 4
    features = [chain.features(images) for chain in chains]
    for (i, j), found in zip(pairs, grid, strict=True):
        expected = in_batches(features[0][i + 1], features[1][j - low + 1], 16)
        assert found == pytest.approx(expected, rel=1e-3)
