"""Whether a network's chains compute what the network does."""

import torch
from torch import nn

from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced


def assert_chains(network: nn.Module, size: int, leaves: tuple[str, ...] = ()) -> Traced:
    """Both the blocks' chain and that of every cut equal the network at two batch sizes."""
    traced = Traced(network.eval(), torch.rand(2, 3, size, size), leaves)
    for wanted in ("blocks", "all"):
        chain = Chain(traced, traced.select(wanted))
        for batch in (1, 3):
            x = torch.rand(batch, 3, size, size)
            with torch.no_grad():
                torch.testing.assert_close(chain.features(x)[-1], network(x))
    return traced
