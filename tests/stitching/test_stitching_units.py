"""Training in units of the features: the same stitch whatever the scale of what it reads and is to write."""

from collections.abc import Iterator

import pytest
import torch
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.stitching import fit, stitches
from stitchtui.stitching.capacity import FAMILIES
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.units import LEAST, deviations, units

CUT = Cut("h", (5, 4, 4), 1, True)
RATE = 1e-2


def chain_of(seed: int) -> Chain:
    traced = Traced(frozen(SmallConv(), seed), torch.rand(3, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def batches(steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        yield torch.rand(16, 3, 8, 8, generator=generator), torch.randint(3, (16,), generator=generator)


class Scaled(nn.Module):
    """A segment whose output, or input, is in other units: times `out` per channel after it, over `into` before."""

    def __init__(self, inner: nn.Module, into: Tensor | float, out: Tensor | float) -> None:
        super().__init__()
        self.inner, self.into, self.out = inner, into, out

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x / self.into) * self.out


def in_other_units(chain: Chain, boundary: int, scale: Tensor) -> Chain:
    """The same network whose tensor at a boundary is `scale` times what it was, channel by channel."""
    segments = list(chain.segments)
    segments[boundary - 1] = Scaled(segments[boundary - 1], 1.0, scale[:, None, None])
    segments[boundary] = Scaled(segments[boundary], scale[:, None, None], 1.0)
    return chain.with_segments(segments)


def trained(bottom: Chain, top: Chain, stitch: nn.Module, scaled: bool) -> list[float]:
    losses: list[float] = []
    recipe = fit.Recipe(8, RATE, scaled=scaled, fold=False)
    cells = [fit.Cell(2, 2, stitch)]
    fit.train_column(bottom, top, cells, batches(8), recipe, report=lambda _, read: losses.extend(read().losses))
    return losses


def affine(bottom: Chain, top: Chain, read: Tensor | float = 1.0, written: Tensor | float = 1.0) -> stitches.Stitch:
    """An affine stitch at boundary 2, the same map whatever the units of what it reads and writes."""
    stitch = stitches.build("affine", bottom.cuts[1], top.cuts[1])
    stitches.start_at_random(stitch, torch.Generator().manual_seed(3))
    channels = top.cuts[1].channels
    with torch.no_grad():
        stitch.weight.mul_((torch.as_tensor(written) * torch.ones(channels))[:, None] / read)
        stitch.bias.mul_(torch.as_tensor(written) * torch.ones(channels))
    return stitch


def test_the_units_of_the_features_change_nothing_but_where_steps_are_not_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stitchtui.stitching.units.LEAST", 1e-9)
    bottom, top = chain_of(0), chain_of(1)
    channels = bottom.cuts[1].channels
    read, written = (torch.logspace(*ends, channels) for ends in ((-1, 2), (1, -2)))
    others = in_other_units(bottom, 2, read), in_other_units(top, 2, written)
    for scaled in (True, False):
        plain = trained(bottom, top, affine(bottom, top), scaled)
        changed = trained(*others, affine(bottom, top, read, written), scaled)
        assert changed[0] == pytest.approx(plain[0], rel=1e-3)
        same = changed[-1] == pytest.approx(plain[-1], rel=1e-2)
        assert same is scaled


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "ladder"])
def test_every_family_says_a_unit_of_every_number_that_it_trains(family: str) -> None:
    stitch = stitches.build(family, CUT, CUT, rank=2)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    found = units(stitch, torch.randn(6, 5, 4, 4, generator=generator), torch.randn(6, 5, 4, 4, generator=generator), 1)
    for unit, parameter in zip(found, stitch.parameters(), strict=True):
        assert unit.expand_as(parameter).shape == parameter.shape
        assert bool((unit > 0).all() and unit.isfinite().all())


def test_a_channel_that_never_varies_is_taken_to_vary_a_little() -> None:
    x = torch.randn(50, 3, 4, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 7.0
    found = deviations(x, 1)
    assert found[[0, 2]].tolist() == pytest.approx([1.0, 1.0], abs=0.15)
    assert float(found[1]) == pytest.approx(LEAST * float((x.std((0, 2)) ** 2).mean().sqrt()), rel=0.02)
    assert deviations(torch.zeros(4, 3), -1).tolist() == pytest.approx([LEAST] * 3)


def test_a_module_that_is_no_stitch_takes_the_optimisers_own_steps() -> None:
    layer = nn.Linear(4, 3)
    assert [float(u) for u in units(layer, torch.zeros(2, 4), torch.zeros(2, 3), -1)] == [1.0, 1.0]


def test_the_tops_batch_statistics_are_left_alone_while_it_is_asked_for_its_features() -> None:
    bottom, top = chain_of(0), chain_of(1)
    norms = [m for m in top.segments.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    recipe = fit.Recipe(1, RATE, scaled=True, fold=False)
    with fit.BatchStatistics(top.after(2)):
        cell = fit.Cell(2, 2, affine(bottom, top))
        changed = []
        fit.train_column(
            bottom, top, [cell], batches(1), recipe,
            report=lambda *_: changed.extend(int(m.num_batches_tracked) for m in norms),
        )  # fmt: skip
    counts = {int(m.num_batches_tracked) for m in norms}
    assert max(changed) - min(counts) <= 1
    assert all(torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))
