import math
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stitchtui.stitching.similarity import Alignment, Alignments

sizes = st.tuples(st.integers(30, 90), st.integers(1, 6), st.integers(1, 6), st.integers(0, 10_000))


def drawn(size: tuple[int, int, int, int]) -> tuple[Tensor, Tensor]:
    n, p, q, seed = size
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, p, generator=generator)
    return x, torch.randn(n, q, generator=generator) + x @ torch.randn(p, q, generator=generator)


def over(batches: Iterable[Sequence[Tensor]], pairs: list[tuple[int, int]]) -> list[Alignment]:
    summed = Alignments(pairs)
    for batch in batches:
        summed.add(batch)
    return summed.values()


def rotation(size: int, seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size, generator=torch.Generator().manual_seed(seed)))[0]


def mixing(size: int, seed: int) -> Tensor:
    """An invertible map that stretches by at most 20."""
    stretch = torch.linspace(0.1, 2, size)
    return rotation(size, seed) * stretch @ rotation(size, seed + 1)


def found(x: Tensor, y: Tensor, batch: int = 17) -> Alignment:
    return over(zip(x.split(batch), y.split(batch), strict=True), [(0, 1)])[0]


@settings(max_examples=25)
@given(sizes)
def test_procrustes_is_what_remains_after_the_best_rotation(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    width = max(x.shape[1], y.shape[1])
    a, b = (np.pad((t - t.mean(0)).double().numpy(), ((0, 0), (0, width - t.shape[1]))) for t in (x, y))
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    best, _ = scipy.linalg.orthogonal_procrustes(a, b)
    assert found(x, y).procrustes == pytest.approx(np.linalg.norm(a @ best - b) ** 2 / 2, abs=1e-6)


@settings(max_examples=25)
@given(sizes)
def test_cca_is_the_mean_cosine_between_the_two_spaces_of_features(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    a, b = ((t - t.mean(0)).double().numpy() for t in (x, y))
    expected = np.cos(scipy.linalg.subspace_angles(a, b)).mean()
    assert found(x, y).cca == pytest.approx(expected, abs=1e-5)


@settings(max_examples=25)
@given(sizes)
def test_both_are_symmetric_and_between_0_and_1(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    one, other = found(x, y), found(y, x)
    assert one.procrustes == pytest.approx(other.procrustes, abs=1e-9)
    assert one.cca == pytest.approx(other.cca, abs=1e-9)
    assert 0 <= one.procrustes <= 1
    assert 0 <= one.cca <= 1


@settings(max_examples=25)
@given(sizes)
def test_a_rotated_scaled_and_shifted_self_has_procrustes_distance_0(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    turned = 3 * x @ rotation(x.shape[1], size[3]) + 5
    assert found(x, x).procrustes == pytest.approx(0, abs=1e-9)
    assert found(x, turned).procrustes == pytest.approx(0, abs=1e-5)
    assert found(turned, y).procrustes == pytest.approx(found(x, y).procrustes, abs=1e-5)


@settings(max_examples=25)
@given(sizes)
def test_invertible_affine_maps_of_either_leave_cca_as_it_is(size: tuple[int, int, int, int]) -> None:
    x, y = drawn(size)
    mapped = x @ mixing(x.shape[1], size[3]) + 3, y @ mixing(y.shape[1], size[3] + 2) - 1
    assert found(*mapped).cca == pytest.approx(found(x, y).cca, abs=1e-4)
    assert found(x, mapped[0]).cca == pytest.approx(1, abs=1e-4)


def test_procrustes_does_see_a_stretch_that_cca_does_not() -> None:
    x, _ = drawn((80, 5, 5, 0))
    stretched = x * torch.tensor([30.0, 1, 1, 1, 1])
    assert found(x, stretched).procrustes > 0.2
    assert found(x, stretched).cca == pytest.approx(1, abs=1e-5)


def test_unrelated_features_get_no_more_than_what_is_said_of_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(400, 40, generator=generator), torch.randn(400, 20, generator=generator)
    result = found(x, y, 100)
    assert result.cca < result.cca_by_chance < result.cca + 0.1
    assert found(x[:41], y[:41]).cca_by_chance == 1


def test_copies_and_dead_channels_neither_add_nor_take() -> None:
    x, y = drawn((60, 3, 3, 1))
    padded = torch.cat([x, x[:, :1], torch.zeros(60, 2)], 1)
    assert found(padded, y).cca == pytest.approx(found(x, y).cca, abs=1e-6)


def test_far_from_zero_no_digits_are_lost() -> None:
    x, y = drawn((60, 3, 3, 2))
    assert found(x + 1000, y - 500).cca == pytest.approx(found(x, y).cca, abs=1e-3)


def test_features_that_never_vary_share_nothing_and_those_not_finite_are_not_numbers() -> None:
    x, y = drawn((30, 3, 3, 3))
    assert found(torch.ones(30, 2), y) == Alignment(1.0, 0.0, 0.0)
    assert math.isnan(found(x / 0, y).procrustes)
    assert math.isnan(found(x / 0, y).cca)


def test_many_pairs_come_from_one_pass() -> None:
    tensors = [*drawn((50, 3, 4, 4)), drawn((50, 2, 5, 5))[1]]
    pairs = [(0, 1), (2, 0), (1, 2), (1, 1)]
    passed = over(iter([[t[:20] for t in tensors], [t[20:] for t in tensors]]), pairs)
    for (a, b), one in zip(pairs, passed, strict=True):
        alone = found(tensors[a], tensors[b])
        assert (one.procrustes, one.cca) == pytest.approx((alone.procrustes, alone.cca), abs=1e-9)
