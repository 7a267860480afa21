"""Training in units of the features: the same stitch whatever the scale of what it reads and is to write."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from told import told
from torch import Tensor, nn

from stitchtui.spec.families import FAMILIES
from stitchtui.stitching import column_trainer, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.families import TOGETHER
from stitchtui.stitching.rows import LEAST, MOST, Rows
from stitchtui.stitching.units import ScaledSteps, follows, units

CUT = Cut("h", (5, 4, 4), 1, True)
RATE = 1e-2


def chain_of(seed: int) -> Chain:
    traced = Traced(frozen(SmallConv(), seed), torch.rand(3, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def batches(steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        yield torch.rand(16, 3, 8, 8, generator=generator), torch.randint(3, (16,), generator=generator)


Units = tuple[Tensor, Tensor]
"""Scale and shift of each channel."""


class Changed(nn.Module):
    """A segment that is given, and gives, tensors in other units: each is `scale` times what it was plus `shift`."""

    def __init__(self, inner: nn.Module, given: Units | None, gives: Units | None) -> None:
        super().__init__()
        self.inner, self.given, self.gives = inner, given, gives

    def forward(self, x: Tensor) -> Tensor:
        if self.given is not None:
            x = (x - self.given[1][:, None, None]) / self.given[0][:, None, None]
        x = self.inner(x)
        return x if self.gives is None else x * self.gives[0][:, None, None] + self.gives[1][:, None, None]


def in_other_units(chain: Chain, boundary: int, units: tuple[Tensor, Tensor]) -> Chain:
    """The same network with other numbers at a boundary, channel by channel."""
    segments = list(chain.segments)
    segments[boundary - 1] = Changed(segments[boundary - 1], None, units)
    segments[boundary] = Changed(segments[boundary], units, None)
    return chain.with_segments(segments)


def trained(bottom: Chain, top: Chain, stitch: nn.Module, scaled: bool) -> list[float]:
    losses: list[float] = []
    recipe = column_trainer.Recipe(8, RATE, scaled=scaled, fold=False)
    cells = [column_trainer.Seam(2, 2, stitch)]
    told(
        column_trainer.train_column(bottom, top, cells, batches(8), recipe),
        report=lambda _, read: losses.extend(read().losses),
    )
    return losses


def affine(channels: int) -> stitches.Stitch:
    """An affine stitch at boundary 2."""
    return affine_between(channels, channels)


@torch.no_grad()
def affine_between(bottom: int, top: int) -> stitches.Stitch:
    cuts = [Cut("h", (channels, 8, 8), 1, True) for channels in (bottom, top)]
    stitch = stitches.build("affine", *cuts)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(3))
    return stitch


@torch.no_grad()
def between(stitch: Any, read: tuple[Tensor, Tensor], written: tuple[Tensor, Tensor]) -> stitches.Stitch:
    """The same map between tensors in other units."""
    other = affine(len(stitch.bias))
    other.weight.copy_(written[0][:, None] * stitch.weight / read[0])
    other.bias.copy_(written[0] * stitch.bias - other.weight @ read[1] + written[1])
    return other


def test_the_units_of_the_features_change_nothing_but_where_steps_are_not_scaled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("stitchtui.stitching.rows.LEAST", 1e-9)
    bottom, top = chain_of(0), chain_of(1)
    channels = bottom.cuts[1].channels
    read = torch.logspace(-1, 2, channels), torch.linspace(3, -1, channels)
    written = torch.logspace(1, -2, channels), torch.linspace(-2, 2, channels)
    others = in_other_units(bottom, 2, read), in_other_units(top, 2, written)
    for scaled in (True, False):
        plain = trained(bottom, top, affine(channels), scaled)
        changed = trained(*others, between(affine(channels), read, written), scaled)
        assert changed[0] == pytest.approx(plain[0], rel=1e-3)
        same = changed[-1] == pytest.approx(plain[-1], rel=1e-2)
        assert same is scaled


class Wider(nn.Module):
    """A segment that gives every channel so many times, or is given them so and takes the mean."""

    def __init__(self, inner: nn.Module, times: int, *, gives: bool) -> None:
        super().__init__()
        self.inner, self.times, self.gives = inner, times, gives

    def forward(self, x: Tensor) -> Tensor:
        if self.gives:
            return self.inner(x).repeat(1, self.times, 1, 1)
        return self.inner(x.unflatten(1, (self.times, -1)).mean(1))


def wider(chain: Chain, boundary: int, times: int) -> Chain:
    """The same network with every channel of a boundary there so many times."""
    segments = list(chain.segments)
    segments[boundary - 1] = Wider(segments[boundary - 1], times, gives=True)
    segments[boundary] = Wider(segments[boundary], times, gives=False)
    return chain.with_segments(segments)


@pytest.mark.parametrize("times", [2, 16])
def test_a_network_that_is_wider_by_copies_of_its_channels_is_stitched_as_it_is_without(times: int) -> None:
    bottom, top = chain_of(0), chain_of(1)
    channels = bottom.cuts[1].channels
    one = affine(channels)
    many = affine(channels * times)
    with torch.no_grad():
        many.weight.copy_(one.weight.repeat(times, times) / times)
        many.bias.copy_(one.bias.repeat(times))
    narrow = trained(bottom, top, one, scaled=True)
    wide = trained(wider(bottom, 2, times), wider(top, 2, times), many, scaled=True)
    assert wide == pytest.approx(narrow, rel=1e-3)
    assert narrow[-1] != pytest.approx(narrow[0], rel=1e-2)


def test_a_following_bias_keeps_the_mean_of_what_is_written() -> None:
    bottom, top = chain_of(0), chain_of(1)
    images, _ = next(batches(1))
    with torch.no_grad():
        x = bottom.features(images, 2)[2]
    for family in ("affine", "conv3", "mlp"):
        stitch = stitches.build(family, bottom.cuts[1], top.cuts[1])
        stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
        for follow in follows(stitch, x):
            written = follow.written(follow.weight) + follow.bias
            steps = ScaledSteps([follow.weight], [torch.ones(())], [follow])
            steps.before()
            with torch.no_grad():
                follow.weight.add_(torch.randn(follow.weight.shape, generator=torch.Generator().manual_seed(5)))
            steps.after()
            torch.testing.assert_close(follow.written(follow.weight) + follow.bias, written, rtol=1e-4, atol=1e-4)
        assert len(follows(stitch, x)) == (2 if family == "mlp" else 1)


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
    found = Rows.of(x, 1).deviations
    assert found[[0, 2]].tolist() == pytest.approx([1.0, 1.0], abs=0.15)
    assert float(found[1]) == pytest.approx(LEAST * float((x.std((0, 2)) ** 2).mean().sqrt()), rel=0.02)
    assert Rows.of(torch.zeros(4, 3), -1).deviations.tolist() == pytest.approx([LEAST] * 3)


def mixed(channels: int, sources: int, seed: int) -> Tensor:
    """Features [400, channels] that mix fewer sources, so that they are correlated, in units of their own."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(400, sources, generator=generator) @ torch.randn(sources, channels, generator=generator)
    scale = torch.rand(channels, generator=generator) * 10 + 0.1
    return drawn * scale + torch.randn(channels, generator=generator)


def test_coherence_goes_from_the_root_of_the_number_of_channels_to_that_number() -> None:
    independent = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(0))
    assert float(Rows(independent).coherence) == pytest.approx(4, rel=0.05)
    assert float(Rows(independent[:, :1].expand(-1, 16)).coherence) == pytest.approx(16, rel=1e-4)
    assert float(Rows(torch.zeros(10, 16)).coherence) == 1.0


@given(st.integers(1, 24), st.integers(1, 8), st.integers(0, 100))
def test_coherence_is_that_of_the_largest_eigenvalue(channels: int, sources: int, seed: int) -> None:
    rows = Rows(mixed(channels, sources, seed))
    scaled = (rows.numbers - rows.mean) / rows.deviations
    largest = torch.linalg.eigvalsh(scaled.T @ scaled / len(scaled))[-1]
    assert float(rows.coherence) == pytest.approx(max(1.0, math.sqrt(channels * float(largest))), rel=0.02)


@given(st.sampled_from(["affine", "conv3", "low_rank", "mlp"]), st.integers(0, 50))
def test_however_a_step_goes_it_moves_what_is_written_no_further_than_the_weights_may_together(
    family: str, seed: int
) -> None:
    x, written = mixed(12, 3, seed)[:, :, None, None].expand(-1, -1, 5, 5), torch.rand(12) + 0.5
    cut = Cut("h", (12, 5, 5), 1, True)
    stitch = stitches.build(family, cut, cut, rank=4)
    stitches.start_at_random(stitch, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed)
    unit = stitch.units(Rows.of(x, 1), written)
    name = "up" if family == "low_rank" else "weight"
    with torch.no_grad():
        before = stitch(x)
        parameter = dict(stitch.named_parameters())[name]
        signs = torch.randint(2, parameter.shape, generator=generator) * 2.0 - 1
        parameter.add_(0.01 * signs * unit[name])
        moved = (stitch(x) - before)[:, :, 2, 2].std(0, correction=0)
    assert bool((moved <= 0.01 * TOGETHER * written * 1.02).all())


def test_channels_that_are_there_twice_make_no_step_larger() -> None:
    x, written = mixed(6, 4, 1), torch.rand(5) + 0.5
    moved = []
    for times in (1, 2, 7):
        rows = Rows(x.repeat(1, times))
        stitch = affine_between(6 * times, 5)
        step = stitch.units(rows, written)["weight"] * torch.tensor([1.0, -1, 1, 1, -1, 1]).repeat(times)
        moved.append(rows.numbers @ step.T)
    torch.testing.assert_close(moved[1], moved[0], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(moved[2], moved[0], rtol=1e-3, atol=1e-3)


def test_of_very_many_rows_some_say_enough() -> None:
    x = mixed(6, 4, 2).repeat(MOST // 300, 1)
    few, every = Rows.of(x, -1), Rows(x)
    assert len(few.numbers) == MOST
    assert few.deviations.tolist() == pytest.approx(every.deviations.tolist(), rel=0.02)
    assert float(few.coherence) == pytest.approx(float(every.coherence), rel=0.02)


def test_a_module_that_is_no_stitch_takes_the_optimisers_own_steps() -> None:
    layer = nn.Linear(4, 3)
    assert [float(u) for u in units(layer, torch.zeros(2, 4), torch.zeros(2, 3), -1)] == [1.0, 1.0]


def test_the_tops_batch_statistics_are_left_alone_while_it_is_asked_for_its_features() -> None:
    bottom, top = chain_of(0), chain_of(1)
    norms = [m for m in top.segments.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    recipe = column_trainer.Recipe(1, RATE, scaled=True, fold=False)
    with column_trainer.BatchStatistics(top.after(2)):
        cell = column_trainer.Seam(2, 2, affine(top.cuts[1].channels))
        changed = []
        told(column_trainer.train_column(
            bottom, top, [cell], batches(1), recipe,
        ), report=lambda *_: changed.extend(int(m.num_batches_tracked) for m in norms))  # fmt: skip
    counts = {int(m.num_batches_tracked) for m in norms}
    assert max(changed) - min(counts) <= 1
    assert all(torch.equal(m.running_mean, b) for m, b in zip(norms, before, strict=True))


@pytest.mark.parametrize("family", ["conv3", "conv5", "conv7", "conv9"])
def test_on_a_constant_map_a_step_of_a_kernel_is_that_of_a_single_place(family: str) -> None:
    cut = Cut("h", (5, 12, 12), 1, True)
    read, written = Rows(mixed(5, 3, 0)), torch.rand(5) + 0.5
    constant = torch.randn(2, 5, 1, 1).expand(-1, -1, 12, 12)
    moved = []
    for name in ("affine", family):
        stitch = stitches.build(name, cut, cut)
        with torch.no_grad():
            stitch.start_as_identity()
            before = stitch(constant)
            for key, parameter in stitch.named_parameters():
                parameter.add_(0.01 * stitch.units(read, written)[key])
        moved.append((stitch(constant) - before)[:, :, 4:8, 4:8])
    torch.testing.assert_close(*moved, rtol=1e-4, atol=1e-5)
