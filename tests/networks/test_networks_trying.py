"""Whether a network takes images is found by running it on them, whatever it makes of them before its first layer."""

from pathlib import Path

import pytest
import torch
from small_data import small_dataset
from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.networks import by_name, sizes
from stitchtui.networks.network import Network
from stitchtui.networks.obtain import from_file, from_name, obtain
from stitchtui.networks.trying import WrongImages, look
from stitchtui.spec.experiment import NetworkSpec

CODE = """
import torch
import torch.nn.functional as F
from torch import nn

class Colour(nn.Module):
    image_size = 8
    def __init__(self, num_classes=3, channels=3):
        super().__init__()
        self.stem = nn.Conv2d(channels, 4, 3, padding=1)
        self.fc = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.fc(F.relu(self.stem(x)).mean((2, 3)))

class Order(nn.Module):
    "Registers its second convolution first."
    def __init__(self, num_classes=3):
        super().__init__()
        self.body, self.stem, self.fc = nn.Conv2d(4, 4, 3), nn.Conv2d(1, 4, 3), nn.Linear(4, num_classes)
    def forward(self, x):
        return self.fc(self.body(F.relu(self.stem(x))).mean((2, 3)))

class Repeat(Colour):
    def forward(self, x):
        return super().forward(x.repeat(1, 3, 1, 1))

class Expand(Colour):
    def forward(self, x):
        return super().forward(x.expand(-1, 3, -1, -1))

class Broadcast(Colour):
    def __init__(self, num_classes=3):
        super().__init__(num_classes)
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
    def forward(self, x):
        return super().forward(x - self.mean)

class Coordinates(Colour):
    def forward(self, x):
        rows = torch.linspace(-1, 1, x.shape[2])[None, None, :, None].expand(len(x), 1, -1, x.shape[3])
        return super().forward(torch.cat([x, rows, rows], 1))

class Unshuffle(Colour):
    def __init__(self, num_classes=3):
        super().__init__(num_classes, 4)
    def forward(self, x):
        return super().forward(F.pixel_unshuffle(x, 2))

class Lazy(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.conv, self.norm = nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d()
        self.fc = nn.LazyLinear(num_classes)
    def forward(self, x):
        return self.fc(F.relu(self.norm(self.conv(x))).flatten(1))

class Late(Colour):
    "Fails at its second convolution."
    def __init__(self, num_classes=3):
        super().__init__(num_classes, 1)
        self.body = nn.Conv2d(3, 4, 3)
    def forward(self, x):
        return self.body(self.stem(x))
"""
TAKEN = ["Order", "Repeat", "Expand", "Broadcast", "Coordinates", "Unshuffle", "Lazy"]
GREY = small_dataset()


@pytest.fixture(autouse=True)
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    return path


def made(code: Path, name: str, seed: int = 1, channels: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    return by_name.build(f"{code}:{name}", 3, (channels, 8, 8))


def saved(code: Path, name: str) -> Path:
    path = code.parent / f"{name}.pt"
    torch.save(made(code, name).state_dict(), path)
    return path


def get(code: Path, name: str) -> Network:
    spec = NetworkSpec(checkpoint=str(saved(code, name)), architecture=f"{code}:{name}")
    return finish(obtain("a", spec, GREY, torch.device("cpu")))


@pytest.mark.parametrize("name", TAKEN)
def test_a_network_that_runs_on_the_images_is_taken(code: Path, name: str) -> None:
    module, images = get(code, name).module, torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(module(images), made(code, name).eval()(images))


def test_one_that_fails_at_its_first_convolution_says_how_many_channels_it_expects(code: Path) -> None:
    with pytest.raises(BadInput, match=r"Colour: expects images of 3 channels, those of small have 1$"):
        get(code, "Colour")
    with pytest.raises(BadInput, match=r"Late: fails on images of 1x8x8: RuntimeError: .* to have 3 channels, but got"):
        get(code, "Late")


def test_looking_leaves_a_networks_mode_and_statistics_alone() -> None:
    module = nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 3))
    look(module, (1, 8, 8))
    assert module.training
    assert int(module[0].num_batches_tracked) == 0
    with pytest.raises(WrongImages, match="the network can't take images of 1x9x9: RuntimeError"):
        look(module, (1, 9, 9))


def test_lazy_layers_take_their_shapes_from_the_images_and_never_from_a_guess(code: Path) -> None:
    spec = NetworkSpec(checkpoint=str(saved(code, "Lazy")), architecture=f"{code}:Lazy")
    module, shape, _ = from_file(spec, (1, 8, 8), 3)
    assert shape == (1, 8, 8)
    assert module.conv.weight.shape == (4, 1, 3, 3)
    with pytest.raises(WrongImages, match="lazy layers, which take their shapes from its images"):
        from_file(spec, None, 3)
    with pytest.raises(WrongImages, match="lazy layers, which take their shapes from its images"):
        from_name(NetworkSpec(architecture=f"{code}:Lazy"), None, 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("torchvision:vit_b_32", (3, 224, 224)),
        ("torchvision:vit_h_14", (3, 518, 518)),
        ("torchvision:inception_v3", (3, 299, 299)),
        ("torchvision:squeezenet1_1", (3, 224, 224)),
        ("squeezenet1_1", (3, 224, 224)),
        ("resnet20", None),
    ],
)
def test_a_published_network_has_a_size_of_its_own(name: str, shape: sizes.Shape | None) -> None:
    assert by_name.published_shape(name) == shape


def test_weights_for_another_size_have_that() -> None:
    assert by_name.published_shape("torchvision:vit_b_16", "IMAGENET1K_SWAG_E2E_V1") == (3, 384, 384)


def test_a_network_is_looked_at_in_its_own_size_where_none_is_given_and_that_is_said(code: Path) -> None:
    _, shape, notes = from_name(NetworkSpec(architecture="torchvision:squeezenet1_1"), None, 3)
    assert shape == (3, 224, 224)
    assert notes == ("looked at with 3x224x224 images, its own size",)
    _, shape, notes = from_name(NetworkSpec(architecture=f"{code}:Colour"), None, 3)
    assert shape == (3, 8, 8)
    assert notes == ("looked at with 3x8x8 images, its own size",)
    assert from_name(NetworkSpec(architecture="resnet20", width=0.25), None, 3)[1:] == ((3, 32, 32), ())
    assert from_name(NetworkSpec(architecture="torchvision:squeezenet1_1"), (3, 64, 64), 3)[1:] == ((3, 64, 64), ())


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({}, None),
        ({"image_size": 28, "in_channels": 1}, (1, 28, 28)),
        ({"img_size": (32, 64)}, (3, 32, 64)),
        ({"default_cfg": {"input_size": (3, 160, 160)}}, (3, 160, 160)),
        ({"image_size": "large"}, None),
        ({"image_size": -1}, None),
        ({"image_size": nn.Identity()}, None),
    ],
)
def test_a_network_may_say_its_size_in_an_attribute(attributes: dict, shape: sizes.Shape | None) -> None:
    module = nn.Identity()
    for name, value in attributes.items():
        setattr(module, name, value)
    assert sizes.own(module) == shape
