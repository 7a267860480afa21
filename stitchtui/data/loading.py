"""Datasets by what a preset says of them: loaded, measured, cut down to the subset asked for, identified."""

from collections.abc import Callable
from dataclasses import replace

from stitchtui.base.errors import BadInput, about
from stitchtui.base.registry import load
from stitchtui.data import facts, oddities
from stitchtui.data.dataset import Dataset, Part
from stitchtui.data.raw import Raw
from stitchtui.data.subsets import indices_for_testing, indices_for_training
from stitchtui.data.words import shown
from stitchtui.spec.datasets import DATASETS, IN_MEMORY, only_in_memory, usual_augmentation
from stitchtui.spec.experiment import DataSpec, Subset


def load_dataset(
    spec: DataSpec, progress: Callable[[int, int], None] | None = None, given: Raw | None = None
) -> Dataset:
    """The dataset that `spec` describes, with its subsets taken and `augment` decided.

    It is on the CPU; but images in memory, which are `given`, stay where they are. Normalisation is that of the whole
    training part, whatever subset is used. `progress` is told (done, total) while image files are decoded. Raises
    BadInput for data that isn't there, can't be read, is too small, or on which no number would be right.
    """
    if given is None:
        field, said = "data.name", f"data.name: {shown(spec.name)}"
    else:
        field = said = "data"
    with about(field):
        raw = _load(spec, progress) if given is None else given
        oddities.check(raw, said)
    mean, std = facts.mean_and_std(raw.train.images)
    train = _take(raw.train, spec)
    test = _take_test(raw.test, spec)
    return Dataset(
        name=spec.name,
        train=train,
        test=test,
        classes=raw.classes,
        mean=mean,
        std=std,
        augment=usual_augmentation(spec.name) if spec.augment == "auto" else spec.augment,
        digest=facts.digest(train, test),
        notes=(*raw.notes, *oddities.class_notes(raw), *oddities.duplicate_notes(train, test)),
    )


def class_count(name: str) -> int | None:
    """How many classes the dataset called `name` has, without its images; None where only loading it can tell."""
    kind, _, path = name.partition(":")
    try:
        if kind == "folder":
            from stitchtui.data import folder

            return folder.class_count(path)
        if kind == "npz":
            from stitchtui.data import arrays

            return arrays.class_count(path)
    except (BadInput, OSError):  # loading it says what is wrong
        return None
    known = DATASETS.get(name)
    return known.classes if known else None


def subset(dataset: Dataset, subset: Subset, key: str = "data") -> Dataset:
    """`dataset` with only those of its training images that `subset` names, and a new digest.

    The test part and the normalisation stay. Raises BadInput naming `key`.train_range or `key`.train_size.
    """
    train = _take(dataset.train, subset, key)
    if train is dataset.train:
        return dataset
    return replace(dataset, train=train, digest=facts.digest(train, dataset.test))


def _load(spec: DataSpec, progress: Callable[[int, int], None] | None) -> Raw:
    # Imported late: each source needs other libraries, some of which take a second to load.
    kind, _, path = spec.name.partition(":")
    if kind == "folder":
        from stitchtui.data.folder import load_folder

        return load_folder(path, spec.test_fraction, spec.subset_seed, progress)
    if kind == "npz":
        from stitchtui.data.arrays import load_npz

        return load_npz(path)
    if spec.name.startswith(IN_MEMORY):
        raise BadInput(f"data.name: {only_in_memory(shown(spec.name))}")
    found: Raw = load(DATASETS[kind].load)(kind)
    return found


def _take(part: Part, subset: Subset, key: str = "data") -> Part:
    if subset.train_range is None and subset.train_size is None:
        return part
    indices = indices_for_training(len(part), subset, key).to(part.images.device)
    return Part(part.images[indices], part.labels[indices])


def _take_test(part: Part, spec: DataSpec) -> Part:
    if spec.test_size is None:
        return part
    indices = indices_for_testing(len(part), spec.test_size, spec.subset_seed).to(part.images.device)
    return Part(part.images[indices], part.labels[indices])
