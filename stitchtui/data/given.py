"""Images that a Python program has in memory already: arrays, tensors, data sets and loaders, read by one rule."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import TensorDataset

from stitchtui.base.device import TURNS
from stitchtui.base.errors import BadInput, about
from stitchtui.data.arrays import channels_first, check_fit
from stitchtui.data.dataset import Part
from stitchtui.data.decode import eight_bits
from stitchtui.data.facts import FLOATS, extremes
from stitchtui.data.numbering import Array, numbered
from stitchtui.data.raw import Raw
from stitchtui.data.values import all_to_bytes
from stitchtui.data.words import one_line, some

SAID = "data"
EXPECTED = "expected (x_train, y_train, x_test, y_test), or a pair (train, test) of data sets or loaders"
IMAGE_KEYS = ("image", "img", "images", "pixel_values")
LABEL_KEYS = ("label", "labels", "fine_label", "target", "targets")
_TRIED = 8  # items that are read twice, to see whether they are drawn anew each time
_ROOM = 1024  # images that there is room for at first where nobody says how many come


@dataclass(frozen=True)
class _Found:
    """The images and labels of a part in whatever layout and type they came, and what they are called in errors."""

    images: Any  # an array or a tensor
    labels: Array
    called: tuple[str, str]
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def given(data: Any, *, classes: Sequence[str] | None = None) -> Raw:
    """The training and test images that `data` holds, without a copy where none is needed; `classes` are their names.

    `data` is `(x_train, y_train, x_test, y_test)`, as arrays or tensors on any device; or a pair of parts, or a mapping
    of "train" and "test" to them. A part is a pair of arrays, or anything that yields images and labels, one by one or
    in batches, as pairs or mappings: a map-style data set of torch, torchvision or Hugging Face, or a loader.

    Images are [h, w], [h, w, c] or [c, h, w] each, or Pillow's. Bytes and floats are taken as they are, floats as
    float32: pixels from 0 to 1, or normalised already. Other numbers are read as those of an `.npz` file are, and so
    are labels. What is not copied must stay as it is while it is in use; torch's generator is left as it is. Raises
    BadInput, whose field is `data`.
    """
    # Tensors that are made in inference mode could never be trained on.
    with TURNS, about("data"), torch.inference_mode(False), torch.no_grad(), torch.random.fork_rng(devices=[]):
        train, test = _parts(data)
        images = {found.called[0]: _laid_out(found) for found in (train, test)}
        labels = {found.called[1]: found.labels for found in (train, test)}
        check_fit(images, labels, SAID)
        pixels, notes = _stored(images)
        read = numbered(labels, _names(train, test, labels, classes), SAID)
        in_training, in_test = (
            Part(some, torch.from_numpy(numbers).to(some.device))
            for some, numbers in zip(pixels, (read.train, read.test), strict=True)
        )
        return Raw(in_training, in_test, read.classes, (*train.notes, *test.notes, *notes, *read.notes))


def _parts(data: Any) -> tuple[_Found, _Found]:
    if isinstance(data, Mapping):
        if missing := [name for name in ("train", "test") if name not in data]:
            raise BadInput(f"{SAID}: has the parts {some(list(map(str, data)))} and no {missing[0]}; {EXPECTED}")
        data = data["train"], data["test"]
    if isinstance(data, (tuple, list)) and len(data) == 4 and not any(map(_yields, data)):
        x_train, y_train, x_test, y_test = data
        return (
            _Found(_array(x_train, "x_train"), _labels(y_train, "y_train"), ("x_train", "y_train")),
            _Found(_array(x_test, "x_test"), _labels(y_test, "y_test"), ("x_test", "y_test")),
        )
    if isinstance(data, (tuple, list)) and len(data) == 2 and not any(isinstance(p, np.ndarray | Tensor) for p in data):
        return _part(data[0], "training"), _part(data[1], "test")
    what = f"a {type(data).__name__}" + (f" of {len(data)}" if isinstance(data, (tuple, list)) else "")
    raise BadInput(f"{SAID}: is {what}; {EXPECTED}")


def _yields(part: Any) -> bool:
    """Say whether images and labels come out of it, rather than being it."""
    return not isinstance(part, (np.ndarray, Tensor, Sequence)) and not hasattr(part, "__array__")


def _part(part: Any, name: str) -> _Found:
    called = f"the {name} images", f"the {name} labels"
    pair = part.tensors if isinstance(part, TensorDataset) else part
    if isinstance(pair, (tuple, list)) and len(pair) == 2 and not isinstance(pair[0], (tuple, list, Mapping)):
        return _Found(_array(pair[0], called[0]), _labels(pair[1], called[1]), called, _classes(part, ""))
    if not hasattr(part, "__iter__") and not _is_map(part):
        raise BadInput(f"{SAID}: the {name} part is a {type(part).__name__}; {EXPECTED}")
    images, labels, key = _collected(part, called)
    return _Found(images, labels, called, _classes(part, key), tuple(_notes(part, name, len(images))))


def _is_map(part: Any) -> bool:
    return hasattr(part, "__getitem__") and hasattr(part, "__len__")


def _collected(part: Any, called: tuple[str, str]) -> tuple[Tensor, Array, str]:
    """All images, labels, and the key that labels come under where items are mappings."""
    whole, count, labels, key = None, 0, [], ""
    for item in part if hasattr(part, "__iter__") else (part[index] for index in range(len(part))):
        image, label, key = _pair(item, called)
        # A single image of a data set may have a row for its label; a batch has as many labels as images.
        if image.ndim < 4 and (label.ndim == 0 or _is_map(part)):
            image, label = image[None], label[None]
        if whole is None:
            whole = image.new_empty((_expected_count(part, len(image)), *image.shape[1:]))
        if (image.shape[1:], image.dtype) != (whole.shape[1:], whole.dtype):
            this, first = (f"{str(t.dtype).removeprefix('torch.')} {list(t.shape[1:])}" for t in (image, whole))
            raise BadInput(
                f"{SAID}: {called[0]}: number {count} is {this}, but those before it {first}; expected images of one "
                "size and type: give the data set a transform that makes them alike"
            )
        whole = _with_room(whole, count + len(image))
        whole[count : count + len(image)] = image
        labels.append(label)
        count += len(image)
    if whole is None:
        raise BadInput(f"{SAID}: there are no {called[0].removeprefix('the ')}; {EXPECTED}")
    try:
        return whole[:count], np.concatenate(labels), key
    except ValueError as error:
        raise BadInput(
            f"{SAID}: {called[1]} are of unlike shapes ({one_line(error)}); expected one number each"
        ) from None


def _pair(item: Any, called: tuple[str, str]) -> tuple[Tensor, Array, str]:
    if isinstance(item, Mapping):
        keys = [next((key for key in known if key in item), None) for known in (IMAGE_KEYS, LABEL_KEYS)]
        if None in keys:
            raise BadInput(
                f"{SAID}: {called[0]} come with the keys {some(list(map(str, item)))}; expected image or img, "
                "and label or labels: rename those columns"
            )
        image, label = (item[key] for key in keys)
        key = str(keys[1])
    elif isinstance(item, (tuple, list)) and len(item) == 2:
        (image, label), key = item, ""
    else:
        count = f" of {len(item)}" if isinstance(item, (tuple, list)) else ""
        raise BadInput(f"{SAID}: {called[0]} come in a {type(item).__name__}{count}; expected an image and its label")
    array = _array(image, called[0])
    try:
        pixels = array if isinstance(array, Tensor) else _tensor(array)
    except TypeError:
        what = f"{type(image).__name__} of {array.dtype}"
        raise BadInput(f"{SAID}: {called[0]} are each a {what}; expected arrays, tensors or Pillow's images") from None
    return pixels, _labels(label, called[1]), key


def _expected_count(part: Any, each: int) -> int:
    """How many images to make room for where so many come at a time."""
    try:
        return max(each, each * len(part))
    except TypeError:  # a stream has no length
        return _ROOM


def _with_room(whole: Tensor, count: int) -> Tensor:
    if count <= len(whole):
        return whole
    larger = whole.new_empty((max(count, 2 * len(whole)), *whole.shape[1:]))
    larger[: len(whole)] = whole
    return larger


def _array(images: Any, called: str) -> Array | Tensor:
    """What it is as an array or tensor, which no gradient goes through."""
    if isinstance(images, Tensor):
        plain = images.detach().as_subclass(Tensor)
        return plain.clone() if plain.is_inference() else plain
    if isinstance(images, Image.Image) and images.mode != "F" and not images.mode.startswith("I"):
        return np.array(eight_bits(images))
    try:
        return np.asarray(images)
    except (ValueError, TypeError) as error:
        raise BadInput(f"{SAID}: {called}: can't be made an array ({one_line(error)})") from None


def _labels(labels: Any, called: str) -> Array:
    array = _array(labels, called)
    if isinstance(array, Tensor):
        return (array.float() if array.is_floating_point() else array).cpu().numpy()
    return array


def _tensor(array: Array) -> Tensor:
    """A view where torch can have one."""
    if any(stride < 0 or stride % array.itemsize for stride in array.strides) or not array.dtype.isnative:
        array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it may be read-only: nobody writes to images
        return torch.from_numpy(array)


def _laid_out(found: _Found) -> Any:
    """The images as [n, c, h, w]."""
    said = f"{SAID}: {found.called[0]}"
    if found.images.ndim and not len(found.images):
        raise BadInput(f"{said}: are none; {EXPECTED}")
    return channels_first(found.images, said)


def _stored(images: dict[str, Any]) -> tuple[list[Tensor], tuple[str, ...]]:
    """Both parts' images as bytes or as floats, and the notes on it."""
    types = {name: str(some.dtype).removeprefix("torch.") for name, some in images.items()}
    floats = [_is_floating(some) for some in images.values()]
    if any(floats) and not all(floats):
        each = " but ".join(f"{name} {kind}" for name, kind in types.items())
        raise BadInput(f"{SAID}: {each}; expected one type in both, uint8 or float32")
    if all(floats):
        stored = [_floats(some, f"{SAID}: {name}") for name, some in images.items()]
        return [_plain_grey(some) for some in stored], tuple(_float_notes(stored))
    if set(types.values()) == {"uint8"}:
        return [_plain_grey(some if isinstance(some, Tensor) else _tensor(some)) for some in images.values()], ()
    arrays = {name: some.cpu().numpy() if isinstance(some, Tensor) else some for name, some in images.items()}
    pixels, notes = all_to_bytes(arrays, SAID)
    return [_plain_grey(_tensor(some)) for some in pixels], notes


def _is_floating(images: Array | Tensor) -> bool:
    return images.is_floating_point() if isinstance(images, Tensor) else images.dtype.kind == "f"


def _floats(images: Array | Tensor, said: str) -> Tensor:
    tensor = images.float() if isinstance(images, Tensor) else _tensor(images.astype(np.float32, copy=False))
    for number, chunk in enumerate(tensor.split(FLOATS)):
        if not bool((good := chunk.isfinite().flatten(1).all(1)).all()):
            first = number * FLOATS + int(good.int().argmin())
            raise BadInput(f"{said}: number {first} has pixels that are not finite numbers; mend it, or leave it out")
    return tensor


def _float_notes(images: list[Tensor]) -> Iterator[str]:
    for low, high in map(extremes, images):
        if low >= 0 and high > 1.5:
            yield f"float images from {low:g} to {high:g} are read as they are; give pixels from 0 to 255 as uint8"
            return


def _plain_grey(images: Tensor) -> Tensor:
    """The same view with the usual stride for an axis of one channel: any would do, but convolutions go by it."""
    return images.squeeze(1).unsqueeze(1) if images.shape[1] == 1 else images


def _classes(part: Any, key: str) -> tuple[str, ...] | None:
    """The names of the classes as torchvision's data sets and the features of Hugging Face's say them."""
    for _ in range(4):  # a loader of a subset of a data set
        features = getattr(part, "features", None)
        known = features.get(key) if isinstance(features, Mapping) else None
        names = getattr(known, "names", None) or getattr(part, "classes", None)
        if isinstance(names, (list, tuple)) and names:
            return tuple(name if isinstance(name, str) else ", ".join(map(str, name)) for name in names)
        part = getattr(part, "dataset", None)
    return None


def _names(train: _Found, test: _Found, labels: dict[str, Array], classes: Sequence[str] | None) -> Array | None:
    if classes is not None:
        return np.array(list(classes))
    if train.classes and test.classes and train.classes != test.classes:
        raise BadInput(
            f"{SAID}: the classes of the training part are {some(train.classes)}, those of the test part "
            f"{some(test.classes)}; expected the same, in one order"
        )
    found = train.classes or test.classes
    numbers = [array.max() for array in labels.values() if array.dtype.kind in "biu"]
    if found is None or (numbers and max(numbers) >= len(found)):
        return None  # labels were made others after the data set was: its names are not theirs
    return np.array(found)


def _notes(part: Any, name: str, count: int) -> Iterator[str]:
    source: Any = part if _is_map(part) else getattr(part, "dataset", None)
    if not _is_map(source):
        return
    if len(source) > count:
        yield f"the {name} loader leaves {len(source) - count} of {len(source)} images out"
    with suppress(BadInput):  # what a loader makes of it can be read all the same
        for index in range(min(_TRIED, len(source))):
            first, second = (_pair(source[index], ("", ""))[0] for _ in range(2))
            if first.shape != second.shape or not bool((first == second).all()):
                yield f"the {name} images come out otherwise each time (random augmentation): they were read once"
                return
