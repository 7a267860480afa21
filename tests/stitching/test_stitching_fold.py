from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, fx, nn

from stitchtui.networks import by_name
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.fold import GlobalAverage, ScaleShift, Subsample, attention, folded

SMALL = torch.rand(3, 3, 8, 8)


class Functional(nn.Module):
    """Convolution and BatchNorm as timm writes them: the BatchNorm's tensors go into a function."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, groups=3)
        self.bn = nn.BatchNorm2d(6)
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        bn = self.bn
        x = F.batch_norm(self.conv(x), bn.running_mean, bn.running_var, bn.weight, bn.bias, False, 0.1, bn.eps)
        return self.last(F.adaptive_avg_pool2d(torch.relu(x), 1).flatten(1))


class Vectors(nn.Module):
    """A BatchNorm without learnt scale on vectors, after a layer whose output something else reads too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.bn, self.last = nn.Linear(3 * 64, 5), nn.BatchNorm1d(5, affine=False), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x.flatten(1))
        return self.last(x + self.bn(x))


def chain_of(network: nn.Module, example: Tensor = SMALL, wanted: str = "blocks") -> Chain:
    traced = Traced(network, example)
    return Chain(traced, traced.select(wanted))


def layers(chain: Chain) -> list[type[nn.Module]]:
    """The kinds of layers that the chain's segments call."""
    segments = [s for s in chain.segments.modules() if isinstance(s, fx.GraphModule)]
    return [type(s.get_submodule(str(n.target))) for s in segments for n in s.graph.nodes if n.op == "call_module"]


@pytest.mark.parametrize("wanted", ["blocks", "all"])
@pytest.mark.parametrize("build", [SmallConv, SmallVit, Functional, Vectors])
def test_a_folded_chain_computes_the_same_at_every_cut(build: type[nn.Module], wanted: str) -> None:
    chain = chain_of(frozen(build(), 0), wanted=wanted)
    cheap = folded(chain, torch.float32)
    for ours, expected in zip(cheap.features(SMALL), chain.features(SMALL), strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["resnet18", "resnet20", "myrtle5", "vit"])
def test_a_folded_architecture_computes_the_same_scores_and_gradients(architecture: str) -> None:
    width = 1.0 if architecture == "vit" else 0.25
    chain = chain_of(frozen(by_name.build(architecture, 4, (3, 16, 16), width), 0), torch.rand(2, 3, 16, 16))
    cheap, gradients = folded(chain, torch.float32), []
    for each in (chain, cheap):
        x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        scores = each.after(0)(x)
        scores[:, 0].sum().backward()
        gradients.append((scores.detach(), x.grad))
    for ours, expected in zip(*gradients, strict=True):
        scale = float(expected.abs().max())
        torch.testing.assert_close(ours / scale, expected / scale, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("build", [SmallConv, Functional])
def test_no_batchnorm_after_a_convolution_is_left(build: type[nn.Module]) -> None:
    found = layers(folded(chain_of(frozen(build(), 0)), torch.float32))
    assert nn.Conv2d in found
    assert nn.BatchNorm2d not in found
    assert ScaleShift not in found


def test_a_batchnorm_that_a_cut_parts_from_its_convolution_is_a_scale_and_a_shift() -> None:
    found = layers(folded(chain_of(frozen(SmallConv(), 0), wanted="all"), torch.float32))
    assert nn.BatchNorm2d not in found
    assert found.count(ScaleShift) == 1  # the stem's: within a residual block there is no cut


def test_the_networks_own_weights_and_graph_stay_as_they_are() -> None:
    network = frozen(SmallConv(), 0)
    before = {k: v.clone() for k, v in network.state_dict().items()}
    chain = chain_of(network)
    code = [s.code for s in chain.segments]
    cheap = folded(chain, torch.bfloat16)
    assert all(torch.equal(v, before[k]) and v.dtype == before[k].dtype for k, v in network.state_dict().items())
    assert [s.code for s in chain.segments] == code
    own = {p.data_ptr() for p in network.parameters()}
    assert not any(p.data_ptr() in own for p in cheap.segments.parameters())


def test_only_the_segments_asked_for_are_copied() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    cheap = folded(chain, torch.float32, 1, 3)
    same = [a is b for a, b in zip(cheap.segments, chain.segments, strict=True)]
    assert same == [True, False, False, *[True] * (chain.output - 3)]


def test_batchnorms_that_normalise_by_the_batch_are_left_alone() -> None:
    network = frozen(SmallConv(), 0)
    chain = chain_of(network)
    network.train()
    assert layers(folded(chain, torch.float32)).count(nn.BatchNorm2d) == 3


def test_weights_are_cast_once_and_autocast_then_computes_what_it_would_have() -> None:
    chain = chain_of(frozen(Functional(), 0))
    cheap = folded(chain, torch.bfloat16)
    weights = [p for m in cheap.segments.modules() if type(m) in (nn.Linear, nn.Conv2d) for p in m.parameters()]
    assert {p.dtype for p in weights} == {torch.bfloat16}
    x = torch.rand(5, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(cheap.segments[-1](x), chain.segments[-1](x))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 0.0), (torch.bfloat16, 0.02)])
def test_attention_written_out_is_attention_and_has_its_gradient(dtype: torch.dtype, tolerance: float) -> None:
    generator = torch.Generator().manual_seed(0)
    exact = [torch.randn(2, 3, 5, 4, generator=generator).to(dtype).float().requires_grad_() for _ in range(3)]
    ours = [t.detach().to(dtype).requires_grad_() for t in exact]
    expected, found = F.scaled_dot_product_attention(*exact), attention(*ours)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=tolerance)
    expected.square().sum().backward()
    found.square().sum().backward()
    for a, b in zip(ours, exact, strict=True):
        torch.testing.assert_close(a.grad.float(), b.grad, rtol=2 * tolerance, atol=5 * tolerance)


def test_only_attention_without_a_mask_is_written_out() -> None:
    class Masked(SmallVit):
        def forward(self, x: Tensor) -> Tensor:
            q = self.patches(x).flatten(2).transpose(1, 2)
            plain = F.scaled_dot_product_attention(q, q, q)
            return self.head(F.scaled_dot_product_attention(plain, q, q, is_causal=True).mean(1))

    chain = folded(chain_of(frozen(Masked(), 0)), torch.bfloat16)
    graphs = [s.graph for s in chain.segments.modules() if isinstance(s, fx.GraphModule)]
    targets = [n.target for g in graphs for n in g.nodes if n.op == "call_function"]
    assert targets.count(attention) == 1
    assert targets.count(F.scaled_dot_product_attention) == 1


@pytest.mark.parametrize("build", [lambda: SmallConv(24), lambda: SmallVit(24)])
def test_in_bfloat16_a_folded_network_is_about_as_close_to_float32_as_one_that_is_not(
    build: Callable[[], nn.Module],
) -> None:
    chain = chain_of(frozen(build(), 0))
    cheap = folded(chain, torch.bfloat16)
    exact = chain.features(SMALL)[-1]
    with torch.autocast("cpu", torch.bfloat16):
        errors = [float((c.features(SMALL)[-1].float() - exact).norm() / exact.norm()) for c in (cheap, chain)]
    assert errors[0] < 2 * errors[1] + 1e-3


@pytest.mark.parametrize("keepdim", [True, False])
def test_the_average_over_pixels_has_the_gradient_of_a_mean_with_the_channels_last(keepdim: bool) -> None:
    xs = [torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(2)]
    xs[1].data.copy_(xs[0].data)
    outputs = [GlobalAverage(keepdim)(xs[0]), xs[1].mean((2, 3), keepdim=keepdim)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(xs[0].grad, xs[1].grad)
    assert xs[0].grad.is_contiguous(memory_format=torch.channels_last)


def test_every_second_pixel_has_the_gradient_of_indexing_with_the_channels_last() -> None:
    xs = [torch.rand(2, 3, 5, 4).contiguous(memory_format=torch.channels_last).requires_grad_() for _ in range(2)]
    xs[1].data.copy_(xs[0].data)
    outputs = [Subsample(2)(xs[0]), xs[1][:, :, ::2, ::2]]
    assert torch.equal(*outputs)
    for output in outputs:
        output.square().sum().backward()
    assert torch.equal(xs[0].grad, xs[1].grad)
    assert xs[0].grad.is_contiguous(memory_format=torch.channels_last)


def test_a_resnet_of_he_et_al_has_its_slow_gradients_replaced() -> None:
    network = frozen(by_name.build("resnet20", 4, (3, 16, 16), 0.25), 0)
    found = layers(folded(chain_of(network, torch.rand(2, 3, 16, 16)), torch.float32))
    assert found.count(Subsample) == 2
    assert found.count(GlobalAverage) == 1
