import copy
from collections.abc import Iterator

import pytest
import torch
from small_networks import SmallConv, frozen
from torch import Tensor

from stitchtui.stitching import fit, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.memory import step_costs
from stitchtui.stitching.replay import Replay, ViewsTooLarge, replayed, view_bytes


def chain_of(seed: int) -> Chain:
    traced = Traced(frozen(SmallConv(), seed), torch.rand(2, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def batches(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.rand(8, 3, 8, 8, generator=generator), torch.randint(0, 4, (8,), generator=generator)


def cell_at(bottom: Chain, top: Chain, k: int) -> fit.Cell:
    stitch = stitches.build("affine", bottom.cuts[k - 1], top.cuts[k - 1])
    stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
    return fit.Cell(k, k, stitch)


def numbered(batch: int, steps: int) -> Iterator[tuple[list[Tensor], Tensor, Tensor]]:
    """Features that say which image they are of, without end."""
    for step in range(1_000):
        numbers = torch.arange(batch) + batch * step
        maps = numbers.float().view(-1, 1, 1, 1).expand(-1, 2, 3, 3).contiguous(memory_format=torch.channels_last)
        yield [torch.empty(batch), maps, numbers.float()], torch.empty(batch, 3, 4, 4), numbers


def test_while_views_are_fresh_training_is_as_without_replay() -> None:
    bottom, top = chain_of(0), chain_of(1)
    plain = cell_at(bottom, top, 3)
    kept = copy.deepcopy(plain)
    fit.train_column(bottom, top, [plain], batches(6), fit.Recipe(6, 1e-2))
    fit.train_column(bottom, top, [kept], batches(6), fit.Recipe(6, 1e-2), replay=Replay(2, 3, 0))
    assert torch.equal(kept.stitch.weight, plain.stitch.weight)


def test_after_its_views_the_bottom_runs_no_more_and_training_goes_on() -> None:
    bottom, top = chain_of(0), chain_of(1)
    cell = cell_at(bottom, top, 3)
    runs: list[int] = []
    bottom.segments[0].register_forward_hook(lambda *_: runs.append(1))
    seen: list[float] = []
    fit.train_column(
        bottom,
        top,
        [cell],
        batches(4),
        fit.Recipe(40, 1e-2, fold=False),
        replay=Replay(2, 2, 0),
        report=lambda _, read: seen.extend(read().losses),
    )
    assert len(runs) == 4
    assert len(seen) == 40
    assert sum(seen[-4:]) < sum(seen[:4])


def test_what_comes_again_is_each_view_in_turn_whole_and_in_another_order() -> None:
    fed = replayed(numbered(4, 3), Replay(views=2, steps=3, seed=0), {1, 2})
    epochs = [[next(fed) for _ in range(3)] for _ in range(6)]
    views = [torch.cat([labels for _, _, labels in epoch]).tolist() for epoch in epochs]
    assert views[0] == list(range(12))
    assert views[1] == list(range(12, 24))
    for later, first in ((2, 0), (3, 1), (4, 0), (5, 1)):
        assert sorted(views[later]) == views[first]
        assert views[later] != views[first]
    assert views[4] != views[2]
    for epoch in epochs[2:]:
        for features, _, labels in epoch:
            assert set(features) == {1, 2}
            assert torch.equal(features[2], labels.float())
            assert torch.equal(features[1][:, 1, 2, 2], labels.float())
            assert features[1].is_contiguous(memory_format=torch.channels_last)


def test_batches_that_end_before_a_view_is_full_are_all_that_comes_again() -> None:
    fresh = list(zip(range(2), numbered(4, 3), strict=False))
    fed = replayed((batch for _, batch in fresh), Replay(views=2, steps=3, seed=0), {2})
    labels = [next(fed)[2] for _ in range(4)]
    assert sorted(torch.cat(labels[2:]).tolist()) == list(range(8))


def test_replay_is_for_the_tasks_objective_only() -> None:
    bottom, top = chain_of(0), chain_of(1)
    with pytest.raises(ValueError, match="only the task's objective"):
        fit.train_column(
            bottom, top, [cell_at(bottom, top, 1)], batches(1), fit.Recipe(1, objective="soft"), replay=Replay(1, 1, 0)
        )
    with pytest.raises(ValueError, match="views and steps of 1 or more, got 0 and 1"):
        Replay(0, 1, 0)


def test_the_bytes_of_all_views_are_said_before_any_is_kept() -> None:
    said: list[int] = []
    fed = replayed(numbered(4, 3), Replay(views=2, steps=3, seed=0), {1}, said.append)
    next(fed)
    assert said == [2 * 3 * 4 * (2 * 3 * 3 * 4 + 8)]
    list(zip(range(12), fed, strict=False))
    assert len(said) == 1


@pytest.mark.parametrize("cuts", [(3,), (1, 2, 3)])
def test_views_that_leave_no_room_for_a_step_are_refused_before_one_is_made(cuts: tuple[int, ...]) -> None:
    bottom, top = chain_of(0), chain_of(1)
    cells = [cell_at(bottom, top, k) for k in cuts]
    before = copy.deepcopy(cells)
    needed = 2 * 2 * 8 * (sum(4 * 6 * 64 for _ in cuts) + 8)
    with pytest.raises(ViewsTooLarge, match=r"the views' features take .* and a step .*, together more than the"):
        fit.train_column(bottom, top, cells, batches(4), fit.Recipe(8, memory=needed + 10_000), replay=Replay(2, 2, 0))
    for cell, untouched in zip(cells, before, strict=True):
        assert torch.equal(cell.stitch.weight, untouched.stitch.weight)


def test_beside_kept_features_cells_take_turns_to_the_same_numbers() -> None:
    bottom, top = chain_of(0), chain_of(1)
    together = [cell_at(bottom, top, k) for k in (1, 2, 3)]
    in_turns = copy.deepcopy(together)
    images, _ = next(batches(1))
    costs = step_costs(bottom, top, together, images)
    needed = 2 * 2 * 8 * (3 * 4 * 6 * 64 + 8)
    for cells, memory in ((together, None), (in_turns, needed + costs.features + max(costs.cells))):
        fit.train_column(bottom, top, cells, batches(4), fit.Recipe(8, 1e-2, memory=memory), replay=Replay(2, 2, 0))
    for one, other in zip(together, in_turns, strict=True):
        torch.testing.assert_close(one.stitch.weight, other.stitch.weight, rtol=1e-3, atol=1e-4)


def test_the_bytes_of_a_view_are_those_of_its_features_and_labels() -> None:
    bottom = chain_of(0)
    assert view_bytes(bottom, [2, 2, 4], 100, torch.bfloat16) == 100 * (6 * 64 * 2 + 6 * 2 + 8)
