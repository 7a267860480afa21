"""A network of a run, as it is measured."""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import torch

from stitchtui.networks.network import Network, tensor_bytes
from stitchtui.stitching.chain import Normalise
from stitchtui.stitching.cuts import Traced


@dataclass
class Loaded:
    """A network of this run with its graph."""

    network: Network
    traced: Traced
    normalise: Normalise
    origin: str  # the name of the network of the experiment that it is, or was before a control changed it
    in_memory: bool = False  # whether that is one which a program has made, by code that nobody has read
    dtypes: dict[str, torch.dtype] = field(default_factory=dict)  # at the boundaries that have been looked at, by name
    depths: dict[str, float] = field(default_factory=dict)  # share of the FLOPs before each cut, once it was asked for

    @cached_property
    def graph_digest(self) -> str:
        """What the network computes with its weights: its graph, every layer's settings, tensors that are no weights.

        The same weights in another forward(), with another stride, or with more heads, are another network. Of one in
        memory hooks, forwards set on a layer and settings of any type can't be read: its scores stand for them.
        """
        sha = hashlib.sha256(self.traced.module.code.encode())
        sha.update(self.traced.source.encode())  # of layers that are taken whole, the graph says nothing
        for name, layer in self.network.module.named_modules():
            settings = {k: repr(v) for k, v in sorted(vars(layer).items()) if k != "training" and _is_plain(v)}
            sha.update(f"{name} {type(layer).__qualname__} {settings}".encode())
            for key, value in sorted(vars(layer).items()):
                if isinstance(value, torch.Tensor):
                    sha.update(key.encode())
                    sha.update(tensor_bytes(value))
        if self.in_memory:
            sha.update(tensor_bytes(self.traced.scores))
        return sha.hexdigest()


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(_is_plain(v) for v in value.values()) and bool(value)
    return value is None or isinstance(value, bool | int | float | str | torch.dtype)
