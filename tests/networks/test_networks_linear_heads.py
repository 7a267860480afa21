"""A backbone gets a linear head: loaded, or trained on the frozen features of the training images and kept."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from small_data import small_dataset
from told import Stopped, made
from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.networks import checkpoints, linear_heads
from stitchtui.networks.network import Network, normalise
from stitchtui.networks.obtain import obtain
from stitchtui.spec.experiment import NetworkSpec, Subset

CPU = torch.device("cpu")
DATA = small_dataset()
CODE = """
import torch
from torch import nn
class Vector(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 12), nn.ReLU())
class Map(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU())
class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 4, stride=4)
        self.position = nn.Parameter(torch.randn(1, 4, 6))
    def forward(self, x):
        return self.conv(x).flatten(2).transpose(1, 2) * self.position
class Classifier(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.ReLU())
        self.fc = nn.Linear(12, num_classes)
    def forward(self, x):
        return self.fc(self.body(x))
class Pair(Vector):
    def forward(self, x):
        return (super().forward(x), x)
class Cube(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
    def forward(self, x):
        return x[:, None] * self.weight
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "heads"


def backbone(folder: Path, name: str, **values: Any) -> NetworkSpec:
    """A specification of random weights of one of the classes above."""
    code = folder / "nets.py"
    code.write_text(CODE)
    spaces: dict[str, Any] = {}
    exec(CODE, spaces)
    torch.manual_seed(3)
    module = spaces[name](3) if name == "Classifier" else spaces[name]()
    state = {key: value for key, value in module.state_dict().items() if not key.startswith("fc.")}
    torch.save(state, folder / "backbone.pt")
    said = {"checkpoint": str(folder / "backbone.pt"), "architecture": f"{code}:{name}", "head": "train"}
    return NetworkSpec.model_validate(said | values)


def get(spec: NetworkSpec, dataset: Dataset = DATA, **other: Any) -> Network:
    return made(obtain("a", spec, dataset, CPU), **other)


def refusal(spec: NetworkSpec, dataset: Dataset = DATA) -> str:
    with pytest.raises(BadInput) as caught:
        get(spec, dataset)
    text = str(caught.value)
    assert text.startswith("network a: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize("name", ["Vector", "Map", "Tokens", "Classifier"])
def test_a_head_is_trained_on_whatever_features_a_backbone_gives(tmp_path: Path, name: str) -> None:
    network = get(backbone(tmp_path, name))
    assert network.source == "checkpoint"
    assert network.module(torch.rand(2, 1, 8, 8)).shape == (2, 3)
    assert network.error < 20
    assert not any(p.requires_grad for p in network.module.parameters())


def test_the_head_is_the_logistic_regression_that_scikit_learn_finds(tmp_path: Path) -> None:
    network = get(backbone(tmp_path, "Vector"))
    with torch.no_grad():
        images = normalise(DATA.train.images, network.mean, network.std)
        features = network.module.backbone(images)
        scores = network.module(images)
    scale = features.std(0, correction=0)
    standard = ((features - features.mean(0)) / torch.where(scale > 0, scale, 1)).numpy()
    other = LogisticRegression(C=1 / (len(standard) * linear_heads.L2), max_iter=5000, tol=1e-8)
    expected = other.fit(standard, DATA.train.labels.numpy()).predict_proba(standard)
    torch.testing.assert_close(scores.softmax(1).double(), torch.from_numpy(expected).double(), atol=5e-3, rtol=0)


def test_a_classifiers_own_last_layer_is_the_head_and_keeps_its_name(tmp_path: Path) -> None:
    network = get(backbone(tmp_path, "Classifier"))
    assert [name for name, _ in network.module.named_children()] == ["body", "fc"]
    torch.save(network.module.state_dict(), tmp_path / "whole.pt")
    again = get(backbone(tmp_path, "Classifier", checkpoint=str(tmp_path / "whole.pt")))
    left_out, guessed = again.notes
    assert left_out == "left out its own last layer: fc"
    assert "--normalisation" in guessed  # nobody has said how its images were normalised
    assert again.digest == network.digest


def test_a_head_is_trained_once_and_found_again_until_something_differs(tmp_path: Path, cache: Path) -> None:
    steps: list[dict] = []
    first = get(backbone(tmp_path, "Vector"), on_step=steps.append)
    assert [s["step"] for s in steps] == [1]
    again = get(backbone(tmp_path, "Vector"), on_step=steps.append)
    assert (len(steps), again.digest) == (1, first.digest)
    assert get(backbone(tmp_path, "Vector", seed=5)).digest == first.digest  # nothing is drawn
    for spec, data in (
        (backbone(tmp_path, "Vector", normalisation="none"), DATA),
        (backbone(tmp_path, "Vector", subset=Subset(train_range=(0, 30)).model_dump()), DATA),
        (backbone(tmp_path, "Vector"), small_dataset(train=60)),
    ):
        assert get(spec, data).digest != first.digest
    assert len(list(cache.iterdir())) == 4


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_a_damaged_head_is_trained_again(tmp_path: Path, cache: Path, content: bytes) -> None:
    first = get(backbone(tmp_path, "Vector"))
    [kept] = cache.iterdir()
    kept.write_bytes(content)
    assert get(backbone(tmp_path, "Vector")).digest == first.digest


def test_a_stopped_training_leaves_nothing_half_done(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(Stopped):
        get(backbone(tmp_path, "Vector"), stop=lambda: True)
    assert not cache.exists()


@pytest.mark.parametrize("prefix", ["", "fc.", "module.linear."])
def test_a_head_is_loaded_from_a_file_whatever_it_is_called(tmp_path: Path, prefix: str) -> None:
    weight, bias = torch.rand(3, 12), torch.rand(3)
    torch.save({"epoch": 3, "state_dict": {f"{prefix}weight": weight, f"{prefix}bias": bias}}, tmp_path / "head.pt")
    network = get(backbone(tmp_path, "Vector", head=str(tmp_path / "head.pt")))
    assert torch.equal(network.module.head.weight, weight)
    assert torch.equal(network.module.head.bias, bias)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"weight": torch.rand(3, 5)}, "is for 3 classes of 5 features; expected 3 classes of 12 features"),
        ({"weight": torch.rand(4, 12)}, "is for 4 classes of 12 features; expected 3 classes of 12 features"),
        ({"a.weight": torch.rand(3, 12), "b.weight": torch.rand(3, 12)}, "expected the weight and bias of one linear"),
        ({"bias": torch.rand(3)}, "expected the weight and bias of one linear layer, found: bias"),
        ({"weight": torch.full((3, 12), torch.nan)}, "holds numbers that are not finite"),
    ],
)
def test_a_head_that_does_not_fit_is_one_line(tmp_path: Path, tensors: dict, said: str) -> None:
    torch.save(tensors, tmp_path / "head.pt")
    assert said in refusal(backbone(tmp_path, "Vector", head=str(tmp_path / "head.pt")))


def test_features_without_a_head_name_it(tmp_path: Path) -> None:
    text = refusal(backbone(tmp_path, "Vector", head=None))
    assert "has shape [2, 12]; expected 3 classes; if these are features, add head = 'train'" in text
    assert "add head = 'train' (--head train)" in refusal(backbone(tmp_path, "Classifier", head=None))


@pytest.mark.parametrize(
    ("name", "said"),
    [("Pair", "one tensor of features, got a tuple"), ("Cube", "one tensor of features, got shape [2, 1, 1, 8, 8]")],
)
def test_what_no_head_can_be_put_on_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    assert said in refusal(backbone(tmp_path, name))


def test_a_checkpoint_of_ours_for_other_classes_takes_a_new_head(tmp_path: Path) -> None:
    spec = NetworkSpec(architecture="digits_cnn", width=0.25, train={"epochs": 1, "batch_size": 16})
    other = small_dataset(classes=4)
    get(spec, other)
    [kept] = (tmp_path / "cache" / "networks").iterdir()
    assert "have its last layer replaced: head = 'train' (--head train)" in refusal(NetworkSpec(checkpoint=str(kept)))
    network = get(NetworkSpec(checkpoint=str(kept), head="train"))
    assert network.module(torch.rand(2, 1, 8, 8)).shape == (2, 3)
    trained = checkpoints.read(kept).tensors
    kept_weights = network.module.state_dict()
    assert all(torch.equal(kept_weights[k], v) for k, v in trained.items() if kept_weights[k].shape == v.shape)


def test_a_head_for_a_network_that_is_trained_here_is_refused() -> None:
    assert "head: is for a checkpoint" in refusal(NetworkSpec(architecture="digits_cnn", head="train"))


def test_a_class_that_no_training_image_has_is_never_answered(tmp_path: Path) -> None:
    labels = torch.where(DATA.train.labels == 2, 1, DATA.train.labels)
    network = get(backbone(tmp_path, "Vector"), replace(DATA, train=replace(DATA.train, labels=labels)))
    images = normalise(DATA.test.images, network.mean, network.std)
    assert 2 not in network.module(images).argmax(1).tolist()


def test_with_head_averages_over_positions() -> None:
    network = linear_heads.WithHead(nn.Identity(), (4, 2, 2), 3)
    x = torch.rand(2, 4, 2, 2)
    torch.testing.assert_close(network(x), network.head(x.mean((2, 3))))
