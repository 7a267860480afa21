"""Architectures are found by name, build what they say, and refuse what they can't use in one line."""

import pytest
import torch
from torch import fx, nn

from stitchtui.base.errors import BadInput
from stitchtui.networks import by_name
from stitchtui.networks.by_name import build, canonical, names
from stitchtui.spec.architectures import ARCHITECTURES

SMALL = {"width": 0.125}
VIT = {"width": 1.0, "options": {"patch": 8, "depth": 2, "heads": 2, "dim": 16}}


def tiny(name: str, classes: int = 5, shape: tuple[int, int, int] = (3, 32, 32)) -> nn.Module:
    torch.manual_seed(0)
    return build(name, classes, shape, **(VIT if name == "vit" else SMALL)).eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_own_architecture_gives_a_score_for_each_class_at_any_batch_size(name: str) -> None:
    network = tiny(name)
    with torch.no_grad():
        for batch in (2, 3):
            scores = network(torch.randn(batch, 3, 32, 32))
            assert scores.shape == (batch, 5)
            assert scores.isfinite().all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_own_architecture_is_traced_to_a_graph_that_computes_the_same(name: str) -> None:
    network = tiny(name)
    traced = fx.symbolic_trace(network)
    with torch.no_grad():
        for batch in (2, 3):
            x = torch.randn(batch, 3, 32, 32)
            assert torch.equal(traced(x), network(x))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_block_cuts_name_modules_in_the_order_they_run(name: str) -> None:
    network = tiny(name)
    ran: list[str] = []
    for cut in network.block_cuts:
        network.get_submodule(cut).register_forward_hook(lambda *_, cut=cut: ran.append(cut))
    with torch.no_grad():
        network(torch.randn(2, 3, 32, 32))
    assert tuple(ran) == network.block_cuts


def test_myrtle5_is_cut_directly_after_each_of_its_five_convolutions() -> None:
    network = tiny("myrtle5")
    convolutions = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d)]
    assert list(network.block_cuts) == convolutions == ["conv1", "conv2", "conv3", "conv4", "conv5"]


@pytest.mark.parametrize("layers", [20, 56, 110, 164])
def test_a_resnet_has_as_many_layers_as_its_name_says(layers: int) -> None:
    weighted = [
        path
        for path, module in tiny(f"resnet{layers}").named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in path
    ]
    assert len(weighted) == layers


def test_resnet18_is_the_papers_with_64_channels_and_no_batchnorm_after_its_last_block() -> None:
    network = build("resnet18", 10, (3, 32, 32))
    assert sum(p.numel() for p in network.parameters()) == 11_171_146
    assert [name for name, _ in network.named_children()][-4:] == ["layer4", "pool", "flatten", "linear"]


@pytest.mark.parametrize(("width", "expected"), [(0.5, 32), (0.126, 8), (0.001, 1), (1.25, 80)])
def test_width_scales_channels_and_leaves_at_least_one(width: float, expected: int) -> None:
    assert build("resnet18", 10, (3, 32, 32), width).get_submodule("conv1").out_channels == expected


def test_initial_weights_follow_torchs_seed() -> None:
    first, again = tiny("digits_cnn"), tiny("digits_cnn")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("pool", ["mean", "token"])
def test_vit_pools_by_mean_or_class_token(pool: str) -> None:
    network = build("vit", 4, (1, 8, 8), options={"depth": 1, "heads": 2, "dim": 8, "pool": pool})
    tokens = network.get_submodule("embedding")(torch.randn(2, 1, 8, 8))
    assert tokens.shape == (2, 4 + (pool == "token"), 8)
    assert network(torch.randn(2, 1, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("resnet17", {}, "'resnet17' is not known; nearest: 'resnet1"),
        ("vit", {"options": {"pacth": 4}}, "option 'pacth' is not known; nearest: 'patch'"),
        ("vit", {"options": {"patch": 5}}, "option patch: 5 doesn't divide"),
        ("vit", {"options": {"patch": 0}}, "option patch: expected a positive integer, got 0"),
        ("vit", {"options": {"depth": 2.5}}, "option depth: expected a positive integer, got 2.5"),
        ("vit", {"options": {"depth": True}}, "option depth: expected a positive integer"),
        ("vit", {"options": {"heads": 5, "dim": 16}}, "option heads: 5 doesn't divide"),
        ("vit", {"options": {"pool": "max"}}, "option pool: expected one of mean, token"),
        ("resnet20", {"options": {"depth": 20}}, "'depth' is not known; it takes no options"),
        ("resnet20", {"weights": "DEFAULT"}, "no published weights"),
        ("mobilenet_v2", {"width": 0.5}, "width 0.5 can't be used"),
        ("mobilenet_v2", {"weights": "IMAGENET1K_V9"}, "'IMAGENET1K_V9' is not known; nearest: 'IMAGENET1K_V"),
        ("mobilenet_v2", {"weights": "DEFAULT"}, "are for 1000 classes, the data has 10"),
        ("mobilenet_v2", {"options": {"nonsense": 1}}, "can't be built with options nonsense"),
        ("torchvision:resnet17", {}, "'resnet17' is not known; nearest: 'resnet1"),
    ],
)
def test_what_cant_be_built_is_refused_in_one_line(name: str, arguments: dict, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        build(name, 10, (3, 32, 32), **arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_myrtle5_says_which_images_are_too_small() -> None:
    with pytest.raises(BadInput, match="at least 16 x 16, got 8 x 8"):
        build("myrtle5", 10, (1, 8, 8))


def test_torchvision_networks_are_built_by_their_own_names_with_the_datas_classes() -> None:
    assert {"mobilenet_v2", "densenet121", "swin_t", "digits_cnn"} <= set(names())
    assert len(names()) == len(set(names()))
    network = build("squeezenet1_1", 7, (3, 64, 64)).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 3, 64, 64)).shape == (2, 7)


def test_resnet18_is_torchvisions_only_with_weights_or_by_prefix() -> None:
    assert canonical("resnet18") == "resnet18"
    assert canonical("resnet18", "DEFAULT") == "torchvision:resnet18"
    assert canonical("torchvision:resnet18") == "torchvision:resnet18"
    assert canonical("mobilenet_v2") == "torchvision:mobilenet_v2"
    assert build("torchvision:resnet18", 10, (3, 32, 32)).get_submodule("conv1").kernel_size == (7, 7)


def test_weights_that_cant_be_downloaded_say_where_to_put_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_args: object, **_kwargs: object) -> nn.Module:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models.get_model", offline)
    with pytest.raises(BadInput, match=r"can't be loaded .*no route to host.*; put https://\S+\.pth at \S+\.pth"):
        build("mobilenet_v2", 1000, (3, 32, 32), weights="DEFAULT")


def test_names_are_what_build_knows() -> None:
    assert all(by_name.canonical(name) for name in names())
