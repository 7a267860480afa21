import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from small_networks import SmallConv, SmallVit, frozen
from told import told
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.copies import IMAGES
from stitchtui.stitching.cuts import Traced

EXAMPLE = torch.rand(2, 3, 8, 8)


def chain_of(network: nn.Module, wanted: str = "blocks") -> Chain:
    traced = Traced(network, EXAMPLE)
    return Chain(traced, traced.select(wanted))


def batches(count: int, size: int = 16, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(0, 4, (size,), generator=generator)


def column(bottom: Chain, top: Chain, family: str = "affine") -> list[column_trainer.Seam]:
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build(family, bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(column_trainer.Seam(k, k, stitch))
    return cells


def train_plainly(bottom: Chain, top: Chain, cell: column_trainer.Seam, steps: int, learning_rate: float) -> None:
    """The slow and obvious way: one cell, both networks run whole, one loss, one optimiser."""
    optimiser = torch.optim.Adam(cell.stitch.parameters(), learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    cell.stitch.train()
    for images, labels in batches(steps):
        with torch.no_grad():
            feature = bottom.upto(cell.bottom)(images)
        loss = F.cross_entropy(top.after(cell.top)(cell.stitch(feature)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


@pytest.mark.parametrize("family", ["affine", "bn_affine_bn"])
@pytest.mark.parametrize("network", [SmallConv, SmallVit])
def test_a_column_trains_each_cell_as_if_it_were_alone(network: type[nn.Module], family: str) -> None:
    bottom, top = chain_of(frozen(network(), 0)), chain_of(frozen(network(), 1))
    together = column(bottom, top, family)
    alone = copy.deepcopy(together)
    finish(column_trainer.train_column(bottom, top, together, batches(6), column_trainer.Recipe(6, 1e-2, fold=False)))
    for cell in alone:
        train_plainly(bottom, top, cell, 6, 1e-2)
    for ours, theirs in zip(together, alone, strict=True):
        for (name, a), b in zip(ours.stitch.named_parameters(), theirs.stitch.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=2e-3, atol=2e-5, msg=lambda m, name=name: f"{name}: {m}")


def test_training_changes_the_stitches() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = column(bottom, top)
    before = copy.deepcopy(cells)
    finish(column_trainer.train_column(bottom, top, cells, batches(3), column_trainer.Recipe(3, 1e-2)))
    for now, then in zip(cells, before, strict=True):
        assert not torch.equal(now.stitch.weight, then.stitch.weight)


@pytest.mark.parametrize("i, j", [(1, 3), (2, 2), (3, 1)])
def test_bottom_and_top_may_be_cut_at_different_depths(i: int, j: int) -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    stitch = stitches.build("affine", bottom.cuts[i - 1], top.cuts[j - 1])
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    x = torch.rand(5, 3, 8, 8)
    (output,) = column_trainer.column_outputs(top, [column_trainer.Seam(i, j, stitch)], bottom.features(x, i))
    torch.testing.assert_close(output, top.after(j)(stitch(bottom.upto(i)(x))))


def test_outputs_come_in_the_order_of_the_cells_whatever_their_depth() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = column(bottom, top)
    x = torch.rand(5, 3, 8, 8)
    forwards = column_trainer.column_outputs(top, cells, bottom.features(x))
    backwards = column_trainer.column_outputs(top, cells[::-1], bottom.features(x))
    for a, b in zip(forwards, backwards[::-1], strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_of_the_bottom_above_the_cut_and_of_the_top_below_it_is_run() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    for segment in bottom.segments[2:]:
        segment.register_forward_pre_hook(lambda *_: pytest.fail("a part that no cell needs was run"))
    for segment in top.segments[:2]:  # but to compare its copies on a few images
        segment.register_forward_pre_hook(
            lambda _, given: None if len(given[0]) == IMAGES else pytest.fail("a step ran it")
        )
    cells = [cell for cell in column(bottom, top) if cell.bottom == 2]
    finish(column_trainer.train_column(bottom, top, cells, batches(1), column_trainer.Recipe(1)))


def test_widths_may_differ() -> None:
    bottom, top = chain_of(frozen(SmallConv(5), 0)), chain_of(frozen(SmallConv(7), 1))
    cells = column(bottom, top)
    finish(column_trainer.train_column(bottom, top, cells, batches(2), column_trainer.Recipe(2)))
    assert [tuple(c.stitch.weight.shape) for c in cells] == [(7, 5)] * 4


def test_progress_tells_every_cells_own_loss_and_accuracy() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = column(bottom, top)
    images, labels = next(batches(1))
    expected = [
        F.cross_entropy(o, labels).item() for o in column_trainer.column_outputs(top, cells, bottom.features(images))
    ]
    seen: list[column_trainer.Progress] = []
    told(
        column_trainer.train_column(bottom, top, cells, batches(1), column_trainer.Recipe(1)),
        report=lambda _, read: seen.append(read()),
    )
    assert seen[0].step == 1
    assert seen[0].losses == pytest.approx(expected, rel=1e-4)
    assert all(0 <= a <= 100 for a in seen[0].accuracies)


def test_training_ends_when_no_loss_is_finite() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells = column(bottom, top)
    with torch.no_grad():
        for cell in cells:
            cell.stitch.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="every training loss is not finite at step 1"):
        told(
            column_trainer.train_column(bottom, top, cells, batches(2), column_trainer.Recipe(2)),
            report=lambda _, read: read(),
        )


def test_a_cell_that_is_not_finite_harms_no_other() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    cells, sick = column(bottom, top), column(bottom, top)
    with torch.no_grad():
        sick[1].stitch.weight.fill_(float("inf"))
    for each in (cells, sick):
        told(
            column_trainer.train_column(bottom, top, each, batches(3), column_trainer.Recipe(3, 1e-2)),
            report=lambda _, read: read(),
        )
    assert [column_trainer.is_finite(c.stitch) for c in sick] == [True, False, True, True]
    for k in (0, 2, 3):
        torch.testing.assert_close(sick[k].stitch.weight, cells[k].stitch.weight)


def test_frozen_networks_are_untouched_by_training_in_eval_mode() -> None:
    network = frozen(SmallConv(), 0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    chain = chain_of(network)
    finish(column_trainer.train_column(chain, chain, column(chain, chain), batches(3), column_trainer.Recipe(3)))
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_batch_statistics_accumulate_while_open_and_are_restored_after() -> None:
    network = frozen(SmallConv(), 0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    with column_trainer.BatchStatistics(network) as statistics:
        network(torch.rand(16, 3, 8, 8))
        assert not torch.equal(network.stem[1].running_mean, before["stem.1.running_mean"])
        statistics.evaluate()
        adapted = network.stem[1].running_mean.clone()
        network(torch.rand(16, 3, 8, 8))
        assert torch.equal(network.stem[1].running_mean, adapted)
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert not any(m.training for m in network.modules())
