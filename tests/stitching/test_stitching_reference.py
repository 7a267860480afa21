import copy
from collections.abc import Iterator

import pytest
import torch
from reference import CellTrainer, stitched_outputs
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.networks import by_name
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.cuts import Traced


def network(kind: str, seed: int) -> nn.Module:
    return frozen(SmallConv() if kind == "small" else by_name.build(kind, 4, (3, 8, 8), 0.5), seed)


def batches(count: int, normalise: nn.Module | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        images, labels = torch.rand(8, 3, 8, 8, generator=generator), torch.randint(0, 4, (8,), generator=generator)
        yield (images if normalise is None else normalise(images)), labels


def test_a_stitch_that_gives_back_the_tops_own_activation_changes_nothing() -> None:
    top = network("small", 0)
    images = torch.rand(5, 3, 8, 8)
    assert torch.equal(stitched_outputs(top, top, ("blocks.0", "blocks.0"), nn.Identity(), images), top(images))
    shifted = stitched_outputs(top, top, ("blocks.0", "blocks.0"), nn.Hardtanh(0, 0.01), images)
    assert not torch.allclose(shifted, top(images))


def test_the_hooks_are_gone_afterwards_also_after_a_failure() -> None:
    bottom, top = network("small", 0), network("small", 1)
    expected = [n(torch.ones(1, 3, 8, 8)) for n in (bottom, top)]
    with pytest.raises(RuntimeError):
        stitched_outputs(bottom, top, ("blocks.0", "blocks.0"), nn.Linear(99, 1), torch.rand(5, 3, 8, 8))
    for each, before in zip((bottom, top), expected, strict=True):
        assert torch.equal(each(torch.ones(1, 3, 8, 8)), before)


@pytest.mark.parametrize("kind", ["small", "resnet20"])
def test_the_column_trainer_takes_the_published_ways_steps(kind: str) -> None:
    ends, normalise = [network(kind, seed) for seed in (0, 1)], Normalise([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    wanted = ["stem", "blocks.0", "blocks.1"] if kind == "small" else "blocks"
    traced = [Traced(n, torch.rand(2, 3, 8, 8)) for n in ends]
    bottom, top = (Chain(t, t.select(wanted), normalise) for t in traced)
    cells = []
    for k, (b, t) in enumerate(zip(bottom.cuts, top.cuts, strict=True), 1):
        stitch = stitches.build("affine", b, t)
        stitches.start_at_random(stitch, torch.Generator().manual_seed(k))
        cells.append(column_trainer.Seam(k, k, stitch))
    plain = copy.deepcopy(cells)
    finish(column_trainer.train_column(bottom, top, cells, batches(4), column_trainer.Recipe(4, 1e-3)))
    for ours, cell, cut in zip(cells, plain, top.cuts, strict=True):
        before = cell.stitch.weight.detach().clone()
        trainer = CellTrainer(*ends, (cut.name, cut.name), cell.stitch, steps=4, learning_rate=1e-3)
        for images, labels in batches(4, normalise):
            trainer.step(images, labels)
        torch.testing.assert_close(ours.stitch.weight, cell.stitch.weight, rtol=2e-3, atol=2e-5)
        torch.testing.assert_close(ours.stitch.bias, cell.stitch.bias, rtol=2e-3, atol=2e-5)
        assert not torch.allclose(before, cell.stitch.weight, rtol=2e-3, atol=2e-5)
