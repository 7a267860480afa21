"""A stitch learns through what lies above it: gradients are the network's own, and a cell that none reaches fails."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced, Untraceable
from stitchtui.stitching.families import Affine
from stitchtui.stitching.precision import in_float32
from stitchtui.stitching.seams import Seam
from stitchtui.stitching.unreached import unreached, what_stops

IMAGES, LABELS = torch.rand(8, 3, 8, 8), torch.arange(8) % 4


class Sign(torch.autograd.Function):
    """Straight through where the input is small."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0].abs() < 1)


class Reverse(torch.autograd.Function):
    """Changes nothing on the way up and the sign on the way down; without a context in forward()."""

    @staticmethod
    def forward(x, strength):
        return x.clone()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.strength = inputs[1]

    @staticmethod
    def backward(ctx, g):
        return -ctx.strength * g, None


class Halved(Sign):
    """Inherits its forward pass, not its backward one."""

    @staticmethod
    def backward(ctx, g):
        return 0.5 * g


sign = Sign.apply  # as modules of such functions often have it


class Call(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def straight_through(x: Tensor) -> Tensor:
    return x + ((4 * x).round() / 4 - x).detach()


KINDS: dict[str, Callable[[], nn.Module]] = {
    "conv": lambda: nn.Conv2d(3, 3, 3, padding=1),
    "relu": nn.ReLU,
    "sign": lambda: Call(sign),
    "halved": lambda: Call(Halved.apply),
    "reverse": lambda: Call(lambda x: Reverse.apply(x, 2.0)),
    "straight": lambda: Call(straight_through),
    "tanh": nn.Tanh,
}


class Row(nn.Module):
    """Modules in a row, so that hooks see each tensor and its gradient in the network itself."""

    def __init__(self, kinds: list[str]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(KINDS[kind]() for kind in kinds))
        self.head = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3)))


def own_gradients(network: Row, x: Tensor) -> list[Tensor | None]:
    """Those of the sum of squared scores at the output of each layer, by hooks."""
    made: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Tensor) -> None:
        output.retain_grad()
        made.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in network.layers]
    network(x.clone().requires_grad_(True) * 1.0).square().sum().backward()
    for hook in hooks:
        hook.remove()
    return [tensor.grad for tensor in made]


@settings(max_examples=50)
@given(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6))
def test_the_gradient_at_every_cut_is_the_networks_own(kinds: list[str]) -> None:
    network = frozen(Row(kinds), 0)
    traced = Traced(network, IMAGES[:2])
    ends = [f"layers.{k}" for k in range(len(kinds))]
    cuts = traced.select(ends)
    chain = Chain(traced, cuts)
    features = chain.features(IMAGES)
    for k, (cut, expected) in enumerate(zip(ends, own_gradients(network, IMAGES), strict=True)):
        boundary = chain.index(traced.select([cut])[0].name)
        x = features[boundary].detach().requires_grad_(True)
        chain.after(boundary)(x).square().sum().backward()
        torch.testing.assert_close(x.grad, expected, msg=f"layer {k}")


class Detached(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)).detach())


class Data(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).data.mean((2, 3)))


class Signed(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sign(self.blocks(self.stem(x)).mean((2, 3)) - 0.5))


class Rounded(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(straight_through(self.blocks(torch.round(4 * self.stem(x)))).mean((2, 3)))


def chain_of(network: nn.Module, level: str = "all") -> Chain:
    traced = Traced(frozen(network, 0), IMAGES[:2])
    return Chain(traced, traced.select(level))


@pytest.mark.parametrize(
    ("network", "operation"), [(Detached(), "detach"), (Data(), ".data"), (Signed(), "sign"), (Rounded(), "round")]
)
def test_what_lets_no_gradient_through_is_named(network: nn.Module, operation: str) -> None:
    chain = chain_of(network)
    features = chain.features(IMAGES)
    found = [what_stops(chain.segments[k:], features[k]) for k in range(1, chain.output)]
    assert found[0] == operation
    assert found[-1] is None
    assert found == sorted(found, key=lambda what: what is None), "below the operation every cut, above it none"


def test_it_is_named_in_a_network_of_other_numbers_too() -> None:
    network = frozen(Detached(), 0).double()
    traced = Traced(network, IMAGES[:2].double())
    chain = in_float32(Chain(traced, traced.cuts), [torch.float64] * (len(traced.cuts) + 2))
    assert what_stops(chain.segments[1:], chain.features(IMAGES)[1]) == "detach"


def cells(chain: Chain) -> list[Seam]:
    built = []
    for k, cut in enumerate(chain.cuts, 1):
        stitch = Affine(cut.channels, cut.channels, cut.channel_axis)
        with torch.no_grad():
            stitch.weight.copy_(torch.eye(cut.channels))
        built.append(Seam(k, k, stitch))
    return built


def test_the_cells_that_no_gradient_reaches_are_found_and_no_others() -> None:
    chain = chain_of(Detached())
    every = cells(chain)
    found = unreached(chain, chain, every, (IMAGES, LABELS), "task")
    assert sorted(found) == list(range(len(every) - 1))
    assert set(found.values()) == {"no gradient reaches the stitch: detach lets none through"}


@pytest.mark.parametrize("objective", ["task", "soft", "final_features", "trajectory"])
def test_in_a_network_that_lets_gradients_through_no_cell_is_stopped(objective: str) -> None:
    chain = chain_of(SmallConv())
    every = [c for c in cells(chain) if objective == "task" or c.top < chain.output - 1]
    for cell in every:
        with torch.no_grad():
            cell.stitch.weight.add_(0.1 * torch.randn_like(cell.stitch.weight))
    assert unreached(chain, chain, every, (IMAGES, LABELS), objective) == {}


def test_a_loss_that_is_down_at_zero_stops_nothing() -> None:
    class Sure(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return 1e4 * super().forward(x)

    chain = chain_of(Sure())
    answers = chain.features(IMAGES)[-1].argmax(1)
    assert unreached(chain, chain, cells(chain), (IMAGES, answers), "task") == {}


def test_an_operation_without_a_backward_pass_fails_the_cells_below_it_alone() -> None:
    class Odd(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            raise RuntimeError("no way back")

    class Oneway(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(Odd.apply(self.blocks(self.stem(x))).mean((2, 3)))

    chain = chain_of(Oneway(), "blocks")
    found = unreached(chain, chain, cells(chain), (IMAGES, LABELS), "task")
    assert found[0] == "no gradient reaches the stitch: no way back"
    assert len(chain.cuts) - 1 not in found


def test_a_graph_with_other_gradients_than_its_network_is_refused() -> None:
    class Sly(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(self.blocks(x if type(x) is Tensor else x.detach()).mean((2, 3)))

    with pytest.raises(Untraceable, match=r"^Sly: the images' gradient is another through its graph than through"):
        chain_of(Sly())


def test_layers_under_no_grad_are_trained_through_and_said() -> None:
    class Still(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.blocks(self.stem(x))
            return self.head(x.mean((2, 3)))

    traced = Traced(frozen(Still(), 0), IMAGES[:2])
    assert traced.notes == (
        "what it computes under torch.no_grad() (the last is blocks.1.bn) is trained through all the same",
    )
    chain = Chain(traced, traced.cuts)
    assert what_stops(chain.segments[1:], chain.features(IMAGES)[1]) is None


def test_reading_a_network_leaves_its_parameters_frozen_and_without_gradients() -> None:
    network = frozen(SmallConv(), 0)
    learning = next(network.parameters()).requires_grad_(True)
    Traced(network, IMAGES[:2])
    assert [p is learning for p in network.parameters()] == [p.requires_grad for p in network.parameters()]
    assert all(p.grad is None for p in network.parameters())


@pytest.mark.parametrize("twist", [lambda x: F.dropout(x, 0.5), lambda x: x + 0.1 * torch.randn_like(x)])
def test_a_network_that_draws_at_random_is_told_so(twist: Callable[[Tensor], Tensor]) -> None:
    class Noisy(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return self.head(twist(self.blocks(self.stem(x)).mean((2, 3))))

    with pytest.raises(
        Untraceable, match=r"^Noisy gives other scores each time that it is called with the same images"
    ):
        chain_of(Noisy())


def test_a_network_with_autocast_of_its_own_is_told_so_and_can_be_taken_whole() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return 100 * self.conv(x).float()

    class Holder(SmallConv):
        def __init__(self) -> None:
            super().__init__()
            self.first = Half()

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.first(x))

    with pytest.raises(Untraceable, match=r"^Holder computes under torch.autocast in first, .* \(--leaf first\)"):
        chain_of(Holder())
    assert len(Traced(frozen(Holder(), 0), IMAGES[:2], ("first",)).cuts) > 2


def test_what_tracing_can_not_see_is_not_blamed_on_anything_else() -> None:
    class Sly(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) * (2.0 if type(x) is Tensor else 1.0)

    with pytest.raises(Untraceable, match=r"^Sly computes something else than its graph"):
        chain_of(Sly())
