"""Two trained networks with their images, from what a pair's experiment says: what only such a pair can show."""

from dataclasses import dataclass

import torch

from stitchtui.benchmark.subject import Base, Options, Subject
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.errors import BadInput
from stitchtui.experiment import Experiment, StitchSpec
from stitchtui.networks.network import Network
from stitchtui.networks.obtain import obtain
from stitchtui.stitching.chain import Normalise
from stitchtui.stitching.cuts import Untraceable
from stitchtui.text import plain
from stitchtui.worker.feed import pixels, training_batches

EXAMPLE_IMAGES = 5


@dataclass(frozen=True)
class Pair:
    """A bottom and a top that were trained, and what they are measured on."""

    bottom: Network
    top: Network
    dataset: Dataset
    stitch: StitchSpec  # the recipe; every way trains by it
    subject: Subject


def load_pair(experiment: Experiment, options: Options, device: torch.device, dtype: torch.dtype) -> Pair:
    """The first pair of `experiment`, loaded as a run loads it. Raises BadInput."""
    dataset = load_dataset(experiment.data).to(device)
    wanted = experiment.pairs[0]
    bottom, top = (_network(experiment, name, dataset) for name in (wanted.bottom, wanted.top))
    first, last = (_base(experiment, network, dataset) for network in (bottom, top))
    batch = next(training_batches(dataset, options.batch_size, seed=0))
    stitch = experiment.stitch.model_copy(update={"batch_size": options.batch_size})
    return Pair(bottom, top, dataset, stitch, Subject(options, first, last, batch, dtype))


def _network(experiment: Experiment, name: str, dataset: Dataset) -> Network:
    device = dataset.test.labels.device
    return obtain(name, experiment.networks[name], dataset, device, lambda _: None, lambda: False)


def _base(experiment: Experiment, network: Network, dataset: Dataset) -> Base:
    normalise = Normalise(network.mean, network.std).to(dataset.test.labels.device)
    example = normalise(pixels(dataset.train.images[:EXAMPLE_IMAGES])).contiguous()
    try:
        return Base(network.module, example, normalise, experiment.networks[network.name].leaves)
    except Untraceable as error:
        raise BadInput(f"network '{plain(network.name)}': {error}") from None
