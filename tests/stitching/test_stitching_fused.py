from collections.abc import Callable

import pytest
import torch
from small_networks import frozen
from torch import Tensor, fx, nn

from stitchtui.networks import architectures
from stitchtui.stitching import fit, fused, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.fold import folded

available = pytest.mark.parametrize("dtype", [d for d in (torch.float32, torch.bfloat16) if fused._works(d)])


class Residual(nn.Module):
    """Everything that a fused convolution may meet: ReLUs, sums on either side, strides, groups, what is read twice."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.first = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False)
        self.second = nn.Conv2d(8, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(8, 16, 1, stride=2)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.gate = nn.Conv2d(16, 16, 1)
        self.wide = nn.Conv2d(16, 16, 3, padding=2, dilation=2)
        self.same = nn.Conv2d(16, 16, 3, padding="same")
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        x = torch.relu(x + self.second(torch.relu(self.first(x))))  # a sum on the right
        y = self.down(x)
        x = self.relu(self.shortcut(x) + y) * y.sigmoid()  # y is read twice
        x = self.gate(x.mean((2, 3), keepdim=True)) + x  # smaller than what is added: broadcasts
        x = self.same(self.wide(x)) + 1.0  # no tensor to add, and no ReLU
        return self.head(x.mean((2, 3)))


def graph(dtype: torch.dtype) -> tuple[fx.GraphModule, fx.GraphModule]:
    """A network in `dtype`, and the same fused."""
    network = frozen(Residual(), 0).to(dtype)
    plain, ours = fx.symbolic_trace(network), fx.symbolic_trace(network)
    fused.fuse(ours)
    ours.graph.lint()
    return plain, ours


def run(network: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """The scores and the gradient of their squares' sum in `x`."""
    x = x.detach().requires_grad_()
    scores = network(x)
    scores.float().square().sum().backward()
    assert x.grad is not None
    return scores.detach(), x.grad


@available
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_fused_network_has_the_same_scores_and_gradients(dtype: torch.dtype, layout: torch.memory_format) -> None:
    plain, ours = graph(dtype)
    x = torch.randn(5, 3, 9, 7, generator=torch.Generator().manual_seed(1)).to(dtype, memory_format=layout)
    close = {"rtol": 1e-4, "atol": 1e-5} if dtype == torch.float32 else {"rtol": 0.05, "atol": 0.05}
    for found, expected in zip(run(ours, x), run(plain, x), strict=True):
        torch.testing.assert_close(found, expected, **close)


@available
def test_every_convolution_that_can_be_is_fused_with_what_alone_reads_it(dtype: torch.dtype) -> None:
    _, ours = graph(dtype)
    calls = [n for n in ours.graph.nodes if n.op == "call_module"]
    found = {str(n.target): (len(n.args), ours.get_submodule(str(n.target))) for n in calls}
    kinds = {name: (count, layer.relu) for name, (count, layer) in found.items() if hasattr(layer, "computed")}
    assert kinds == {
        "fused_stem": (1, True),
        "fused_first": (1, True),
        "fused_second": (2, True),
        "fused_shortcut": (2, True),
        "fused_down": (1, False),
        "fused_gate": (2, False),
        "fused_wide": (1, False),
    }
    assert type(found["same"][1]) is nn.Conv2d


def test_where_the_operations_are_missing_or_wrong_nothing_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    def expect_plain() -> None:
        monkeypatch.setattr(fused, "_known", {})
        plain, ours = graph(torch.float32)
        assert [n.target for n in ours.graph.nodes] == [n.target for n in plain.graph.nodes]

    with monkeypatch.context() as patch:
        patch.setattr(fused, "_POINTWISE", None)
        expect_plain()
    with monkeypatch.context() as patch:
        patch.setattr(fused.FusedConvolution, "computed", lambda *_: torch.zeros(2, 4, 5, 5))
        expect_plain()
    with monkeypatch.context() as patch:
        patch.setattr(fused, "_REORDERED", lambda *_: None)
        expect_plain()


@available
def test_a_column_trains_to_the_same_stitches_fused_or_not(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained() -> list[Tensor]:
        chains = []
        for seed in (0, 1):
            traced = Traced(
                frozen(architectures.build("resnet20", 10, (3, 16, 16), 0.25), seed), torch.rand(2, 3, 16, 16)
            )
            chains.append(Chain(traced, traced.select("blocks")))
        bottom, top = chains
        cells = [fit.Cell(k, k, stitches.build("affine", c, c)) for k, c in enumerate(top.cuts, 1)]
        for cell in cells:
            stitches.start_as_identity(cell.stitch)
        generator = torch.Generator().manual_seed(0)
        batches = [(torch.rand(16, 3, 16, 16, generator=generator), torch.arange(16) % 10) for _ in range(6)]
        fit.train_column(bottom, top, cells, batches, fit.Recipe(6, 1e-2, dtype=dtype))
        return [c.stitch.weight.detach() for c in cells]

    ours = trained()
    with monkeypatch.context() as patch:
        patch.setattr(fused, "_can_be_fused", lambda _: False)
        plain = trained()
    tolerance = 1e-4 if dtype == torch.float32 else 0.03
    for found, expected in zip(ours, plain, strict=True):
        torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


def test_the_chains_own_layers_are_left_as_they_are() -> None:
    network = frozen(architectures.build("resnet20", 10, (3, 8, 8), 0.25), 0)
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    chain = Chain(traced, traced.select("blocks"))
    folded(chain, torch.float32)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not any(isinstance(m, fused.FusedConvolution) for m in chain.segments.modules())
