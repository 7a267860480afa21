"""Of a stitch's steps, its start among them, the one of the lowest loss on images that training never sees counts."""

import copy
import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import Tensor

from stitchtui.base.work import finish
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Choice, HeldOut, Reading, Recipe, Seam, StitchedTop
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.held_out import FEWEST, MOST, reading_steps

STEPS = 40
GENERATOR = torch.Generator().manual_seed(7)
IMAGES, LABELS = torch.rand(48, 3, 8, 8, generator=GENERATOR), torch.randint(0, 4, (48,), generator=GENERATOR)
UNSEEN = torch.rand(32, 3, 8, 8, generator=GENERATOR), torch.randint(0, 4, (32,), generator=GENERATOR)


def chain_of(seed: int) -> Chain:
    traced = Traced(frozen(SmallConv(), seed), torch.rand(2, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def batches(size: int = 16) -> Iterator[tuple[Tensor, Tensor]]:
    """Without end: the same few images over and over, which can be learnt by heart."""
    generator = torch.Generator().manual_seed(0)
    while True:
        chosen = torch.randperm(len(IMAGES), generator=generator)[:size]
        yield IMAGES[chosen], LABELS[chosen]


def column(bottom: Chain, top: Chain, family: str = "affine", start: str = "random") -> list[Seam]:
    seams = []
    for k in range(1, bottom.output):
        stitch = stitches.build(family, bottom.cuts[k - 1], top.cuts[k - 1])
        if start == "identity":
            stitches.start_as_identity(stitch)
        else:
            stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        seams.append(Seam(k, k, stitch))
    return seams


def choice_of(bottom: Chain, top: Chain, seams: list[Seam], recipe: Recipe) -> Choice:
    def unseen() -> Iterator[tuple[Tensor, Tensor]]:
        yield from zip(UNSEEN[0].split(20), UNSEEN[1].split(20), strict=True)

    held_out = HeldOut(unseen, len(UNSEEN[1]))
    return Choice(bottom, [StitchedTop(top, seams)], recipe, held_out, batch_size=128)


def train(bottom: Chain, top: Chain, seams: list[Seam], recipe: Recipe) -> Choice:
    choice = choice_of(bottom, top, seams, recipe)
    finish(column_trainer.train_column(bottom, top, seams, batches(), recipe, choice=choice))
    return choice


@torch.no_grad()
def held_out_loss(bottom: Chain, top: Chain, seam: Seam, objective: str = "task") -> float:
    """The plain way: both networks whole, all images at once."""
    images, labels = UNSEEN
    own = top.after(0)(images).softmax(-1)
    stitch = copy.deepcopy(seam.stitch).eval()
    scores = top.after(seam.top)(stitch(bottom.upto(seam.bottom)(images)))
    return float(F.cross_entropy(scores, labels if objective == "task" else own))


@pytest.mark.parametrize(("family", "objective"), [("affine", "task"), ("affine", "soft"), ("bn_affine_bn", "task")])
def test_the_step_chosen_is_the_best_of_all_that_were_read_and_reading_changes_no_step(
    family: str, objective: str
) -> None:
    bottom, top = chain_of(0), chain_of(1)
    recipe, seams = Recipe(STEPS, 0.1, objective=objective), column(bottom, top, family)
    plain = copy.deepcopy(seams)
    choice = choice_of(bottom, top, seams, recipe)
    seen: dict[int, tuple[list[float], list[Seam]]] = {}
    for said in column_trainer.train_column(bottom, top, seams, batches(), recipe, choice=choice):
        if isinstance(said, Reading):
            losses = [held_out_loss(bottom, top, seam, objective) for seam in seams]
            assert said.losses == pytest.approx(losses, rel=1e-5)
            assert all(seam.stitch.training for seam in seams)
            seen[said.step] = said.losses, copy.deepcopy(seams)
    assert list(seen) == reading_steps(STEPS, 128, 32)
    steps = []
    for k, (seam, chosen) in enumerate(zip(seams, choice.chosen, strict=True)):
        best = min(seen, key=lambda step: seen[step][0][k])
        assert (chosen.step, chosen.loss) == (best, seen[best][0][k])
        assert chosen.loss <= seen[0][0][k]
        assert equal(seam, seen[best][1][k])
        steps.append(best)
    assert set(steps) - {0, STEPS}  # else this would show less than it seems to
    finish(column_trainer.train_column(bottom, top, plain, batches(), recipe))
    assert all(equal(*each) for each in zip(plain, seen[STEPS][1], strict=True))


def equal(one: Seam, other: Seam) -> bool:
    theirs = other.stitch.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.stitch.state_dict().items())


def test_a_column_chooses_of_each_cell_what_it_would_choose_alone() -> None:
    bottom, top, recipe = chain_of(0), chain_of(1), Recipe(STEPS, 0.1)
    seams = column(bottom, top)
    alone = [train(bottom, top, [copy.deepcopy(seam)], recipe).chosen[0] for seam in seams]
    together = train(bottom, top, seams, recipe).chosen
    assert [chosen.step for chosen in together] == [chosen.step for chosen in alone]
    assert [chosen.loss for chosen in together] == pytest.approx([chosen.loss for chosen in alone], rel=1e-3)


@pytest.mark.parametrize("objective", ["soft", "trajectory"])
def test_a_network_stitched_to_itself_stays_itself_whatever_training_does(objective: str) -> None:
    top = chain_of(1)
    seams = column(top, top, start="identity")
    before = copy.deepcopy(seams)
    choice = train(top, top, seams, Recipe(STEPS, 10.0, objective=objective))
    assert {chosen.step for chosen in choice.chosen} == {0}
    assert all(equal(*each) for each in zip(seams, before, strict=True))


def test_where_training_diverges_the_start_is_left_and_a_start_without_numbers_has_no_step() -> None:
    bottom, top = chain_of(0), chain_of(1)
    seams = column(bottom, top)
    with torch.no_grad():
        seams[1].stitch.weight.fill_(math.nan)
    before = copy.deepcopy(seams)
    recipe = Recipe(STEPS, 1e38)
    choice = choice_of(bottom, top, seams, recipe)
    training = column_trainer.train_column(bottom, top, seams, batches(), recipe, choice=choice)
    for said in training:
        if isinstance(said, column_trainer.Stepped) and said.step == 5:
            with pytest.raises(FloatingPointError):
                said.progress()
            break
    training.close()
    assert choice.chosen[1] is None
    for k in (0, 2, 3):
        assert (choice.chosen[k].step, choice.chosen[k].diverged) == (0, True)
        assert equal(seams[k], before[k])


def test_the_pull_to_zero_counts_where_it_was_asked_for() -> None:
    bottom, top = chain_of(0), chain_of(1)
    dense, sparse = (column(bottom, top)[2:3] for _ in range(2))
    by_loss = train(bottom, top, dense, Recipe(STEPS, 0.1)).chosen[0]
    pulled = train(bottom, top, sparse, Recipe(STEPS, 0.1, l1=0.1)).chosen[0]
    assert pulled.step > by_loss.step
    weight = sparse[0].stitch.weight.abs().sum().item()
    assert pulled.loss == pytest.approx(held_out_loss(bottom, top, sparse[0]) + 0.1 * weight, rel=1e-5)


def test_statistics_that_training_moves_are_those_of_the_chosen_step() -> None:
    bottom, top, recipe = chain_of(0), chain_of(1), Recipe(STEPS, 0.03, fold=False)
    seam = column(bottom, top)[0]
    with column_trainer.BatchStatistics(bottom.upto(seam.bottom), top.after(seam.top)) as statistics:
        held_out = HeldOut(lambda: [UNSEEN], len(UNSEEN[1]))
        columns = [StitchedTop(top, [seam])]
        choice = Choice(bottom, columns, recipe, held_out, batch_size=128, beside=statistics.layers)
        finish(column_trainer.train_columns(bottom, columns, batches(), recipe, choice=choice))
        assert all(layer.training for layer in statistics.layers)
        statistics.evaluate()
        (chosen,) = choice.chosen
        assert held_out_loss(bottom, top, seam) == pytest.approx(chosen.loss, rel=1e-5)
        assert 0 < chosen.step < STEPS


@given(st.integers(1, 200_000), st.integers(1, 512), st.integers(2, 5_000))
def test_reading_costs_a_twentieth_of_training_unless_three_times_cost_more(steps: int, size: int, images: int) -> None:
    found = reading_steps(steps, size, images)
    assert {0, round(steps / 2), steps} <= set(found)
    assert len(found) <= MOST
    assert len(found) <= FEWEST or len(found) * images <= 0.05 * 3 * size * steps
