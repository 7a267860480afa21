"""timm's names, the Hugging Face Hub and torch.hub: found where their libraries and files are, else one clear line."""

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
from small_data import small_dataset
from torch import nn

from stitchtui.base.errors import BadInput
from stitchtui.base.work import finish
from stitchtui.networks import by_name
from stitchtui.networks.network import Network
from stitchtui.networks.obtain import cache_path, obtain
from stitchtui.spec.experiment import NetworkSpec, Normalisation, TrainSpec
from stitchtui.stitching.cuts import Traced

SHAPE = (3, 32, 32)
DATA = small_dataset(channels=3, size=32, train=24, test=12)
COMMIT = "0123456789012345678901234567890123456789"
HUBCONF = """
dependencies = ["torch"]
import torch
def small(features=6):
    print("code of the repository runs")
    return torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, features))
def number():
    return 3
"""


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def get(**said: Any) -> Network:
    spec = NetworkSpec.model_validate(said)
    return finish(obtain("a", spec, DATA, torch.device("cpu")))


def refusal(**said: Any) -> str:
    with pytest.raises(BadInput) as caught:
        get(**said)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def snapshot(folder: Path, name: str) -> Path:
    """Where what was downloaded of `name` lies in the cache."""
    place = folder / "hf" / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    return place / "snapshots" / COMMIT


def in_timms_format(folder: Path, name: str, classes: int) -> nn.Module:
    torch.manual_seed(4)
    network = timm.create_model("test_resnet", num_classes=classes)
    scale = {"mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5)}
    timm.models.save_for_hf(network, snapshot(folder, name), safe_serialization=True, data_config=scale)
    return network.eval()


def configured(folder: Path, name: str, config: dict[str, Any]) -> None:
    place = snapshot(folder, name)
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))


def test_timms_names_build_networks_of_the_datas_size_channels_and_classes() -> None:
    network = by_name.build("timm:test_vit", 7, (1, 32, 32)).eval()
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 7)
    network = by_name.build("timm:test_resnet", 7, SHAPE, options={"drop_rate": 0.25}).eval()
    assert network.drop_rate == 0.25
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_a_timm_network_is_trained_here_and_its_version_is_part_of_its_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = {"architecture": "timm:test_resnet", "train": TrainSpec(epochs=1, batch_size=8).model_dump()}
    assert (get(**said).source, get(**said).source) == ("trained", "cached")
    spec = NetworkSpec.model_validate(said)
    before = cache_path(spec, DATA)
    monkeypatch.setattr(timm, "__version__", "0.0")
    assert cache_path(spec, DATA) != before


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"architecture": "timm:resnet19"}, "architecture timm:'resnet19' is not known; nearest: 'resnet"),
        ({"architecture": "timm:vit_small_patch16_224.dyno"}, "nearest: 'vit_small_patch16_224.dino'"),
        ({"architecture": "timm:resnet18", "options": {"depht": 3}}, "can't be built with num_classes=3, depht=3"),
        ({"architecture": "timm:resnet18", "width": 2.0}, "width 2 can't be used"),
        ({"architecture": "timm:resnet18", "weights": "in1k"}, "weights in1k of timm:resnet18: 'in1k' is not known"),
        ({"architecture": "timm:resnet18", "weights": "pretrained"}, "are for 1000 classes, the data has 3; add head"),
        ({"architecture": "timm:vit_small_patch14_dinov2", "weights": "pretrained"}, "give features, no class scores"),
        ({"architecture": "hf:small"}, "expected hf:OWNER/REPO or hf:OWNER/REPO@REVISION"),
        ({"architecture": "hub:someone/small"}, "expected hub:OWNER/REPO:ENTRY or hub:OWNER/REPO:REF:ENTRY"),
    ],
)
def test_what_cannot_be_used_is_one_line(said: dict[str, Any], text: str) -> None:
    assert text in refusal(**said)


def test_weights_that_are_not_here_say_so_offline() -> None:
    text = refusal(architecture="timm:resnet18", weights="pretrained", head="train")
    assert "weights pretrained of timm:resnet18: can't be built" in text
    assert "where this machine is offline, fetch it once elsewhere and set HF_HOME to that cache" in text
    assert "hf:someone/small: can't be reached" in refusal(architecture="hf:someone/small")


def test_a_repository_in_timms_format_comes_with_weights_and_normalisation(tmp_path: Path) -> None:
    expected = in_timms_format(tmp_path, "someone/small", classes=3)
    network = get(architecture="hf:someone/small")
    assert (network.source, network.mean, network.std) == ("pretrained", (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    x = torch.rand(2, *SHAPE)
    torch.testing.assert_close(network.module(x), expected(x))
    assert get(architecture=f"hf:someone/small@{COMMIT}").digest == network.digest


def test_other_classes_of_a_repository_need_a_head(tmp_path: Path) -> None:
    in_timms_format(tmp_path, "someone/five", classes=5)
    text = refusal(architecture="hf:someone/five")
    assert "hf:someone/five are for 5 classes, the data has 3; add head = 'train'" in text
    network = get(architecture="hf:someone/five", head="train")
    assert network.module(torch.rand(2, *SHAPE)).shape == (2, 3)
    assert network.error < 50


def test_a_repository_that_is_neither_timms_nor_transformers_is_refused(tmp_path: Path) -> None:
    configured(tmp_path, "someone/odd", {"what": 1})
    assert "has no config.json in timm's or transformers' format" in refusal(architecture="hf:someone/odd")


@pytest.mark.parametrize(
    ("missing", "said", "text"),
    [
        ("timm", {"architecture": "timm:resnet18"}, "needs timm"),
        ("huggingface_hub", {"architecture": "hf:someone/small"}, "needs huggingface_hub"),
        ("transformers", {"architecture": "hf:someone/vit"}, "needs transformers"),
    ],
)
def test_a_library_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, said: dict[str, Any], text: str
) -> None:
    configured(tmp_path, "someone/vit", {"model_type": "vit"})
    found: Callable[..., Any] = importlib.import_module

    def without(name: str) -> Any:
        if name == missing:
            raise ImportError(f"No module named '{name}'")
        return found(name)

    monkeypatch.setattr(importlib, "import_module", without)
    assert f"{text} (ImportError: No module named '{missing}'); install it with: pip install {missing}" in refusal(
        **said
    )


class Answer:
    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits


class LikeVit(nn.Module):
    """A network that takes and gives what those of transformers do."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.classifier = nn.Linear(12, labels)

    def forward(self, pixel_values: torch.Tensor | None = None) -> Answer:
        return Answer(self.classifier(self.body(pixel_values)))


@pytest.fixture
def transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Stands in for the library; what it says of the weights, which a test may change."""
    info: dict[str, list[Any]] = {"missing_keys": [], "mismatched_keys": []}

    class Auto:
        @staticmethod
        def from_pretrained(repository: str, *, num_labels: int, **said: Any) -> tuple[nn.Module, dict[str, Any]]:
            assert (repository, said["trust_remote_code"], said["revision"]) == ("someone/vit", False, None)
            torch.manual_seed(5)
            return LikeVit(num_labels), info

    library = ModuleType("transformers")
    library.AutoModelForImageClassification = Auto  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "transformers", library)
    labels = {str(k): "" for k in range(3)}
    said = {"model_type": "vit", "architectures": ["ViTForImageClassification"], "id2label": labels}
    configured(tmp_path, "someone/vit", said)
    preprocessor = tmp_path / "hf" / "models--someone--vit" / "snapshots" / COMMIT / "preprocessor_config.json"
    preprocessor.write_text(json.dumps({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}))
    return info


@pytest.mark.usefixtures("transformers")
def test_a_classifier_of_transformers_gives_its_logits_and_says_its_normalisation() -> None:
    network = get(architecture="hf:someone/vit")
    assert (network.mean, network.std) == ((0.5,) * 3, (0.25,) * 3)
    x = torch.rand(2, *SHAPE)
    torch.testing.assert_close(network.module(x), network.module.model(pixel_values=x).logits)
    assert [c.name for c in Traced(network.module, x).select("blocks")][-1].startswith("model.body")


def test_weights_that_transformers_left_random_are_refused_but_for_a_new_head(
    transformers: dict[str, list[Any]],
) -> None:
    transformers["mismatched_keys"] = [("classifier.weight", (3, 12), (4, 12))]
    assert "its weights are not all there: missing classifier.weight" in refusal(architecture="hf:someone/vit")
    assert get(architecture="hf:someone/vit", head="train").error < 50
    transformers["missing_keys"] = ["body.0.weight"]
    assert "missing body.0.weight" in refusal(architecture="hf:someone/vit", head="train")


@pytest.fixture
def torch_hub(tmp_path: Path) -> None:
    folder = tmp_path / "torch" / "hub" / "someone_small_main"
    folder.mkdir(parents=True)
    (folder / "hubconf.py").write_text(HUBCONF)


@pytest.mark.usefixtures("torch_hub")
def test_code_of_torch_hub_runs_only_when_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(architecture="hub:someone/small:main:small")
    assert "runs that repository's code on this machine; where you trust it, add --trust-code" in text
    assert capsys.readouterr().out == ""
    options = {"features": 3}
    network = get(architecture="hub:someone/small:main:small", trust_code=True, options=options)
    assert (network.source, network.module(torch.rand(2, *SHAPE)).shape) == ("pretrained", (2, 3))
    assert "code of the repository runs" in capsys.readouterr().out


@pytest.mark.usefixtures("torch_hub")
def test_features_of_torch_hub_take_a_head_and_what_is_no_network_is_refused() -> None:
    said = {"architecture": "hub:someone/small:main:small", "trust_code": True}
    assert "shape [2, 6]; expected 3 classes; if these are features, add head" in refusal(**said)
    assert get(**said, head="train").module(torch.rand(2, *SHAPE)).shape == (2, 3)
    number = {**said, "architecture": "hub:someone/small:main:number"}
    assert "expected a network, got a int" in refusal(**number)
    absent = {**said, "architecture": "hub:someone/small:main:absent"}
    assert "can't be loaded from torch.hub: RuntimeError: Cannot find callable absent" in refusal(**absent)


def test_published_weights_say_what_they_are_fed_with() -> None:
    half = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3)
    assert by_name.published_scale("efficientnet_v2_l", "DEFAULT") == half
    assert by_name.published_scale("timm:vit_tiny_patch16_224", "pretrained") == half
    assert by_name.published_scale("torchvision:resnet50", "pretrained").mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("config", "preprocessor", "shape"),
    [
        ({"image_size": 224}, {}, (3, 224, 224)),
        ({"image_size": [32, 64], "num_channels": 1}, {}, (1, 32, 64)),
        ({}, {"size": 96}, (3, 96, 96)),
        ({}, {"size": {"height": 64, "width": 48}}, (3, 64, 48)),
        ({}, {"size": {"shortest_edge": 80}}, (3, 80, 80)),
        ({}, {"do_center_crop": True, "size": {"shortest_edge": 256}, "crop_size": 224}, (3, 224, 224)),
        ({}, {}, None),
        ({"image_size": "large"}, {}, None),
    ],
)
def test_a_repository_says_the_size_of_its_images(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    config: dict[str, Any],
    preprocessor: dict[str, Any],
    shape: tuple[int, int, int] | None,
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    configured(tmp_path, "someone/sized", {"model_type": "vit", **config})
    place = tmp_path / "hf" / "models--someone--sized" / "snapshots" / COMMIT / "preprocessor_config.json"
    place.write_text(json.dumps(preprocessor))
    assert by_name.published_shape("hf:someone/sized") == shape


def test_timms_networks_have_the_size_of_their_weights(tmp_path: Path) -> None:
    assert by_name.published_shape("timm:vit_base_patch16_384") == (3, 384, 384)
    assert by_name.published_shape("timm:resnet18") == (3, 224, 224)
    in_timms_format(tmp_path, "someone/small", 3)
    assert by_name.published_shape("hf:someone/small") == (3, 160, 160)
