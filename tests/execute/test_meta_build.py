"""A network that is only looked at needs no numbers: built on the meta device it says the same as the whole one."""

import pytest
import torch

from stitchtui.base.errors import BadInput
from stitchtui.execute import network_facts
from stitchtui.execute.meta_build import MetaBuild
from stitchtui.execute.network_facts import NetworkQuestion
from stitchtui.networks.obtain import from_name

NAMES = [
    "resnet20", "vit", "digits_cnn", "torchvision:resnet18", *(
        pytest.param(f"torchvision:{name}", marks=pytest.mark.slow)
        for name in ("efficientnet_b0", "regnet_y_400mf", "vit_b_32")
    ),
]  # fmt: skip


@pytest.fixture
def shape(monkeypatch):
    monkeypatch.setattr(network_facts, "data_shape", lambda _: ((3, 32, 32), 10))


@pytest.mark.parametrize("name", NAMES)
def test_it_has_the_cuts_shapes_depths_and_parameters_of_the_whole_network(shape, monkeypatch, name):
    if name.endswith("vit_b_32"):  # takes one size only
        monkeypatch.setattr(network_facts, "data_shape", lambda _: ((3, 224, 224), 10))
    asked = NetworkQuestion(data="any", architecture=name)
    bare = network_facts.cuts(asked)
    assert network_facts._without_numbers(asked, *network_facts.data_shape("any")) is not None
    monkeypatch.setattr(network_facts, "_without_numbers", lambda *_: None)
    whole = network_facts.cuts(asked)
    for one, other in zip(bare["cuts"], whole["cuts"], strict=True):
        # FLOPs of attention that runs fused aren't counted, those of such a build are
        assert one.pop("depth") == pytest.approx(other.pop("depth"), abs=0.06 if "vit" in name else 0)
    assert bare == whole


def test_it_holds_no_numbers():
    with MetaBuild():
        module = from_name(NetworkQuestion(data="any", architecture="torchvision:vgg11").spec, (3, 32, 32), 10)[0]
    assert {weights.device.type for weights in module.parameters()} == {"meta"}
    assert torch.zeros(1).device.type == "cpu", "and what is made after it does"


def test_a_network_that_computes_while_it_is_built_or_run_is_built_whole(shape, monkeypatch):
    asked = NetworkQuestion(data="any", architecture="torchvision:swin_v2_t")
    assert network_facts._without_numbers(asked, (3, 64, 64), 10) is None
    monkeypatch.setattr(network_facts, "data_shape", lambda _: ((3, 64, 64), 10))
    assert len(network_facts.cuts(asked)["cuts"]) > 10


def test_what_can_not_be_used_says_why_as_before(shape):
    with pytest.raises(BadInput, match="nearest: 'resnet18'"):
        network_facts.cuts(NetworkQuestion(data="any", architecture="torchvision:resnet17"))


def test_a_network_that_takes_one_size_only_is_shown_in_that_and_the_data_do_not_fit_it(shape):
    answer = network_facts.cuts(NetworkQuestion(data="any", architecture="torchvision:vit_b_32"))
    assert answer["shape"] == [3, 224, 224]
    assert answer["misfit"] == "any has images of 3x32x32, the network takes 3x224x224"
    assert "looked at with 3x224x224 images, its own size" in answer["notes"]
