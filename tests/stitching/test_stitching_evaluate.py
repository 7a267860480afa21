import pytest
import torch
import torch.nn.functional as F
from small_networks import SmallConv, SmallVit, frozen
from torch import nn

from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.evaluate import base_scores, column_scores, compare
from stitchtui.stitching.fit import Cell

EXAMPLE = torch.rand(2, 3, 8, 8)
IMAGES, LABELS = torch.rand(60, 3, 8, 8), torch.randint(0, 4, (60,))


def chain_of(network: nn.Module) -> Chain:
    traced = Traced(network, EXAMPLE)
    return Chain(traced, traced.select("blocks"))


def test_batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(zip(IMAGES.split(16), LABELS.split(16), strict=True))


test_batches.__test__ = False  # a helper: its name only says which part of the data it gives


@pytest.mark.parametrize("network", [SmallConv, SmallVit])
def test_self_stitch_from_identity_has_zero_penalty(network: type[nn.Module]) -> None:
    chain = chain_of(frozen(network(), 0))
    cells = [Cell(k, k, stitches.build("affine", c, c)) for k, c in enumerate(chain.cuts, 1)]
    for cell in cells:
        stitches.start_as_identity(cell.stitch)
    base = base_scores(chain, test_batches())
    scores, gaps = column_scores(chain, chain, cells, test_batches())
    for score, gap in zip(scores, gaps, strict=True):
        measures = compare(score, base, base)
        assert measures["penalty"] == 0
        assert measures["agreement"] == 100
        assert gap == 0


def test_the_penalty_is_zero_at_the_input_and_the_difference_of_errors_at_the_output() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(9), 1))
    ends = [Cell(0, 0, stitches.Identity()), Cell(bottom.output, top.output, stitches.Identity())]
    scores, _ = column_scores(bottom, top, ends, test_batches())
    bases = base_scores(top, test_batches()), base_scores(bottom, test_batches())
    assert compare(scores[0], *bases)["penalty"] == 0
    assert compare(scores[1], *bases)["penalty"] == pytest.approx(bases[1].error - bases[0].error)
    assert compare(scores[1], *bases)["versus_bottom"] == 0


def test_errors_losses_and_gaps_equal_the_plain_way() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build("affine", bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(Cell(k, k, stitch))
    scores, gaps = column_scores(bottom, top, cells, test_batches())
    for cell, score, gap in zip(cells, scores, gaps, strict=True):
        with torch.no_grad():
            stitched = cell.stitch(bottom.upto(cell.bottom)(IMAGES))
            target = top.upto(cell.top)(IMAGES)
            output = top.after(cell.top)(stitched)
        assert score.error == pytest.approx(100 * (output.argmax(1) != LABELS).double().mean().item())
        assert score.loss == pytest.approx(F.cross_entropy(output, LABELS).item(), rel=1e-5)
        assert gap == pytest.approx(((stitched - target).norm() ** 2 / target.norm() ** 2).item(), rel=1e-4)


def test_agreement_counts_equal_answers_right_or_wrong() -> None:
    chain, other = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    a, b = base_scores(chain, test_batches()), base_scores(other, test_batches())
    measures = compare(a, b, b)
    assert measures["agreement"] == pytest.approx(100 * (a.predicted == b.predicted).double().mean().item())
    assert measures["penalty"] == pytest.approx(a.error - b.error)
    assert measures["images"] == 60
