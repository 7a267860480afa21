"""Labels as people save them, made whole numbers from 0: numbers, fractions that are whole, one-hot rows, names."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stitchtui.base.errors import BadInput
from stitchtui.data.words import shown, some

Array = NDArray[Any]
Numbers = NDArray[np.int64]
EXPECTED = "expected whole numbers [n]"


@dataclass(frozen=True)
class Numbered:
    """Both parts' labels as numbers from 0, the classes' names, and what a person should know of the reading."""

    train: Numbers
    test: Numbers
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def numbered(labels: dict[str, Array], named: Array | None, said: str) -> Numbered:
    """The training and test labels, in this order and by their arrays' names, as numbers of classes.

    `named` are the classes' names, where they were saved. Errors start with `said`: BadInput for what can be read in
    more than one way.
    """
    flat = [_flat(array, f"{said}: {name}") for name, array in labels.items()]
    names = None if named is None else _names(named, said)
    if all(array.ndim == 2 for array in flat):
        return _one_hot(dict(zip(labels, flat, strict=True)), names, said)
    kinds = {array.dtype.kind in "US" for array in flat}
    if any(array.ndim == 2 for array in flat) or len(kinds) > 1:
        each = " but ".join(f"{name} is {array.dtype} {list(array.shape)}" for name, array in labels.items())
        raise BadInput(f"{said}: {each}; expected labels of one kind in both")
    if kinds == {True}:
        texts = [_texts(array) for array in flat]
        if not all(re.fullmatch(r"[0-9]{1,9}", text) for part in texts for text in set(part)):
            return _by_name(list(labels), texts, names, said)
        flat = [np.array([int(text) for text in part], dtype=np.int64) for part in texts]
    train, test = (_whole(array, f"{said}: {name}") for name, array in zip(labels, flat, strict=True))
    return Numbered(train, test, _classes(train, test, names, 0, said))


def _flat(labels: Array, said: str) -> Array:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # [n, 1], as Keras saves CIFAR-10
    if labels.ndim not in (1, 2) or labels.dtype.kind not in "biufUS" or (labels.ndim == 2 and not _is_one_hot(labels)):
        raise BadInput(f"{said}: is {labels.dtype} {list(labels.shape)}; {EXPECTED}")
    return labels


def _is_one_hot(labels: Array) -> bool:
    return labels.dtype.kind in "biuf" and bool(
        ((labels == 0) | (labels == 1)).all() and (np.count_nonzero(labels, axis=1) == 1).all()
    )


def _one_hot(labels: dict[str, Array], names: tuple[str, ...] | None, said: str) -> Numbered:
    columns = {array.shape[1] for array in labels.values()}
    if len(columns) > 1:
        each = " but ".join(f"{name} has {array.shape[1]}" for name, array in labels.items())
        raise BadInput(f"{said}: one-hot labels, where {each} columns; expected one column for each class in both")
    train, test = (array.argmax(1).astype(np.int64) for array in labels.values())
    note = "one-hot labels: read as the numbers of their columns, from 0"
    return Numbered(train, test, _classes(train, test, names, columns.pop(), said), (note,))


def _names(named: Array, said: str) -> tuple[str, ...]:
    if named.ndim != 1 or named.dtype.kind not in "US":
        raise BadInput(f"{said}: classes is {named.dtype} {list(named.shape)}; expected one name for each class")
    return tuple(_texts(named))


def _texts(array: Array) -> list[str]:
    return [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in array]


def _by_name(arrays: list[str], texts: list[list[str]], names: tuple[str, ...] | None, said: str) -> Numbered:
    order = names or tuple(sorted(set(texts[0])))
    source = "classes" if names else arrays[0]
    index = {name: number for number, name in enumerate(order)}
    if len(index) < len(order):
        raise BadInput(f"{said}: classes names a class twice; expected each name once, since the labels are names")
    for array, part in zip(arrays, texts, strict=True):
        if strange := sorted(set(part) - set(index)):
            raise BadInput(f"{said}: {array} has labels that {source} has not ({some(strange)}); expected the same")
    train, test = (np.array([index[text] for text in part], dtype=np.int64) for part in texts)
    how = "in the order of classes" if names else "in sorted order"
    return Numbered(train, test, order, (f"labels are names: numbered {how}, {shown(order[0])} is class 0",))


def _whole(labels: Array, said: str) -> Numbers:
    if labels.dtype.kind == "f" and not (np.isfinite(labels).all() and (labels == np.rint(labels)).all()):
        raise BadInput(f"{said}: is {labels.dtype} {list(labels.shape)}, with fractions; {EXPECTED}")
    if int(labels.min()) < 0 or int(labels.max()) >= 2**31:
        raise BadInput(f"{said}: runs from {labels.min()} to {labels.max()}; expected labels from 0")
    return labels.astype(np.int64)


def _classes(train: Numbers, test: Numbers, names: tuple[str, ...] | None, columns: int, said: str) -> tuple[str, ...]:
    both = np.concatenate([train, test])
    lowest, top = int(both.min()), max(int(both.max()), columns - 1)
    if lowest > 0 and not columns and (names is None or len(names) <= top):
        raise BadInput(
            f"{said}: the labels run from {lowest} to {top}; expected classes numbered from 0. Subtract {lowest} from "
            f"both parts' labels; or, where classes below {lowest} exist and have no images, name all {top + 1} "
            "classes in `classes`"
        )
    if names is not None:
        if len(names) <= top:
            raise BadInput(
                f"{said}: classes holds {len(names)}; expected at least {top + 1} names, since the labels run to {top}"
            )
        return names
    if top >= len(both) and not columns:
        raise BadInput(
            f"{said}: labels run to {top} but there are only {len(both)} images; expected labels from 0 without gaps, "
            "or the names of all classes in `classes`"
        )
    return tuple(str(label) for label in range(top + 1))
