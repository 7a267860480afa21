import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stitchtui.stitching import stitches
from stitchtui.stitching.cuts import Cut
from stitchtui.stitching.rank import effective_rank


def of_rank(rank: int, rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    """A matrix with `rank` singular values of 1 and no others."""
    generator = torch.Generator().manual_seed(seed)
    left = torch.linalg.qr(torch.randn(rows, rows, generator=generator))[0][:, :rank]
    return left @ torch.linalg.qr(torch.randn(columns, columns, generator=generator))[0][:rank]


sides = st.integers(1, 8)


@given(sides, sides, st.integers(1, 8), st.floats(1e-3, 1e3))
def test_equal_singular_values_count_in_full_at_any_scale(rows: int, columns: int, rank: int, scale: float) -> None:
    rank = min(rows, columns, rank)
    assert effective_rank(scale * of_rank(rank, rows, columns)) == pytest.approx(rank, rel=1e-4)


@given(sides, sides, st.integers(0, 1000))
def test_it_lies_between_1_and_the_smaller_side(rows: int, columns: int, seed: int) -> None:
    found = effective_rank(torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)))
    assert found is not None
    assert 1 - 1e-9 <= found <= min(rows, columns) + 1e-9


def test_a_direction_that_is_hardly_used_hardly_counts_where_the_numerical_rank_counts_it() -> None:
    values = torch.tensor([1.0, 1.0, 1e-3, 1e-9])
    cut = Cut("c", (4,), -1, True)
    stitch = stitches.build("affine", cut, cut)
    stitch.weight.data.copy_(torch.diag(values))
    assert effective_rank(torch.diag(values)) == pytest.approx(2, abs=0.02)
    assert stitches.rank_of(stitch) == 3  # the last is noise of float32


def test_zeros_have_rank_0_and_what_is_not_finite_none() -> None:
    assert effective_rank(torch.zeros(3, 2)) == 0
    assert effective_rank(torch.full((2, 2), torch.nan)) is None
