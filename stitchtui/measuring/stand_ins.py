"""What controls put in the place of a bottom, of a top, or of the images and labels that are fitted to."""

from collections.abc import Callable

from stitchtui.data.dataset import Dataset
from stitchtui.measuring.loaded import Loaded
from stitchtui.measuring.material import Noise, limited, shuffled
from stitchtui.measuring.session import Session

StandIn = Callable[[Session, str], Loaded | Noise]
"""What stands in for the network of this name; noise can stand in for a bottom only."""
OtherData = Callable[[Dataset, int], tuple[Dataset, str]]
"""From the images that a pair is fitted on and the controls' seed: the control's own, and in words how they differ."""

LESS = 10
"""The control with less data has so many times fewer images."""


def untrained(session: Session, name: str) -> Loaded:
    """The network with nothing learnt left in it."""
    return session.randomised(name)


def class_noise(session: Session, _name: str) -> Noise:
    """Noise around a random tensor per class, at the network's cuts."""
    return Noise(session.experiment.control_seed)


def a_tenth(dataset: Dataset, _seed: int) -> tuple[Dataset, str]:
    """A tenth of the images."""
    few = max(1, len(dataset.train) // LESS)
    return limited(dataset, few, 0), f"{few} images"


def other_labels(dataset: Dataset, seed: int) -> tuple[Dataset, str]:
    """The labels given to other images."""
    return shuffled(dataset, seed), f"labels shuffled {seed}"
