import pytest
import torch
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.column_trainer import Seam
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.evaluate import base_scores, column_scores
from stitchtui.stitching.tails import TailRecipe, tail_of, train_tails


def chain_of(network: nn.Module) -> Chain:
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def part(n: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    images = torch.rand(n, 3, 8, 8, generator=generator)
    images[torch.arange(n), labels] += 0.3
    return list(zip(images.split(40), labels.split(40), strict=True))


@pytest.mark.parametrize("network", [SmallConv, SmallVit])
@pytest.mark.parametrize("restart", [None, 5])
def test_a_trained_tail_learns_the_task_and_neither_network_changes(network: type[nn.Module], restart: int) -> None:
    networks = frozen(network(), 0), frozen(network(), 1)
    before = [{k: v.clone() for k, v in n.state_dict().items()} for n in networks]
    bottom, top = (chain_of(n) for n in networks)
    tail = tail_of(1, top.after(1), restart)
    finish(train_tails(bottom, [tail], part(400, 0) * 8, TailRecipe(80, learning_rate=0.05)))
    test = part(200, 1)
    scores, _ = finish(column_scores(bottom, top, [Seam(1, top.output, tail.layers)], test))
    assert scores[0].error < finish(base_scores(top, test)).error - 20
    for network_now, was in zip(networks, before, strict=True):
        assert all(torch.equal(v, was[k]) for k, v in network_now.state_dict().items())
        assert not any(p.requires_grad for p in network_now.parameters())


def test_an_untrained_tail_is_the_top_and_a_restarted_one_has_nothing_learnt_left() -> None:
    top = chain_of(frozen(SmallConv(), 1))
    x = top.features(torch.rand(5, 3, 8, 8))
    assert torch.equal(tail_of(1, top.after(1)).layers(x[1]), x[-1])
    fresh, same, other = (tail_of(1, top.after(1), seed) for seed in (3, 3, 4))
    for name, value in top.after(1).state_dict().items():
        if value.is_floating_point():
            assert not torch.equal(fresh.layers.state_dict()[name], value), name
            assert torch.equal(fresh.layers.state_dict()[name], same.layers.state_dict()[name])
    assert not torch.equal(fresh.layers(x[1]), other.layers(x[1]))


def test_tails_trained_together_become_what_each_becomes_alone() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    recipe = TailRecipe(12, learning_rate=0.05)
    together = [tail_of(k, top.after(k)) for k in (1, 2, 3)]
    finish(train_tails(bottom, together, part(200, 0) * 3, recipe))
    for tail in together:
        alone = tail_of(tail.bottom, top.after(tail.bottom))
        finish(train_tails(bottom, [alone], part(200, 0) * 3, recipe))
        for name, value in alone.layers.state_dict().items():
            torch.testing.assert_close(tail.layers.state_dict()[name], value)


def test_batchnorms_of_the_tail_gather_statistics_of_the_bottoms_features() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    tail = tail_of(1, top.after(1))
    finish(train_tails(bottom, [tail], part(80, 0), TailRecipe(2)))
    counts = [m.num_batches_tracked for m in tail.layers.modules() if isinstance(m, nn.BatchNorm2d)]
    assert counts == [2, 2]
    assert not any(m.training for m in tail.layers.modules())


def test_a_stitch_in_front_is_trained_along_where_shapes_differ() -> None:
    bottom, top = chain_of(frozen(SmallConv(4), 0)), chain_of(frozen(SmallConv(6), 1))
    stitch = stitches.build("affine", bottom.cuts[0], top.cuts[0])
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    tail = tail_of(1, nn.Sequential(stitch, top.after(1)))
    finish(train_tails(bottom, [tail], part(80, 0), TailRecipe(2)))
    assert not torch.equal(tail.layers[0].weight, stitch.weight)


def test_a_tail_that_diverges_harms_no_other_and_losses_are_reported() -> None:
    bottom, top = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallConv(), 1))
    sick, well = tail_of(1, top.after(1)), tail_of(2, top.after(2))
    next(sick.layers.parameters()).data.fill_(torch.nan)
    losses: list[Tensor] = []
    losses.extend(found for _, found in train_tails(bottom, [sick, well], part(80, 0), TailRecipe(2)))
    assert torch.stack(losses).isfinite().tolist() == [[False, True]] * 2
    assert all(p.isfinite().all() for p in well.layers.parameters())


def test_a_tail_without_parameters_stays_as_it_is() -> None:
    class PooledLast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 1), nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.conv(x)).mean((2, 3))

    traced = Traced(PooledLast().eval(), torch.rand(2, 3, 8, 8))
    chain = Chain(traced, traced.select(["conv"]))
    finish(train_tails(chain, [tail_of(1, chain.after(1), restart=0)], part(40, 0), TailRecipe(1)))
