"""What every source of images gives, before subsets are taken."""

from dataclasses import dataclass

from stitchtui.data.dataset import Part


@dataclass(frozen=True)
class Raw:
    """All training and test images of a source, with the names of the classes; on the CPU, unless they were given."""

    train: Part
    test: Part
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what a person should know of how they were read
