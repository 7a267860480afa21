"""A specification leads to one network: trained once, found again, or loaded; what doesn't fit is one line."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from small_data import small_dataset
from told import Stopped, made
from torch import nn

from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.data.dataset import Dataset, Part
from stitchtui.networks import checkpoints, from_torchvision
from stitchtui.networks.network import Network, error_percent, weight_digest
from stitchtui.networks.normalisation import IMAGENET
from stitchtui.networks.obtain import cache_path, obtain
from stitchtui.spec.experiment import NetworkSpec, Normalisation, Subset, TrainSpec

CPU = torch.device("cpu")
DATA = small_dataset()
SPEC = NetworkSpec(architecture="digits_cnn", width=0.25, train=TrainSpec(epochs=2, batch_size=16, precision="float32"))
CODE = """
from torch import nn
class Net(nn.Sequential):
    def __init__(self, num_classes, hidden=5):
        super().__init__(nn.Flatten(), nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, num_classes))
class Fixed(Net):
    def __init__(self):
        super().__init__(4)
class Broken(Net):
    def forward(self, x):
        raise KeyError("nothing here")
class Large(Net):
    def forward(self, x):
        raise RuntimeError("MPS backend out of memory")
class Dictionary(Net):
    def forward(self, x):
        return {"logits": super().forward(x)}
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


@pytest.fixture
def code(tmp_path: Path) -> Path:
    path = tmp_path / "nets.py"
    path.write_text(CODE)
    return path


def get(spec: NetworkSpec = SPEC, dataset: Dataset = DATA, **other: Any) -> Network:
    return made(obtain("a", spec, dataset, CPU), **other)


def changed(spec: NetworkSpec = SPEC, **values: Any) -> NetworkSpec:
    return NetworkSpec.model_validate({**spec.model_dump(), **values})


def refusal(spec: NetworkSpec, dataset: Dataset = DATA) -> str:
    with pytest.raises(BadInput) as caught:
        get(spec, dataset)
    text = str(caught.value)
    assert text.startswith("network a: ")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("values", "field"),
    [({"head": "train"}, "networks.a.head"), ({"untrained": True, "task": "simclr"}, "networks.a.untrained")],
)
def test_an_error_says_which_key_of_the_experiment_to_change(values: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        get(changed(**values))
    assert caught.value.field == field


def test_a_network_is_trained_once_and_then_found_the_same() -> None:
    said: list[dict] = []
    first, again = get(on_step=said.append), get(on_step=said.append)
    assert (first.source, again.source) == ("trained", "cached")
    assert (first.digest, first.error, first.mean, first.std) == (again.digest, again.error, again.mean, again.std)
    assert first.digest == weight_digest(first.module)
    assert [event["step"] for event in said][-1] == 6
    assert sum(event["step"] == 6 for event in said) == 1


def test_what_comes_back_is_frozen_and_its_error_can_be_measured_again() -> None:
    network = get()
    assert not network.module.training
    assert not any(p.requires_grad for p in network.module.parameters())
    assert network.error == error_percent(network.module, network.mean, network.std, DATA.test, 7)
    assert (network.name, network.architecture, network.classes) == ("a", "digits_cnn", 3)


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 1},
        {"width": 0.5},
        {"architecture": "vit", "width": 1.0, "options": {"depth": 1, "heads": 1, "dim": 4}},
        {"normalisation": "none"},
        {"subset": {"train_size": 20}},
        {"train": {**SPEC.train.model_dump(), "label_smoothing": 0.1}},
    ],
)
def test_whatever_changes_the_training_changes_where_it_is_kept(values: dict) -> None:
    assert cache_path(changed(**values), DATA) != cache_path(SPEC, DATA)


def test_other_images_change_where_it_is_kept_but_other_test_images_only_its_error() -> None:
    other_train = replace(DATA, train=small_dataset(train=45).train, digest="other train")
    assert cache_path(SPEC, other_train) != cache_path(SPEC, DATA)
    assert cache_path(SPEC, replace(DATA, augment="crop")) != cache_path(SPEC, DATA)
    get()
    shuffled = replace(DATA.test, labels=(DATA.test.labels + 1) % 3)
    network = get(dataset=replace(DATA, test=shuffled, digest="other test"))
    assert network.source == "cached"
    assert network.error == error_percent(network.module, network.mean, network.std, shuffled, 7)


def test_a_subset_trains_on_those_images_only() -> None:
    spec = changed(subset=Subset(train_range=(0, 20)))
    assert get(spec).digest != get().digest
    assert "subset.train_range" in refusal(changed(subset=Subset(train_range=(0, 999))))


def test_a_stopped_training_goes_on_to_the_same_network(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undisturbed = get().digest
    cache_path(SPEC, DATA).unlink()
    calls = iter(range(100))
    with pytest.raises(Stopped):
        get(stop=lambda: next(calls) >= 3)  # after the first epoch
    assert [path.suffix for path in cache.iterdir()] == [".partial"]
    network = get()
    assert (network.digest, network.source) == (undisturbed, "trained")
    assert [path.suffix for path in cache.iterdir()] == [".safetensors"]


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_a_damaged_cache_is_trained_again(content: bytes) -> None:
    digest = get().digest
    cache_path(SPEC, DATA).write_bytes(content)
    network = get()
    assert (network.source, network.digest) == ("trained", digest)


def test_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state()
    get()
    assert torch.equal(torch.get_rng_state(), before)


def test_a_checkpoint_of_ours_needs_nothing_but_its_path(tmp_path: Path) -> None:
    trained = get(changed(normalisation="none"))
    cache_path(changed(normalisation="none"), DATA).rename(tmp_path / "mine.safetensors")
    network = get(NetworkSpec(checkpoint=str(tmp_path / "mine.safetensors")))
    assert (network.digest, network.error, network.source) == (trained.digest, trained.error, "checkpoint")
    assert (network.mean, network.std) == ((0.0,), (1.0,))
    metadata = checkpoints.read(tmp_path / "mine.safetensors").metadata
    assert metadata is not None
    assert (metadata.architecture, metadata.width, metadata.error) == ("digits_cnn", 0.25, trained.error)
    assert metadata.class_names == DATA.classes


def test_a_foreign_checkpoint_needs_an_architecture(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save({"state_dict": get().module.state_dict()}, path)
    network = get(NetworkSpec(checkpoint=str(path), architecture="digits_cnn", width=0.25))
    assert network.digest == get().digest
    assert (network.mean, network.std) == (DATA.mean, DATA.std)
    assert "add --architecture NAME or path/to/file.py:Class" in refusal(NetworkSpec(checkpoint=str(path)))
    assert "expects" in refusal(NetworkSpec(checkpoint=str(path), architecture="digits_cnn"))
    assert "no such file" in refusal(NetworkSpec(checkpoint=str(tmp_path / "none.pt")))


def test_only_of_a_foreign_checkpoint_the_normalisation_is_guessed_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save(get().module.state_dict(), path)
    foreign = NetworkSpec(checkpoint=str(path), architecture="digits_cnn", width=0.25)
    (note,) = get(foreign).notes
    assert "--normalisation" in note
    assert get(changed(foreign, normalisation="data")).notes == ()
    assert get(NetworkSpec(checkpoint=str(cache_path(SPEC, DATA)))).notes == ()


def test_a_checkpoint_for_other_classes_is_refused(tmp_path: Path) -> None:
    get()
    ours = NetworkSpec(checkpoint=str(cache_path(SPEC, DATA)))
    assert "was trained for 3 classes, the data has 4" in refusal(ours, small_dataset(classes=4))
    torch.save(get().module.state_dict(), tmp_path / "a.pt")
    foreign = NetworkSpec(checkpoint=str(tmp_path / "a.pt"), architecture="digits_cnn", width=0.25)
    assert "was trained for 3 classes, the data has 4" in refusal(foreign, small_dataset(classes=4))


def test_a_checkpoint_for_other_channels_is_refused(tmp_path: Path) -> None:
    get()
    ours = NetworkSpec(checkpoint=str(cache_path(SPEC, DATA)), normalisation="data")
    assert "conv" in refusal(ours, small_dataset(channels=3)) or "shape" in refusal(ours, small_dataset(channels=3))
    assert "expects images of 3 channels, those of small have 1" in refusal(NetworkSpec(architecture="squeezenet1_1"))


def test_own_code_is_trained_kept_and_run_again_only_when_asked(code: Path) -> None:
    spec = changed(architecture=f"{code}:Net", width=1.0, options={"hidden": 7})
    trained = get(spec)
    path = cache_path(spec, DATA)
    text = refusal(NetworkSpec(checkpoint=str(path)))
    assert f"to run that code, add --architecture {code}:Net" in text
    network = get(NetworkSpec(checkpoint=str(path), architecture=f"{code}:Net"))
    assert network.digest == trained.digest
    code.write_text(CODE + "# edited\n")
    assert cache_path(spec, DATA) != path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Fixed", "its output for 2 images has shape [2, 4]; expected 3 classes"),
        ("Broken", "fails on images of 1x8x8: KeyError: 'nothing here'"),
        ("Dictionary", "the network returned a dict"),
        ("Nothing", "'Nothing' is not known"),
    ],
)
def test_own_code_that_cant_be_used_is_one_line(code: Path, name: str, said: str) -> None:
    assert said in refusal(changed(architecture=f"{code}:{name}", width=1.0))


def test_a_network_that_is_too_large_for_here_is_no_bad_input(code: Path) -> None:
    with pytest.raises(RuntimeError, match="MPS backend out of memory"):
        get(changed(architecture=f"{code}:Large", width=1.0))


def test_weights_of_torchvision_come_with_imagenets_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    def downloaded(name: str, classes: int | None, options: object, weights: str) -> nn.Module:
        assert (name, weights) == ("squeezenet1_1", "DEFAULT")
        return nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, classes))

    monkeypatch.setattr(from_torchvision, "_pretrained", downloaded)
    network = get(NetworkSpec(architecture="squeezenet1_1", weights="DEFAULT"), small_dataset(channels=3))
    assert (network.source, network.architecture) == ("pretrained", "torchvision:squeezenet1_1")
    assert (network.mean, network.std) == (IMAGENET.mean, IMAGENET.std)


@pytest.mark.parametrize(
    ("said", "mean"),
    [
        ("data", (0.3,) * 3),
        ("auto", (0.3,) * 3),
        ("none", (0.0,) * 3),
        ("imagenet", IMAGENET.mean),
        (Normalisation(mean=(0.1, 0.2, 0.3), std=(1, 1, 1)), (0.1, 0.2, 0.3)),
    ],
)
def test_normalisation_is_what_was_asked_for(said: Any, mean: tuple[float, ...]) -> None:
    spec = changed(normalisation=said, train=SPEC.train.model_copy(update={"epochs": 1}))
    assert get(spec, small_dataset(channels=3)).mean == mean


def normalised(dataset: Dataset = DATA) -> Dataset:
    """The same images as floats, from about -2 to 2."""
    train, test = (Part(part.images / 63.75 - 2, part.labels) for part in (dataset.train, dataset.test))
    return replace(dataset, train=train, test=test, digest="normalised")


def test_images_that_are_normalised_already_are_not_normalised_unless_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pt"
    torch.save(get().module.state_dict(), path)
    foreign = NetworkSpec(checkpoint=str(path), architecture="digits_cnn", width=0.25)
    ours = NetworkSpec(checkpoint=str(cache_path(SPEC, DATA)))
    for spec in (SPEC, foreign, ours):
        network = get(spec, normalised())
        assert (network.mean, network.std, network.notes) == ((0.0,), (1.0,), ())
    assert get(changed(ours, normalisation="data"), normalised()).mean == DATA.mean
    pixels = replace(DATA, train=Part(DATA.train.images / 255, DATA.train.labels))
    assert get(ours, pixels).mean == DATA.mean


def test_colours_of_images_that_are_normalised_already_are_not_shifted() -> None:
    assert "task 'simclr' shifts colours" in refusal(changed(task="simclr"), normalised())


def test_normalisation_for_other_channels_is_refused() -> None:
    assert "normalisation is for 3 channels, the images of small have 1" in refusal(changed(normalisation="imagenet"))


def test_an_architecture_that_isnt_known_and_a_training_that_diverges_name_the_network() -> None:
    assert "nearest: 'digits_cnn'" in refusal(changed(architecture="digit_cnn", width=1.0))
    wild = SPEC.train.model_copy(update={"learning_rate": 1e30, "warmup_epochs": 0.0, "epochs": 9})
    with pytest.raises(RunFailed, match="network a: training diverged"):
        get(changed(train=wild))
