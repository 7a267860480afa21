import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Seam
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.evaluate import base_scores, column_measures, column_scores, compare, js_distance

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
    cells = [Seam(k, k, stitches.build("affine", c, c)) for k, c in enumerate(chain.cuts, 1)]
    for cell in cells:
        stitches.start_as_identity(cell.stitch)
    base = finish(base_scores(chain, test_batches()))
    scores, gaps = finish(column_scores(chain, chain, cells, test_batches()))
    for score, gap in zip(scores, gaps, strict=True):
        measures = compare(score, base, base)
        assert measures["penalty"] == 0
        assert measures["agreement"] == 100
        assert gap == 0


def test_the_penalty_is_zero_at_the_input_and_the_difference_of_errors_at_the_output() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(9), 1))
    ends = [Seam(0, 0, stitches.Identity()), Seam(bottom.output, top.output, stitches.Identity())]
    scores, _ = finish(column_scores(bottom, top, ends, test_batches()))
    bases = finish(base_scores(top, test_batches())), finish(base_scores(bottom, test_batches()))
    assert compare(scores[0], *bases)["penalty"] == 0
    assert compare(scores[1], *bases)["penalty"] == pytest.approx(bases[1].error - bases[0].error)
    assert compare(scores[1], *bases)["versus_bottom"] == 0


def test_errors_losses_and_gaps_equal_the_plain_way() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build("affine", bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(Seam(k, k, stitch))
    scores, gaps = finish(column_scores(bottom, top, cells, test_batches()))
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
    a, b = finish(base_scores(chain, test_batches())), finish(base_scores(other, test_batches()))
    measures = compare(a, b, b)
    assert measures["agreement"] == pytest.approx(100 * (a.predicted == b.predicted).double().mean().item())
    assert measures["penalty"] == pytest.approx(a.error - b.error)
    assert measures["images"] == 60


def started_at_random(bottom: Chain, top: Chain) -> list[Seam]:
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build("affine", bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(Seam(k, k, stitch))
    return cells


@pytest.mark.parametrize("network", [SmallConv, SmallVit])
def test_later_gaps_equal_those_of_each_stitched_network_run_alone(network: type[nn.Module]) -> None:
    bottom, top = chain_of(frozen(network(), 0)), chain_of(frozen(network(), 1))
    cells = started_at_random(bottom, top)[::-1]  # also where cells don't come in the order of their cuts
    found = finish(column_measures(bottom, top, cells, test_batches(), later=True))
    targets = top.features(IMAGES)
    for cell, measured in zip(cells, found, strict=True):
        x = cell.stitch(bottom.features(IMAGES)[cell.bottom]).detach()
        expected = []
        for boundary in range(cell.top, top.output):
            expected.append(float((x - targets[boundary]).norm() ** 2 / targets[boundary].norm() ** 2))
            x = top.segments[boundary](x)
        assert [measured.gap, *measured.later_gaps] == pytest.approx(expected, rel=1e-3)


def test_later_gaps_are_left_out_unless_asked_for() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    found = finish(column_measures(chain, chain, [Seam(1, 1, stitches.Identity())], test_batches()))
    assert found[0].later_gaps == ()
    assert found[0].outlying is None


def test_gaps_grow_or_shrink_on_the_way_but_stay_zero_for_a_self_stitch() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    found = finish(column_measures(chain, chain, [Seam(1, 1, stitches.Identity())], test_batches(), later=True))
    assert len(found[0].later_gaps) == chain.output - 2
    assert found[0].later_gaps == pytest.approx((0,) * len(found[0].later_gaps), abs=1e-10)
    assert found[0].js_distance == pytest.approx(0, abs=1e-5)


def test_any_bottom_cut_can_meet_any_top_cut() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = [Seam(i, j, stitches.Identity()) for i in (1, 2, 3) for j in (3, 1, 2)]
    for cell, measured in zip(cells, finish(column_measures(bottom, top, cells, test_batches())), strict=True):
        alone = finish(column_measures(bottom, top, [cell], test_batches()))[0]
        assert measured.gap == pytest.approx(alone.gap, rel=1e-5)
        assert measured.scores.loss == pytest.approx(alone.scores.loss, rel=1e-4)
        assert measured.js_distance == pytest.approx(alone.js_distance, rel=1e-3)


scores_of = st.lists(st.lists(st.floats(-30, 30), min_size=3, max_size=3), min_size=1, max_size=5).map(torch.tensor)


@given(scores_of, st.integers(0, 99))
def test_the_js_distance_is_symmetric_between_0_and_1_and_ignores_a_shift_of_scores(x: Tensor, seed: int) -> None:
    y = 5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    found = js_distance(x, y)
    assert ((found >= 0) & (found <= 1)).all()
    torch.testing.assert_close(found, js_distance(y, x))
    torch.testing.assert_close(found, js_distance(x + 4, y - 2), atol=1e-4, rtol=1e-4)
    assert js_distance(x, x).max() == pytest.approx(0, abs=1e-7)


def test_the_js_distance_is_one_between_certainties_that_disagree_and_scipys_between() -> None:
    certain = torch.tensor([[50.0, -50.0], [-50.0, 50.0]])
    assert js_distance(certain, certain.flip(0)).tolist() == pytest.approx([1, 1])
    x, y = torch.randn(6, 4), torch.randn(6, 4)
    expected = jensenshannon(x.softmax(1).numpy(), y.softmax(1).numpy(), base=2, axis=1)
    assert js_distance(x, y).tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_nothing_is_said_against_a_bottom_that_is_no_network() -> None:
    a = finish(base_scores(chain_of(frozen(SmallConv(), 0)), test_batches()))
    assert not any("bottom" in name for name in compare(a, a, None))
    assert compare(a, a, None)["penalty"] == 0
