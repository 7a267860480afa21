"""What is taken whole, what stands in for a forward() that can't be traced, and the one line for what can't be."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from chain_checks import assert_chains
from small_networks import Residual, SmallConv, frozen
from torch import Tensor, nn
from torch.fx import Proxy

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced, Untraceable

EXAMPLE = torch.rand(2, 3, 8, 8)


class Picky(nn.Module):
    """Decides by what it sees between two ways, neither of which is its children in order."""

    def __init__(self, channels: int = 6) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.mean() < 1e6:
            return x + self.conv(x)
        return x - self.conv(x)


class Holder(nn.Module):
    def __init__(self, *blocks: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


class Checked(nn.Module):
    """A sequence of its children in all but name: it looks at its input first, and flattens before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleList([nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), Residual(6)])
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.drop = nn.Dropout()
        self.classifier = nn.Linear(24, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.min() < -1e6:
            raise ValueError("expected images")
        for layer in self.features:
            x = layer(x)
        return self.classifier(self.drop(torch.flatten(self.pool(x), 1)))


class Named(Holder):
    """The same within a block, beside one that branches."""

    def __init__(self) -> None:
        super().__init__(Residual(6), CheckedBlock(), Residual(6))


class CheckedBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Residual(6), Residual(6)

    def forward(self, x: Tensor) -> Tensor:
        if x.isnan().any():
            raise ValueError
        return self.two(self.one(x))


def refusal(network: nn.Module, leaves: tuple[str, ...] = ()) -> str:
    with pytest.raises(Untraceable) as caught:
        Traced(frozen(network, 0), EXAMPLE, leaves)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_stops_the_tracing_is_named_with_its_module_line_and_leaf() -> None:
    text = refusal(Holder(Residual(6), Picky()))
    assert text.startswith("Holder can't be traced by torch.fx: symbolically traced variables cannot be used as inputs")
    assert "in blocks.1 (Picky): `if x.mean() < 1e6:` (test_stitching_tracing.py, line " in text
    assert text.endswith("to take it whole, without cuts inside, add --leaf blocks.1")


def test_several_modules_that_stop_it_are_named_at_once() -> None:
    class Other(Picky):
        pass

    assert refusal(Holder(Picky(), Picky(), Other())).endswith("add --leaf Picky --leaf blocks.2")


def test_a_network_whose_own_forward_stops_it_is_told_what_to_do() -> None:
    text = refusal(Picky(3))
    assert "in its own forward(): `if x.mean() < 1e6:`" in text
    assert text.endswith("move that into a module of its own and name it with --leaf")


@pytest.mark.parametrize("leaf", ["Picky", "blocks.1"])
def test_a_leaf_is_a_block_that_is_not_looked_into(leaf: str) -> None:
    traced = assert_chains(frozen(Holder(Residual(6), Picky()), 0), 8, leaves=(leaf,))
    assert [c.name for c in traced.select("blocks")] == ["stem", "blocks.0", "blocks.1", "blocks.1+mean"]
    assert traced.whole == ("blocks.1",)
    assert not any(c.name.startswith("blocks.1.") for c in traced.cuts)


def test_a_leaf_that_is_no_module_is_refused_with_the_nearest() -> None:
    assert refusal(Holder(Picky()), ("Piky",)) == "leaf 'Piky' is not known; nearest: 'Picky'"


def test_a_leaf_counts_in_depth_and_parameters() -> None:
    network = frozen(Holder(Residual(6), Picky()), 0)
    traced = Traced(network, EXAMPLE, ("Picky",))
    before, after = Chain(traced, traced.select(["blocks.0", "blocks.1"])).facts(EXAMPLE)
    assert after.parameters - before.parameters == sum(p.numel() for p in network.blocks[1].parameters())
    assert after.depth > before.depth


def test_children_in_order_stand_in_for_a_forward_that_computes_the_same() -> None:
    traced = assert_chains(frozen(Checked(), 0), 8)
    assert [c.name for c in traced.select("blocks")] == ["features.1", "features.2", "drop"]
    [note] = traced.notes
    assert note.startswith("the forward() of Checked can't be traced; its layers in order")


def test_so_they_do_within_a_block_and_both_of_its_parts_are_blocks() -> None:
    traced = assert_chains(frozen(Named(), 0), 8)
    names = [c.name for c in traced.select("blocks")]
    assert names[:5] == ["stem", "blocks.0", "blocks.1.one", "blocks.1.two", "blocks.2"]
    assert "blocks.1 (CheckedBlock)" in traced.notes[0]


class Sized(nn.Module):
    """Decides by sizes and dtypes only, in every way that Python can ask for one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != 3 or x.dtype != self.conv.weight.dtype or x.dim() != 4:
            raise ValueError("expected images")
        x = self.conv(x)
        height, width = int(x.shape[-2]), x.size(3)
        assert height == width, "expected squares"
        for size in x.shape[2:]:
            x = x / size
        windows = x.reshape(x.shape[0], x.shape[1], height // 2, 2, -1)
        for k in range(len(windows.shape) - 4):
            windows = windows + k
        return self.head(windows.flatten(2).sum(2) if x[:, :2].shape[1] == 2 else windows)


def test_what_sizes_and_dtypes_decide_is_traced() -> None:
    traced = assert_chains(frozen(Sized(), 0), 8)
    assert traced.notes == ()
    assert "conv" in [c.name for c in traced.cuts]


@pytest.mark.parametrize("count", [2, 6])
def test_what_the_number_of_images_decides_is_not(count: int) -> None:
    class Counted(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x if x.shape[0] < count else 2 * x)

    class Repeated(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * int(x.shape[0])

    text = refusal(Counted()) if count == 2 else refusal(Repeated())
    assert "can't be traced by torch.fx" in text


def by_value(x: Tensor) -> Tensor:
    return -x if x.sum() < 0 else x


def by_batch(x: Tensor) -> Tensor:
    return 2 * x if len(x) == 5 else x


@pytest.mark.parametrize("twist", [by_value, by_batch])
def test_children_that_compute_something_else_for_another_batch_do_not_stand_in(
    twist: Callable[[Tensor], Tensor],
) -> None:
    class Twisted(Checked):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(twist(x))

    assert "can't be traced" in refusal(Twisted())


def test_a_network_that_is_traced_as_it_is_has_no_notes() -> None:
    traced = Traced(frozen(SmallConv(), 0), EXAMPLE)
    assert (traced.notes, traced.whole) == ((), ())


def test_a_leaf_that_writes_over_what_it_is_given_is_refused() -> None:
    class Careless(Picky):
        def forward(self, x: Tensor) -> Tensor:
            x += 1
            return super().forward(x)

    text = refusal(Holder(Residual(6), Careless()), ("Careless",))
    assert "writes over its own tensors (in-place operations), such as what blocks_0_relu makes" in text


def test_what_leads_nowhere_is_not_part_of_the_graph() -> None:
    class Wasteful(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            self.blocks(x.repeat(1, 2, 1, 1))
            return super().forward(x)

    traced = assert_chains(frozen(Wasteful(), 0), 8)
    assert [n for n in traced.module.graph.nodes if n.target == "repeat"] == []


def test_a_statement_that_only_acts_in_place_is_never_lost_in_silence() -> None:
    class Copied(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            y = torch.zeros_like(x)
            y.copy_(x)
            return super().forward(y)

    assert "writes over its own tensors" in refusal(Copied())


def test_a_one_is_no_true() -> None:
    class OneGroup(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(nn.functional.group_norm(self.stem(x), 1).mean((2, 3)))

    assert_chains(frozen(OneGroup(), 0), 8)


def test_what_is_taken_whole_works_with_channels_last_around_it() -> None:
    class Viewing(Picky):
        def forward(self, x: Tensor) -> Tensor:
            x = super().forward(x)
            return self.conv(x).view(len(x), -1).view(x.shape)

    network = frozen(Holder(Residual(6), Viewing()), 0)
    expected = network(EXAMPLE)
    traced = Traced(network, EXAMPLE, ("Viewing",))
    traced.lay_out_channels_last()
    assert network.stem.weight.is_contiguous(memory_format=torch.channels_last)
    x = EXAMPLE.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(Chain(traced, traced.cuts).features(x)[-1], expected)


def test_the_code_of_what_is_taken_whole_can_be_told_apart() -> None:
    network = frozen(Holder(Residual(6), Picky()), 0)
    assert "x.mean() < 1e6" in Traced(network, EXAMPLE, ("Picky",)).source
    assert Traced(frozen(SmallConv(), 0), EXAMPLE).source == ""


def test_networks_are_traced_and_run_in_several_threads_at_once() -> None:
    networks = [frozen(SmallConv(), seed) for seed in range(4)]
    expected = [network(EXAMPLE) for network in networks]
    called = nn.Module.__call__

    def trace(k: int) -> Tensor:
        return Chain(traced := Traced(networks[k], EXAMPLE), traced.cuts).features(EXAMPLE)[-1]

    def run(k: int) -> Tensor:
        return [networks[k](EXAMPLE) for _ in range(200)][-1]

    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(work, k) for work in (trace, run) for k in range(4)]
        for k, one in enumerate(found):
            torch.testing.assert_close(one.result(), expected[k % 4])
    assert nn.Module.__call__ is called


def test_a_network_that_changes_a_buffer_at_every_call_is_refused_and_left_as_it_was() -> None:
    class Counter(SmallConv):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.tensor(0))

        def forward(self, x: Tensor) -> Tensor:
            self.calls = self.calls + 1
            return super().forward(x)

    network = frozen(Counter(), 0)
    with pytest.raises(Untraceable, match=r"^Counter changes its own calls whenever it is called, in eval mode, too"):
        Traced(network, EXAMPLE)
    assert isinstance(network.calls, Tensor)


def test_what_a_network_keeps_of_its_first_call_is_no_change_and_no_symbol_stays_in_it() -> None:
    class Keeping(SmallConv):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", None)

        def forward(self, x: Tensor) -> Tensor:
            if self.scale is None:
                self.scale = torch.ones(1)
            self.seen = self.stem(x)
            self.last = self.seen.shape
            return self.head(self.blocks(self.seen * self.scale).mean((2, 3)))

    network = frozen(Keeping(), 0)
    network(EXAMPLE)
    network.last = (1,)
    assert_chains(network, 8)
    assert not [v for m in network.modules() for v in (*vars(m).values(), *m._buffers.values()) if isinstance(v, Proxy)]


@pytest.mark.parametrize("scale", [1e-4, 1.0])
def test_a_network_that_differs_from_its_graph_is_refused_however_small_its_scores_are(scale: float) -> None:
    class Written(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            before = x = self.stem(x)
            x += 1
            return scale * self.head(self.blocks(x + before).mean((2, 3)))

    class Mixing(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return scale * self.head(self.blocks(x - x.mean(0)).mean((2, 3)))

    assert "writes over its own tensors" in refusal(Written())
    assert "mixes the images of a batch" in refusal(Mixing())


def test_a_network_that_goes_through_its_images_in_order_mixes_them() -> None:
    class Ordered(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.cumsum(0))

    assert "mixes the images of a batch" in refusal(Ordered())


class Buffers(SmallConv):
    def __init__(self, read: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.register_buffer("wanted", torch.tensor([2.0, 3.0]))
        self.read = read

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * self.read(self.wanted))


@pytest.mark.parametrize(
    "read",
    [
        lambda buffer: int(buffer[0]),
        lambda buffer: float(buffer.numpy()[1]),
        lambda buffer: sum(float(one) for one in buffer),
        lambda buffer: [1.0, 2.0, 3.0][int(buffer[0])],
        lambda buffer: 2.0 if isinstance(buffer, Tensor) else 1.0,
        lambda buffer: buffer.clone().fill_(3.0)[0],
    ],
)
def test_what_a_network_reads_off_its_buffers_is_a_constant(read: Callable[[Tensor], Any]) -> None:
    assert_chains(frozen(Buffers(read), 0), 8)


def test_memory_that_runs_out_is_no_fault_of_the_networks() -> None:
    class Large(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            raise MemoryError

    with pytest.raises(MemoryError):
        Traced(frozen(Large(), 0), EXAMPLE)
