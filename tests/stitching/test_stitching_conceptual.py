"""What sets stitching apart from representational similarity (the paper, section 3), on networks small enough to see.

The top's own answers serve as labels, so that its error is 0 and a penalty is what the stitch gets wrong.
"""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Seam
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.direct import least_squares, moments
from stitchtui.stitching.evaluate import base_scores, column_measures, compare
from stitchtui.stitching.outlying import own_activations
from stitchtui.stitching.similarity import MinibatchCka, linear_cka

EARLY = 1  # the boundary after the stem, a map


def drawn(n: int) -> Tensor:
    """Images of a few large patches, each image with a brightness and a contrast of its own."""
    generator = torch.Generator().manual_seed(n)
    patches = torch.rand(n, 3, 4, 4, generator=generator) * torch.rand(n, 3, 1, 1, generator=generator)
    return F.interpolate(patches, size=8) * (0.9 + 0.1 * torch.rand(n, 3, 8, 8, generator=generator))


TRAIN, TEST = drawn(2000), drawn(600)


class Changed(Chain):
    """A chain whose tensor at EARLY has been changed by `change`, which gives `channels` channels."""

    def __init__(self, chain: Chain, change: Callable[[Tensor], Tensor], channels: int) -> None:
        self.chain, self.change, self.segments = chain, change, chain.segments
        cut = chain.cuts[EARLY - 1]
        self.cuts = (Cut(cut.name, (channels, *cut.shape[1:]), cut.channel_axis, cut.block),)

    def features(self, x: Tensor, upto: int | None = None) -> list[Tensor]:
        found = self.chain.features(x, EARLY)
        return [*found[:EARLY], self.change(found[EARLY])]


def network(channels: int, seed: int) -> Chain:
    """A random network whose answers differ from image to image: no class is favoured, on the mean image."""
    module = frozen(SmallConv(channels), seed)
    module.head.bias.data -= module(TRAIN).mean(0)
    traced = Traced(module, TRAIN[:2])
    return Chain(traced, traced.select("blocks"))


def batches(top: Chain, images: Tensor) -> list[tuple[Tensor, Tensor]]:
    """With the top's answers as labels."""
    with torch.no_grad():
        return [(part, top.features(part)[-1].argmax(1)) for part in images.split(200)]


def fitted(family: str, bottom: Chain, top: Chain) -> nn.Module:
    """A stitch at EARLY by direct matching on training images."""
    stitch = stitches.build(family, bottom.cuts[EARLY - 1], top.cuts[EARLY - 1])
    if family == "affine":
        (found,) = finish(moments(bottom, top, [(EARLY, EARLY)], TRAIN.split(200)))
        stitches.start_from_map(stitch, least_squares(found, 1e-6))
    return stitch


def penalty(bottom: Chain, top: Chain, family: str = "affine") -> float:
    test = batches(top, TEST)
    cell = Seam(EARLY, EARLY, fitted(family, bottom, top))
    (measured,) = finish(column_measures(bottom, top, [cell], test))
    base = finish(base_scores(top, test))
    assert base.error == 0
    return compare(measured.scores, base, None)["penalty"]


@torch.no_grad()
def ckas(bottom: Chain, top: Chain) -> tuple[float, float]:
    """Exact and minibatch linear CKA at EARLY on test images."""
    pair = [chain.features(TEST, EARLY)[EARLY] for chain in (bottom, top)]
    (exact,) = finish(linear_cka(lambda a, b: [t[a:b] for t in pair], len(TEST), [(0, 1)], len(TEST)))
    summed = MinibatchCka([(0, 1)])
    for batch in zip(*(t.split(100) for t in pair), strict=True):
        summed.add(batch)
    return exact, summed.values()[0]


def test_random_coordinates_lower_cka_and_leave_the_penalty_as_it_is() -> None:
    bottom, top = network(6, 0), network(6, 2)
    noisy = Changed(bottom, lambda x: torch.cat([x, 3 * torch.randn(len(x), 200, *x.shape[2:])], 1), 206)
    assert penalty(noisy, top) == pytest.approx(penalty(bottom, top), abs=2)
    for plain, lowered in zip(ckas(bottom, top), ckas(noisy, top), strict=True):
        assert lowered < plain / 2


def test_moved_pixels_leave_cka_as_it_is_and_raise_the_penalty_of_a_stitch_that_sees_one_position() -> None:
    bottom, top = network(6, 0), network(6, 2)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    moved, moved_top = (Changed(c, lambda x: x.flatten(2)[:, :, order].unflatten(2, (8, 8)), 6) for c in (bottom, top))
    assert ckas(moved, top) == pytest.approx(ckas(bottom, top), abs=1e-3)
    assert ckas(moved_top, top) == pytest.approx((1, 1), abs=1e-3)
    assert penalty(top, top) == 0
    assert penalty(moved_top, top) > 20


def test_swapped_neurons_break_the_plug_in_and_not_the_stitch() -> None:
    top = network(6, 2)
    swapped = Changed(top, lambda x: x[:, [3, 0, 5, 1, 2, 4]], 6)
    assert penalty(swapped, top, "identity") > 20
    assert penalty(swapped, top) == 0
    stitched = [Seam(EARLY, EARLY, fitted("affine", swapped, top))]
    assert finish(column_measures(swapped, top, stitched, batches(top, TEST)))[0].gap == pytest.approx(0, abs=1e-8)


def test_a_stitch_from_one_network_to_another_is_not_the_stitch_back() -> None:
    narrow, wide = network(2, 2), network(12, 3)
    there, back = penalty(narrow, wide), penalty(wide, narrow)
    assert there > back + 10


def test_swapped_neurons_are_out_of_distribution_until_they_are_stitched() -> None:
    top = network(6, 2)
    swapped = Changed(top, lambda x: x[:, [3, 0, 5, 1, 2, 4]], 6)
    own = finish(own_activations(top, [EARLY, EARLY], TRAIN.split(200)))
    cells = [Seam(EARLY, EARLY, fitted(family, swapped, top)) for family in ("identity", "affine")]
    plugged, stitched = finish(column_measures(swapped, top, cells, batches(top, TEST), own=own))
    assert plugged.outlying is not None
    assert plugged.outlying.low > 0.95
    assert stitched.outlying is not None
    assert stitched.outlying.auroc == pytest.approx(0.5, abs=0.01)
