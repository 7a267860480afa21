from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stitchtui.base.work import finish
from stitchtui.stitching.similarity import linear_cka


def cka(x: Tensor, y: Tensor, block: int = 7) -> float:
    tensors = [x, y]
    return finish(linear_cka(lambda a, b: [t[a:b] for t in tensors], len(x), [(0, 1)], block))[0]


def reference(x: Tensor, y: Tensor) -> float:
    """By covariances, in float64, as the paper writes it."""
    a, b = (t.flatten(1).double().numpy() for t in (x, y))
    a, b = a - a.mean(0), b - b.mean(0)
    norm = np.linalg.norm
    return float(norm(b.T @ a) ** 2 / (norm(a.T @ a) * norm(b.T @ b)))


sizes = st.tuples(st.integers(3, 30), st.integers(1, 9), st.integers(1, 9), st.integers(0, 10_000))


def drawn(size: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    n, p, q, seed = size
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator)
    return x, torch.randn(n, q, generator=generator) + x.sum(1, keepdim=True)


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(2, 40))
def test_blocks_of_any_size_give_the_covariance_formula(size: tuple[int, int, int, int], block: int) -> None:
    x, y = drawn(size)
    assert cka(x, y, block) == pytest.approx(reference(x, y), abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(sizes)
def test_cka_is_symmetric_bounded_and_one_with_itself(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    assert cka(x, y) == pytest.approx(cka(y, x), abs=1e-6)
    assert 0 <= cka(x, y) <= 1
    assert cka(x, x) == pytest.approx(1, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(sizes)
def test_cka_ignores_rotation_scale_and_shift(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    rotation = torch.linalg.qr(torch.randn(x.shape[1], x.shape[1], generator=torch.Generator().manual_seed(1)))[0]
    assert cka(3 * x @ rotation + 2, y) == pytest.approx(cka(x, y), abs=1e-3)


def test_maps_are_flattened_with_their_positions() -> None:
    x, y = torch.randn(20, 3, 2, 2), torch.randn(20, 5)
    assert cka(x, y) == pytest.approx(reference(x, y), abs=1e-5)


def test_features_that_never_vary_have_no_similarity() -> None:
    assert cka(torch.ones(10, 3), torch.randn(10, 3)) == 0.0


def test_many_pairs_come_from_the_same_passes() -> None:
    tensors = [torch.randn(25, k) for k in (2, 3, 4)]
    calls: list[tuple[int, int]] = []

    def features(first: int, end: int) -> Sequence[Tensor]:
        calls.append((first, end))
        return [t[first:end] for t in tensors]

    found = finish(linear_cka(features, 25, [(0, 1), (2, 0), (1, 2)], 10))
    assert found == pytest.approx([reference(tensors[a], tensors[b]) for a, b in [(0, 1), (2, 0), (1, 2)]], abs=1e-5)
    assert len(calls) == 3 + 3 + 3  # means, block rows, and each pair of blocks off the diagonal once


def test_far_from_zero_no_digits_are_lost() -> None:
    x, y = torch.randn(30, 4), torch.randn(30, 4)
    assert cka(x + 300, y - 200) == pytest.approx(reference(x, y), abs=1e-3)


def test_features_that_are_not_finite_have_no_cka() -> None:
    x = torch.randn(10, 3)
    x[4, 1] = float("nan")
    assert np.isnan(cka(x, torch.randn(10, 3)))
