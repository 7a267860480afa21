"""In which order networks are made: each after what its training can go on from."""

from collections.abc import Iterable, Mapping

from stitchtui.spec.experiment import NetworkSpec


def training_order(names: Iterable[str], networks: Mapping[str, NetworkSpec]) -> list[str]:
    """`names` and what they start from, each after what its training can go on from."""
    wanted, found = list(names), dict[str, None]()

    def add(name: str) -> None:
        spec = networks[name]
        if spec.start_from is not None:
            add(spec.start_from)
        for other in wanted:
            if _ends(networks[other]) < _ends(spec) and whole(networks[other]) == whole(spec):
                add(other)
        found.setdefault(name)

    for name in wanted:
        add(name)
    return list(found)


def whole(spec: NetworkSpec) -> NetworkSpec:
    """The specification of the whole training, of which a `stop_epoch` ends a part."""
    return spec.model_copy(update={"train": spec.train.model_copy(update={"stop_epoch": None})})


def _ends(spec: NetworkSpec) -> int:
    return spec.train.stop_epoch or spec.train.epochs
