"""Images from an `.npz` file: x_train, y_train, x_test, y_test and optionally classes, checked before use.

Images are [n, h, w], [n, h, w, c] or [n, c, h, w] with one to four channels, of any kind that `values` reads; labels
are of any kind that `numbering` reads. MedMNIST's names are known, too.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Part
from stitchtui.data.numbering import numbered
from stitchtui.data.raw import Raw
from stitchtui.data.values import Array, all_to_bytes
from stitchtui.data.words import one_line, shown

NEEDED = ("x_train", "y_train", "x_test", "y_test")
MEDMNIST = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION = ("x_val", "x_valid", "val_images")
MOST_CHANNELS = 4
Images = TypeVar("Images", Array, Tensor)


def load_npz(path: str) -> Raw:
    """The images of the `.npz` file at `path`; BadInput where an array is missing or can't be read in one way only."""
    said = f"data.name: npz:{shown(path)}"
    arrays, left = _read(Path(path).expanduser(), said)
    x_train, y_train, x_test, y_test, *_ = arrays
    images = {name: channels_first(arrays[name], f"{said}: {name}") for name in (x_train, x_test)}
    labels = {name: arrays[name] for name in (y_train, y_test)}
    check_fit(images, labels, said)
    pixels, notes = all_to_bytes(images, said)
    read = numbered(labels, arrays.get("classes"), said)
    train, test = (
        Part(torch.from_numpy(np.ascontiguousarray(some)), torch.from_numpy(numbers))
        for some, numbers in zip(pixels, (read.train, read.test), strict=True)
    )
    skipped = [f"{shown(name)} is left out: {x_test} is the test part" for name in left]
    return Raw(train, test, read.classes, (*skipped, *notes, *read.notes))


def class_count(path: str) -> int:
    """How many classes the labels of the `.npz` file at `path` are of; its images stay unread. Raises BadInput."""
    said = f"data.name: npz:{shown(path)}"
    arrays, _ = _read(Path(path).expanduser(), said, images=False)
    named = arrays.pop("classes", None)
    return len(numbered(arrays, named, said).classes)


def _read(path: Path, said: str, *, images: bool = True) -> tuple[dict[str, Array], list[str]]:
    """The arrays that are used, in the order of NEEDED, then `classes`; and the names of those of validation.

    Without `images`, only those of labels and `classes`.
    """
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise BadInput(f"{said}: holds a single array; save with numpy.savez and the names {_names()}")
            there = archive.files
            needed = next((names for names in (NEEDED, MEDMNIST) if set(names) <= set(there)), NEEDED)
            if missing := [name for name in needed if name not in there]:
                found = ", ".join(map(shown, there[:8])) or "none"
                raise BadInput(f"{said}: lacks {', '.join(missing)} (arrays there: {found}); expected {_names()}")
            used = [*(needed if images else needed[1::2]), *(name for name in there if name == "classes")]
            return {name: archive[name] for name in used}, [name for name in there if name in VALIDATION]
    # The last is what zipfile says of a compression that it doesn't know.
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadInput(f"{said}: can't be read ({one_line(error)}); expected {_names()} without pickles") from None


def check_fit(images: Mapping[str, Any], labels: Mapping[str, Array], said: str) -> None:
    """Raise BadInput, starting with `said`, unless each part's images [n, c, h, w] fit its labels and the other's."""
    for (name, pixels), (label_name, numbers) in zip(images.items(), labels.items(), strict=True):
        if numbers.shape[:1] != (len(pixels),):
            count = len(numbers) if numbers.ndim else "no"
            raise BadInput(f"{said}: {name} has {len(pixels)} images but {label_name} {count} labels")
    (first, train), (second, test) = images.items()
    if train.shape[1:] != test.shape[1:]:
        raise BadInput(
            f"{said}: {first}'s images are {list(train.shape[1:])} [c, h, w] but {second}'s are "
            f"{list(test.shape[1:])}; expected the same"
        )


def _names() -> str:
    return f"the arrays {', '.join(NEEDED)} (or MedMNIST's names)"


def channels_first(images: Images, said: str) -> Images:
    """[n, c, h, w] from any of the documented shapes, a view; errors start with `said`."""
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise BadInput(f"{said}: has shape {list(images.shape)}; expected [n, h, w], [n, h, w, c] or [n, c, h, w]")
    if images.ndim == 3:
        return images[:, None]
    return images.swapaxes(1, 3).swapaxes(2, 3) if _channels_last(images.shape, said) else images


def _channels_last(shape: tuple[int, ...], said: str) -> bool:
    first, last = shape[1] <= MOST_CHANNELS, shape[3] <= MOST_CHANNELS
    if first == last:
        what = "either axis 1 or axis 3 could be" if first else "neither axis 1 nor axis 3 is"
        raise BadInput(f"{said}: has shape {list(shape)}, where {what} the 1 to {MOST_CHANNELS} channels")
    return last
