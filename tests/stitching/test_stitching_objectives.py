import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from small_networks import SmallConv, SmallVit, frozen
from told import told
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.networks import by_name
from stitchtui.spec.objectives import OBJECTIVES
from stitchtui.stitching import column_trainer, objectives, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced

EXAMPLE = torch.rand(2, 3, 8, 8)


class Classifier(nn.Module):
    """Two linear layers after the convolution, and something without weights after the last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.hidden, self.last = nn.Conv2d(3, 4, 8), nn.Linear(4, 5), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(1)
        return 2 * self.last(torch.relu(self.hidden(x)))


def chain_of(network: nn.Module, wanted: str = "blocks") -> Chain:
    traced = Traced(network, EXAMPLE)
    return Chain(traced, traced.select(wanted))


def pair(network: type[nn.Module] = SmallConv) -> tuple[Chain, Chain]:
    return chain_of(frozen(network(), 0)), chain_of(frozen(network(), 1))


def batches(count: int, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        yield torch.rand(16, 3, 8, 8, generator=generator), torch.randint(0, 4, (16,), generator=generator)


def column(bottom: Chain, top: Chain) -> list[column_trainer.Seam]:
    cells = []
    for k in range(1, bottom.output):
        stitch = stitches.build("affine", bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(column_trainer.Seam(k, k, stitch))
    return cells


def matching(features: Tensor, own: Tensor, axis: int) -> Tensor:
    """Squared error over variance around the channels' means, written another way than in the trainer."""
    rows, own_rows = (t.movedim(axis, -1).flatten(0, -2) for t in (features, own))
    return (rows - own_rows).square().sum() / (own_rows - own_rows.mean(0)).square().sum()


def plain_loss(
    objective: str, ends: tuple[Chain, Chain], cell: column_trainer.Seam, batch: tuple[Tensor, Tensor]
) -> Tensor:
    """One stitched network's loss, by the objective's definition."""
    (bottom, top), (images, labels) = ends, batch
    x = bottom.upto(cell.bottom)(images)
    with torch.no_grad():
        own = top.features(images)
    later = {cell.top: cell.stitch(x)}
    for j in range(cell.top, top.output):
        later[j + 1] = top.segments[j](later[j])
    if objective == "task":
        return F.cross_entropy(later[top.output], labels)
    if objective == "soft":
        return -(own[-1].softmax(-1) * later[top.output].log_softmax(-1)).sum(-1).mean()
    matched = range(cell.top, top.output) if objective == "trajectory" else [top.output - 1]
    return sum((matching(later[j], own[j], top.cuts[j - 1].channel_axis) for j in matched), torch.zeros(()))


def train_plainly(objective: str, bottom: Chain, top: Chain, cell: column_trainer.Seam, steps: int) -> None:
    optimiser = torch.optim.Adam(cell.stitch.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step, batch in enumerate(batches(steps)):
        now = objective
        if objective == "final_features_then_task":
            now = "final_features" if step < steps // 2 else "task"
        loss = plain_loss(now, (bottom, top), cell, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


@pytest.mark.parametrize("network", [SmallConv, SmallVit])
@pytest.mark.parametrize("objective", [name for name, each in OBJECTIVES.items() if each.trains])
def test_whatever_the_objective_a_column_trains_each_cell_as_if_it_were_alone(
    objective: str, network: type[nn.Module]
) -> None:
    bottom, top = pair(network)
    together = column(bottom, top)
    alone = copy.deepcopy(together)
    finish(
        column_trainer.train_column(
            bottom, top, together, batches(6), column_trainer.Recipe(6, 1e-2, objective=objective)
        )
    )
    for ours, cell in zip(together, alone, strict=True):
        train_plainly(objective, bottom, top, cell, 6)
        torch.testing.assert_close(ours.stitch.weight, cell.stitch.weight, rtol=2e-3, atol=1e-4)
        torch.testing.assert_close(ours.stitch.bias, cell.stitch.bias, rtol=2e-3, atol=1e-4)


@pytest.mark.parametrize("objective", [name for name, each in OBJECTIVES.items() if each.trains])
def test_training_lowers_the_loss_that_it_is_for(objective: str) -> None:
    bottom, top = pair()
    losses: list[list[float]] = []
    recipe = column_trainer.Recipe(40, 1e-2, objective=objective, schedule=1.0)
    same = [next(batches(1))] * 40
    told(
        column_trainer.train_column(bottom, top, column(bottom, top), same, recipe),
        report=lambda _, read: losses.append(read().losses),
    )
    assert all(last < first for first, last in zip(losses[0], losses[-1], strict=True))


@pytest.mark.parametrize("objective", ["final_features", "trajectory", "soft"])
def test_a_self_stitch_that_changes_nothing_has_nothing_left_to_learn(objective: str) -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    cells = column(chain, chain)
    for cell in cells:
        stitches.start_as_identity(cell.stitch)
    seen: list[column_trainer.Progress] = []
    # Plain descent would not move at all; Adam takes rounding for a gradient, so the loss is asked before each step.
    told(
        column_trainer.train_column(
            chain,
            chain,
            cells,
            batches(1),
            column_trainer.Recipe(1, 1e-2, objective=objective),
        ),
        report=lambda _, read: seen.append(read()),
    )
    images, _ = next(batches(1))
    scores = chain.features(images)[-1]
    least = float(-(scores.softmax(-1) * scores.log_softmax(-1)).sum(-1).mean()) if objective == "soft" else 0.0
    assert seen[0].losses == pytest.approx([least] * len(cells), abs=1e-5)


def test_matching_the_mean_explains_nothing() -> None:
    own = 3 + torch.randn(50, 4, 2, 2)
    guess = own.mean((0, 2, 3), keepdim=True).expand_as(own)
    errors = objectives.unexplained(torch.stack([guess, own]), own, 1)
    assert errors.tolist() == pytest.approx([1, 0], abs=1e-6)


def test_features_that_never_vary_have_a_finite_error() -> None:
    assert objectives.unexplained(torch.rand(1, 5, 3), torch.ones(5, 3), -1).isfinite().all()
    assert objectives.unexplained(torch.zeros(1, 5, 3), torch.zeros(5, 3), -1).tolist() == [0]


def test_final_features_gives_way_to_the_task_after_its_share_of_the_steps() -> None:
    then = [objectives.objective_at("final_features_then_task", 0.25, step, 8) for step in range(1, 9)]
    assert then == ["final_features"] * 2 + ["task"] * 6
    assert objectives.objective_at("soft", 0.25, 8, 8) == "soft"


def test_an_objective_that_is_not_known_is_refused() -> None:
    bottom, top = pair()
    with pytest.raises(ValueError, match="objective 'tsk' is not known; expected one of task, soft"):
        finish(
            column_trainer.train_column(
                bottom, top, column(bottom, top), batches(1), column_trainer.Recipe(1, objective="tsk")
            )
        )


def test_the_last_features_are_those_that_the_classifier_reads() -> None:
    cut = objectives.penultimate(Traced(frozen(Classifier(), 0), EXAMPLE))
    assert cut is not None
    assert cut.name.startswith("hidden")
    assert cut.shape == (5,)
    resnet = Traced(frozen(by_name.build("resnet20", 4, (3, 8, 8), 0.25), 0), EXAMPLE)
    assert objectives.penultimate(resnet) == resnet.select(["flatten"])[0]


def test_the_top_is_cut_wherever_the_objective_matches_it_and_in_order() -> None:
    traced = Traced(frozen(SmallConv(), 0), EXAMPLE)
    (middle,) = traced.select(["blocks.0"])
    assert objectives.cuts_for("task", traced, [middle]) == (middle,)
    assert objectives.cuts_for("soft", traced, [middle]) == (middle,)
    last = objectives.cuts_for("final_features_then_task", traced, [middle])
    assert last == (middle, traced.cuts[-1])
    assert objectives.cuts_for("trajectory", traced, [middle]) == traced.select("blocks")


def test_l1_takes_the_proximal_step_of_the_current_learning_rate_after_each_of_adams() -> None:
    bottom, top = pair()
    (plain,) = column(bottom, top)[:1]
    sparse = copy.deepcopy(plain)
    finish(column_trainer.train_column(bottom, top, [plain], batches(1), column_trainer.Recipe(1, 1e-2)))
    finish(column_trainer.train_column(bottom, top, [sparse], batches(1), column_trainer.Recipe(1, 1e-2, l1=5.0)))
    expected = F.softshrink(plain.stitch.weight, 1e-2 * 5.0)
    torch.testing.assert_close(sparse.stitch.weight, expected)
    torch.testing.assert_close(sparse.stitch.bias, plain.stitch.bias)


def test_more_l1_leaves_more_weights_that_are_exactly_zero() -> None:
    bottom, top = pair()
    found = []
    for l1 in (0.0, 0.5, 2.0, 1000.0):
        cells = column(bottom, top)
        finish(column_trainer.train_column(bottom, top, cells, batches(10), column_trainer.Recipe(10, 1e-2, l1=l1)))
        found.append([objectives.sparsity(c.stitch) for c in cells])
    assert found[0] == [0.0] * 4
    assert all(a < b for a, b in zip(found[0], found[2], strict=True))
    assert sum(found[1]) < sum(found[2])
    assert found[3] == [1.0] * 4


def test_a_stitch_without_weights_has_no_sparsity() -> None:
    assert objectives.sparsity(stitches.Identity()) == 0
