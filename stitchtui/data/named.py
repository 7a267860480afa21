"""Datasets known by name: scikit-learn's digits, and those that torchvision downloads on first use."""

import contextlib
import http.client
import socket
import sys
import tarfile
import warnings
from collections.abc import Iterator
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
from stitchtui.spec.datasets import DATASETS, DIGITS, Download

DIGITS_TEST = 600
# Seconds of silence after which a download has failed: where packets are dropped it would hang for ever.
SILENCE = 60.0


def load_digits(_name: str = "") -> Raw:
    """scikit-learn's 1,797 grey digits of 8x8 pixels; a fixed, stratified 600 of them are the test part."""
    from sklearn import datasets

    pixels, targets = datasets.load_digits(return_X_y=True)
    images = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8).reshape(-1, 1, 8, 8)
    labels = torch.from_numpy(targets).to(torch.int64)
    train, test = stratified_split(labels, DIGITS_TEST, generator(DIGITS.name, 0))
    return Raw(
        Part(images[train], labels[train]),
        Part(images[test], labels[test]),
        tuple(str(digit) for digit in range(10)),
    )


def load_download(name: str) -> Raw:
    """A dataset of torchvision's, from the cache or else the network; BadInput says where to put which files."""
    download, root = DATASETS[name].download, cache_directory() / "datasets"
    assert download is not None
    try:
        with _quiet():
            train, test = (_open(name, download, root, part) for part in (True, False))
    except (OSError, RuntimeError, EOFError, ValueError, TypeError, LookupError, AssertionError) as error:
        raise BadInput(
            f"data.name: {name} can't be read ({one_line(error)}); delete its files in {shown(root)} "
            "to download them again"
        ) from None
    return Raw(_part(train), _part(test), _classes(download, train))


def _open(name: str, download: Download, root: Path, train: bool) -> Any:
    from torchvision import datasets

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
    if download.split:
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


def _classes(download: Download, source: Any) -> tuple[str, ...]:
    return tuple(str(digit) for digit in range(10)) if download.counted else tuple(source.classes)
