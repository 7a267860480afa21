"""What a network is fed with: the mean and standard deviation that its images are normalised by."""

from pathlib import Path

from pydantic import ValidationError

from stitchtui.base.errors import BadInput
from stitchtui.base.text import plain
from stitchtui.data import facts
from stitchtui.data.dataset import Dataset
from stitchtui.networks.checkpoints import Metadata
from stitchtui.spec.experiment import NetworkSpec, Normalisation

IMAGENET = Normalisation(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def chosen(spec: NetworkSpec, dataset: Dataset, stored: Normalisation | None) -> Normalisation:
    """What the network is fed with; `stored` is the normalisation that comes with the weights, if one does."""
    channels, said = dataset.shape[0], spec.normalisation
    if said == "auto":
        said = "none" if facts.normalised(dataset.train.images) else "data" if stored is None else stored
    if said == "data":
        return Normalisation(mean=dataset.mean, std=dataset.std)
    if said == "none":
        return Normalisation(mean=(0.0,) * channels, std=(1.0,) * channels)
    if not isinstance(said, Normalisation):
        said = IMAGENET
    if len(said.mean) != channels:
        counts = f"is for {len(said.mean)} channels, the images of {plain(dataset.name)} have {channels}"
        raise BadInput(f"normalisation {counts}", "normalisation")
    return said


def stored(path: Path, metadata: Metadata) -> Normalisation:
    """What a checkpoint of ours says its network expects. Raises BadInput where that is damaged."""
    try:
        return Normalisation(mean=metadata.mean, std=metadata.std)
    except ValidationError:
        raise BadInput.at("checkpoint", "has damaged metadata: mean and std", path) from None
