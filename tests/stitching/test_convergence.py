"""Training that ends when the answer is in: seam by seam, whatever the others in the column do."""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.stitching import column_trainer, convergence, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Choice, Chosen, HeldOut, Reading, Recipe, Seam, Stepped, StitchedTop
from stitchtui.stitching.convergence import (
    FEWEST_READINGS,
    FEWEST_STEPS,
    GAMMA,
    PATIENCE,
    TOLERANCE,
    Average,
    Convergence,
    share_of_rate,
)
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.held_out import interval

GENERATOR = torch.Generator().manual_seed(7)


def drawn(count: int) -> tuple[Tensor, Tensor]:
    """Images in four classes, by how bright they are, as far as that can be told."""
    bright, unknown = torch.rand(2, count, generator=GENERATOR)
    images = (2 * torch.rand(count, 3, 8, 8, generator=GENERATOR) + bright.view(-1, 1, 1, 1)) / 3
    return images, (2 * (bright + unknown)).long()


IMAGES, LABELS = drawn(16)
UNSEEN = drawn(32)
BATCH, LIMIT = 16, 220
RECIPE = Recipe(LIMIT, 0.3, scaled=True, converges=True)
"""By which, with `patience`, two cells of `column` are done after 154 steps, and two meet the limit."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chain_of(seed: int, dtype: torch.dtype = torch.float32) -> Chain:
    traced = Traced(frozen(SmallConv(), seed).to(dtype), torch.rand(2, 3, 8, 8, dtype=dtype))
    return Chain(traced, traced.select("blocks"))


def batches(dtype: torch.dtype = torch.float32) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    while True:
        chosen = torch.randperm(len(IMAGES), generator=generator)[:BATCH]
        yield IMAGES[chosen].to(dtype), LABELS[chosen]


def column(bottom: Chain, top: Chain, family: str = "affine") -> list[Seam]:
    seams = []
    for k in range(1, bottom.output):
        stitch = stitches.build(family, bottom.cuts[k - 1], top.cuts[k - 1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        seams.append(Seam(k, k, stitch))
    return seams


def train(
    bottom: Chain,
    columns: Sequence[tuple[Chain, list[Seam]]],
    recipe: Recipe = RECIPE,
    said: list[Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> list[Chosen | None]:
    joined = [StitchedTop(top, seams) for top, seams in columns]
    images = UNSEEN[0].to(dtype)
    held_out = HeldOut(lambda: zip(images.split(20), UNSEEN[1].split(20), strict=True), len(images))
    choice = Choice(bottom, joined, recipe, held_out, batch_size=BATCH)
    for what in column_trainer.train_columns(bottom, joined, batches(dtype), recipe, choice=choice):
        if said is not None:
            said.append(what)
    return choice.chosen


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of which so few images, learnt by heart, take cells of different lengths."""
    for name, value in {"TOLERANCE": 2e-3, "PATIENCE": 0.5, "FEWEST_STEPS": 150, "FEWEST_READINGS": 3}.items():
        monkeypatch.setattr(convergence, name, value)


@pytest.mark.usefixtures("patience")
def test_a_cell_takes_the_steps_that_it_takes_alone_whatever_its_neighbours_do() -> None:
    exact = torch.float64  # at such a rate what rounding makes of a weight grows from step to step
    bottom, top = chain_of(0, exact), chain_of(1, exact)
    together = column(bottom, top)
    for seam in together:
        seam.stitch.to(exact)
    alone = copy.deepcopy(together)
    recipe = replace(RECIPE, scaled=False, fold=False)
    ours = train(bottom, [(top, together)], recipe, dtype=exact)
    for seam, other, chosen in zip(together, alone, ours, strict=True):
        (expected,) = train(bottom, [(top, [other])], recipe, dtype=exact)
        assert replace(chosen, loss=0) == replace(expected, loss=0)
        assert chosen.loss == pytest.approx(expected.loss, rel=1e-5)
        torch.testing.assert_close(seam.stitch.weight, other.stitch.weight, rtol=1e-4, atol=1e-4)
    assert len({chosen.taken for chosen in ours}) == 3  # else this would show less than it seems to
    assert [chosen.taken == LIMIT for chosen in ours] == [chosen.still_falling for chosen in ours]


def test_columns_of_several_tops_end_with_the_very_numbers_of_each() -> None:
    bottom, tops = chain_of(0), [chain_of(1), chain_of(2)]
    joined = [(top, column(bottom, top)) for top in tops]
    apart = copy.deepcopy([seams for _, seams in joined])
    ours = train(bottom, joined)
    assert ours == [chosen for top, seams in zip(tops, apart, strict=True) for chosen in train(bottom, [(top, seams)])]
    for seam, other in zip(
        (s for _, seams in joined for s in seams), (s for seams in apart for s in seams), strict=True
    ):
        assert torch.equal(seam.stitch.weight, other.stitch.weight)


def test_only_what_seams_in_training_need_is_run() -> None:
    bottom, top = chain_of(0), chain_of(1)
    seams = column(bottom, top)
    with torch.no_grad():
        seams[0].stitch.weight.fill_(math.nan)  # so that it leaves before the first step
    ran: list[tuple[str, int, int]] = []

    def count(name: str, k: int, images: Tensor) -> None:
        if seams[1].stitch.training:  # and not looked at
            ran.append((name, k, len(images)))

    for chain, name in ((bottom, "bottom"), (top, "top")):
        for k, segment in enumerate(chain.segments):
            segment.register_forward_pre_hook(lambda _, given, name=name, k=k: count(name, k, *given))
    joined, recipe = [StitchedTop(top, seams)], replace(RECIPE, fold=False)
    choice = Choice(bottom, joined, recipe, HeldOut(lambda: [UNSEEN], len(UNSEEN[1])), batch_size=BATCH)
    steps = []
    for what in column_trainer.train_columns(bottom, joined, batches(), recipe, choice=choice):
        if isinstance(what, Stepped):
            steps.append(list(ran))
            ran.clear()
    taken = [chosen.taken if chosen else 0 for chosen in choice.chosen]
    assert len(steps) == max(taken)
    assert len({tuple(runs) for runs in steps[1:]}) == 2
    for number, runs in enumerate(steps[1:], 2):  # the first has to find out what steps take
        left = [seam for seam, own in zip(seams, taken, strict=True) if own >= number]
        below = [("bottom", k, BATCH) for k in range(max(seam.bottom for seam in left))]
        board = [sum(seam.top <= k for seam in left) for k in range(top.output)]
        assert runs == below + [("top", k, BATCH * count) for k, count in enumerate(board) if count]


def test_a_seam_that_has_left_is_read_no_more_and_says_no_more_of_its_training() -> None:
    bottom, top, said = chain_of(0), chain_of(1), []
    chosen = train(bottom, [(top, column(bottom, top))], said=said)
    readings = [what for what in said if isinstance(what, Reading)]
    for k, own in enumerate(chosen):
        assert [reading.step for reading in readings if reading.losses[k] is not None][-1] == own.taken
    every = interval(BATCH, len(UNSEEN[1]))
    assert [reading.step for reading in readings] == [*range(0, LIMIT, every), LIMIT]


def test_a_start_that_nothing_improves_is_left_as_it_is_after_few_steps() -> None:
    top = chain_of(1)
    seams = column(top, top)
    for seam in seams:
        stitches.start_as_identity(seam.stitch)
    before = copy.deepcopy(seams)
    chosen = train(top, [(top, seams)], replace(RECIPE, objective="soft"))
    assert {each.step for each in chosen} == {0}
    assert max(each.taken for each in chosen) < FEWEST_STEPS + interval(BATCH, len(UNSEEN[1]))
    assert all(torch.equal(a.stitch.weight, b.stitch.weight) for a, b in zip(seams, before, strict=True))


def test_a_cell_that_diverges_leaves_and_harms_no_other() -> None:
    bottom, top = chain_of(0), chain_of(1)
    seams, sick = column(bottom, top), column(bottom, top)
    with torch.no_grad():
        sick[1].stitch.weight.fill_(math.inf)
    expected, found, said = train(bottom, [(top, seams)]), [], []
    found = train(bottom, [(top, sick)], said=said)
    assert found[1] is None
    assert {what.losses[1] for what in said if isinstance(what, Reading) and what.step} == {None}
    for k in (0, 2, 3):
        assert (found[k].step, found[k].taken) == (expected[k].step, expected[k].taken)
        torch.testing.assert_close(sick[k].stitch.weight, seams[k].stitch.weight, rtol=1e-3, atol=1e-4)


def test_what_counts_is_the_average_of_a_training_whose_rate_falls_slowly() -> None:
    bottom, top = chain_of(0), chain_of(1)
    (seam,) = column(bottom, top)[:1]
    plain = copy.deepcopy(seam.stitch).train()
    recipe = Recipe(42, 0.03, converges=True, fold=False)
    (chosen,) = train(bottom, [(top, [seam])], recipe)
    optimiser = torch.optim.Adam(plain.parameters(), 0.03, fused=True)
    seen = []
    for _, (images, labels) in zip(range(chosen.step), batches(), strict=False):
        with torch.no_grad():
            feature = bottom.upto(1)(images)
        optimiser.zero_grad()
        nn.functional.cross_entropy(top.after(1)(plain(feature)), labels).backward()
        optimiser.param_groups[0]["lr"] = 0.03 * share_of_rate(len(seen))
        optimiser.step()
        seen.append(plain.weight.detach().clone())
    assert chosen.step > 0
    mean = sum(share * weight for share, weight in zip(shares(chosen.step), seen, strict=True))
    torch.testing.assert_close(seam.stitch.weight, mean, rtol=2e-3, atol=1e-5)


def shares(steps: int) -> list[float]:
    """What each step's weights are of the average after so many."""
    found: list[float] = []
    for step in range(1, steps + 1):
        own = (GAMMA + 1) / (step + GAMMA)
        found = [share * (1 - own) for share in found] + [own]
    return found


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30))
def test_an_average_is_that_of_the_steps_alone_and_later_ones_count_for_more(values: list[float]) -> None:
    weight = torch.tensor([100.0])
    average = Average([weight])
    for value in values:
        weight.fill_(value)
        average.add()
    own = shares(len(values))
    assert sum(own) == pytest.approx(1)
    assert own == sorted(own)
    average.swap()
    assert weight.item() == pytest.approx(sum(s * v for s, v in zip(own, values, strict=True)), abs=1e-4)
    average.swap()
    assert weight.item() == pytest.approx(values[-1])


def test_an_average_of_orthogonal_stitches_is_orthogonal() -> None:
    stitch = column(chain_of(0), chain_of(1), "orthogonal")[0].stitch
    average = Average(list(stitch.parameters()))
    for _ in range(3):
        nn.init.normal_(stitch.skew)
        average.add()
    last = stitch.weight.detach()
    average.swap()
    weight = stitch.weight.detach()
    torch.testing.assert_close(weight.T @ weight, torch.eye(weight.shape[1]), rtol=0, atol=1e-5)
    assert not torch.allclose(weight, last)


@given(st.integers(1, 100), st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_training_goes_on_for_a_third_as_long_again_as_it_took_to_the_last_fall(
    every: int, losses: list[float]
) -> None:
    followed = Convergence()
    fell = 0
    for k, loss in enumerate(losses):
        step = k * every
        before = followed.reference
        done = followed.is_done(step, loss)
        fell = step if loss < before - TOLERANCE else fell
        assert done == (
            step >= FEWEST_STEPS and step >= (1 + PATIENCE) * fell and step - fell >= FEWEST_READINGS * every
        )
        assert followed.reference <= before
        if done:
            break


def test_a_loss_that_is_no_number_ends_training_and_one_that_falls_never_does() -> None:
    assert Convergence().is_done(0, math.nan)
    falling = Convergence()
    assert not any(falling.is_done(26 * k, 1 / (1 + k)) for k in range(20))
    activations = Convergence(in_nats=False)
    assert not any(activations.is_done(26 * k, 1e-3 * 0.9**k) for k in range(100))
