"""How the images that stitches are trained on are augmented: as those of their networks were, where a file says so."""

from pathlib import Path
from typing import get_args

from stitchtui.networks.checkpoints import said_in
from stitchtui.spec.datasets import Augmentation, usual_augmentation
from stitchtui.spec.experiment import Experiment, NetworkSpec


def of_stitches(experiment: Experiment) -> Augmentation:
    """What the experiment says, or else the mildest of what its pairs' networks were trained with.

    Of one that is trained here, and of one whose file doesn't say, that is what is usual for the data. A frozen network
    knows no other images than those it was trained on: fed with others, it has a stitch trained to mend what isn't
    broken.
    """
    if experiment.data.augment != "auto":
        return experiment.data.augment
    usual = usual_augmentation(experiment.data.name)
    ends = {end for request in experiment.requests for p in request.pairs or () for end in (p.bottom, p.top)}
    known: tuple[Augmentation, ...] = get_args(Augmentation)
    said = [_said_of(experiment.networks[name]) for name in ends]
    return min((next((each for each in known if each == kind), usual) for kind in said), key=known.index)


def _said_of(network: NetworkSpec) -> str:
    said = said_in(Path(network.checkpoint).expanduser()) if network.checkpoint is not None else None
    return said.augment if said else ""
