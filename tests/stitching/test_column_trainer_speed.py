"""Every trick that saves time or memory leaves the numbers as they are."""

import copy
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from held import Held
from hypothesis import given
from hypothesis import strategies as st
from small_networks import SmallConv, SmallVit, frozen
from told import told
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.networks import by_name
from stitchtui.stitching import column_trainer, memory, stitches
from stitchtui.stitching import seams as column_module
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.copies import IMAGES
from stitchtui.stitching.cpu_threads import CpuThreads
from stitchtui.stitching.cuts import Traced

CPU = torch.device("cpu")


def resnet20(width: float = 0.5) -> nn.Module:
    return by_name.build("resnet20", 4, (3, 8, 8), width)


def chain_of(network: nn.Module) -> Chain:
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def pair(build: Any = SmallConv) -> tuple[Chain, Chain]:
    return chain_of(frozen(build(), 0)), chain_of(frozen(build(), 1))


def batches(count: int, size: int = 16) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        yield torch.rand(size, 3, 8, 8, generator=generator), torch.randint(0, 4, (size,), generator=generator)


def column(bottom: Chain, top: Chain, seed: int = 0, family: str = "affine") -> list[column_trainer.Seam]:
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build(family, bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(100 * seed + k))
        cells.append(column_trainer.Seam(k, k, stitch))
    return cells


def weights(cells: list[column_trainer.Seam]) -> list[Tensor]:
    return [c.stitch.weight.detach().clone() for c in cells]


def scores(bottom: Chain, top: Chain, cells: list[column_trainer.Seam]) -> Tensor:
    (images, _), *_ = batches(1)
    with torch.no_grad():
        return torch.stack(column_trainer.column_outputs(top, cells, bottom.features(images)))


@pytest.mark.parametrize("build", [SmallConv, SmallVit, resnet20])
def test_folding_changes_a_trained_column_by_no_more_than_rounding(build: Any) -> None:
    bottom, top = pair(build)
    ours = column(bottom, top)
    plain = copy.deepcopy(ours)
    finish(column_trainer.train_column(bottom, top, ours, batches(5), column_trainer.Recipe(5, 1e-2)))
    finish(column_trainer.train_column(bottom, top, plain, batches(5), column_trainer.Recipe(5, 1e-2, fold=False)))
    torch.testing.assert_close(scores(bottom, top, ours), scores(bottom, top, plain), rtol=1e-3, atol=1e-4)


def test_in_bfloat16_folding_brings_a_column_no_farther_from_float32() -> None:
    bottom, top = pair(resnet20)
    start = column(bottom, top)
    found = {}
    for name, dtype, fold in (
        ("exact", torch.float32, False),
        ("ours", torch.bfloat16, True),
        ("plain", torch.bfloat16, False),
    ):
        cells = copy.deepcopy(start)
        finish(
            column_trainer.train_column(
                bottom, top, cells, batches(10), column_trainer.Recipe(10, 1e-3, dtype=dtype, fold=fold)
            )
        )
        found[name] = scores(bottom, top, cells)
    far = {name: float((s - found["exact"]).norm() / found["exact"].norm()) for name, s in found.items()}
    assert far["ours"] < 1.5 * far["plain"] + 1e-3
    assert far["ours"] < 0.05


def test_tensors_that_join_one_batch_have_the_outputs_that_they_have_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    bottom, top = pair(resnet20)
    cells = column(bottom, top)
    found = []
    for limit in (0, 10_000, 1 << 40):
        monkeypatch.setattr(column_module, "JOINED_BYTES", limit)
        found.append(scores(bottom, top, cells))
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


@pytest.mark.parametrize("objective", ["task", "trajectory"])
@pytest.mark.parametrize("budget", [1, 150_000, 1 << 40])
def test_cells_trained_in_turns_end_where_they_do_together(budget: int, objective: str) -> None:
    bottom, top = pair(resnet20)
    together = column(bottom, top)
    in_turns = copy.deepcopy(together)
    seen: list[column_trainer.Progress] = []
    finish(
        column_trainer.train_column(
            bottom, top, together, batches(3), column_trainer.Recipe(3, 1e-2, objective=objective)
        )
    )
    recipe = column_trainer.Recipe(3, 1e-2, objective=objective, memory=budget)
    told(
        column_trainer.train_column(bottom, top, in_turns, batches(3), recipe),
        report=lambda _, read: seen.append(read()),
    )
    torch.testing.assert_close(weights(together), weights(in_turns), rtol=1e-3, atol=1e-4)
    assert len(seen[0].losses) == len(together)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)])
def test_a_thread_for_each_cell_leaves_the_numbers_as_they_are(
    dtype: torch.dtype, two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bottom, top = pair(resnet20)
    together = column(bottom, top)
    shared_out = copy.deepcopy(together)
    recipe = column_trainer.Recipe(4, 1e-3, dtype=dtype)
    torch.set_num_threads(1)
    expected = finish(column_trainer.train_column(bottom, top, together, batches(4), recipe))
    torch.set_num_threads(2)
    threads = set()
    top.segments[-1].register_forward_pre_hook(
        lambda _, given: (
            None if len(given[0]) == IMAGES else threads.add(threading.get_ident())  # but in comparing its copies
        )
    )
    monkeypatch.setattr(column_module, "JOINED_BYTES", 0)
    losses = finish(column_trainer.train_column(bottom, top, shared_out, batches(4), replace(recipe, fold=False)))
    tolerance = 1e-4 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(weights(shared_out), weights(together), rtol=0, atol=tolerance)
    assert losses == pytest.approx(expected, rel=10 * tolerance)
    assert threading.get_ident() not in threads
    assert torch.get_num_threads() == 2


def test_with_threads_the_paper_s_stitch_still_sees_its_whole_batch(
    two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    bottom, top = pair()
    ours = column(bottom, top, family="bn_affine_bn")
    plain = copy.deepcopy(ours)
    finish(column_trainer.train_column(bottom, top, plain, batches(1), column_trainer.Recipe(1)))
    monkeypatch.setattr(column_module, "JOINED_BYTES", 0)
    finish(column_trainer.train_column(bottom, top, ours, batches(1), column_trainer.Recipe(1)))
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a.stitch.before.running_var, b.stitch.before.running_var)
        torch.testing.assert_close(a.stitch.affine.weight, b.stitch.affine.weight, rtol=1e-3, atol=1e-5)


def test_a_bottom_that_normalises_by_the_batch_is_not_shared_out(
    two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_module, "JOINED_BYTES", 0)
    bottom, top = pair()
    sizes: list[int] = []
    bottom.segments[0].register_forward_hook(lambda _m, args, _out: sizes.append(len(args[0])))
    cells = column(bottom, top)[:1]
    finish(column_trainer.train_column(bottom, top, cells, batches(1), column_trainer.Recipe(1, fold=False)))
    with column_trainer.BatchStatistics(bottom.upto(1)):
        finish(column_trainer.train_column(bottom, top, cells, batches(1), column_trainer.Recipe(1, fold=False)))
    assert sizes == [8, 8, 16]


def test_what_a_thread_raises_reaches_the_caller_and_work_comes_back_in_order(two_threads: None) -> None:
    def fail() -> int:
        raise KeyError("here")

    with CpuThreads(CPU) as threads:
        assert threads.size == 2
        assert threads.do([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
        assert threads.do([torch.get_num_threads] * 4) == [1] * 4
        with pytest.raises(KeyError):
            threads.do([fail, lambda: 1])
    assert CpuThreads(torch.device("cuda")).size == 1


def test_a_budget_for_one_cell_runs_each_tail_on_its_own() -> None:
    bottom, top = pair()
    sizes: list[int] = []
    top.segments[-1].register_forward_hook(lambda _m, args, _out: sizes.append(len(args[0])))
    finish(
        column_trainer.train_column(
            bottom, top, column(bottom, top), batches(1), column_trainer.Recipe(1, memory=1, fold=False)
        )
    )
    assert sizes[-4:] == [16] * 4


def test_the_bottom_runs_once_for_the_columns_of_several_tops() -> None:
    bottom, top = pair()
    other = chain_of(frozen(SmallConv(5), 2))
    cells, others = column(bottom, top), column(bottom, other)
    alone = copy.deepcopy((cells, others))
    runs: list[int] = []
    handle = bottom.segments[0].register_forward_hook(lambda *_: runs.append(1))
    columns = [column_trainer.StitchedTop(top, cells), column_trainer.StitchedTop(other, others)]
    losses = finish(
        column_trainer.train_columns(bottom, columns, batches(3), column_trainer.Recipe(3, 1e-2, fold=False))
    )
    handle.remove()
    assert len(runs) == 3
    expected = finish(column_trainer.train_column(bottom, top, alone[0], batches(3), column_trainer.Recipe(3, 1e-2)))
    expected += finish(column_trainer.train_column(bottom, other, alone[1], batches(3), column_trainer.Recipe(3, 1e-2)))
    torch.testing.assert_close(weights([*cells, *others]), weights([*alone[0], *alone[1]]), rtol=1e-3, atol=1e-4)
    assert losses == pytest.approx(expected, rel=1e-3)


def test_training_returns_each_cells_loss_over_the_last_tenth_of_the_steps() -> None:
    bottom, top = pair()
    seen: list[list[float]] = []
    ended = told(
        column_trainer.train_column(
            bottom,
            top,
            column(bottom, top),
            batches(20),
            column_trainer.Recipe(20, 1e-2),
        ),
        report=lambda _, p: seen.append(p().losses),
    )
    assert ended == pytest.approx([(a + b) / 2 for a, b in zip(seen[-2], seen[-1], strict=True)], rel=1e-5)


def test_where_no_stitch_learns_nothing_is_trained() -> None:
    bottom, top = pair()
    assert (
        finish(
            column_trainer.train_column(
                bottom, top, [column_trainer.Seam(1, 1, stitches.Identity())], batches(1), column_trainer.Recipe(1)
            )
        )
        == []
    )


def test_of_several_starts_the_one_with_the_lowest_training_loss_is_kept() -> None:
    bottom, top = pair()
    starts = [list(places) for places in zip(*(column(bottom, top, seed) for seed in range(3)), strict=True)]
    together = [cell for place in starts for cell in place]
    losses = finish(column_trainer.train_column(bottom, top, together, batches(3), column_trainer.Recipe(3)))
    best = column_trainer.best_of(starts, losses)
    for place, kept in enumerate(best):
        own = losses[3 * place : 3 * place + 3]
        assert own[kept] == min(own)
    assert len(set(best)) > 1


def test_a_start_that_diverged_is_never_the_best() -> None:
    cell = column_trainer.Seam(1, 1, stitches.Identity())
    assert column_trainer.best_of([[cell, cell], [cell]], [float("nan"), 7.0, float("inf")]) == [1, 0]


@given(st.lists(st.integers(0, 100), max_size=12), st.integers(0, 300))
def test_groups_hold_every_cell_in_order_and_fit_unless_one_cell_alone_does_not(costs: list[int], budget: int) -> None:
    groups = memory.split(costs, budget)
    assert [k for group in groups for k in group] == list(range(len(costs)))
    sums = [sum(costs[k] for k in group) for group in groups]
    assert all(cost <= budget or len(group) == 1 for cost, group in zip(sums, groups, strict=True))
    assert all(cost + costs[after[0]] > budget for cost, after in zip(sums, groups[1:], strict=False))


@pytest.mark.parametrize(
    "recipe",
    [column_trainer.Recipe(1), column_trainer.Recipe(1, fold=False), column_trainer.Recipe(1, objective="trajectory")],
)
@pytest.mark.parametrize("build", [SmallConv, SmallVit, resnet20])
def test_the_estimate_of_a_steps_memory_is_about_what_it_takes(build: Any, recipe: column_trainer.Recipe) -> None:
    bottom, top = pair(build)
    cells = column(bottom, top)
    images, labels = next(batches(1, 256))
    with Held() as held:
        finish(column_trainer.train_column(bottom, top, cells, [(images, labels)], recipe))
    costs = memory.step_costs(bottom, top, cells, images, recipe.objective)
    assert 0.9 * held.most < costs.total < 2.2 * held.most
