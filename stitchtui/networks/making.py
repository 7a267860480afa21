"""What every way to a network shares: its own data, building it, trying it out, and the facts of the finished one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stitchtui.base.device import seeded
from stitchtui.base.errors import BadInput, RunFailed
from stitchtui.base.text import plain
from stitchtui.data.dataset import Dataset
from stitchtui.data.labels import relabelled
from stitchtui.data.loading import subset
from stitchtui.networks import by_name
from stitchtui.networks.network import Network, Source, error_percent, freeze, normalise, weight_digest
from stitchtui.networks.trying import IMAGES, try_out
from stitchtui.spec.experiment import NetworkSpec, Normalisation
from stitchtui.spec.settings import dotted, read_key

EVALUATION_BATCH = 500


def own_data(spec: NetworkSpec, dataset: Dataset) -> Dataset:
    """The images and labels that the network is for: a part of the run's training images, labels of its own.

    Labels come last, so that a share of noise is exact within the part. Raises BadInput where they can't be had.
    """
    data = dataset if spec.subset is None else subset(dataset, spec.subset, "subset")
    return data if spec.labels is None else relabelled(data, **spec.labels.model_dump())


def architecture_of(spec: NetworkSpec) -> str:
    """The architecture as it is said. Raises BadInput where none is."""
    if spec.architecture is None:
        raise BadInput("expected an `architecture`", "architecture")
    return spec.architecture


@contextmanager
def naming(name: str) -> Iterator[None]:
    """What is raised inside says which network it is about."""
    try:
        yield
    except BadInput as error:
        field = None if error.field is None else dotted(("networks", name, *read_key(error.field)))
        raise BadInput(f"network {plain(name)}: {error}", field) from None
    except RunFailed as error:
        raise RunFailed(f"network {plain(name)}: {error}") from None


@dataclass(frozen=True)
class Making:
    """A network that is wanted, with its own data on the device."""

    name: str
    spec: NetworkSpec
    data: Dataset
    device: torch.device

    @property
    def classes(self) -> int:
        """How many classes its own labels have."""
        return len(self.data.classes)

    def build(self, architecture: str, width: float, options: Mapping[str, Any], scale: Normalisation) -> nn.Module:
        """The network from its seed, with published weights where the specification names some, tried out."""
        headed = self.spec.head is not None
        with seeded(self.spec.seed, self.device):
            module = by_name.build(
                *(architecture, self.classes, self.data.shape, width, options),
                weights=self.spec.weights,
                new_head=headed,
                trust_code=self.spec.trust_code,
            )
            module.to(self.device)
            try_out(module, self.data, scale, architecture, head=headed)
        return module

    def example(self, scale: Normalisation) -> torch.Tensor:
        """A few test images as the network takes them."""
        return normalise(self.data.test.images[:IMAGES], scale.mean, scale.std)

    def finished(
        self,
        module: nn.Module,
        architecture: str,
        source: Source,
        scale: Normalisation,
        *,
        error: float | None = None,
        notes: tuple[str, ...] = (),
    ) -> Network:
        """`module`, frozen, with its facts; its test error is measured unless it is known already."""
        freeze(module)
        try_out(module, self.data, scale, architecture, head=False)
        if error is None:
            error = error_percent(module, scale.mean, scale.std, self.data.test, EVALUATION_BATCH)
        return Network(
            name=self.name,
            module=module,
            mean=scale.mean,
            std=scale.std,
            digest=weight_digest(module),
            architecture=architecture,
            error=error,
            source=source,
            classes=self.classes,
            notes=notes,
        )
