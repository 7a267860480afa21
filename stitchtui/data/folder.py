"""Images from class folders: a training and a test part in a folder, or one set of classes to split.

Files lie class by class, so the training images are shuffled once, always in the same way: an index range of
them (`train_range`) then holds every class. What is in a class's folder counts as an image, at any depth.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from stitchtui.base.errors import BadInput
from stitchtui.data.dataset import Part
from stitchtui.data.decode import Progress
from stitchtui.data.decoded import decoded
from stitchtui.data.parts import ANNOTATIONS, IMAGES, check_classes, find_parts, part_name
from stitchtui.data.raw import Raw
from stitchtui.data.subsets import generator, stratified_split
from stitchtui.data.tree import Tree
from stitchtui.data.words import one_line, shown, some


@dataclass(frozen=True)
class Listing:
    """The files of a folder of classes, class by class, and the name of each file's class."""

    part: Path
    files: list[Path]
    classes: list[str]
    empty: list[str] = field(default_factory=list)  # the class folders without images
    loose: int = 0  # how many files lie beside the class folders


def load_folder(path: str, test_fraction: float, seed: int, progress: Progress | None = None) -> Raw:
    """The images below `path`; one set of classes is split by `test_fraction` and `seed`, class by class.

    Raises BadInput for a folder that isn't there, isn't laid out as expected, or holds what isn't an image.
    """
    root = Path(path).expanduser()
    said = f"data.name: folder:{shown(path)}"
    if not path or not root.is_dir():
        raise BadInput(f"{said}: no such folder; expected one with train/ and test/, or one of class folders")
    tree = Tree()
    try:
        parts = find_parts(root, tree, said)
        listings = [_listing(part, tree, said) for part in parts.folders]
    except OSError as error:
        raise BadInput(f"{said}: can't be read ({one_line(error)})") from None
    names = sorted(set(listings[0].classes))
    _check_classes(listings, names, said)
    index = {name: label for label, name in enumerate(names)}
    labels = [torch.tensor([index[name] for name in listing.classes]) for listing in listings]
    images = decoded(root, [file for listing in listings for file in listing.files], progress)
    whole = Part(torch.from_numpy(images.pixels), torch.cat(labels))
    train, test = _split(labels, test_fraction, seed)
    train = train[torch.randperm(len(train), generator=generator("folder order", 0))]
    notes = (*parts.notes, *_notes(listings, names), *tree.notes(), *images.notes)
    return Raw(_take(whole, train), _take(whole, test), tuple(shown(name) for name in names), notes)


def class_count(path: str) -> int | None:
    """How many class folders there are below `path`; None where the folders don't tell. Raises BadInput and OSError."""
    tree = Tree()
    part = find_parts(Path(path).expanduser(), tree, f"data.name: folder:{shown(path)}").folders[0]
    return None if (part / ANNOTATIONS).is_file() else len(tree.folders(part))


def _take(part: Part, indices: Tensor) -> Part:
    return Part(part.images[indices], part.labels[indices])


def _split(labels: list[Tensor], test_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    if len(labels) == 1:
        total = max(1, round(len(labels[0]) * test_fraction))
        return stratified_split(labels[0], total, generator("test_fraction", seed))
    first, both = len(labels[0]), len(labels[0]) + len(labels[1])
    return torch.arange(first), torch.arange(first, both)


def _listing(part: Path, tree: Tree, said: str) -> Listing:
    folders = tree.folders(part)
    if (part / ANNOTATIONS).is_file() and all(folder.name == IMAGES for folder in folders):
        return _annotated(part, tree)
    if not folders:
        raise BadInput(f"{said}: {shown(part)} has no class folders; expected one folder of images for each class")
    found = [(file, folder.name) for folder in folders for file in tree.files(folder)]
    files = [file for file, _ in found]
    check_classes(part, folders, files, said)
    empty = sorted({folder.name for folder in folders} - {name for _, name in found})
    return Listing(part, files, [name for _, name in found], empty, tree.loose(part))


def _notes(listings: list[Listing], names: list[str]) -> Iterator[str]:
    for listing in listings:
        if listing.loose:
            yield f"files in {shown(listing.part)} that lie in no class folder, and are left out: {listing.loose}"
    if like := [name for name in names if part_name(name)]:
        yield f"taken for classes, though called like parts: {some(like)}"


def _annotated(part: Path, tree: Tree) -> Listing:
    """The images of Tiny ImageNet's val/: all in one folder, with a file that names each one's class."""
    place = part / ANNOTATIONS
    said = shown(place)
    classes: dict[str, str] = {}
    for number, line in enumerate(place.read_bytes().decode("utf-8", "replace").splitlines(), 1):
        words = line.split("\t")
        if len(words) < 2 or classes.get(words[0], words[1]) != words[1]:
            raise BadInput(
                f"{said}: line {number}: '{shown(line[:60])}'; expected FILE, a tab, and the file's one class"
            )
        classes[words[0]] = words[1]
    files = {file.name: file for file in tree.files(part / IMAGES)}
    if lacking := sorted(set(files) - set(classes)):
        raise BadInput(f"{said}: names no class for {some(lacking)}; expected one for every image")
    if lost := sorted(set(classes) - set(files)):
        raise BadInput(f"{said}: names images that are not in {IMAGES}/: {some(lost)}")
    ordered = sorted(files, key=lambda name: (classes[name], name))
    return Listing(part, [files[name] for name in ordered], [classes[name] for name in ordered])


def _check_classes(listings: list[Listing], names: list[str], said: str) -> None:
    first, last = listings[0], listings[-1]
    if first.empty:
        raise BadInput(f"{said}: class folder {shown(first.part / first.empty[0])} holds no images")
    if len(names) < 2:
        raise BadInput(f"{said}: {shown(first.part)} holds one class folder, {some(names)}; expected two or more")
    if len(listings) == 1:
        _check_room(first, said)
        return
    strange = sorted(set(last.classes) - set(names))
    if strange:
        raise BadInput(
            f"{said}: class {shown(strange[0])} is in {shown(last.part.name)}/ but not in {shown(first.part.name)}/"
        )
    if not last.files:
        raise BadInput(f"{said}: {shown(last.part)} holds no images")


def _check_room(listing: Listing, said: str) -> None:
    for name, count in Counter(listing.classes).items():
        if count < 2:
            raise BadInput(f"{said}: class {shown(name)} has a single image; expected two or more, to split into parts")
