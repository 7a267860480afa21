"""Which folders below a root are its training and test parts, by their names and by what they hold."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stitchtui.base.errors import BadInput
from stitchtui.data.tree import Tree
from stitchtui.data.words import shown, some

# Where several can be the test part, the first of them is.
WORDS = {
    "train": ("train", "training", "trainval"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
    "eval": ("eval", "evaluation"),
    "dev": ("dev", "development"),
}
ENDINGS = ("set", "sets", "data", "images", "imgs", "img", "split", "part", "dir", "folder")
ANNOTATIONS = "val_annotations.txt"
IMAGES = "images"


@dataclass(frozen=True)
class Name:
    """A folder's name read as that of a part: which one, and what else the name says."""

    part: str
    rest: tuple[str, ...]


@dataclass(frozen=True)
class Parts:
    """The training folder and the test folder, or the one folder that both are to be taken from."""

    folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def part_name(name: str) -> Name | None:
    """`name` as a part's: Training, test_set, validation-data, seg_train, ILSVRC2012_img_val; None for others."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    stems = [_stem(word) for word in re.findall(r"[^\W\d_]+", spaced)]
    said = [part for part, words in WORDS.items() for stem in stems if stem in words]
    if not said:
        return None
    rest = tuple(stem for stem in stems if stem and not any(stem in words for words in WORDS.values()))
    return Name(said[0], rest)  # train_val is a training part


def _stem(word: str) -> str:
    for ending in ENDINGS:
        word = word.removesuffix(ending)
    return word


def find_parts(root: Path, tree: Tree, said: str) -> Parts:
    """The parts below `root`, or `root` itself where its folders are classes.

    Raises BadInput, starting with `said`, for folders that are called like parts but can't be used as such: they are
    never classes unless their names say something else, too.
    """
    folders = tree.folders(root)
    named = {folder: name for folder in folders if (name := part_name(folder.name))}
    trains = [folder for folder in named if named[folder].part == "train" and tree.folders(folder)]
    tests = [folder for folder in named if named[folder].part != "train" and _has_classes(folder, tree)]
    pairs = [(a, b) for a in trains for b in tests if named[a].rest == named[b].rest]
    if pairs:
        train, test = _chosen(pairs, named, said)
        left = [folder for folder in folders if folder not in (train, test)]
        used = f"{shown(train.name)}/ and {shown(test.name)}/ are the parts"
        notes = [
            f"{shown(folder.name)}/ is left out: {used if _has_classes(folder, tree) else 'it has no class folders'}"
            for folder in left
        ]
        return Parts((_inner(train, tree), _inner(test, tree)), tuple(notes))
    strict = [folder for folder in named if not named[folder].rest or len(named) == len(folders)]
    if strict or _paired(named):
        among = bool(strict) and len(strict) < len(folders) and not _paired(named)
        raise BadInput(f"{said}: {_problem(strict or list(named), trains, tests, among)}")
    _check_is_whole(root, tree, said)
    below = {tuple(inner.name for inner in tree.folders(folder)) for folder in folders}
    if len(folders) > 1 and len(below) == 1 and len(next(iter(below))) > 1:
        alike, inner = some([f"{folder.name}/" for folder in folders]), some([f"{name}/" for name in below.pop()])
        raise BadInput(
            f"{said}: {alike} all hold {inner}; if they are parts, call them train/ and test/, if they are classes, "
            "put their images into one folder each"
        )
    return Parts((root,))


def _check_is_whole(root: Path, tree: Tree, said: str) -> None:
    """Raise BadInput where `root` itself is called like a part and the other one lies beside it.

    A network that was trained on it would be tested on what it has learnt.
    """
    own = part_name(root.absolute().name)
    try:
        beside = tree.folders(root.absolute().parent) if own else []
    except OSError:  # not for us to read
        return
    others = [folder for folder in beside if (name := part_name(folder.name)) and _are_a_pair(own, name)]
    if others:
        raise BadInput(
            f"{said}: is called like a part, and {shown(others[0].name)}/ lies beside it; expected the folder that "
            "holds both (to split this one all the same, name a link to it that is called otherwise)"
        )


def _are_a_pair(one: Name | None, other: Name) -> bool:
    return one is not None and one.rest == other.rest and (one.part == "train") != (other.part == "train")


def _has_classes(part: Path, tree: Tree) -> bool:
    folders = tree.folders(_inner(part, tree))
    return (part / ANNOTATIONS).is_file() or any(folder.name != IMAGES for folder in folders)


def _chosen(pairs: list[tuple[Path, Path]], named: Mapping[Path, Name], said: str) -> tuple[Path, Path]:
    order = list(WORDS)
    best = min(order.index(named[test].part) for _, test in pairs)
    first = [pair for pair in pairs if order.index(named[pair[1]].part) == best]
    if len(first) > 1:
        several = sorted({folder.name for pair in first for folder in pair})
        raise BadInput(f"{said}: {some(several, 6)} could be the parts in more than one way; leave one pair there")
    return first[0]


def _inner(part: Path, tree: Tree) -> Path:
    """The folder of class folders in `part`: archives often hold seg_train/seg_train/, or train/images/."""
    name, folders = part_name(part.name), tree.folders(part)
    while (
        len(folders) == 1
        and (folders[0].name == IMAGES or part_name(folders[0].name) == name)
        and (below := tree.folders(folders[0]))
    ):
        part, folders = folders[0], below
    return part


def check_classes(part: Path, classes: list[Path], files: list[Path], said: str) -> None:
    """Raise BadInput, starting with `said`, where `classes` in `part` are parts, or their `files` lie in such."""
    named = {folder: name for folder in classes if (name := part_name(folder.name))}
    if _paired(named) or len(named) == len(classes):
        names = some([f"{folder.name}/" for folder in named])
        raise BadInput(
            f"{said}: {shown(part)} holds {names}, called like parts; expected class folders there: if they are "
            "classes, give them other names"
        )
    for folder in sorted({file.parent for file in files}):
        below = folder.relative_to(part).parts
        if like := [name for name in below[1:] if (read := part_name(name)) and not read.rest]:
            raise BadInput(
                f"{said}: {shown(like[0])}/ is called like a part but lies in {shown(part / below[0])}, which would be "
                "a class; expected the folder that holds train/ and test/: name that, or give this one another name"
            )


def _paired(named: Mapping[Path, Name]) -> bool:
    rests = {side: {name.rest for name in named.values() if (name.part == "train") == side} for side in (True, False)}
    return bool(rests[True] & rests[False])


def _problem(like: list[Path], trains: list[Path], tests: list[Path], among: bool) -> str:
    names = some([f"{folder.name}/" for folder in like])
    if among and not trains and not tests:
        return (
            f"{names} is called like a part but lies among class folders; expected one with train/ and test/, or one "
            "of class folders: if it is a class, give it another name"
        )
    if trains and not tests:
        flat = [folder for folder in like if folder not in trains]
        if flat:
            return f"{shown(flat[0])} has no class folders; expected one folder of images for each class"
        return f"has {names} but neither test/ nor val/; expected both parts"
    if trains and tests:
        return (
            f"{names} are called like parts, but in different ways; call the two that belong together train/ and test/"
        )
    if tests:
        return f"has {names} but no train/ with class folders; expected both parts"
    return (
        f"{names} have no class folders; expected train/ and test/, in each one folder of images for each class: if "
        "they are classes, give them other names"
    )
