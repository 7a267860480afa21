import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, fx, nn

from stitchtui.stitching.chain import Chain, Normalise
from stitchtui.stitching.cuts import Traced, Untraceable, cut_nodes

EXAMPLE = torch.rand(2, 3, 8, 8)


class RandomGraph(nn.Module):
    """Each node adds one or two earlier ones, as a list of pairs says; the last node is the output."""

    def __init__(self, edges: list[tuple[int, int]]) -> None:
        super().__init__()
        self.edges = edges

    def forward(self, x: Tensor) -> Tensor:
        values = [x]
        for i, (a, b) in enumerate(self.edges):
            first, second = values[a % len(values)], values[b % len(values)]
            values.append(torch.tanh(first) if first is second else first * 0.5 + second * (i + 1))
        return values[-1]


@st.composite
def graphs(draw: st.DrawFn) -> list[tuple[int, int]]:
    count = draw(st.integers(1, 10))
    near = st.tuples(st.integers(0, 40), st.integers(0, 40))
    return [draw(near | st.just((i, i))) for i in range(count)]


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_chain_of_all_cuts_equals_the_network_on_any_graph(edges: list[tuple[int, int]]) -> None:
    network = RandomGraph(edges)
    x = torch.randn(2, 3)
    traced = Traced(network, x)
    chain = Chain(traced, traced.select("all"))
    for batch in (2, 5):
        x = torch.randn(batch, 3)
        torch.testing.assert_close(chain.features(x)[-1], network(x))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_the_scan_finds_exactly_the_nodes_that_every_path_goes_through(edges: list[tuple[int, int]]) -> None:
    traced = Traced(RandomGraph(edges), torch.randn(2, 3))
    live = traced.live
    found = set(cut_nodes(live))
    start, end = live[0], live[-1]
    for node in live[1:-1]:
        assert (node in found) == (not reaches(start, end, without=node, inside=set(live)))


def reaches(start: fx.Node, end: fx.Node, without: fx.Node, inside: set[fx.Node]) -> bool:
    waiting, seen = [start], {start, without}
    while waiting:
        node = waiting.pop()
        if node is end:
            return True
        fresh = [u for u in node.users if u in inside and u not in seen]
        seen.update(fresh)
        waiting += fresh
    return False


def test_upto_and_after_any_cut_compose_to_the_network() -> None:
    network = frozen(SmallConv(), 0)
    traced = Traced(network, EXAMPLE)
    chain = Chain(traced, traced.select("all"))
    for boundary in range(chain.output + 1):
        torch.testing.assert_close(chain.after(boundary)(chain.upto(boundary)(EXAMPLE)), network(EXAMPLE))


def test_a_chain_shares_the_networks_own_weights() -> None:
    network = SmallConv()
    traced = Traced(network.eval(), EXAMPLE)
    chain = Chain(traced, traced.select("blocks"))
    assert {id(p) for p in chain.segments.parameters()} == {id(p) for p in network.parameters()}


def test_blocks_are_named_after_their_modules() -> None:
    traced = Traced(frozen(SmallConv(), 0), EXAMPLE)
    assert [c.name for c in traced.select("blocks")] == ["stem", "blocks.0", "blocks.1", "blocks.1.relu+mean"]
    network = torchvision.models.get_model("resnet18").eval()
    names = [c.name for c in Traced(network, torch.rand(2, 3, 64, 64)).select("blocks")]
    assert names[:3] == ["maxpool", "layer1.0", "layer1.1"]
    assert names[-2:] == ["layer4.1", "avgpool+flatten"]


def test_a_network_can_declare_its_own_blocks() -> None:
    network = frozen(SmallConv(), 0)
    network.block_cuts = ("stem.0", "blocks.0")
    assert [c.name for c in Traced(network, EXAMPLE).select("blocks")] == ["stem.0", "blocks.0"]


def test_cut_names_are_unique_and_modules_are_other_names_for_them() -> None:
    traced = Traced(frozen(SmallConv(), 0), EXAMPLE)
    names = [c.name for c in traced.cuts]
    assert len(set(names)) == len(names)
    assert traced.select(["blocks"]) == traced.select(["blocks.1"])


def test_chosen_cuts_come_in_the_order_of_the_network() -> None:
    traced = Traced(frozen(SmallConv(), 0), EXAMPLE)
    assert [c.name for c in traced.select(["blocks.1", "stem"])] == ["stem", "blocks.1"]


def test_an_unknown_cut_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ValueError, match=r"cuts: 'block\.0' is not known; nearest: 'blocks\.0'"):
        Traced(frozen(SmallConv(), 0), EXAMPLE).select(["block.0"])


def test_tokens_and_channels_last_maps_keep_their_channels_on_the_last_axis() -> None:
    vit = Traced(frozen(SmallVit(), 0), EXAMPLE)
    block = vit.select(["blocks.0"])[0]
    assert (block.channel_axis, block.channels, block.positions) == (-1, 8, (4,))
    swin = Traced(torchvision.models.swin_t(num_classes=3).eval(), torch.rand(2, 3, 64, 64))
    assert {c.channel_axis for c in swin.select("blocks")} == {-1}
    conv = Traced(frozen(SmallConv(), 0), EXAMPLE).select(["blocks.0"])[0]
    assert (conv.channel_axis, conv.channels, conv.positions) == (1, 6, (8, 8))


def test_depth_and_parameters_grow_along_the_chain() -> None:
    traced = Traced(frozen(SmallConv(), 0), EXAMPLE)
    facts = Chain(traced, traced.select("blocks")).facts(EXAMPLE)
    depths, parameters = [f.depth for f in facts], [f.parameters for f in facts]
    assert depths == sorted(depths)
    assert 0 < depths[0] < depths[-1] < 1
    assert parameters == sorted(parameters)
    assert parameters[0] == 3 * 6 * 9 + 6 + 12  # the stem's convolution with bias, and its BatchNorm


def test_normalisation_happens_before_the_first_segment() -> None:
    network = frozen(SmallConv(), 0)
    normalise = Normalise([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    traced = Traced(network, EXAMPLE)
    chain = Chain(traced, traced.select("blocks"), normalise)
    mean, std = (torch.tensor(v)[:, None, None] for v in ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4]))
    expected = network((EXAMPLE - mean) / std)
    torch.testing.assert_close(chain.features(EXAMPLE)[-1], expected)


class InPlace(nn.Module):
    """Every way there is to write over a tensor that an earlier cut has handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.conv(x))
        x = nn.functional.relu(self.norm(x), True)
        x = nn.functional.hardtanh(x, inplace=True)
        x = torch.relu_(x - 0.1)
        x = x.mul_(2)
        x += 1
        x *= 0.5
        return self.head(nn.functional.dropout(x.mean((2, 3)), 0.5, False, True))


def test_what_a_cut_hands_out_is_never_written_over() -> None:
    network = frozen(InPlace(), 0)
    x = torch.randn(4, 3, 8, 8)
    expected = network(x.clone())
    traced = Traced(network, EXAMPLE)
    chain = Chain(traced, traced.select("all"))
    features = chain.features(x)
    torch.testing.assert_close(features[-1], expected)
    for boundary in range(chain.output + 1):
        torch.testing.assert_close(features[boundary], chain.upto(boundary)(x), msg=f"at boundary {boundary}")
        torch.testing.assert_close(chain.after(boundary)(features[boundary]), expected)


class PreActivation(nn.Module):
    """An in-place ReLU whose effect on the shortcut is used later: out of place it would be another network."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return (self.conv(self.relu(x)) + x).mean((2, 3))


class Statement(PreActivation):
    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x.relu_()
        return self.conv(x).mean((2, 3))


class BatchDependent(PreActivation):
    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return (x - x.mean(0, keepdim=True)).square().mean((2, 3))


@pytest.mark.parametrize("network", [PreActivation, Statement])
def test_a_network_that_needs_its_in_place_operations_is_refused(network: type[nn.Module]) -> None:
    with pytest.raises(Untraceable, match=rf"{network.__name__} writes over its own tensors .* set inplace=False"):
        Traced(frozen(network(), 0), torch.randn(2, 3, 8, 8))


def test_a_network_that_mixes_the_images_of_a_batch_is_refused() -> None:
    with pytest.raises(Untraceable, match="BatchDependent mixes the images of a batch"):
        Traced(frozen(BatchDependent(), 0), torch.randn(5, 3, 8, 8))


class Views(nn.Module):
    """What most hand-written networks do: functional layers, and a view before the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.fc = nn.Linear(6 * 4 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(nn.functional.relu(self.conv1(x)), 2)
        x = nn.functional.relu(self.conv2(x))
        return self.fc(x.view(x.size(0), -1))


def test_a_view_works_in_any_memory_format() -> None:
    network = frozen(Views(), 0)
    traced = Traced(network, EXAMPLE)
    chain = Chain(traced, traced.select("blocks"))
    expected = network(EXAMPLE)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(chain.features(EXAMPLE.contiguous(memory_format=torch.channels_last))[-1], expected)


def test_a_block_ends_before_its_positions_are_flattened_away() -> None:
    cuts = Traced(frozen(Views(), 0), EXAMPLE).select("blocks")
    assert [(c.name, c.shape) for c in cuts] == [("conv1+max_pool2d", (4, 4, 4)), ("conv2+relu", (6, 4, 4))]


@pytest.mark.parametrize(
    "name, cut, axis",
    [
        ("swin_t", "features.0.1", -1),
        ("convnext_tiny", "features.0.0+layer_norm", -1),
        ("convnext_tiny", "features.1.0", 1),
        ("vit", "conv_proj+reshape", 1),
        ("vit", "encoder.layers.encoder_layer_0", -1),
    ],
)
def test_channels_are_where_the_nearest_layers_read_them(name: str, cut: str, axis: int) -> None:
    if name == "vit":
        network: nn.Module = torchvision.models.VisionTransformer(32, 16, 1, 1, 8, 8, num_classes=3)
    else:
        network = torchvision.models.get_model(name, num_classes=3)
    traced = Traced(network.eval(), torch.rand(2, 3, 32, 32))
    names = [c.name for c in traced.cuts]
    assert traced.select([cut])[0].channel_axis == axis, names[:8]


def test_arguments_with_defaults_keep_them() -> None:
    class Masked(SmallConv):
        def forward(self, x: Tensor, mask: Tensor | None = None, scale: float = 2.0) -> Tensor:
            return super().forward(x if mask is None else x * mask) * scale

    network = frozen(Masked(), 0)
    traced = Traced(network, EXAMPLE)
    torch.testing.assert_close(Chain(traced, traced.cuts).features(EXAMPLE)[-1], network(EXAMPLE))


def test_a_network_that_cannot_be_traced_is_refused_in_one_line() -> None:
    class Branches(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(Untraceable, match=r"Branches can't be traced by torch\.fx: [^\n]*control flow[^\n]*$"):
        Traced(Branches(), EXAMPLE)


def test_a_network_with_two_outputs_is_refused() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.mean((2, 3)), x

    with pytest.raises(Untraceable, match="returns a tuple; expected one tensor of class scores"):
        Traced(Two(), EXAMPLE)


def test_weights_of_five_axes_stay_as_they_are_when_the_others_have_their_channels_last() -> None:
    class Volumes(SmallConv):
        def __init__(self) -> None:
            super().__init__()
            self.volume = nn.Conv3d(3, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return super().forward(self.volume(x[:, :, None])[:, :, 0])

    network = frozen(Volumes(), 0)
    x = torch.rand(2, 3, 8, 8)
    expected = network(x)
    traced = Traced(network, x)
    traced.lay_out_channels_last()
    assert network.volume.weight.is_contiguous()
    assert network.stem[0].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(Chain(traced, traced.cuts).features(x)[-1], expected)
    (volume,) = [cut for cut in traced.cuts if cut.name == "volume"]
    assert (volume.shape, volume.channel_axis) == ((3, 1, 8, 8), 1)


def test_a_map_that_is_cut_into_windows_is_no_cut_where_nothing_tells_its_channels() -> None:
    class Windows(SmallConv):
        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            n, c, h, w = x.shape
            x = x.reshape(n, c, h // 2, 2, w // 2, 2).permute(0, 2, 4, 3, 5, 1)
            x = x.permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)
            return self.head(self.blocks(x).mean((2, 3)))

    traced = Traced(frozen(Windows(), 0), torch.rand(2, 3, 8, 8))
    assert {(cut.channels, cut.channel_axis) for cut in traced.cuts if len(cut.shape) > 1} == {(6, 1)}
    assert (4, 4, 2, 2, 6) not in {cut.shape for cut in traced.cuts}


def test_a_network_that_takes_its_images_as_one_of_several_is_cut_like_any_other() -> None:
    class Star(SmallConv):
        def forward(self, *inputs: Tensor) -> Tensor:
            return super().forward(inputs[0])

    plain, star = (Traced(frozen(kind(), 0), torch.rand(2, 3, 8, 8)) for kind in (SmallConv, Star))
    assert [c.name for c in star.cuts] == [c.name for c in plain.cuts]
    x = torch.rand(3, 3, 8, 8)
    torch.testing.assert_close(Chain(star, star.cuts).features(x)[-1], frozen(SmallConv(), 0)(x))
