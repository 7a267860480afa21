"""Datasets known by name: scikit-learn's digits, and those that torchvision downloads on first use."""

import contextlib
import http.client
import socket
import sys
import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stitchtui.base.errors import BadInput
from stitchtui.base.paths import cache_directory
from stitchtui.data.dataset import Part
from stitchtui.data.raw import Raw
from stitchtui.data.subsets import generator, stratified_split
from stitchtui.data.words import one_line, shown

DIGITS_TEST = 600
# Seconds of silence after which a download has failed: where packets are dropped it would hang for ever.
SILENCE = 60.0
_IDX = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz"


@dataclass(frozen=True)
class Download:
    """A dataset of torchvision's: its class, the files it needs, in which folder, and where they come from."""

    loader: str
    files: str
    folder: str
    origin: str


DOWNLOADS = {
    "mnist": Download("MNIST", _IDX, "MNIST/raw", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    "fashion_mnist": Download(
        "FashionMNIST",
        _IDX,
        "FashionMNIST/raw",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    "cifar10": Download("CIFAR10", "cifar-10-python.tar.gz", "", "https://www.cs.toronto.edu/~kriz/"),
    "cifar100": Download("CIFAR100", "cifar-100-python.tar.gz", "", "https://www.cs.toronto.edu/~kriz/"),
    "svhn": Download("SVHN", "train_32x32.mat and test_32x32.mat", "", "http://ufldl.stanford.edu/housenumbers/"),
}


def load_digits() -> Raw:
    """scikit-learn's 1,797 grey digits of 8x8 pixels; a fixed, stratified 600 of them are the test part."""
    from sklearn import datasets

    pixels, targets = datasets.load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(targets).to(torch.int64)
    train, test = stratified_split(labels, DIGITS_TEST, generator("digits", 0))
    return Raw(
        Part(images[train], labels[train]),
        Part(images[test], labels[test]),
        tuple(str(digit) for digit in range(10)),
    )


def load_download(name: str) -> Raw:
    """A dataset of DOWNLOADS, from the cache or else the network; BadInput says where to put which files."""
    root = cache_directory() / "datasets"
    try:
        with _quiet():
            train, test = (_open(name, root, part) for part in (True, False))
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AssertionError) as error:
        raise BadInput(
            f"data.name: {name} can't be read ({one_line(error)}); delete its files in {shown(root)} "
            "to download them again"
        ) from None
    return Raw(_part(train), _part(test), _classes(name, train))


def _open(name: str, root: Path, train: bool) -> Any:
    from torchvision import datasets

    download = DOWNLOADS[name]
    loader = getattr(datasets, download.loader)

    def fetch(self: Any) -> None:
        try:
            loader.download(self)
        except (OSError, RuntimeError, EOFError, http.client.HTTPException, tarfile.TarError) as error:
            raise BadInput(
                f"data.name: {name} is not in the cache and downloading it failed ({one_line(error)}); put "
                f"{download.files} from {download.origin} into {shown(root / download.folder)},"
                " or name images of yours: --data folder:PATH"
            ) from None

    # A class of the same name, since torchvision calls MNIST's folder after it; so a failed download is told
    # from damaged files, for which it raises the same exceptions.
    fetching = type(download.loader, (loader,), {"download": fetch})
    part: dict[str, Any] = {"train": train}
    if download.loader == "SVHN":
        part = {"split": "train" if train else "test"}
    return fetching(str(root), download=True, **part)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE)
    try:
        # stdout carries data only; NumPy warns of how CIFAR's files, pickled long ago, spell their types.
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        socket.setdefaulttimeout(before)


def _part(source: Any) -> Part:
    pixels = np.asarray(source.data)
    if pixels.ndim == 3:
        pixels = pixels[:, None]  # MNIST: [n, h, w]
    elif pixels.shape[-1] == 3:
        pixels = pixels.transpose(0, 3, 1, 2)  # CIFAR: [n, h, w, c]
    labels = source.labels if hasattr(source, "labels") else source.targets
    return Part(
        torch.from_numpy(np.array(pixels, dtype=np.uint8)),
        torch.as_tensor(np.asarray(labels), dtype=torch.int64),
    )


def _classes(name: str, source: Any) -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(10)) if name in ("mnist", "svhn") else tuple(source.classes)
