"""The datasets that are known by name: what their images are, and where they come from. No torch here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stitchtui.base.errors import not_known
from stitchtui.base.registry import Registry

Augmentation = Literal["none", "crop", "crop_flip"]
"""How training images are changed at random, the milder ways first."""


@dataclass(frozen=True)
class Download:
    """What torchvision downloads: its class, the files it needs, in which folder, and where they come from."""

    loader: str
    files: str
    folder: str
    origin: str
    there: tuple[str, ...]  # any of these lies in the cache once it has been downloaded
    counted: bool = False  # whether its classes are the digits
    split: bool = False  # whether the class takes a part's name, not whether it is the training part


@dataclass(frozen=True)
class DatasetSource:
    """What is known of a dataset before its images are loaded, so that none is loaded for it.

    `load` gives the images as a `stitchtui.data.raw.Raw`, told the dataset's name; it is named as `module:object`.
    """

    name: str
    shape: tuple[int, int, int]  # of one image: channels, height, width
    classes: int
    load: str
    augment: Augmentation = "crop"  # how training images are augmented unless a preset says it
    download: Download | None = None


_NAMED = "stitchtui.data.named"
_IDX = "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz"
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"
_SVHN = "http://ufldl.stanford.edu/housenumbers/"
_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)


def _downloaded(
    name: str, shape: tuple[int, int, int], classes: int, download: Download, augment: Augmentation = "crop"
) -> DatasetSource:
    return DatasetSource(name, shape, classes, f"{_NAMED}:load_download", augment, download)


# A mirrored digit is another sign, so only photographs are flipped; 8x8 digits have no margin to crop.
DIGITS = DatasetSource("digits", (1, 8, 8), 10, f"{_NAMED}:load_digits", augment="none")
CIFAR10 = _downloaded(
    "cifar10",
    _COLOUR,
    10,
    Download("CIFAR10", "cifar-10-python.tar.gz", "", _CIFAR, ("cifar-10-batches-py", "cifar-10-python.tar.gz")),
    "crop_flip",
)

DATASETS = Registry(
    "datasets",
    DatasetSource,
    (
        DIGITS,
        _downloaded("mnist", _GREY, 10, Download("MNIST", _IDX, "MNIST/raw", _MNIST, ("MNIST/raw",), counted=True)),
        _downloaded(
            "fashion_mnist",
            _GREY,
            10,
            Download("FashionMNIST", _IDX, "FashionMNIST/raw", _FASHION, ("FashionMNIST/raw",)),
        ),
        CIFAR10,
        _downloaded(
            "cifar100",
            _COLOUR,
            100,
            Download(
                "CIFAR100", "cifar-100-python.tar.gz", "", _CIFAR, ("cifar-100-python", "cifar-100-python.tar.gz")
            ),
            "crop_flip",
        ),
        _downloaded(
            "svhn",
            _COLOUR,
            10,
            Download(
                *("SVHN", "train_32x32.mat and test_32x32.mat", "", _SVHN, ("train_32x32.mat",)),
                counted=True,
                split=True,
            ),
        ),
    ),
)
"""Every dataset that has a name; images of a user's own are `folder:PATH` or `npz:PATH`."""

BY_PATH = ("folder:", "npz:")
"""What the name of images begins with that lie somewhere."""

IN_MEMORY = "memory:"
"""What the name of images, or of a network, begins with that a Python program gave and no other program can find."""


def usual_augmentation(name: str) -> Augmentation:
    """How the training images of a dataset of this name are augmented where nobody says.

    Images of one's own are left as they are: they may be digits, letters or scans, which a mirror makes another class,
    and a network that never saw such images answers them at random, which a stitch then learns to mend.
    """
    known = DATASETS.get(name.partition(":")[0])
    return "none" if known is None else known.augment


def dataset_names() -> tuple[str, ...]:
    """What can be said in a dataset's place."""
    return (*DATASETS, *(f"{prefix}PATH" for prefix in BY_PATH))


def only_in_memory(name: str) -> str:
    """The phrase for images in memory that are asked for where they are not."""
    return (
        f"{name}: these images were in the memory of a Python program: have it stitch again, with out= the run's "
        "directory, to go on with what is missing; or save them as an .npz file, and say npz:PATH"
    )


def dataset_not_known(name: str) -> str:
    """The phrase for a name that no dataset has; of a folder or an .npz file that is there, what it is called."""
    try:
        if Path(name).is_dir():
            return f"'{name}' is a folder; say folder:{name}"
        if Path(name).is_file() and name.endswith(".npz"):
            return f"'{name}' is a file; say npz:{name}"
    except (OSError, ValueError):  # no permission on the way there, or a NUL in the name
        pass
    return not_known(name, dataset_names())
