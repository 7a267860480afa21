"""Datasets by name: digits without a network, and torchvision's from files laid out as it lays them out."""

import hashlib
import pickle
import struct
import urllib.error
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
import torchvision

from stitchtui.base.errors import BadInput
from stitchtui.data.loading import load_dataset, subset
from stitchtui.spec.experiment import DataSpec, Subset


@pytest.fixture(autouse=True)
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STITCHTUI_CACHE", str(tmp_path))
    return tmp_path / "datasets"


def fail(url: str, *args: Any, **options: Any) -> None:
    print("downloading", url)
    raise urllib.error.URLError("Name or service not known")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("mnist", "cifar"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", fail)
    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)


def test_digits_are_grey_bytes_with_a_fixed_stratified_third_to_test_on() -> None:
    digits = load_dataset(DataSpec(name="digits"))
    assert (len(digits.train), len(digits.test), digits.shape) == (1197, 600, (1, 8, 8))
    assert digits.train.images.unique().tolist() == [round(v * 255 / 16) for v in range(17)]
    share = digits.test.labels.bincount() / digits.train.labels.bincount()
    assert torch.allclose(share, torch.full((10,), 600 / 1197), atol=0.02)
    assert digits.classes == tuple("0123456789")
    assert digits.augment == "none"
    assert digits.digest == load_dataset(DataSpec(name="digits", subset_seed=5)).digest


def test_the_parts_of_digits_share_no_image() -> None:
    digits = load_dataset(DataSpec(name="digits"))
    train, test = ({i.numpy().tobytes() for i in p.images} for p in (digits.train, digits.test))
    assert len(train) == 1197
    assert not train & test


def test_a_subset_keeps_the_whole_training_part_s_normalisation_and_the_test_part() -> None:
    whole = load_dataset(DataSpec(name="digits"))
    part = load_dataset(DataSpec(name="digits", train_range=(0, 500), train_size=100))
    assert len(part.train) == 100
    assert (part.mean, part.std) == (whole.mean, whole.std)
    assert torch.equal(part.test.images, whole.test.images)
    assert part.digest != whole.digest


def test_a_network_s_subset_is_taken_from_the_training_part_as_it_is() -> None:
    whole = load_dataset(DataSpec(name="digits"))
    spec = Subset(train_range=(600, 1197), train_size=50, subset_seed=2)
    half = subset(whole, spec)
    by_name = load_dataset(DataSpec(name="digits", **spec.model_dump()))
    assert half.digest == by_name.digest
    assert torch.equal(half.train.images, by_name.train.images)
    assert torch.equal(half.train.labels, by_name.train.labels)
    assert torch.equal(subset(whole, Subset(train_range=(3, 6))).train.images, whole.train.images[3:6])
    assert subset(whole, Subset()) is whole


def test_a_network_s_subset_beyond_the_data_names_its_own_key() -> None:
    part = load_dataset(DataSpec(name="digits", train_size=100))
    with pytest.raises(BadInput, match=r"networks\.a\.subset\.train_range: \[0, 600\] .* the 100 training"):
        subset(part, Subset(train_range=(0, 600)), "networks.a.subset")


@pytest.mark.parametrize("chosen", ["none", "crop", "crop_flip"])
def test_augmentation_that_is_chosen_is_kept(chosen: str) -> None:
    spec = DataSpec.model_validate({"name": "digits", "augment": chosen})
    assert load_dataset(spec).augment == chosen


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(
    ("name", "files", "folder"),
    [
        ("mnist", "train-images-idx3-ubyte.gz", "datasets/MNIST/raw"),
        ("fashion_mnist", "t10k-labels-idx1-ubyte.gz", "datasets/FashionMNIST/raw"),
        ("cifar10", "cifar-10-python.tar.gz", "datasets"),
        ("cifar100", "cifar-100-python.tar.gz", "datasets"),
        ("svhn", "train_32x32.mat and test_32x32.mat", "datasets"),
    ],
)
def test_a_failed_download_says_which_files_to_put_where_and_prints_nothing(
    name: str, files: str, folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BadInput) as caught:
        load_dataset(DataSpec(name=name))
    message = str(caught.value)
    assert message.startswith(f"data.name: {name} is not in the cache and downloading it failed (")
    assert "Name or service not known" in message
    assert files in message
    assert message.endswith(f"{tmp_path / folder}, or name images of yours: --data folder:PATH")
    assert "\n" not in message
    assert capsys.readouterr().out == ""


def write_idx(file: Path, array: np.ndarray) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    file.write_bytes(header + array.astype(np.uint8).tobytes())


def put_mnist(raw: Path) -> np.ndarray:
    raw.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (9, 28, 28), dtype=np.uint8)
    for part, chosen in (("train", slice(0, 6)), ("t10k", slice(6, 9))):
        write_idx(raw / f"{part}-images-idx3-ubyte", images[chosen])
        write_idx(raw / f"{part}-labels-idx1-ubyte", np.arange(9)[chosen] % 6)
    return images


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion_mnist", "FashionMNIST")])
def test_mnist_is_read_from_files_put_there_by_hand(name: str, folder: str, datasets: Path) -> None:
    images = put_mnist(datasets / folder / "raw")
    dataset = load_dataset(DataSpec(name=name))
    assert (dataset.train.images[:, 0].numpy() == images[:6]).all()
    assert (dataset.test.images[:, 0].numpy() == images[6:]).all()
    assert dataset.test.labels.tolist() == [0, 1, 2]
    assert (dataset.shape, len(dataset.classes), dataset.augment) == ((1, 28, 28), 10, "crop")


@pytest.mark.usefixtures("offline")
def test_a_damaged_download_says_what_to_delete(datasets: Path) -> None:
    raw = datasets / "MNIST" / "raw"
    put_mnist(raw)
    file = raw / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BadInput, match=r"mnist can't be read .*; delete its files in .*datasets to download"):
        load_dataset(DataSpec(name="mnist"))


def put_pickle(file: Path, content: dict[str, Any]) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(content))
    return hashlib.md5(file.read_bytes()).hexdigest()


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("name", "labels"), [("cifar10", "labels"), ("cifar100", "fine_labels")])
def test_cifar_is_read_from_torchvision_s_files(
    name: str, labels: str, datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = getattr(torchvision.datasets, name.upper())
    folder = datasets / kind.base_folder
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    for part, chosen in (("train", slice(0, 3)), ("test", slice(3, 5))):
        content = {"data": pixels[chosen].reshape(-1, 3072), labels: [0, 1, 1][: len(pixels[chosen])]}
        monkeypatch.setattr(kind, f"{part}_list", [[part, put_pickle(folder / part, content)]])
    md5 = put_pickle(folder / "names", {kind.meta["key"]: ["cat", "dog"]})
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": "names", "md5": md5})
    dataset = load_dataset(DataSpec(name=name))
    assert (dataset.train.images.numpy() == pixels[:3]).all()
    assert (dataset.test.images.numpy() == pixels[3:]).all()
    assert dataset.train.labels.tolist() == [0, 1, 1]
    assert (dataset.classes, dataset.augment) == (("cat", "dog"), "crop_flip")


@pytest.mark.usefixtures("offline")
def test_svhn_is_read_from_torchvision_s_files(datasets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)
    files = {}
    for part in ("train", "test"):
        file = datasets / f"{part}_32x32.mat"
        scipy.io.savemat(file, {"X": pixels, "y": np.array([[10], [1], [2], [9]])})
        files[part] = ["", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", files)
    dataset = load_dataset(DataSpec(name="svhn"))
    assert (dataset.train.images.numpy() == pixels.transpose(3, 2, 0, 1)).all()
    assert dataset.train.labels.tolist() == [0, 1, 2, 9]
    assert (dataset.shape, len(dataset.classes), dataset.augment) == ((3, 32, 32), 10, "crop")
