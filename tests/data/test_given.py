"""Images in memory are the same data set in whatever form they come; what is wrong with them is one line."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_runs import experiment
from torch.utils.data import DataLoader, TensorDataset

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Dataset
from stitchtui.data.given import given
from stitchtui.data.loading import load_dataset
from stitchtui.spec.checks import check_files
from stitchtui.spec.experiment import DataSpec

COLOUR = np.random.default_rng(0).integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)  # [n, h, w, c]
FIRST = COLOUR.transpose(0, 3, 1, 2)  # [n, c, h, w]
LABELS = np.arange(12) % 3
SPEC = DataSpec(name="memory:mine")


def load(data: Any, **options: Any) -> Dataset:
    return load_dataset(SPEC, given=given(data, **options))


def arrays(images: Any = COLOUR, labels: Any = LABELS) -> tuple[Any, ...]:
    return images[:8], labels[:8], images[8:], labels[8:]


def pillow() -> list[tuple[Image.Image, int]]:
    return [(Image.fromarray(image), int(label)) for image, label in zip(COLOUR, LABELS, strict=True)]


def tensors(images: Any = FIRST) -> tuple[TensorDataset, TensorDataset]:
    x, y = torch.tensor(images), torch.tensor(LABELS)
    return TensorDataset(x[:8], y[:8]), TensorDataset(x[8:], y[8:])


def dictionaries() -> Iterator[dict[str, Any]]:
    return ({"img": image, "labels": label} for image, label in zip(COLOUR, LABELS.astype(np.uint8), strict=True))


FORMS: dict[str, Callable[[], Any]] = {
    "channels first": lambda: arrays(FIRST),
    "read-only, turned round": lambda: arrays(np.broadcast_to(COLOUR[::-1], COLOUR.shape)[::-1]),
    "lists of labels": lambda: arrays(COLOUR, LABELS.tolist()),
    "pairs": lambda: ((COLOUR[:8], LABELS[:8]), [COLOUR[8:], LABELS[8:]]),
    "pillow": lambda: (pillow()[:8], pillow()[8:]),
    "data sets": lambda: dict(zip(("train", "test"), tensors(), strict=True)),
    "loaders": lambda: tuple(DataLoader(part, 3) for part in tensors()),
    "loader of items": lambda: tuple(DataLoader(part, None) for part in tensors()),
    "dictionaries": lambda: (list(dictionaries())[:8], (item for item in list(dictionaries())[8:])),
    "batches": lambda: (iter([arrays()[:2]]), iter([{"image": COLOUR[8:], "label": LABELS[8:]}])),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_same_images_is_the_data_set_of_their_npz_file(form: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "set.npz", **dict(zip(("x_train", "y_train", "x_test", "y_test"), arrays(), strict=True)))
    saved = load_dataset(DataSpec(name=f"npz:{tmp_path / 'set.npz'}"))
    dataset = load(FORMS[form]())
    assert dataset.digest == saved.digest
    assert (dataset.mean, dataset.std, dataset.classes, dataset.notes) == (saved.mean, saved.std, saved.classes, ())
    assert torch.equal(dataset.train.images, saved.train.images)
    assert dataset.augment == "none"


def test_images_in_memory_can_only_be_had_where_they_are() -> None:
    with pytest.raises(BadInput, match=r"^data\.name: memory:mine: these images were in the memory of a Python"):
        load_dataset(SPEC)
    with pytest.raises(BadInput, match="memory:mine: these images were in the memory") as caught:
        check_files(experiment(data={"name": "memory:mine"}))
    assert caught.value.field == "data.name"
