"""Images from an `.npz` file: x_train, y_train, x_test, y_test and optionally classes, checked before use.

Images are uint8 [n, h, w], [n, h, w, c] or [n, c, h, w] with one to four channels; labels are whole
numbers from 0.
"""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stitchtui.data.dataset import Part
from stitchtui.data.raw import Raw
from stitchtui.data.words import one_line, shown
from stitchtui.errors import BadInput

Array = NDArray[Any]
NEEDED = ("x_train", "y_train", "x_test", "y_test")
MOST_CHANNELS = 4


def load_npz(path: str) -> Raw:
    """The images of the `.npz` file at `path`; BadInput where an array is missing or not as documented."""
    said = f"data.name: npz:{shown(path)}"
    arrays = _read(Path(path).expanduser(), said)
    train, test = (_part(arrays, part, said) for part in ("train", "test"))
    if train.images.shape[1:] != test.images.shape[1:]:
        raise BadInput(
            f"{said}: x_train's images are {list(train.images.shape[1:])} [c, h, w] but x_test's are "
            f"{list(test.images.shape[1:])}; expected the same"
        )
    return Raw(train, test, _classes(arrays, train, test, said))


def _read(path: Path, said: str) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise BadInput(f"{said}: holds a single array; save with numpy.savez and the names {_names()}")
            present = [name for name in (*NEEDED, "classes") if name in archive.files]
            missing = [name for name in NEEDED if name not in present]
            if missing:
                found = ", ".join(shown(name) for name in archive.files[:8]) or "none"
                raise BadInput(f"{said}: lacks {', '.join(missing)} (arrays there: {found}); expected {_names()}")
            return {name: archive[name] for name in present}
    # The last is what zipfile says of a compression that it doesn't know.
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadInput(f"{said}: can't be read ({one_line(error)}); expected {_names()} without pickles") from None


def _names() -> str:
    return "the arrays " + ", ".join(NEEDED)


def _part(arrays: Mapping[str, Array], part: str, said: str) -> Part:
    images = channels_first(arrays[f"x_{part}"], f"{said}: x_{part}")
    labels = _labels(arrays[f"y_{part}"], f"{said}: y_{part}")
    if len(images) != len(labels):
        raise BadInput(f"{said}: x_{part} has {len(images)} images but y_{part} {len(labels)} labels")
    return Part(images, labels)


def channels_first(images: Array, said: str) -> Tensor:
    """uint8 [n, c, h, w] from any of the documented shapes; errors start with `said`."""
    if images.dtype != np.uint8:
        raise BadInput(f"{said}: is {images.dtype}; expected uint8 pixels from 0 to 255")
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise BadInput(f"{said}: has shape {list(images.shape)}; expected [n, h, w], [n, h, w, c] or [n, c, h, w]")
    if images.ndim == 3:
        images = images[:, None]
    elif _channels_last(images.shape, said):
        images = images.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(images))


def _channels_last(shape: tuple[int, ...], said: str) -> bool:
    first, last = shape[1] <= MOST_CHANNELS, shape[3] <= MOST_CHANNELS
    if first == last:
        what = "either axis 1 or axis 3 could be" if first else "neither axis 1 nor axis 3 is"
        raise BadInput(f"{said}: has shape {list(shape)}, where {what} the 1 to {MOST_CHANNELS} channels")
    return last


def _labels(labels: Array, said: str) -> Tensor:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # [n, 1], as Keras saves CIFAR-10
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BadInput(f"{said}: is {labels.dtype} {list(labels.shape)}; expected whole numbers [n]")
    if len(labels) and (int(labels.min()) < 0 or int(labels.max()) >= 2**31):
        raise BadInput(f"{said}: runs from {labels.min()} to {labels.max()}; expected labels from 0")
    return torch.from_numpy(labels.astype(np.int64))


def _classes(arrays: Mapping[str, Array], train: Part, test: Part, said: str) -> tuple[str, ...]:
    top = max(int(train.labels.max()), int(test.labels.max()))
    if "classes" in arrays:
        names = arrays["classes"]
        if names.ndim != 1 or names.dtype.kind not in "US" or len(names) <= top:
            raise BadInput(
                f"{said}: classes is {names.dtype} {list(names.shape)}; expected at least {top + 1} names, "
                f"since the labels run to {top}"
            )
        return tuple(name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name) for name in names)
    images = len(train) + len(test)
    if top >= images:
        raise BadInput(f"{said}: labels run to {top} but there are only {images} images; expected labels from 0")
    return tuple(str(label) for label in range(top + 1))
