"""Two trained networks with their images, as an experiment says: what only such a pair can show."""

from argparse import ArgumentParser, Namespace
from dataclasses import dataclass

import torch
from subject import Base, Options, Subject, parser, prepared

from stitchtui.base import device as devices
from stitchtui.base.work import finish
from stitchtui.data.dataset import Dataset
from stitchtui.data.loading import load_dataset
from stitchtui.measuring.feed import pixels, training_batches
from stitchtui.networks.network import Network
from stitchtui.networks.obtain import obtain
from stitchtui.spec.experiment import Experiment, StitchSpec
from stitchtui.spec.presets import load_preset
from stitchtui.stitching.chain import Normalise

EXAMPLE_IMAGES = 5


@dataclass(frozen=True)
class Pair:
    """A bottom and a top that were trained, and what they are measured on."""

    bottom: Network
    top: Network
    dataset: Dataset
    stitch: StitchSpec  # the recipe; every way trains by it
    subject: Subject

    def __str__(self) -> str:
        names = f"{self.bottom.name} > {self.top.name}, errors {self.bottom.error:.2f} and {self.top.error:.2f} %"
        images = f"{len(self.dataset.train):,} training and {len(self.dataset.test):,} test images"
        return f"{names}; {self.dataset.name}, {images}; {self.subject}"


def load_pair(experiment: Experiment, options: Options) -> Pair:
    """The first pair of `experiment`, loaded as a run loads it; networks that it says are to be trained are."""
    device = devices.pick(options.device)
    dataset = load_dataset(experiment.data).to(device)
    names = experiment.pairs[0].bottom, experiment.pairs[0].top
    bottom, top = (finish(obtain(n, experiment.networks[n], dataset, device)) for n in names)
    bases = [_base(experiment, network, dataset, device) for network in (bottom, top)]
    batch = next(training_batches(dataset, options.batch_size, seed=0))
    stitch = experiment.stitch.model_copy(update={"batch_size": options.batch_size})
    return Pair(bottom, top, dataset, stitch, Subject(options, *bases, batch))


def _base(experiment: Experiment, network: Network, dataset: Dataset, device: torch.device) -> Base:
    normalise = Normalise(network.mean, network.std).to(device)
    example = normalise(pixels(dataset.train.images[:EXAMPLE_IMAGES])).contiguous()
    return Base(network.module, example, normalise, experiment.networks[network.name].leaves)


def pair_parser(description: str | None) -> ArgumentParser:
    """A command line that names an experiment, whose first pair is measured."""
    made = parser(description)
    made.add_argument("preset", help="a preset, or a TOML file with networks of your own")
    made.add_argument("--scale", help="a scale of the preset")
    made.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the experiment")
    return made


def pair_told(told: Namespace) -> Pair:
    """The pair that the command line asks for."""
    return load_pair(load_preset(told.preset, told.scale, told.set), prepared(told))
