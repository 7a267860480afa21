"""Images from class folders: `train/` and `test/` (or `val/`) in a folder, or one set of classes to split.

Files lie class by class, so the training images are shuffled once, always in the same way: an index range of
them (`train_range`) then holds every class. What is in a class's folder counts as an image, at any depth.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from stitchtui.data.dataset import Part
from stitchtui.data.decode import Progress, files_below
from stitchtui.data.decoded import decoded
from stitchtui.data.raw import Raw
from stitchtui.data.subsets import generator, stratified_split
from stitchtui.data.words import one_line, shown
from stitchtui.errors import BadInput


@dataclass(frozen=True)
class Listing:
    """The files of a folder of classes, class by class, and the name of each file's class."""

    files: list[Path]
    classes: list[str]


def load_folder(path: str, test_fraction: float, seed: int, progress: Progress | None = None) -> Raw:
    """The images below `path`; one set of classes is split by `test_fraction` and `seed`, class by class.

    Raises BadInput for a folder that isn't there, isn't laid out as expected, or holds what isn't an image.
    """
    root = Path(path).expanduser()
    said = f"data.name: folder:{shown(path)}"
    if not path or not root.is_dir():
        raise BadInput(f"{said}: no such folder; expected one with train/ and test/, or one of class folders")
    try:
        parts = _parts(root, said)
        listings = [_listing(part, said) for part in parts]
    except OSError as error:
        raise BadInput(f"{said}: can't be read ({one_line(error)})") from None
    names = sorted(set(listings[0].classes))
    _check_classes(parts, listings, names, said)
    index = {name: label for label, name in enumerate(names)}
    labels = [torch.tensor([index[name] for name in listing.classes]) for listing in listings]
    files = [file for listing in listings for file in listing.files]
    images = torch.from_numpy(decoded(root, files, progress))
    whole = Part(images, torch.cat(labels))
    train, test = _split(labels, test_fraction, seed)
    train = train[torch.randperm(len(train), generator=generator("folder order", 0))]
    return Raw(_take(whole, train), _take(whole, test), tuple(shown(name) for name in names))


def _take(part: Part, indices: Tensor) -> Part:
    return Part(part.images[indices], part.labels[indices])


def _split(labels: list[Tensor], test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    if len(labels) == 1:
        total = max(1, round(len(labels[0]) * test_fraction))
        return stratified_split(labels[0], total, generator("test_fraction", seed))
    first, both = len(labels[0]), len(labels[0]) + len(labels[1])
    return torch.arange(first), torch.arange(first, both)


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _parts(root: Path, said: str) -> list[Path]:
    there = {folder.name: folder for folder in _folders(root)}
    test = there.get("test") or there.get("val")
    if "train" in there and test is not None:
        return [there["train"], test]
    if "train" in there and _folders(there["train"]):
        raise BadInput(f"{said}: has train/ but neither test/ nor val/; expected both parts")
    if test is not None and _folders(test):
        raise BadInput(f"{said}: has {test.name}/ but no train/; expected both parts")
    return [root]


def _listing(part: Path, said: str) -> Listing:
    folders = _folders(part)
    if not folders:
        raise BadInput(f"{said}: {shown(part)} has no class folders; expected one folder of images for each class")
    found = [(file, folder.name) for folder in folders for file in files_below(folder)]
    return Listing([file for file, _ in found], [name for _, name in found])


def _check_classes(parts: list[Path], listings: list[Listing], names: list[str], said: str) -> None:
    empty = [folder.name for folder in _folders(parts[0]) if folder.name not in set(names)]
    if empty:
        raise BadInput(f"{said}: class folder {shown(parts[0] / empty[0])} holds no images")
    if len(names) < 2:
        raise BadInput(f"{said}: {shown(parts[0])} holds one class folder, {shown(names[0])}; expected two or more")
    if len(listings) == 1:
        _check_room(listings[0], said)
        return
    strange = sorted(set(listings[1].classes) - set(names))
    if strange:
        raise BadInput(f"{said}: class {shown(strange[0])} is in {parts[1].name}/ but not in train/")
    if not listings[1].files:
        raise BadInput(f"{said}: {shown(parts[1])} holds no images")


def _check_room(listing: Listing, said: str) -> None:
    for name, count in Counter(listing.classes).items():
        if count < 2:
            raise BadInput(f"{said}: class {shown(name)} has a single image; expected two or more, to split into parts")
