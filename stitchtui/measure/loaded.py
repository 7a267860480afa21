"""A network of a run, as it is measured."""

from dataclasses import dataclass, field

import torch

from stitchtui.networks.network import Network
from stitchtui.stitching.chain import Normalise
from stitchtui.stitching.cuts import Traced


@dataclass
class Loaded:
    """A network of this run with its graph."""

    network: Network
    traced: Traced
    normalise: Normalise
    origin: str  # the name of the network of the experiment that it is, or was before a control changed it
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)  # at the boundaries that have been looked at, by name
