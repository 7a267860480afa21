"""Numbers that a network reads off its tensors' sizes cost no cut, wherever they are read and used."""

from collections.abc import Callable, Sequence

import pytest
import torch
from chain_checks import assert_chains
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced, Untraceable

CHANNELS, SIDE = 3, 4
Step = tuple[str, int]
STEPS = ("conv", "relu", "residual", "tokens", "scale", "cast", "add", "expand", "narrow")


class Program(nn.Module):
    """Layers in a row; a step beyond the layers reads sizes of an earlier tensor, or has them `written_out`."""

    def __init__(self, steps: Sequence[Step], written_out: bool) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1) for _ in steps)
        self.steps, self.written_out = tuple(steps), written_out
        self.bias = nn.Parameter(torch.ones(1, CHANNELS, 1, 1))
        self.head = nn.Linear(CHANNELS, 3)

    def forward(self, x: Tensor) -> Tensor:
        seen = [x]
        for (kind, back), conv in zip(self.steps, self.convs, strict=True):
            earlier = seen[max(0, len(seen) - 1 - back)]
            x = self.step(kind, conv, x, earlier)
            seen.append(x)
        return self.head(x.mean((2, 3)))

    def step(self, kind: str, conv: nn.Module, x: Tensor, earlier: Tensor) -> Tensor:
        if self.written_out:
            n, c, h, w, dtype, ones, bias = -1, CHANNELS, SIDE, SIDE, torch.float32, 1.0, self.bias
        else:
            (n, c, h, w), dtype, ones = earlier.shape, earlier.dtype, torch.ones_like(earlier)
            bias = self.bias.expand(n, c, earlier.size(-1), w)
        ways: dict[str, Callable[[], Tensor]] = {
            "conv": lambda: conv(x),
            "relu": x.relu,
            "residual": lambda: x + conv(x),
            "tokens": lambda: x.flatten(2).transpose(1, 2).transpose(1, 2).reshape(n, c, h, w),
            "scale": lambda: x * (h / w),
            "cast": lambda: x.to(dtype),
            "add": lambda: x + ones,
            "expand": lambda: x * bias,
            "narrow": lambda: x[:, :c],
        }
        return ways[kind]()


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 8)), min_size=1, max_size=9))
def test_sizes_read_anywhere_leave_the_cuts_that_constants_leave(steps: list[Step]) -> None:
    read, constant = (frozen(Program(steps, written_out), 0) for written_out in (False, True))
    traced, expected = (Traced(network, torch.rand(2, CHANNELS, SIDE, SIDE)) for network in (read, constant))
    assert [(c.name, c.shape, c.block) for c in traced.cuts] == [(c.name, c.shape, c.block) for c in expected.cuts]
    chain = Chain(traced, traced.cuts)
    for batch in (1, 3):
        x = torch.rand(batch, CHANNELS, SIDE, SIDE)
        torch.testing.assert_close(chain.features(x)[-1], read(x))


class Read(SmallConv):
    """Reads the sizes of the images first, and of the first layer's maps, and uses them last."""

    def forward(self, x: Tensor) -> Tensor:
        batch, _, *size = x.shape
        x = self.stem(x)
        tokens = torch.zeros(batch, x.shape[1], x.shape[2] * x.shape[3], dtype=x.dtype, device=x.device)
        x = self.blocks(x)
        x = nn.functional.interpolate(x, size=size).flatten(2) + tokens
        return self.head(x.mean(2).view(batch, -1))


def test_a_size_that_is_read_first_and_used_last_costs_no_cut() -> None:
    plain, read = Traced(frozen(SmallConv(), 0), torch.rand(2, 3, 8, 8)), assert_chains(frozen(Read(), 0), 8)
    assert [c.name for c in read.select("blocks")][:-1] == [c.name for c in plain.select("blocks")][:-1]


@pytest.mark.parametrize("size", [8, 12])
def test_a_chain_is_for_images_of_the_size_that_was_traced(size: int) -> None:
    traced = assert_chains(frozen(Read(), 0), size)
    with pytest.raises(ValueError, match=rf"expected 3x{size}x{size} for each image, as traced|expected \d+x"):
        Chain(traced, traced.cuts).features(torch.rand(2, 3, size + 4, size + 4))


def test_a_chain_that_hands_no_sizes_on_takes_images_of_any_size() -> None:
    network = frozen(SmallConv(), 0)
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    x = torch.rand(2, 3, 12, 12)
    torch.testing.assert_close(Chain(traced, traced.cuts).features(x)[-1], network(x))


def test_a_size_that_can_not_be_told_from_the_tensor_at_a_cut_is_handed_on_with_its_tensor() -> None:
    class Odd(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            others = x[1:]
            return self.head(self.blocks(self.stem(x)).mean((2, 3)) * (others.shape[0] + 1) / (others.shape[0] + 1))

    network = frozen(Odd(), 0)
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    x = torch.rand(4, 3, 8, 8)
    torch.testing.assert_close(Chain(traced, traced.cuts).features(x)[-1], network(x))
    assert [c.name for c in traced.cuts] == ["head"] or len(traced.cuts) < 4


def test_what_is_as_large_as_another_tensor_has_its_dtype() -> None:
    class Whole(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            whole = (x * 255).round().to(torch.int32)
            x = self.blocks(self.stem(x))
            return self.head(x.mean((2, 3)) + torch.ones_like(whole).sum((1, 2, 3), dtype=whole.dtype)[:, None])

    assert_chains(frozen(Whole(), 0), 8)


def test_how_many_images_there_are_is_a_size_too() -> None:
    class Counted(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            images = len(x)
            return self.head(self.blocks(self.stem(x)).mean((2, 3)).view(images, -1))

    read, plain = assert_chains(frozen(Counted(), 0), 8), Traced(frozen(SmallConv(), 0), torch.rand(2, 3, 8, 8))
    assert len(read.cuts) == len(plain.cuts) + 1  # the view


def test_a_part_of_a_tensor_that_is_written_over_is_named() -> None:
    class Written(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            x[:, 0] = 0
            return self.head(self.blocks(x).mean((2, 3)))

    with pytest.raises(Untraceable, match=r"a part of a tensor is written over .* `x\[:, 0\] = 0`"):
        Traced(frozen(Written(), 0), torch.rand(2, 3, 8, 8))


def test_a_buffer_is_given_a_size_and_decides_like_a_constant() -> None:
    class Coordinates(SmallConv):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("where", torch.rand(1, 3, 8, 8))
            self.register_buffer("wanted", torch.tensor(1))

        def forward(self, x: Tensor) -> Tensor:
            if self.wanted:
                x = x + self.where.expand(x.shape[0], -1, -1, -1)
            return super().forward(x)

    plain = Traced(frozen(SmallConv(), 0), torch.rand(2, 3, 8, 8))
    read = assert_chains(frozen(Coordinates(), 0), 8)
    assert len(read.cuts) == len(plain.cuts) + 1  # the sum
