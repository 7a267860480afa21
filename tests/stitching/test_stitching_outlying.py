import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Seam
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.evaluate import column_measures
from stitchtui.stitching.outlying import MOST_CHANNELS, Outlying, outlying, own_activations

EXAMPLE = torch.rand(2, 3, 8, 8)


def chain_of(network: nn.Module) -> Chain:
    traced = Traced(network, EXAMPLE)
    return Chain(traced, traced.select("blocks"))


class Vectors(Chain):
    """A chain whose tensor at its one cut is what it is given."""

    def __init__(self, channels: int) -> None:
        super().__init__(Traced(nn.Sequential(nn.Flatten(), nn.Linear(channels, 2)), torch.rand(2, channels, 1, 1)), ())

    def features(self, x: Tensor, upto: int | None = None) -> list[Tensor]:
        return [x]


def score(train: Tensor, own: Tensor, stitched: Tensor) -> Outlying:
    """For [images, channels] of the top on training and on test images, and stitched ones on test images."""
    (found,) = finish(own_activations(Vectors(train.shape[1]), [0], [x[..., None, None] for x in train.split(50)]))
    assert found is not None
    result = outlying(*(found.distances(x[..., None, None]) for x in (stitched, own)))
    assert result is not None
    return result


def drawn(seed: int, channels: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, channels, generator=generator) for n in (400, 300, 300))  # type: ignore[return-value]


def test_activations_like_its_own_score_a_half() -> None:
    train, own, stitched = drawn(0)
    found = score(train, own, stitched)
    assert found.low < 0.5 < found.high
    assert found.ratio == pytest.approx(1, abs=0.1)


def test_its_own_activations_score_exactly_a_half() -> None:
    train, own, _ = drawn(1)
    found = score(train, own, own)
    assert (found.auroc, found.ratio) == (0.5, 1)


def test_shifted_activations_go_to_one() -> None:
    train, own, stitched = drawn(2)
    found = [score(train, own, stitched + shift).auroc for shift in (0, 1, 2, 20)]
    assert found == sorted(found)
    assert found[-1] == 1
    assert score(train, own, stitched + 20).ratio > 10


def test_activations_pulled_to_the_mean_score_below_a_half() -> None:
    train, own, stitched = drawn(3)
    assert score(train, own, stitched / 2).high < 0.5


def test_a_departure_counts_by_how_much_its_direction_varies() -> None:
    train, own, stitched = (x * torch.tensor([100.0, 1, 1, 1, 1]) for x in drawn(4))
    along, across = stitched.clone(), stitched.clone()
    along[:, 0] += 20
    across[:, 1] += 20
    assert score(train, own, along).auroc < 0.6
    assert score(train, own, across).auroc > 0.99


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_the_score_ignores_invertible_linear_maps_of_the_activations(seed: int) -> None:
    train, own, stitched = drawn(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    rotations = [torch.linalg.qr(torch.randn(5, 5, generator=generator))[0] for _ in range(2)]
    mixed = rotations[0] * (1 + 3 * torch.rand(5, generator=generator)) @ rotations[1]
    plain = score(train, own, stitched * 1.2)
    mapped = score(*(x @ mixed + 7 for x in (train, own, stitched * 1.2)))
    assert mapped.auroc == pytest.approx(plain.auroc, abs=0.01)
    assert mapped.ratio == pytest.approx(plain.ratio, rel=0.01)


def test_a_channel_that_its_own_never_use_tells_the_stitched_ones_apart() -> None:
    train, own, stitched = drawn(5)
    for x in (train, own):
        x[:, 2] = 0
    assert score(train, own, stitched).auroc > 0.95


def test_the_interval_holds_the_score_and_shrinks_with_images() -> None:
    train, own, stitched = drawn(6)
    few, many = score(train, own[:30], stitched[:30] * 1.3), score(train, own, stitched * 1.3)
    assert few.low <= few.auroc <= few.high
    assert few.high - few.low > 2 * (many.high - many.low)


def test_activations_that_are_not_finite_have_no_score() -> None:
    distances = torch.rand(10)
    assert outlying(distances / 0, distances) is None
    assert outlying(distances, distances * torch.nan) is None
    images = torch.full((4, 3, 1, 1), torch.inf)
    assert finish(own_activations(Vectors(3), [0], [images])) == [None]


def test_a_cut_with_too_many_channels_is_left_out_and_the_others_are_not() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, MOST_CHANNELS + 1), nn.Linear(MOST_CHANNELS + 1, 3)).eval()
    network.append(nn.Linear(3, 2))
    traced = Traced(network, torch.rand(2, 3, 2, 2))
    chain = Chain(traced, traced.select(["1", "2"]))
    wide, narrow = finish(own_activations(chain, [1, 2], [torch.rand(30, 3, 2, 2)]))
    assert wide is None
    assert narrow is not None
    assert finish(own_activations(chain, [1], [])) == [None]


@pytest.mark.parametrize("network", [SmallConv, SmallVit])
def test_a_self_stitch_is_fed_its_own_and_a_scaled_one_is_not(network: type[nn.Module]) -> None:
    chain = chain_of(frozen(network(), 0))
    images = torch.rand(80, 3, 8, 8)
    boundaries = range(1, chain.output)
    own = finish(own_activations(chain, list(boundaries), images.split(32)))
    batches = [(i, torch.zeros(len(i), dtype=torch.long)) for i in torch.rand(60, 3, 8, 8).split(25)]
    exact = [stitches.build("affine", c, c) for c in chain.cuts]
    scaled = [stitches.build("affine", c, c) for c in chain.cuts]
    for one, other in zip(exact, scaled, strict=True):
        stitches.start_as_identity(one)
        stitches.start_as_identity(other)
        other.weight.data *= 3
    for family, expected in ((exact, 0.5), (scaled, 1.0)):
        cells = [Seam(k, k, stitch) for k, stitch in zip(boundaries, family, strict=True)]
        for measured in finish(column_measures(chain, chain, cells, batches, own=own)):
            assert measured.outlying is not None
            assert measured.outlying.auroc == pytest.approx(expected, abs=0.02)
